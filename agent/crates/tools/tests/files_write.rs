//! Writing files: all of one or nothing.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fixture::{call, call_with, registry};
use serde_json::{Value, json};
use tools::{Options, Registry, Role, ToolError};

fn host() -> Option<(tempfile::TempDir, Registry)> {
    if !rustix::process::geteuid().is_root() {
        lab::skip("needs root, as every change does");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::create_dir(dir.path().join("beside")).unwrap();
    let declared = format!(
        "access: {{ files: {{ write: [{0}/root, {0}/single] }} }}",
        dir.path().display()
    );
    let registry = registry(dir.path(), &declared);
    Some((dir, registry))
}

fn write(registry: &Registry, path: &Path, content: &str) -> Result<Value, ToolError> {
    let arguments = json!({ "path": path, "content": content });
    call(registry, Role::Admin, "file_write", arguments)
}

fn set_mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

#[test]
fn files_are_made_and_replaced() {
    let Some((dir, registry)) = host() else {
        return;
    };
    let path = dir.path().join("root/file");
    let made = write(&registry, &path, "one").unwrap();
    assert_eq!(
        (&made["outcome"], &made["before"]),
        (&json!("written"), &Value::Null)
    );
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
    let sum = lab::run("sha256sum", &[path.to_str().unwrap()]);
    assert_eq!(
        made["after"]["sha256"].as_str().unwrap(),
        sum.split(' ').next().unwrap()
    );

    // Mode and owner stay.
    set_mode(&path, 0o600);
    std::os::unix::fs::chown(&path, Some(1234), Some(5678)).unwrap();
    set_mode(&path, 0o4750);
    let replaced = write(&registry, &path, "two").unwrap();
    assert_eq!(replaced["before"]["sha256"], made["after"]["sha256"]);
    let there = fs::metadata(&path).unwrap();
    assert_eq!(
        (there.mode() & 0o7777, there.uid(), there.gid()),
        (0o4750, 1234, 5678)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "two");

    let same = write(&registry, &path, "two").unwrap();
    assert_eq!(same["outcome"], "unchanged");
    assert_eq!(fs::metadata(&path).unwrap().ino(), there.ino());
    let arguments =
        json!({ "path": path, "content": "dGhyZWU=", "encoding": "base64", "mode": "0400" });
    call(&registry, Role::Admin, "file_write", arguments).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "three");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o400);
    // A root that is a file, and was not there.
    write(&registry, &dir.path().join("single"), "alone").unwrap();
    write(&registry, &dir.path().join("single"), "again").unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("single")).unwrap(),
        "again"
    );
    assert_eq!(lab::names(&dir.path().join("root")), ["file"]);
}

#[test]
fn a_reader_sees_the_old_or_the_new() {
    let Some((dir, registry)) = host() else {
        return;
    };
    let path = dir.path().join("root/file");
    let contents = ["a".repeat(300_000), "b".repeat(200_000)];
    fs::write(&path, &contents[0]).unwrap();
    let over = AtomicBool::new(false);
    let whole = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut whole = true;
            while !over.load(Ordering::Relaxed) {
                let read = fs::read_to_string(&path).unwrap();
                whole &= contents.contains(&read);
            }
            whole
        });
        let written: Vec<_> = (1..40)
            .map(|turn| write(&registry, &path, &contents[turn % 2]))
            .collect();
        over.store(true, Ordering::Relaxed);
        for outcome in written {
            outcome.unwrap();
        }
        reader.join().unwrap()
    });
    assert!(whole);
}

#[test]
fn the_preview_shows_hashes_and_binds() {
    let Some((dir, registry)) = host() else {
        return;
    };
    let path = dir.path().join("root/file");
    fs::write(&path, "one").unwrap();
    let arguments = json!({ "path": path, "content": "the new content" });
    let with = |options| {
        call_with(
            &registry,
            Role::Admin,
            "file_write",
            arguments.clone(),
            options,
        )
    };
    let shown = || {
        with(Options {
            dry_run: true,
            ..Options::default()
        })
        .unwrap()
    };
    let plan = shown();
    let change = &plan["changes"][0];
    assert_eq!(
        (&change["verb"], &change["before"]["size"]),
        (&json!("update"), &json!(3))
    );
    assert_eq!(change["after"]["size"], 15);
    assert!(!plan.to_string().contains("the new content"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");

    let bound = |plan: &Value| Options {
        plan: Some(plan["plan_hash"].as_str().unwrap().to_owned()),
        ..Options::default()
    };
    fs::write(&path, "somebody was faster").unwrap();
    let error = with(bound(&plan)).unwrap_err();
    assert!(matches!(error, ToolError::PlanChanged { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody was faster");
    with(bound(&shown())).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "the new content");
}

#[test]
fn nothing_is_written_elsewhere() {
    let Some((dir, registry)) = host() else {
        return;
    };
    let root = dir.path().join("root");
    symlink("../beside", root.join("away")).unwrap();
    symlink("../beside/target", root.join("link")).unwrap();
    fs::write(dir.path().join("beside/target"), "kept").unwrap();
    fs::create_dir(root.join("directory")).unwrap();
    lab::run("mkfifo", &[root.join("fifo").to_str().unwrap()]);
    for below in [
        "away/new",
        "link",
        "directory",
        "fifo",
        "server.key",
        "shadow",
    ] {
        let error = write(&registry, &root.join(below), "x").unwrap_err();
        assert!(matches!(error, ToolError::Refused(_)), "{below}: {error}");
    }
    for path in ["/etc/motd", "/root", "/"] {
        let error = write(&registry, Path::new(path), "x").unwrap_err();
        assert!(
            matches!(error, ToolError::Refused(_) | ToolError::Invalid(_)),
            "{path}: {error}"
        );
    }
    for below in ["../beside/new", "", "."] {
        let error = write(&registry, &root.join(below), "x").unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{below}: {error}");
    }
    let error = write(&registry, &root.join("nowhere/new"), "x").unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
    assert_eq!(lab::names(&dir.path().join("beside")), ["target"]);
    assert_eq!(
        fs::read_to_string(dir.path().join("beside/target")).unwrap(),
        "kept"
    );

    for wrong in [
        json!({ "path": root.join("x"), "content": "x", "mode": "04755" }),
        json!({ "path": root.join("x"), "content": "x", "mode": "rw" }),
        json!({ "path": root.join("x"), "content": "?", "encoding": "base64" }),
        json!({ "path": root.join("x"), "content": "x".repeat((1 << 20) + 1) }),
    ] {
        let error = call(&registry, Role::Admin, "file_write", wrong).unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{error}");
    }
    for role in [Role::Viewer, Role::Operator] {
        let arguments = json!({ "path": root.join("x"), "content": "x" });
        let error = call(&registry, role, "file_write", arguments).unwrap_err();
        assert!(matches!(error, ToolError::Refused(_)), "{error}");
    }
    assert!(!root.join("x").exists());
}

#[test]
fn nothing_may_be_written_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry(dir.path(), "");
    let error = write(&registry, Path::new("/etc/motd"), "x").unwrap_err();
    assert!(matches!(error, ToolError::Refused(_)), "{error}");
}
