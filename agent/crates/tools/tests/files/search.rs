//! Finding files by name and text.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tools::{Options, Role, ToolError};

use super::{Host, mode};
use crate::fixture::{call, call_with, texts};

#[test]
fn files_are_found_by_name_and_text() {
    let host = Host::new();
    host.write("one.conf", "first\nListen 80\nlisten 81\n");
    host.write("sub/two.conf", "nothing\n");
    host.write("sub/three.log", "Listen 82");
    host.write("binary.conf", b"Listen 83\0");
    symlink("../beside", host.path("away")).unwrap();
    symlink(".", host.path("sub/again")).unwrap();
    let ask = |arguments: Value| {
        let mut all = json!({ "path": host.path("") });
        all.as_object_mut()
            .unwrap()
            .extend(arguments.as_object().unwrap().clone());
        host.ask(Role::Viewer, "file_search", all)
    };
    let found = ask(json!({ "name": "*.conf" }));
    let names = [
        host.path("binary.conf"),
        host.path("one.conf"),
        host.path("sub/two.conf"),
    ];
    assert_eq!(texts(&found["matches"], "path"), names);
    assert_eq!(
        (&found["complete"], &found["stopped_by"]),
        (&json!(true), &Value::Null)
    );
    let found = ask(json!({ "text": "Listen" }));
    let first = json!({ "path": host.path("one.conf"), "line": 2, "text": "Listen 80" });
    assert_eq!(
        found["matches"],
        json!([first, { "path": host.path("sub/three.log"), "line": 1, "text": "Listen 82" }])
    );
    let found = ask(json!({ "text": "LISTEN", "ignore_case": true, "name": "*.conf" }));
    assert_eq!(found["matches"].as_array().unwrap().len(), 2);
    let found = ask(json!({ "text": "Listen", "limit": 1 }));
    assert_eq!(
        (&found["complete"], &found["stopped_by"]),
        (&json!(false), &json!("limit"))
    );
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);
    let nothing = json!({ "path": host.path("") });
    let error = call(&host.registry, Role::Viewer, "file_search", nothing).unwrap_err();
    assert!(matches!(error, ToolError::Invalid(_)), "{error}");
}

#[test]
fn a_search_ends() {
    let host = Host::new();
    let huge = host.write("a-huge", "needle\n");
    let file = fs::OpenOptions::new().write(true).open(&huge).unwrap();
    file.set_len(1 << 40).unwrap();
    // No NUL where it begins.
    fs::write(host.path("b-long"), "x".repeat(100 << 20)).unwrap();
    mode(Path::new(&host.path("b-long")), 0o644);
    host.write("c-last", "needle");
    let begun = Instant::now();
    let arguments = json!({ "path": host.path(""), "text": "needle" });
    let found = host.ask(Role::Viewer, "file_search", arguments.clone());
    assert_eq!(found["stopped_by"], "bytes");
    assert!(begun.elapsed() < Duration::from_secs(20));
    // And when the caller no longer waits.
    let options = Options {
        deadline: Some(Instant::now()),
        ..Options::default()
    };
    let outcome = call_with(
        &host.registry,
        Role::Viewer,
        "file_search",
        arguments,
        options,
    );
    assert!(matches!(outcome, Err(ToolError::TimedOut)), "{outcome:?}");
    // Deep, but not without end.
    let mut deep = host.path("deep");
    fs::create_dir(&deep).unwrap();
    for _ in 0..80 {
        deep.push_str("/d");
        fs::create_dir(&deep).unwrap();
    }
    let found = host.ask(
        Role::Admin,
        "file_search",
        json!({ "path": host.path("deep"), "name": "x" }),
    );
    assert_eq!(found["stopped_by"], "depth");
}
