//! `op-dbus mcp`: calls of servers from the command line, and what is said to other programs.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const PEER: &str = include_str!("../../mcp/tests/peers/peer.py");

/// A home with a peer, a declaration that knows it, and a ledger.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(home.path().join("peer.py"), PEER).unwrap();
    let timing = home.path().join("base/@timing");
    std::fs::create_dir_all(&timing).unwrap();
    drop(ledger::Ledger::open(timing.join("blockchain.db")).unwrap());
    let files = json!({
        "command": ["/usr/bin/python3", home.path().join("peer.py"), "good"],
        "exclude": ["get*"],
        "effect": { "who": "read", "fail": "destroy" },
    });
    let declaration = json!({ "version": "1.0", "mcp": { "upstreams": { "files": files } } });
    std::fs::write(home.path().join("state.json"), declaration.to_string()).unwrap();
    home
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
    command.env("HOME", home).current_dir(home);
    command.args(["--file", "state.json", "--base", "base", "--here"]);
    command
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn json_of(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn operations(home: &Path) -> Vec<String> {
    let ledger = ledger::Ledger::open_read_only(home.join("base/@timing/blockchain.db")).unwrap();
    let entries = ledger.query(&ledger::Filter::default()).unwrap();
    let mut entries: Vec<_> = entries.into_iter().filter(|entry| entry.id > 0).collect();
    entries.sort_by_key(|entry| entry.id);
    entries.into_iter().map(|entry| entry.operation).collect()
}

#[test]
fn a_program_behind_two_dashes_is_listed_and_called() {
    let home = home();
    let listed = run(
        home.path(),
        &["--json", "mcp", "tools", "--", "python3", "peer.py", "good"],
    );
    // The program runs in `/`, as servers do.
    assert_eq!(listed.status.code(), Some(1));
    let peer = home.path().join("peer.py");
    let peer = peer.to_str().unwrap();
    let listed = json_of(&run(
        home.path(),
        &[
            "--json",
            "mcp",
            "tools",
            "--",
            "/usr/bin/python3",
            peer,
            "good",
        ],
    ));
    let tools = listed["tools"].as_array().unwrap();
    assert!(
        tools.iter().any(|tool| tool["tool"] == "get.text/plain"),
        "{listed}"
    );
    let called = [
        "--json",
        "mcp",
        "call",
        "add",
        "a=2",
        "b=3",
        "--",
        "/usr/bin/python3",
        peer,
        "good",
    ];
    assert_eq!(
        json_of(&run(home.path(), &called))["structured"],
        json!({ "sum": 5 })
    );
    let wrong = run(
        home.path(),
        &["mcp", "call", "ad", "--", "/usr/bin/python3", peer, "good"],
    );
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("it has add, fail"),
        "{wrong:?}"
    );
    assert!(operations(home.path()).is_empty());
}

#[test]
fn a_declared_server_is_called_with_the_hosts_consent() {
    if !rustix::process::geteuid().is_root() {
        return lab::skip("needs root, as every change of the ledger does");
    }
    let home = home();
    let read = run(home.path(), &["mcp", "call", "files", "who"]);
    assert!(read.status.success(), "{read:?}");
    let excluded = run(home.path(), &["mcp", "call", "files", "get.text/plain"]);
    assert_eq!(excluded.status.code(), Some(2), "{excluded:?}");
    assert!(operations(home.path()).is_empty());
    let added = run(
        home.path(),
        &[
            "--json",
            "mcp",
            "call",
            "files",
            "add",
            r#"{"a": 2, "b": 3}"#,
        ],
    );
    assert_eq!(json_of(&added)["structured"]["sum"], 5);
    assert_eq!(
        operations(home.path()),
        ["upstream_write", "upstream_outcome"]
    );
    let refused = run(home.path(), &["mcp", "call", "files", "fail"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let confirmed = run(home.path(), &["--yes", "mcp", "call", "files", "fail"]);
    assert_eq!(confirmed.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&confirmed.stderr).contains("no disk"),
        "{confirmed:?}"
    );
    let done = operations(home.path());
    assert_eq!(
        done[done.len() - 2..],
        ["upstream_destroy", "upstream_outcome"]
    );
}

#[test]
fn servers_that_others_know_are_listed_without_their_secrets() {
    let home = home();
    std::fs::create_dir(home.path().join(".cursor")).unwrap();
    let servers = json!({ "mcpServers": { "peer": {
        "command": "/usr/bin/python3",
        "args": [home.path().join("peer.py"), "good"],
        "env": { "API_KEY": "hunter2" },
    } } });
    std::fs::write(home.path().join(".cursor/mcp.json"), servers.to_string()).unwrap();
    let listed = run(home.path(), &["--json", "mcp", "servers"]);
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("hunter2"));
    let names: Vec<_> = json_of(&listed)["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["files", "peer"]);
    let called = ["--json", "mcp", "call", "peer", "add", "a=1", "b=1"];
    assert_eq!(json_of(&run(home.path(), &called))["structured"]["sum"], 2);
    std::fs::write(home.path().join(".mcp.json"), servers.to_string()).unwrap();
    let unclear = run(home.path(), &called);
    assert_eq!(unclear.status.code(), Some(2), "{unclear:?}");
    let called = ["--json", "mcp", "call", "cursor:peer", "add", "a=1", "b=1"];
    assert_eq!(json_of(&run(home.path(), &called))["structured"]["sum"], 2);
}

#[test]
fn the_tools_of_another_server_are_a_group() {
    let home = home();
    let served = run(home.path(), &["mcp", "--groups", "files"]);
    assert!(served.status.success(), "{served:?}");
    let slip = run(home.path(), &["mcp", "--groups", "fils"]);
    assert_eq!(slip.status.code(), Some(2), "{slip:?}");
}

#[test]
fn what_a_project_names_is_started_only_by_agreement() {
    let home = home();
    let project = tempfile::tempdir_in(home.path()).unwrap();
    let peer = home.path().join("peer.py");
    let servers = json!({ "mcpServers": { "peer": { "command": "/usr/bin/python3", "args": [peer, "good"] } } });
    std::fs::write(project.path().join(".mcp.json"), servers.to_string()).unwrap();
    let started = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
        command.env("HOME", home.path()).current_dir(&project);
        command.args(more).args(["--json", "mcp", "tools", "peer"]);
        command.arg("--file").arg(home.path().join("state.json"));
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let refused = started(&[]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(started(&["--yes"]).status.success());
}

#[test]
fn the_configuration_for_other_programs_holds_no_token() {
    let home = home();
    let printed = run(
        home.path(),
        &[
            "mcp",
            "config",
            "--client",
            "vscode",
            "--http",
            "--profile",
            "safe",
        ],
    );
    let printed = json_of(&printed);
    let server = &printed["servers"]["operation-dbus"];
    assert_eq!(server["url"], "http://127.0.0.1:8080/mcp/safe");
    assert_eq!(
        server["headers"]["Authorization"],
        "Bearer ${input:op-dbus-token}"
    );
    let printed = json_of(&run(home.path(), &["mcp", "config", "--client", "claude"]));
    assert_eq!(
        printed["mcpServers"]["operation-dbus"]["args"],
        json!(["mcp"])
    );
}

#[test]
fn a_prefix_of_the_hosts_own_tools_is_no_good_declaration() {
    let home = home();
    let state = json!({ "command": ["/usr/bin/x"] });
    let declaration = json!({ "version": "1.0", "mcp": { "upstreams": { "state": state } } });
    std::fs::write(home.path().join("state.json"), declaration.to_string()).unwrap();
    let checked = run(home.path(), &["check"]);
    assert_eq!(checked.status.code(), Some(2), "{checked:?}");
    assert!(
        String::from_utf8_lossy(&checked.stderr).contains("mcp.upstreams.state"),
        "{checked:?}"
    );
}
