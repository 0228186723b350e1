//! Reading and searching files, and what nobody gets at.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use fixture::{call, call_with, item, registry, texts};
use serde_json::{Value, json};
use tools::{Options, Registry, Role, ToolError};

/// A directory that everybody may pass, with a root that is read and something beside it.
struct Host {
    dir: tempfile::TempDir,
    registry: Registry,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mode(dir.path(), 0o755);
        for name in ["root", "root/sub", "beside"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            mode(&dir.path().join(name), 0o755);
        }
        fs::write(dir.path().join("beside/outside"), "outside").unwrap();
        fs::write(dir.path().join("root/sub/inside"), "inside").unwrap();
        let root = dir.path().join("root");
        let declared = format!("access: {{ files: {{ read: [{}] }} }}", root.display());
        let registry = registry(dir.path(), &declared);
        Self { dir, registry }
    }

    /// A path below the root.
    fn path(&self, below: &str) -> String {
        let path = self.dir.path().join("root").join(below);
        path.to_str().unwrap().to_owned()
    }

    fn write(&self, below: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(below);
        fs::write(&path, content).unwrap();
        mode(Path::new(&path), 0o644);
        path
    }

    fn read_as(&self, role: Role, path: &str) -> Result<Value, ToolError> {
        call(&self.registry, role, "file_read", json!({ "path": path }))
    }

    fn read(&self, path: &str) -> Result<Value, ToolError> {
        self.read_as(Role::Admin, path)
    }

    fn ask(&self, role: Role, name: &str, arguments: Value) -> Value {
        call(&self.registry, role, name, arguments).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

fn refused(outcome: Result<Value, ToolError>) -> String {
    match outcome {
        Err(ToolError::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_are_read_in_parts() {
    let host = Host::new();
    let path = host.write("text", "ab\u{e4}cd");
    let whole = host.read_as(Role::Viewer, &path).unwrap();
    assert_eq!(
        (&whole["content"], &whole["encoding"]),
        (&json!("abäcd"), &json!("utf-8"))
    );
    assert_eq!(
        (&whole["size"], &whole["next_offset"]),
        (&json!(6), &Value::Null)
    );
    assert_eq!(whole["mode"], "0644");

    // A character that is cut off comes with the next part.
    let part = |offset, length| {
        let arguments = json!({ "path": path, "offset": offset, "length": length });
        host.ask(Role::Viewer, "file_read", arguments)
    };
    let first = part(0, 3);
    assert_eq!(
        (&first["content"], &first["next_offset"]),
        (&json!("ab"), &json!(2))
    );
    assert_eq!(part(2, 100)["content"], "äcd");
    assert_eq!(part(6, 1)["content"], "");
    assert_eq!(part(u64::MAX >> 1, 1)["length"], 0);
    // Half a character is no text.
    assert_eq!(part(3, 1)["encoding"], "base64");

    let binary = host.write("binary", [0xff, 0x00, 0x01]);
    let read = host.read(&binary).unwrap();
    assert_eq!(
        (&read["content"], &read["encoding"]),
        (&json!("/wAB"), &json!("base64"))
    );
    let empty = host.write("empty", "");
    assert_eq!(host.read(&empty).unwrap()["content"], "");
    for wrong in [
        json!({ "path": path, "length": 262_145 }),
        json!({ "path": path, "length": 0 }),
    ] {
        let error = call(&host.registry, Role::Admin, "file_read", wrong).unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{error}");
    }
}

#[test]
fn a_huge_file_costs_no_more_than_its_part() {
    let host = Host::new();
    let path = host.write("huge", "");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let begun = Instant::now();
    let arguments = json!({ "path": path, "offset": 1_u64 << 39, "length": 262_144 });
    let read = host.ask(Role::Viewer, "file_read", arguments);
    assert_eq!(
        (&read["size"], &read["length"]),
        (&json!(1_u64 << 40), &json!(262_144))
    );
    assert_eq!(read["next_offset"], (1_u64 << 39) + 262_144);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn no_path_leads_out() {
    let host = Host::new();
    let root = host.path("");
    let beside = host.dir.path().join("beside");
    for (link, target) in [
        ("relative", "../beside/outside"),
        ("absolute", beside.join("outside").to_str().unwrap()),
        ("absolute-inside", &host.path("sub/inside")),
        ("directory", "../beside"),
        ("process", "/proc/self/root"),
        ("up", ".."),
        ("loop", "loop"),
    ] {
        symlink(target, host.path(link)).unwrap();
    }
    for below in [
        "relative",
        "absolute",
        "absolute-inside",
        "directory/outside",
        "process/etc/hostname",
        "up/beside/outside",
        "loop",
    ] {
        for role in [Role::Viewer, Role::Admin] {
            refused(host.read_as(role, &host.path(below)));
        }
    }
    for path in [
        format!("{root}/../beside/outside"),
        format!("{root}/sub/../../beside/outside"),
        "sub/inside".to_owned(),
        String::new(),
        format!("{root}/sub\0/inside"),
    ] {
        let error = host.read(&path).unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{path}: {error}");
    }
    for path in [
        "/etc/hostname",
        &format!("{}x/inside", root.trim_end_matches('/')),
        "/",
    ] {
        let text = refused(host.read(path));
        assert!(text.contains("access.files.read"), "{text}");
    }
    // Links that stay inside are followed.
    symlink("sub/inside", host.path("good")).unwrap();
    for role in [Role::Viewer, Role::Admin] {
        assert_eq!(
            host.read_as(role, &host.path("good")).unwrap()["content"],
            "inside"
        );
    }
    let error = host.read(&host.path("nothing")).unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
    // A file is no directory.
    let error = host.read(&host.path("sub/inside/x")).unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
}

#[test]
fn the_links_of_proc_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry(dir.path(), "access: { files: { read: [/proc] } }");
    let read = |path: &str| call(&registry, Role::Admin, "file_read", json!({ "path": path }));
    for path in [
        "/proc/self/root/etc/hostname",
        "/proc/self/cwd/Cargo.toml",
        "/proc/self/exe",
        "/proc/self/fd/0",
    ] {
        refused(read(path));
    }
    // Not a magic link, and a file whose size the kernel does not tell.
    let status = read("/proc/self/status").unwrap();
    assert!(status["content"].as_str().unwrap().contains("Name:"));
    assert_eq!(status["size"], 0);
}

#[test]
fn a_link_that_is_swapped_while_it_is_read_leads_nowhere() {
    let host = Host::new();
    fs::create_dir(host.path("real")).unwrap();
    host.write("real/file", "inside");
    fs::write(host.dir.path().join("beside/file"), "outside").unwrap();
    symlink("../beside", host.path("bad")).unwrap();
    symlink("real", host.path("good")).unwrap();
    symlink("real", host.path("way")).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    let path = host.path("way/file");
    let (mut good, mut wrong) = (0, Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (new, way) = (host.path("new"), host.path("way"));
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for target in ["../beside", "real"] {
                    symlink(target, &new).unwrap();
                    fs::rename(&new, &way).unwrap();
                }
            }
        });
        for turn in 0..1500 {
            let role = if turn % 2 == 0 {
                Role::Admin
            } else {
                Role::Viewer
            };
            match host.read_as(role, &path) {
                Ok(read) if read["content"] == "inside" => good += 1,
                Err(ToolError::Refused(_) | ToolError::Failed(_)) => {}
                other => wrong.push(format!("{other:?}")),
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(good > 0);
}

#[test]
fn only_files_and_directories_are_opened() {
    let host = Host::new();
    let fifo = host.path("fifo");
    lab::run("mkfifo", &["-m", "0644", &fifo]);
    let socket = std::os::unix::net::UnixListener::bind(host.path("socket")).unwrap();
    mode(Path::new(&host.path("socket")), 0o666);
    let begun = Instant::now();
    for (below, word) in [("fifo", "FIFO"), ("socket", "socket")] {
        let text = refused(host.read(&host.path(below)));
        assert!(text.contains(word), "{text}");
    }
    let found = host.ask(
        Role::Admin,
        "file_search",
        json!({ "path": host.path(""), "text": "x" }),
    );
    assert_eq!(found["complete"], true);
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(socket);
    if rustix::process::geteuid().is_root() {
        lab::run("mknod", &["-m", "0644", &host.path("null"), "c", "1", "3"]);
        let text = refused(host.read(&host.path("null")));
        assert!(text.contains("device"), "{text}");
    }
    let error = host.read(&host.path("sub")).unwrap_err();
    assert!(error.to_string().contains("file_list"), "{error}");
}

#[test]
fn below_admin_only_what_is_for_everybody_is_seen() {
    let host = Host::new();
    let own = host.write("own", "own");
    mode(Path::new(&own), 0o640);
    fs::create_dir(host.path("private")).unwrap();
    fs::create_dir(host.path("private/deep")).unwrap();
    let deep = host.write("private/deep/file", "deep");
    mode(Path::new(&host.path("private")), 0o750);
    symlink("private/deep/file", host.path("link")).unwrap();
    symlink("private/deep", host.path("linked")).unwrap();
    let listed_only = host.path("unlistable");
    fs::create_dir(&listed_only).unwrap();
    let known = host.write("unlistable/known", "known");
    mode(Path::new(&listed_only), 0o711);

    for role in [Role::Viewer, Role::Operator] {
        for path in [&own, &deep, &host.path("link"), &host.path("linked/file")] {
            let text = refused(host.read_as(role, path));
            assert!(
                text.contains("admin") && text.contains(&role.to_string()),
                "{text}"
            );
        }
        // What is hidden is not even said to be missing.
        refused(host.read_as(role, &host.path("private/nothing")));
        refused(host.read_as(role, &host.path("private/deep/nothing")));
        for path in [host.path("private"), listed_only.clone()] {
            refused(call(
                &host.registry,
                role,
                "file_list",
                json!({ "path": path }),
            ));
        }
        assert_eq!(host.read_as(role, &known).unwrap()["content"], "known");
        let found = host.ask(
            role,
            "file_search",
            json!({ "path": host.path(""), "name": "*" }),
        );
        assert_eq!(texts(&found["matches"], "path"), [host.path("sub/inside")]);
        assert_eq!(found["passed_over"], 3);
    }
    assert_eq!(host.read(&own).unwrap()["content"], "own");
    assert_eq!(host.read(&host.path("link")).unwrap()["content"], "deep");
    // The root itself counts too.
    mode(Path::new(&host.path("")), 0o700);
    refused(host.read_as(Role::Viewer, &host.path("sub/inside")));
}

#[test]
fn secrets_are_for_nobody() {
    let host = Host::new();
    let key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n";
    let certificate = host.write("server.pem", "-----BEGIN CERTIFICATE-----\nMIIE\n");
    assert!(host.read(&certificate).is_ok());
    let both = host.write(
        "both.pem",
        format!("{}{key}", "-----BEGIN CERTIFICATE-----\n".repeat(400)),
    );
    let late = host.write("late.txt", format!("{}{key}", "x\n".repeat(300 << 10)));
    symlink("both.pem", host.path("renamed")).unwrap();
    for path in [
        host.write("server.key", "x"),
        host.write("shadow", "x"),
        host.write("id_ed25519", "x"),
        host.write("ssh_host_rsa_key", "x"),
        host.write("plain", key),
        both.clone(),
        host.path("renamed"),
    ] {
        let text = refused(host.read(&path));
        assert!(text.contains("secret"), "{text}");
        // A part of it is no way around.
        let arguments = json!({ "path": path, "offset": 40 });
        refused(call(&host.registry, Role::Admin, "file_read", arguments));
    }
    let read = |offset: u64, length: u64| {
        let arguments = json!({ "path": late, "offset": offset, "length": length });
        call(&host.registry, Role::Admin, "file_read", arguments)
    };
    assert!(read(0, 100).is_ok());
    refused(read(600 << 10, 100));
    refused(read((600 << 10) + 30, 10));
    let found = host.ask(
        Role::Admin,
        "file_search",
        json!({ "path": host.path(""), "text": "MIIE" }),
    );
    assert!(!found["matches"].to_string().contains("plain"), "{found}");
    assert!(!found["matches"].to_string().contains("both"), "{found}");
    // By the real path, whatever the root is called.
    let error = host.read("/etc/shadow").unwrap_err();
    assert!(matches!(error, ToolError::Refused(_)), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let wide = registry(dir.path(), "access: { files: { read: [/etc, /run] } }");
    for path in [
        "/etc/shadow",
        "/etc/gshadow",
        "/run/credentials/x",
        "/etc/op-dbus/secrets/x",
    ] {
        refused(call(
            &wide,
            Role::Admin,
            "file_read",
            json!({ "path": path }),
        ));
    }
}

#[test]
fn directories_are_listed() {
    let host = Host::new();
    host.write("b", "12345");
    host.write("a", "");
    symlink("b", host.path("link")).unwrap();
    lab::run("mkfifo", &[&host.path("fifo")]);
    let ask = |arguments| host.ask(Role::Viewer, "file_list", arguments);
    let listed = ask(json!({ "path": host.path("") }));
    let entries = &listed["entries"];
    assert_eq!(texts(entries, "name"), ["a", "b", "fifo", "link", "sub"]);
    assert_eq!(
        texts(entries, "kind"),
        ["file", "file", "fifo", "symlink", "directory"]
    );
    assert_eq!(item(entries, "name", "b")["size"], 5);
    assert_eq!(item(entries, "name", "link")["target"], "b");
    assert_eq!(item(entries, "name", "sub")["mode"], "0755");
    let page = ask(json!({ "path": host.path(""), "limit": 2, "cursor": "2" }));
    assert_eq!(texts(&page["entries"], "name"), ["fifo", "link"]);
    assert_eq!(page["next_cursor"], "4");
    let file = json!({ "path": host.path("b") });
    let error = call(&host.registry, Role::Viewer, "file_list", file).unwrap_err();
    assert!(matches!(error, ToolError::Invalid(_)), "{error}");
}

#[test]
fn files_are_found_by_name_and_text() {
    let host = Host::new();
    host.write("one.conf", "first\nListen 80\nlisten 81\n");
    host.write("sub/two.conf", "nothing\n");
    host.write("sub/three.log", "Listen 82");
    host.write("binary.conf", b"Listen 83\0");
    symlink("../beside", host.path("away")).unwrap();
    symlink(".", host.path("sub/again")).unwrap();
    let ask = |arguments: Value| {
        let mut all = json!({ "path": host.path("") });
        all.as_object_mut()
            .unwrap()
            .extend(arguments.as_object().unwrap().clone());
        host.ask(Role::Viewer, "file_search", all)
    };
    let found = ask(json!({ "name": "*.conf" }));
    let names = [
        host.path("binary.conf"),
        host.path("one.conf"),
        host.path("sub/two.conf"),
    ];
    assert_eq!(texts(&found["matches"], "path"), names);
    assert_eq!(
        (&found["complete"], &found["stopped_by"]),
        (&json!(true), &Value::Null)
    );
    let found = ask(json!({ "text": "Listen" }));
    let first = json!({ "path": host.path("one.conf"), "line": 2, "text": "Listen 80" });
    assert_eq!(
        found["matches"],
        json!([first, { "path": host.path("sub/three.log"), "line": 1, "text": "Listen 82" }])
    );
    let found = ask(json!({ "text": "LISTEN", "ignore_case": true, "name": "*.conf" }));
    assert_eq!(found["matches"].as_array().unwrap().len(), 2);
    let found = ask(json!({ "text": "Listen", "limit": 1 }));
    assert_eq!(
        (&found["complete"], &found["stopped_by"]),
        (&json!(false), &json!("limit"))
    );
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);
    let nothing = json!({ "path": host.path("") });
    let error = call(&host.registry, Role::Viewer, "file_search", nothing).unwrap_err();
    assert!(matches!(error, ToolError::Invalid(_)), "{error}");
}

#[test]
fn a_search_ends() {
    let host = Host::new();
    let huge = host.write("a-huge", "needle\n");
    let file = fs::OpenOptions::new().write(true).open(&huge).unwrap();
    file.set_len(1 << 40).unwrap();
    // No NUL where it begins.
    fs::write(host.path("b-long"), "x".repeat(100 << 20)).unwrap();
    mode(Path::new(&host.path("b-long")), 0o644);
    host.write("c-last", "needle");
    let begun = Instant::now();
    let arguments = json!({ "path": host.path(""), "text": "needle" });
    let found = host.ask(Role::Viewer, "file_search", arguments.clone());
    assert_eq!(found["stopped_by"], "bytes");
    assert!(begun.elapsed() < Duration::from_secs(20));
    // And when the caller no longer waits.
    let options = Options {
        deadline: Some(Instant::now()),
        ..Options::default()
    };
    let outcome = call_with(
        &host.registry,
        Role::Viewer,
        "file_search",
        arguments,
        options,
    );
    assert!(matches!(outcome, Err(ToolError::TimedOut)), "{outcome:?}");
    // Deep, but not without end.
    let mut deep = host.path("deep");
    fs::create_dir(&deep).unwrap();
    for _ in 0..80 {
        deep.push_str("/d");
        fs::create_dir(&deep).unwrap();
    }
    let found = host.ask(
        Role::Admin,
        "file_search",
        json!({ "path": host.path("deep"), "name": "x" }),
    );
    assert_eq!(found["stopped_by"], "depth");
}

#[test]
fn roots_may_be_missing_or_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "alone").unwrap();
    fs::write(dir.path().join("other"), "other").unwrap();
    let declared = format!(
        "access: {{ files: {{ read: [{}, {}] }} }}",
        dir.path().join("missing").display(),
        file.display()
    );
    let only = registry(dir.path(), &declared);
    let read = |registry: &Registry, path: &str| {
        call(registry, Role::Admin, "file_read", json!({ "path": path }))
    };
    assert_eq!(
        read(&only, file.to_str().unwrap()).unwrap()["content"],
        "alone"
    );
    refused(read(&only, dir.path().join("other").to_str().unwrap()));
    let error = read(&only, dir.path().join("missing/x").to_str().unwrap()).unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
    let none = registry(dir.path(), "access: { files: { read: [] } }");
    let text = refused(read(&none, "/etc/hostname"));
    assert!(text.contains("access.files.read"), "{text}");
}
