//! The journal of a real systemd-journald, with what was written into it as the witness.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use fixture::{call, call_with, registry, texts};
use lab::{Machine, Systemd, wait_for};
use serde_json::{Value, json};
use tools::{Options, Registry, Role, ToolError};

struct Host {
    registry: Registry,
    _systemd: Systemd,
    machine: Machine,
}

fn host() -> Option<Host> {
    let machine = Machine::new("needs root")?;
    // What the machine itself has written does not belong to the test.
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/var/log"]);
    let systemd = machine.systemd()?;
    let host = Host {
        registry: registry(machine.dir(), ""),
        _systemd: systemd,
        machine,
    };
    let socket = UnixDatagram::unbound().unwrap();
    for n in 0..20 {
        let priority = if n % 5 == 0 { 3 } else { 6 };
        let entry =
            format!("MESSAGE=entry {n:02}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER=op-test\n");
        socket
            .send_to(entry.as_bytes(), "/run/systemd/journal/socket")
            .unwrap();
    }
    let last = json!({ "grep": "entry 19" });
    wait_for("the journal", Duration::from_secs(10), || {
        let found = host.read(last.clone());
        found["entries"]
            .as_array()
            .is_some_and(|entries| !entries.is_empty())
            .then_some(())
    });
    Some(host)
}

impl Host {
    fn read(&self, arguments: Value) -> Value {
        call(&self.registry, Role::Viewer, "journal_read", arguments).unwrap()
    }
}

#[test]
fn entries_are_filtered() {
    let Some(host) = host() else { return };
    let found = host.read(json!({ "grep": "^entry", "limit": 3 }));
    assert_eq!(
        texts(&found["entries"], "message"),
        ["entry 19", "entry 18", "entry 17"]
    );
    let entry = &found["entries"][0];
    assert_eq!(
        (&entry["priority"], &entry["identifier"]),
        (&json!(6), &json!("op-test"))
    );
    assert!(entry["time"].as_str().unwrap().ends_with('Z'));
    let found = host.read(json!({ "grep": "^entry", "priority": "err", "order": "oldest" }));
    assert_eq!(
        texts(&found["entries"], "message"),
        ["entry 00", "entry 05", "entry 10", "entry 15"]
    );
    assert_eq!(
        host.read(json!({ "until": "1990-01-01T00:00:00Z" }))["entries"],
        json!([])
    );
    assert_eq!(
        host.read(json!({ "since": "2099-01-01" }))["entries"],
        json!([])
    );
    assert_eq!(
        host.read(json!({ "unit": "nonsense.service" }))["entries"],
        json!([])
    );
    assert_eq!(
        host.read(json!({ "grep": "nonsense nonsense" }))["entries"],
        json!([])
    );
    // A container has a start of its own.
    let boot = found["entries"][0]["boot_id"].as_str().unwrap();
    let id = host.machine.dir().join("boot_id");
    let parts = [
        &boot[..8],
        &boot[8..12],
        &boot[12..16],
        &boot[16..20],
        &boot[20..],
    ];
    std::fs::write(&id, parts.join("-") + "\n").unwrap();
    let id = id.to_str().unwrap();
    lab::run("mount", &["--bind", id, "/proc/sys/kernel/random/boot_id"]);
    let found =
        host.read(json!({ "grep": "^entry", "boot": 0, "since": "1 hour ago", "limit": 1000 }));
    assert_eq!(found["entries"].as_array().unwrap().len(), 20);
}

#[test]
fn pages_follow_one_another_in_both_orders() {
    let Some(host) = host() else { return };
    for order in ["newest", "oldest"] {
        let mut messages = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let arguments =
                json!({ "grep": "^entry", "limit": 7, "order": order, "cursor": cursor });
            let found = host.read(arguments);
            messages.extend(texts(&found["entries"], "message"));
            cursor = found["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        let mut expected: Vec<_> = (0..20).map(|n| format!("entry {n:02}")).collect();
        if order == "newest" {
            expected.reverse();
        }
        assert_eq!(messages, expected);
    }
}

#[test]
fn what_journalctl_does_not_take_is_told_in_its_words() {
    let Some(host) = host() else { return };
    let bad = |arguments: Value| {
        call(&host.registry, Role::Viewer, "journal_read", arguments).unwrap_err()
    };
    let error = bad(json!({ "since": "nonsense" }));
    assert!(matches!(error, ToolError::Failed(_)), "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");
    let error = bad(json!({ "grep": "(" }));
    assert!(matches!(error, ToolError::Failed(_)), "{error}");
    assert!(matches!(
        bad(json!({ "unit": "--file=/etc/shadow" })),
        ToolError::Invalid(_)
    ));
    assert!(matches!(
        bad(json!({ "limit": 1001 })),
        ToolError::Invalid(_)
    ));
    let options = Options {
        deadline: Some(Instant::now()),
        ..Options::default()
    };
    let result = call_with(
        &host.registry,
        Role::Viewer,
        "journal_read",
        json!({}),
        options,
    );
    assert!(matches!(result, Err(ToolError::TimedOut)), "{result:?}");
}
