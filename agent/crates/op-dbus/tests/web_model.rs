//! `op-dbus web model` against a server of models that the test plays.
#![allow(clippy::unwrap_used)]

#[path = "../../llm/tests/fake/mod.rs"]
mod fake;
mod rig;

use fake::{Answer, Fake, calls};
use rig::op_dbus;
use serde_json::json;

const KEY: &str = "sk-very-secret";

/// A directory with a declaration of a model at a URL, with a key.
fn declared(url: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    let model = json!({ "url": url, "name": "qwen3:8b", "keyFile": key, "timeoutSeconds": 20 });
    let document = json!({ "version": "1.0", "chat": { "model": model } });
    std::fs::write(dir.path().join("state.json"), document.to_string()).unwrap();
    dir
}

fn ask(dir: &tempfile::TempDir, json: bool) -> rig::Ended {
    let file = dir.path().join("state.json");
    let mut words = vec!["--file", file.to_str().unwrap(), "web", "model"];
    if json {
        words.insert(0, "--json");
    }
    op_dbus(&words)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_the_model_can() {
    let list = br#"{"data":[{"id":"qwen3:8b"},{"id":"other"}]}"#.to_vec();
    let fake = Fake::answering(vec![
        Answer::Http(200, "", list.clone()),
        calls(&[("ping", json!({ "word": "hello" }))]),
        Answer::Http(200, "", list),
        Answer::Http(
            401,
            "",
            format!(r#"{{"error":"no such key: {KEY}"}}"#).into_bytes(),
        ),
    ])
    .await;
    let dir = declared(&fake.url);
    let said = ask(&dir, true).expect(0).json();
    assert_eq!(said["answers"], true);
    assert_eq!(said["listed"], true);
    assert_eq!(said["models"]["names"], json!(["other", "qwen3:8b"]));
    assert_eq!(said["answer"]["calls_tools"], true);
    assert!(fake.asked().iter().all(|asked| asked.head.contains(KEY)));
    let ended = ask(&dir, false).expect(1);
    assert!(ended.out.contains("does not take the key"), "{}", ended.out);
    assert!(!format!("{}{}", ended.out, ended.err).contains(KEY));
}

#[test]
fn without_a_model_it_says_that_none_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state.json"), r#"{"version":"1.0"}"#).unwrap();
    let ended = ask(&dir, false).expect(2);
    assert!(ended.err.contains("none is needed"), "{}", ended.err);
}
