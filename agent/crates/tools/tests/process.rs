//! Processes, with `ps` and `/proc` as witnesses.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::io::Read;
use std::process::{Command, Stdio};

use fixture::{call, registry};
use lab::Kept;
use serde_json::{Value, json};
use tools::{Registry, Role, ToolError};

fn host() -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    let registry = registry(dir.path(), "");
    (dir, registry)
}

fn find(list: &Value, pid: u32) -> &Value {
    let mut items = list["processes"].as_array().unwrap().iter();
    items.find(|item| item["pid"] == pid).unwrap()
}

#[test]
fn a_process_is_shown_without_its_secrets() {
    let (_dir, registry) = host();
    let script = "echo; read # --password=hunter2 --token hunter2 https://bob:hunter2@host/";
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("{script}\n:")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env("MY_SECRET", "hunter3");
    let mut child = Kept(command.spawn().unwrap());
    let pid = child.0.id();
    // From then on it only waits: what is shown of it stays so.
    let said = child.0.stdout.as_mut().unwrap().read(&mut [0]);
    assert_eq!(said.unwrap(), 1);

    let listed = call(
        &registry,
        Role::Viewer,
        "process_list",
        json!({ "name": "bash", "limit": 1000 }),
    )
    .unwrap();
    let item = find(&listed, pid);
    assert_eq!(item["ppid"], std::process::id());
    assert_eq!(item["command_line"][0], "bash");
    assert!(
        item["command_line"][2]
            .as_str()
            .unwrap()
            .contains("--password=***")
    );
    assert_eq!(item["uid"], rustix::process::getuid().as_raw());
    let shown = call(
        &registry,
        Role::Viewer,
        "process_show",
        json!({ "pid": pid }),
    )
    .unwrap();
    for text in [listed.to_string(), shown.to_string()] {
        assert!(
            !text.contains("hunter2") && !text.contains("hunter3"),
            "{text}"
        );
    }
    assert_eq!(shown["status"]["Name"], "bash");
    let files = shown["limits"].as_array().unwrap().iter();
    let files = files
        .filter(|limit| limit["name"] == "Max open files")
        .count();
    assert_eq!(files, 1);
    assert!(shown["open_files"].as_u64().unwrap() >= 3);
    assert!(shown["executable"].as_str().unwrap().ends_with("/bash"));
    assert!(!shown["cgroups"].as_array().unwrap().is_empty());

    // What `ps` says, to the second.
    let ps = |what: &str| {
        lab::run("ps", &["-o", what, "-p", &pid.to_string()])
            .trim()
            .to_owned()
    };
    let started: jiff::Timestamp = shown["started"].as_str().unwrap().parse().unwrap();
    let age = || jiff::Timestamp::now().as_second() - started.as_second();
    let (before, elapsed, after) = (age(), ps("etimes=").parse::<i64>().unwrap(), age());
    assert!(
        (before - 2..=after + 2).contains(&elapsed),
        "{before} {elapsed} {after}"
    );
    assert_eq!(shown["user"].as_str().unwrap(), ps("user="));
    assert_eq!(shown["threads"].to_string(), ps("nlwp="));
    let rss: u64 = ps("rss=").parse().unwrap();
    assert!(shown["rss_bytes"].as_u64().unwrap().abs_diff(rss << 10) < 2 << 20);
}

#[test]
fn filters_and_orders() {
    let (_dir, registry) = host();
    let ask = |arguments| call(&registry, Role::Viewer, "process_list", arguments).unwrap();
    let numbers = |list: &Value, key: &str| -> Vec<u64> {
        let items = list["processes"].as_array().unwrap().iter();
        items.map(|item| item[key].as_u64().unwrap()).collect()
    };
    let pids = numbers(&ask(json!({ "limit": 1000 })), "pid");
    assert!(pids.is_sorted() && pids.contains(&1));
    let memory = numbers(&ask(json!({ "sort": "memory", "limit": 20 })), "rss_bytes");
    assert!(memory.is_sorted_by(|one, other| one >= other));
    let by_uid = ask(json!({ "user": "0" }));
    let by_name = ask(json!({ "user": "root" }));
    assert!(!numbers(&by_uid, "pid").is_empty());
    assert!(numbers(&by_name, "uid").iter().all(|uid| *uid == 0));
    assert!(numbers(&ask(json!({ "user": "nobody-of-that-name" })), "pid").is_empty());
    assert_eq!(by_uid["ticks_per_second"], 100);
    let page = ask(json!({ "limit": 1 }));
    assert_eq!(page["next_cursor"], "1");
}

#[test]
fn processes_that_vanish_do_not_disturb() {
    let (_dir, registry) = host();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
        }
        let ask = |_| call(&registry, Role::Viewer, "process_list", json!({}));
        let listed: Vec<_> = (0..40).map(ask).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        for list in listed {
            list.unwrap();
        }
    });
    let mut gone = Command::new("true").spawn().unwrap();
    let pid = gone.id();
    gone.wait().unwrap();
    let error = call(
        &registry,
        Role::Viewer,
        "process_show",
        json!({ "pid": pid }),
    )
    .unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
}

#[test]
fn a_zombie_is_a_process() {
    let (_dir, registry) = host();
    let child = Kept(Command::new("true").spawn().unwrap());
    let pid = child.0.id();
    let shown = lab::wait_for("its end", std::time::Duration::from_secs(60), || {
        let shown = call(
            &registry,
            Role::Viewer,
            "process_show",
            json!({ "pid": pid }),
        )
        .unwrap();
        shown["state"]
            .as_str()
            .unwrap()
            .starts_with('Z')
            .then_some(shown)
    });
    assert_eq!(shown["command_line"], json!([]));
}

#[test]
fn the_kernels_files_are_read_and_no_others() {
    let (_dir, registry) = host();
    let tool = registry.tool("proc_read").unwrap().input();
    let names: Vec<_> = find_names(&tool);
    assert!(names.len() > 20, "{tool}");
    for name in names {
        match call(
            &registry,
            Role::Viewer,
            "proc_read",
            json!({ "file": name }),
        ) {
            Ok(content) => {
                let there = std::fs::read(format!("/proc/{name}")).unwrap();
                assert_eq!(content["cut"], there.len() > 256 << 10, "{name}");
                assert_eq!(content["text"] == "", there.is_empty(), "{name}");
            }
            Err(error) => assert!(
                matches!(error, ToolError::Unavailable(_)),
                "{name}: {error}"
            ),
        }
    }
    let hostname = call(
        &registry,
        Role::Viewer,
        "proc_read",
        json!({ "file": "sys/kernel/hostname" }),
    )
    .unwrap();
    assert_eq!(hostname["text"], lab::run("hostname", &[]));
    for wrong in [
        "kcore",
        "self/environ",
        "../etc/shadow",
        "1/environ",
        "kmsg",
        "",
    ] {
        let error = call(
            &registry,
            Role::Admin,
            "proc_read",
            json!({ "file": wrong }),
        )
        .unwrap_err();
        assert!(matches!(error, ToolError::Invalid(_)), "{error}");
    }
}

/// The words that the schema allows.
fn find_names(schema: &Value) -> Vec<String> {
    let file = &schema["properties"]["file"];
    let words = file["oneOf"].as_array().unwrap().iter();
    words
        .map(|word| word["const"].as_str().unwrap().to_owned())
        .collect()
}
