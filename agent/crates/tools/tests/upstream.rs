//! The host's word on calls of upstream servers.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::{call, call_with, registry};
use serde_json::{Value, json};
use tools::{Options, Registry, Role, ToolError};

const DECLARED: &str = r#"
mcp:
  upstreams:
    files: { command: [/usr/bin/files], exclude: [format], effect: { "read*": read, "delete*": destroy } }
    vault: { url: "https://vault.example.net/mcp", role: admin, effect: { "*": read } }
"#;

const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn host() -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("base")).unwrap();
    let registry = registry(dir.path(), DECLARED);
    (dir, registry)
}

fn subject(upstream: &str, tool: &str) -> Value {
    json!({ "upstream": upstream, "tool": tool })
}

fn announced(upstream: &str, tool: &str) -> Value {
    let call = "000102030405060708090a0b0c0d0e0f";
    json!({ "upstream": upstream, "tool": tool, "call": call, "arguments_sha256": DIGEST })
}

#[test]
fn a_read_takes_a_tool_that_the_operator_calls_one() {
    let (_dir, registry) = host();
    let ask =
        |role, upstream, tool| call(&registry, role, "upstream_read", subject(upstream, tool));
    assert!(ask(Role::Viewer, "files", "read_file").is_ok());
    for (upstream, tool, reason) in [
        ("files", "write_file", "counts as `write`"),
        ("files", "delete_file", "counts as `destroy`"),
        ("files", "format", "leaves out"),
        ("vault", "look", "take the role admin"),
    ] {
        let error = ask(Role::Operator, upstream, tool).unwrap_err();
        assert!(matches!(&error, ToolError::Refused(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(ask(Role::Admin, "vault", "look").is_ok());
    let error = ask(Role::Admin, "nobody", "look").unwrap_err();
    assert!(matches!(error, ToolError::NotFound(_)), "{error}");
}

#[test]
fn what_destroys_is_not_announced_as_a_write() {
    let (_dir, registry) = host();
    let error = call(
        &registry,
        Role::Admin,
        "upstream_write",
        announced("files", "delete_file"),
    );
    assert!(matches!(&error, Err(ToolError::Refused(_))), "{error:?}");
    let asked = call(
        &registry,
        Role::Admin,
        "upstream_destroy",
        announced("files", "delete_file"),
    );
    let Err(ToolError::Unconfirmed { plan, .. }) = asked else {
        panic!("{asked:?}");
    };
    let options = Options {
        plan: Some(plan.to_string()),
        ..Options::default()
    };
    // The name of the call is another one each time; the plan is the same.
    let mut again = announced("files", "delete_file");
    again["call"] = json!("f".repeat(32));
    let confirmed = call_with(&registry, Role::Admin, "upstream_destroy", again, options);
    assert_eq!(confirmed.unwrap()["call"], "f".repeat(32));
}

#[test]
fn a_viewer_announces_nothing() {
    let (_dir, registry) = host();
    let refused = call(
        &registry,
        Role::Viewer,
        "upstream_write",
        announced("files", "write_file"),
    );
    assert!(matches!(refused, Err(ToolError::Refused(_))), "{refused:?}");
    let ledger = registry.site().ledger().unwrap();
    let entries = ledger.query(&ledger::Filter::default()).unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry.operation == "upstream_write")
        .unwrap();
    assert_eq!(
        (entry.target.as_str(), &entry.metadata["outcome"]),
        ("files", &json!("refused"))
    );
}

#[test]
fn the_end_of_a_call_is_told_once_by_who_announced_it() {
    if !rustix::process::geteuid().is_root() {
        return lab::skip("needs root, as every change of the ledger does");
    }
    let (_dir, registry) = host();
    let ended = |tool: &str| {
        let call = "000102030405060708090a0b0c0d0e0f";
        json!({ "upstream": "files", "tool": tool, "call": call, "ended": "done", "duration_ms": 1 })
    };
    let tell = |role, tool| call(&registry, role, "upstream_outcome", ended(tool));
    let refused = |answer: Result<Value, ToolError>, why: &str| {
        let error = answer.unwrap_err();
        assert!(matches!(&error, ToolError::Refused(_)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(tell(Role::Operator, "write_file"), "not announced");
    let announced = announced("files", "write_file");
    call(&registry, Role::Operator, "upstream_write", announced).unwrap();
    refused(tell(Role::Admin, "write_file"), "not announced by admin");
    refused(tell(Role::Operator, "write_other"), "not announced");
    tell(Role::Operator, "write_file").unwrap();
    refused(tell(Role::Operator, "write_file"), "recorded already");
}
