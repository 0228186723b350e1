//! Where no path leads to, and what is for nobody.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tools::{Role, ToolError};

use super::{Host, mode, refused};
use crate::fixture::{call, registry, texts};

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
