//! The command `say`: what sentences mean, and that nothing is done without a yes.
#![allow(clippy::unwrap_used)]

mod rig;

use std::path::Path;

use ledger::Ledger;
use rig::{Ended, op_dbus};
use serde_json::{Value, json};

fn say(base: &Path, before: &[&str], arguments: &[&str]) -> Ended {
    let mut all = vec!["--here", "--base", base.to_str().unwrap()];
    all.extend(before);
    all.push("say");
    all.extend(arguments);
    op_dbus(&all)
}

fn meaning(base: &Path, sentence: &str) -> Value {
    say(base, &["--json"], &[sentence]).expect(0).json()
}

#[test]
fn a_sentence_is_a_call_and_nothing_runs() {
    let base = tempfile::tempdir().unwrap();
    for (sentence, tool, effect) in [
        ("show me all containers", "container_list", "read"),
        ("what containers were created yesterday?", "search", "read"),
        ("status of systemd services", "systemd_list_units", "read"),
        ("clear the cache", "cache_clear", "write"),
    ] {
        let got = meaning(base.path(), sentence);
        assert_eq!(got["tool"], tool, "{got}");
        assert_eq!(got["effect"], effect, "{got}");
        assert!(
            got["understood"].is_string() && got["alternatives"].is_array(),
            "{got}"
        );
    }
    // Nobody knows a template here, so that it is asked for.
    let got = meaning(
        base.path(),
        "create debian container named db-01 with netmaker mesh",
    );
    assert_eq!(got["tool"], "container_create", "{got}");
    assert_eq!(got["missing"][0]["name"], "template", "{got}");
    let got = meaning(
        base.path(),
        "create container db-01 from debian-base with netmaker mesh",
    );
    assert_eq!(
        got["arguments"],
        json!({ "name": "db-01", "template": "debian-base", "network": "mesh" })
    );
    let got = meaning(base.path(), "list containers, then show the ledger");
    let tools: Vec<_> = got
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["tool"].clone())
        .collect();
    assert_eq!(tools, ["container_list", "ledger_log"]);
    let left = std::fs::read_dir(base.path()).unwrap().count();
    assert_eq!(left, 0, "something was made");
}

#[test]
fn what_is_no_order_is_not_run() {
    let base = tempfile::tempdir().unwrap();
    for sentence in [
        "is it safe to clear the cache?",
        "don't clear the cache",
        "the log says: clear the cache",
        "create a container",
        "xyzzy",
    ] {
        let ended = say(base.path(), &["--yes"], &["--run", sentence]).expect(2);
        assert!(!ended.err.is_empty(), "{sentence}");
    }
}

#[test]
fn help_tells_what_can_be_said() {
    let base = tempfile::tempdir().unwrap();
    let ended = say(base.path(), &[], &["help", "with", "snapshots"]).expect(0);
    assert!(
        ended.out.contains("take a snapshot named before-upgrade"),
        "{ended:?}"
    );
    assert!(!ended.out.contains("htop"), "{ended:?}");
}

#[test]
fn a_change_needs_a_yes() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir(base.path().join("@timing")).unwrap();
    std::fs::create_dir(base.path().join("@vectors")).unwrap();
    drop(Ledger::open(base.path().join("@timing/blockchain.db")).unwrap());
    let refused = say(base.path(), &[], &["--run", "clear the cache"]).expect(3);
    assert!(refused.err.contains("--yes"), "{refused:?}");
    say(base.path(), &["--yes"], &["--run", "clear the cache"]).expect(0);
    let read = say(base.path(), &["--json"], &["--run", "show the ledger"])
        .expect(0)
        .json();
    assert!(read["entries"].is_array(), "{read}");
}
