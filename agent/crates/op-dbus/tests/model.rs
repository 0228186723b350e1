//! The model and the cache as the search uses them: what is kept, what fails, and what is left after a crash.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use ledger::{Ledger, NewEntry};
use rig::{Ended, op_dbus};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A base in a plain directory, with entries, and a declaration beside it.
struct Host(tempfile::TempDir);

impl Host {
    fn new(entries: usize, declaration: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for subvolume in ["@timing", "@vectors", "@cache"] {
            fs::create_dir_all(directory.path().join("base").join(subvolume)).unwrap();
        }
        let host = Self(directory);
        let entries: Vec<_> = (0..entries)
            .map(|number| NewEntry {
                operation: "file_write".to_owned(),
                target: format!("/srv/{number}"),
                metadata: json!({ "outcome": "done" }),
            })
            .collect();
        host.ledger().append_all(&entries).unwrap();
        let mut declaration = declaration;
        declaration["version"] = json!("1.0");
        fs::write(host.file(), declaration.to_string()).unwrap();
        host
    }

    fn base(&self) -> PathBuf {
        self.0.path().join("base")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("state.json")
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(self.base().join("@timing/blockchain.db")).unwrap()
    }

    fn arguments<'a>(&self, more: &[&'a str]) -> Vec<String> {
        let base = self.base();
        let file = self.file();
        let mut all: Vec<String> = [
            "--here",
            "--json",
            "--base",
            base.to_str().unwrap(),
            "--file",
        ]
        .map(str::to_owned)
        .to_vec();
        all.push(file.to_str().unwrap().to_owned());
        all.extend(more.iter().map(|&it: &&'a str| it.to_owned()));
        all
    }

    fn run(&self, more: &[&str]) -> Ended {
        let arguments = self.arguments(more);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        op_dbus(&arguments)
    }

    fn json(&self, more: &[&str]) -> Value {
        self.run(more).expect(0).json()
    }

    fn kept(&self, kind: &str) -> u64 {
        let stats = self.json(&["cache", "stats"]);
        let mut kinds = stats["kinds"].as_array().unwrap().iter();
        kinds.find(|it| it["kind"] == kind).unwrap()["entries"]
            .as_u64()
            .unwrap()
    }
}

fn notes(found: &Value) -> String {
    found["notes"].to_string()
}

/// The model that `scripts/model.sh` gets.
fn minilm() -> Option<PathBuf> {
    let directory = std::env::var_os("OP_DBUS_MODEL");
    if directory.is_none() {
        lab::skip("OP_DBUS_MODEL names no directory with a model: scripts/model.sh DIR gets one");
    }
    directory.map(PathBuf::from)
}

#[test]
fn answers_are_kept_until_the_ledger_grows() {
    let host = Host::new(5, json!({ "cache": { "age": 7, "memory": "2MiB" } }));
    let first = host.json(&["search", "file_write /srv/3"]);
    assert_eq!(host.kept("queries"), 1);
    assert_eq!(host.json(&["search", "file_write /srv/3"]), first);
    assert_eq!(host.kept("queries"), 1);
    // What depends on the day is not kept.
    host.json(&["search", "file_write today"]);
    assert_eq!(host.kept("queries"), 1);
    let stats = host.json(&["cache", "stats"]);
    assert_eq!(
        (&stats["days"], &stats["memory_bound"]),
        (&json!(7), &json!(2 << 20))
    );
    let told = stats["numa"]["state"].as_str().unwrap();
    assert!(told.contains("not asked for"), "{told}");

    let cleared = host.json(&["cache", "clear", "embeddings"]);
    assert_eq!(
        (&cleared["entries"], &cleared["outcome"]),
        (&json!(0), &json!("unchanged"))
    );
    let head = host.ledger().head().unwrap().id;
    assert_eq!(host.json(&["cache", "clear"])["entries"], 1);
    assert_eq!(
        host.ledger().head().unwrap().id,
        head + 1,
        "one entry tells of it"
    );
    fs::write(host.base().join("@cache/blocks/99999999-0.new"), "x").unwrap();
    assert_eq!(host.json(&["cache", "clean", "--days", "0"])["orphans"], 1);
    host.run(&["cache", "clear", "everything"]).expect(2);
    // The ledger is another one now, and so is what an answer is found by.
    host.json(&["search", "file_write /srv/3"]);
    assert_eq!(host.kept("queries"), 1);
}

#[test]
fn one_node_is_left_as_it_is() {
    let numa = json!({ "strategy": "round-robin", "policy": "interleave" });
    let host = Host::new(1, json!({ "cache": { "numa": numa } }));
    let stats = host.json(&["cache", "stats"]);
    let nodes = stats["numa"]["nodes"].as_array().unwrap().len();
    if nodes > 1 {
        assert!(
            stats["numa"]["placed"]["memory"]
                .as_str()
                .unwrap()
                .starts_with("interleave")
        );
    } else {
        let state = stats["numa"]["state"].as_str().unwrap();
        assert!(state.contains("one NUMA node"), "{state}");
        assert_eq!(stats["numa"]["placed"], Value::Null);
    }
}

#[test]
fn a_model_that_cannot_be_used_is_told_and_done_without() {
    let bad = tempfile::tempdir().unwrap();
    let place = bad.path().to_str().unwrap();
    let with = |ml: Value| {
        let found =
            Host::new(3, json!({ "ml": ml })).json(&["search", "the files that were written"]);
        assert_eq!(found["hits"].as_array().unwrap().len(), 3, "{found:#}");
        notes(&found)
    };
    let told = with(json!({ "model": "/nonexistent" }));
    assert!(
        told.contains("cannot read /nonexistent/model.onnx"),
        "{told}"
    );
    fs::write(bad.path().join("model.onnx"), "<!DOCTYPE html>").unwrap();
    fs::write(bad.path().join("tokenizer.json"), "{}").unwrap();
    let told = with(json!({ "model": place, "executionProvider": "cuda" }));
    assert!(
        told.contains("`cuda`") && told.contains("set it to `cpu`"),
        "{told}"
    );
    let told = with(json!({ "model": place }));
    assert!(told.contains("tokenizer.json is no tokenizer"), "{told}");
    let Some(good) = minilm() else { return };
    fs::copy(
        good.join("tokenizer.json"),
        bad.path().join("tokenizer.json"),
    )
    .unwrap();
    let whole = fs::read(good.join("model.onnx")).unwrap();
    fs::write(bad.path().join("model.onnx"), &whole[..whole.len() / 2]).unwrap();
    let told = with(json!({ "model": place }));
    assert!(told.contains("it is cut off"), "{told}");
}

#[test]
fn a_model_answers_and_its_vectors_are_kept() {
    let Some(model) = minilm() else { return };
    let host = Host::new(20, json!({ "ml": { "model": model, "numThreads": 2 } }));
    let before = host.ledger().head().unwrap();
    let found = host.json(&["search", "documents that got stored"]);
    assert_eq!(notes(&found), "[]");
    assert!(found.to_string().contains("onnx-1-"), "{found:#}");
    // The question and twenty-one entries.
    assert_eq!(host.kept("embeddings"), 22);
    assert_eq!(host.ledger().head().unwrap().hash, before.hash);
    // A new index needs no model for what is kept.
    fs::remove_dir_all(host.base().join("@vectors")).unwrap();
    fs::create_dir(host.base().join("@vectors")).unwrap();
    assert_eq!(host.json(&["search", "--reindex"])["taken_in"], 21);
    assert_eq!(host.kept("embeddings"), 22);
}

#[test]
fn reindexing_goes_on_after_a_crash() {
    let Some(model) = minilm() else { return };
    let count = 700;
    let host = Host::new(count, json!({ "ml": { "model": model, "numThreads": 2 } }));
    let head = host.ledger().head().unwrap();
    // Too many for somebody who waits: the built-in embedding answers.
    let told = notes(&host.json(&["search", "file_write"]));
    assert!(told.contains("has still to read 701 entries"), "{told}");
    let mut running = Command::new(env!("CARGO_BIN_EXE_op-dbus"))
        .args(host.arguments(&["search", "--reindex"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let files = host.base().join("@vectors");
    // What the index says of itself is what a crash leaves.
    let is_begun = || {
        let query = "SELECT last FROM vectors WHERE model LIKE 'onnx-1-%'";
        let mut command = Command::new("sqlite3");
        let command = command
            .arg("-readonly")
            .arg(files.join("vector-index.db"))
            .arg(query);
        let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let last: i64 = told.trim().parse().ok()?;
        (last > 0).then_some(())
    };
    lab::wait_for("the first vectors", PATIENCE, is_begun);
    running.kill().unwrap();
    running.wait().unwrap();
    let taken = host.json(&["search", "--reindex"])["taken_in"]
        .as_u64()
        .unwrap();
    assert!(taken > 0 && taken < count as u64, "{taken} were left");
    assert_eq!(notes(&host.json(&["search", "file_write"])), "[]");
    let now = host.ledger().head().unwrap();
    assert_eq!((now.id, now.hash), (head.id, head.hash));
    host.run(&["ledger", "verify"]).expect(0);
}
