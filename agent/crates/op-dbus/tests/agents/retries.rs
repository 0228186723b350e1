//! Tasks that fail at first.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// When something happened, in milliseconds.
fn at(time: &Value) -> i64 {
    match time.as_str() {
        Some(text) => text.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
        None => time.as_i64().expect("a time"),
    }
}

#[test]
fn a_task_that_fails_twice_and_then_works_is_done_if_it_is_idempotent() {
    let Some(host) = Host::new() else { return };
    // Its program is not there yet.
    let once = host.submit("late", &["--retries", "5"]);
    let often = host.submit("late", &["--retries", "5", "--idempotent"]);
    wait_for("two attempts", SOON * 3, || {
        let task = host.task(&often);
        let ended = |attempt: usize| task["executions"][attempt]["outcome"] == "failed";
        (ended(0) && ended(1)).then_some(())
    });
    let waits = host.task(&often);
    assert!(waits["error"]["message"].is_string(), "{waits:#}");
    let script = host.file("script");
    let dir = host.rig.machine.dir().display();
    fs::write(&script, format!("#!/bin/sh\necho late >> {dir}/notes\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&script, host.file("late")).unwrap();
    let done = wait_for("the task to be done", SOON * 3, || {
        Some(host.task(&often)).filter(|task| task["state"] == "done")
    });
    let attempts = done["executions"].as_array().unwrap();
    assert!(attempts.len() >= 3, "{done:#}");
    assert_eq!(done["attempts"], json!(attempts.len()), "{done:#}");
    // Each pause is twice as long as the one before.
    for (attempt, pause) in [(1, 1000), (2, 2000)] {
        let waited = at(&attempts[attempt]["started"]) - at(&attempts[attempt - 1]["ended"]);
        assert!(waited >= pause, "{waited} ms: {done:#}");
    }
    let (last, failed) = attempts.split_last().unwrap();
    assert_eq!(last["outcome"], "done", "{done:#}");
    assert!(
        failed.iter().all(|one| one["outcome"] == "failed"),
        "{done:#}"
    );
    assert_eq!(host.notes(), ["late"]);

    // Of the other one nobody knows what it did, so that it is left at that.
    let failed = host.task(&once);
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert_eq!(failed["attempts"], 1, "{failed:#}");
}
