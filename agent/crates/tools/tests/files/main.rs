//! Reading and searching files, and what nobody gets at.
#![allow(clippy::unwrap_used)]

mod confined;
#[path = "../fixture/mod.rs"]
mod fixture;
mod search;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use fixture::{call, item, registry, texts};
use serde_json::{Value, json};
use tools::{Registry, Role, ToolError};

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
