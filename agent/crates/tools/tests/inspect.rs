//! The inspector as tools: what it reads for whom, what it keeps, and how that is recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use fixture::{call, call_with, registry, texts};
use serde_json::{Value, json};
use tools::{Options, Registry, Role, ToolError};

/// A host with a base, and a directory that is read.
struct Host {
    dir: tempfile::TempDir,
    registry: Registry,
}

impl Host {
    fn new(urls: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        mode(dir.path(), 0o755);
        for name in ["base", "base/@state", "base/@containers", "root"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            mode(&dir.path().join(name), 0o755);
        }
        let root = dir.path().join("root");
        let declared = format!(
            "access: {{ files: {{ read: [{}] }}, inspect: {{ urls: {} }} }}",
            root.display(),
            json!(urls)
        );
        let registry = registry(dir.path(), &declared);
        Self { dir, registry }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join("root").join(name);
        fs::write(&path, content).unwrap();
        mode(&path, 0o644);
        path.to_str().unwrap().to_owned()
    }

    fn ask(&self, role: Role, tool: &str, arguments: Value) -> Result<Value, ToolError> {
        call(&self.registry, role, tool, arguments)
    }

    fn entries(&self) -> Vec<String> {
        let ledger =
            ledger::Ledger::open_read_only(self.dir.path().join("base/@timing/blockchain.db"))
                .unwrap();
        let entries = ledger.query(&ledger::Filter::default()).unwrap();
        entries.into_iter().map(|entry| entry.operation).collect()
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_are_described_and_give_a_schema() {
    let host = Host::new(&[]);
    let one = host.write("one.json", r#"{ "name": "a", "port": 80 }"#);
    let two = host.write("two.yaml", "name: b\n");
    let told = host
        .ask(
            Role::Viewer,
            "inspect",
            json!({ "source": one, "examples": [two] }),
        )
        .unwrap();
    assert_eq!(told["format"], "json");
    assert_eq!(told["schema"]["required"], json!(["name"]));
    assert_eq!(told["schema"]["properties"]["port"]["type"], "integer");
    assert_eq!(told["description"]["values"], 3);
}

#[test]
fn what_a_caller_may_not_read_is_not_inspected() {
    let host = Host::new(&[]);
    let hidden = host.write("hidden.json", "{}");
    mode(Path::new(&hidden), 0o600);
    let refused = host.ask(Role::Operator, "inspect", json!({ "source": hidden }));
    assert!(matches!(refused, Err(ToolError::Refused(_))), "{refused:?}");
    assert!(
        host.ask(Role::Admin, "inspect", json!({ "source": hidden }))
            .is_ok()
    );
    let link = host.dir.path().join("root/link");
    symlink("/etc/passwd", &link).unwrap();
    for path in ["/etc/passwd", link.to_str().unwrap(), "oci:/etc"] {
        let refused = host.ask(Role::Admin, "inspect", json!({ "source": path }));
        assert!(
            matches!(refused, Err(ToolError::Refused(_))),
            "{path}: {refused:?}"
        );
    }
    let key = host.write("text", "x\n-----BEGIN PRIVATE KEY-----\n");
    assert!(matches!(
        host.ask(Role::Admin, "inspect", json!({ "source": key })),
        Err(ToolError::Refused(_))
    ));
    for source in [
        "https://example.org/",
        "dbus:org.freedesktop.DBus:/",
        "lxc:web",
    ] {
        let refused = host.ask(Role::Viewer, "inspect", json!({ "source": source }));
        assert!(
            matches!(&refused, Err(ToolError::Refused(why)) if why.contains("operator")),
            "{refused:?}"
        );
    }
    assert!(matches!(
        host.ask(Role::Admin, "inspect", json!({ "source": "-" })),
        Err(ToolError::Invalid(_))
    ));
}

#[test]
fn bounds_are_told() {
    let host = Host::new(&[]);
    let deep = host.write("deep.json", "[".repeat(100_000));
    let large = host.write("large", vec![b'x'; (16 << 20) + 1]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = host.write("bomb.gz", packed.finish().unwrap());
    for source in [deep, large, bomb] {
        let failed = host.ask(Role::Admin, "inspect", json!({ "source": source }));
        assert!(
            matches!(&failed, Err(ToolError::Failed(why)) if why.contains("the most")),
            "{failed:?}"
        );
    }
}

#[test]
fn what_is_learned_is_recorded_found_and_forgotten() {
    let host = Host::new(&[]);
    let one = host.write("one.json", r#"{ "name": "a", "password": "hunter2" }"#);
    let two = host.write("two.json", r#"{ "password": "x" }"#);
    let arguments = json!({ "name": "app", "sources": [one], "note": "A thing" });
    let refused = host.ask(Role::Viewer, "inspect_learn", arguments.clone());
    assert!(matches!(refused, Err(ToolError::Refused(_))));
    let dry = Options {
        dry_run: true,
        ..Options::default()
    };
    let plan = call_with(
        &host.registry,
        Role::Operator,
        "inspect_learn",
        arguments.clone(),
        dry.clone(),
    )
    .unwrap();
    assert_eq!(plan["changes"][0]["verb"], "create");
    let learned = host
        .ask(Role::Operator, "inspect_learn", arguments.clone())
        .unwrap();
    assert_eq!(
        learned,
        json!({ "name": "app", "outcome": "learned", "version": 1 })
    );
    let again = host
        .ask(Role::Operator, "inspect_learn", arguments)
        .unwrap();
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!(
        host.entries()
            .iter()
            .filter(|entry| *entry == "inspect_learn")
            .count(),
        2
    );

    let found = host
        .ask(Role::Viewer, "inspect_search", json!({ "words": "thing" }))
        .unwrap();
    assert_eq!(texts(&found["known"], "name"), ["app"]);
    let shown = host
        .ask(Role::Viewer, "inspect_show", json!({ "name": "app" }))
        .unwrap();
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    let check = |path: &str| {
        host.ask(
            Role::Viewer,
            "inspect_validate",
            json!({ "source": path, "name": "app" }),
        )
        .unwrap()
    };
    assert_eq!(check(&one)["valid"], true);
    assert_eq!(
        check(&two)["faults"][0]["message"],
        json!("\"name\" is a required property")
    );

    let unconfirmed = host.ask(Role::Admin, "inspect_forget", json!({ "name": "app" }));
    assert!(matches!(unconfirmed, Err(ToolError::Unconfirmed { .. })));
    let plan = call_with(
        &host.registry,
        Role::Admin,
        "inspect_forget",
        json!({ "name": "app" }),
        dry,
    )
    .unwrap();
    let with_plan = Options {
        plan: plan["plan_hash"].as_str().map(str::to_owned),
        ..Options::default()
    };
    call_with(
        &host.registry,
        Role::Admin,
        "inspect_forget",
        json!({ "name": "app" }),
        with_plan,
    )
    .unwrap();
    let gone = host.ask(Role::Viewer, "inspect_show", json!({ "name": "app" }));
    assert!(matches!(gone, Err(ToolError::NotFound(_))));
}

#[test]
fn schemas_of_callers_are_bounded() {
    let host = Host::new(&[]);
    let one = host.write("one.json", "{}");
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "$ref": "https://example.org/x" }),
        json!({ "allOf": [{ "items": { "$ref": "#" } }, { "items": { "$ref": "#" } }] }),
    ] {
        let refused = host.ask(
            Role::Viewer,
            "inspect_validate",
            json!({ "source": one, "schema": schema }),
        );
        assert!(matches!(refused, Err(ToolError::Invalid(_))), "{refused:?}");
    }
    for lesson in [
        json!({}),
        json!({ "format": "json", "examples": [] }),
        json!([]),
    ] {
        let refused = host.ask(
            Role::Operator,
            "inspect_learn",
            json!({ "name": "x", "lesson": lesson }),
        );
        assert!(matches!(refused, Err(ToolError::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn urls_that_are_declared_are_inspected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n<a><b/></a>",
            );
        }
    });
    let host = Host::new(std::slice::from_ref(&url));
    let told = host
        .ask(
            Role::Operator,
            "inspect",
            json!({ "source": format!("{url}x?token=hunter2") }),
        )
        .unwrap();
    assert_eq!(told["format"], "xml");
    assert_eq!(told["description"]["root"], "a");
    assert!(!told.to_string().contains("hunter2"));
}

#[test]
fn containers_and_images_are_looked_into() {
    let host = Host::new(&[]);
    let web = host.dir.path().join("base/@containers/web");
    fs::create_dir_all(web.join("rootfs/etc")).unwrap();
    fs::write(web.join("config"), "lxc.uts.name = web\n").unwrap();
    fs::write(web.join("rootfs/etc/os-release"), "ID=alpine\n").unwrap();
    let told = host
        .ask(
            Role::Operator,
            "inspect",
            json!({ "source": "lxc:web", "schema": true }),
        )
        .unwrap();
    assert_eq!(told["format"], "lxc-container");
    assert_eq!(
        told["schema"]["properties"]["system"]["properties"]["id"]["type"],
        "string"
    );
    for bad in ["lxc:none", "lxc:../@state", "lxc:"] {
        assert!(
            host.ask(Role::Admin, "inspect", json!({ "source": bad }))
                .is_err(),
            "{bad}"
        );
    }
    let layout = host.dir.path().join("root/image");
    fs::create_dir(&layout).unwrap();
    mode(&layout, 0o755);
    fs::write(layout.join("index.json"), r#"{ "manifests": [] }"#).unwrap();
    mode(&layout.join("index.json"), 0o644);
    let source = format!("oci:{}", layout.display());
    let told = host
        .ask(Role::Viewer, "inspect", json!({ "source": source }))
        .unwrap();
    assert_eq!(told["format"], "oci-image");
}
