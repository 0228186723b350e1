//! Order, deadlines, and daemons that die.

use super::*;

#[test]
fn the_order_is_priority_then_age_and_what_is_late_or_taken_back_is_not_begun() {
    let Some(host) = Host::new() else { return };
    let hang = host.submit("hang", &[]);
    host.wait_until(&hang, "running");
    wait_for("the command", SOON, || {
        (host.notes() == ["hang"]).then_some(())
    });
    let late = host.submit("c", &["--deadline", "1s"]);
    let low = host.submit("a", &["--priority", "-1"]);
    let high = host.submit("b", &["--priority", "5"]);
    let taken_back = host.submit("c", &[]);
    host.rig.json(&["task", "cancel", &taken_back]).expect(0);
    // Reads go on beside the change that hangs.
    let read = host.execute(ROOT, "Network", &json!({ "operation": "links" }));
    assert_eq!(read["state"], "done");
    let expired = host.wait_until(&late, "expired");
    assert_eq!(
        (&expired["attempts"], &expired["error"]["code"]),
        (&json!(0), &json!("timed-out"))
    );

    host.rig.json(&["task", "cancel", &hang]).expect(0);
    let cancelled = host.wait_until(&hang, "cancelled");
    assert_eq!(
        cancelled["executions"][0]["outcome"], "cancelled",
        "{cancelled}"
    );
    for id in [&low, &high] {
        host.wait_until(id, "done");
    }
    assert_eq!(host.notes(), ["hang", "b", "a"]);
    assert_eq!(host.task(&taken_back)["state"], "cancelled");
    let ended = host.rig.run(&["task", "cancel", &low]);
    assert!(
        ended.status == 2 && ended.err.contains("ended already"),
        "{ended:?}"
    );
    host.rig.run(&["task", "show", "4711"]).expect(2);
    let listed = host
        .rig
        .json(&["task", "list", "--state", "done"])
        .expect(0)
        .json();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 3, "{listed:#}");
}

#[test]
fn a_daemon_that_dies_loses_no_task_and_repeats_none() {
    let Some(mut host) = Host::new() else { return };
    let hang = host.submit("hang", &[]);
    host.wait_until(&hang, "running");
    wait_for("the command", SOON, || {
        (host.notes() == ["hang"]).then_some(())
    });
    let waits: Vec<_> = ["a", "b"].map(|command| host.submit(command, &[])).into();
    host.restart(true);
    for id in &waits {
        assert_eq!(host.wait_until(id, "done")["attempts"], 1);
    }
    let interrupted = host.task(&hang);
    assert_eq!(interrupted["state"], "interrupted", "{interrupted:#}");
    assert!(
        interrupted["error"]["message"]
            .as_str()
            .unwrap()
            .contains("not run again")
    );
    assert_eq!(host.notes(), ["hang", "a", "b"]);

    // What may be done twice is.
    let again = host.submit("hang", &["--idempotent"]);
    host.wait_until(&again, "running");
    wait_for("the command", SOON, || {
        (host.notes().len() == 4).then_some(())
    });
    host.restart(true);
    wait_for("the command again", SOON, || {
        (host.notes().len() == 5).then_some(())
    });
    host.go();
    let done = host.wait_until(&again, "done");
    assert_eq!(done["attempts"], 2, "{done:#}");
    assert_eq!(done["executions"][0]["outcome"], "interrupted", "{done:#}");
}

#[test]
fn a_daemon_that_ends_says_what_became_of_its_tasks() {
    let Some(mut host) = Host::new() else { return };
    let hang = host.submit("hang", &[]);
    host.wait_until(&hang, "running");
    wait_for("the command", SOON, || {
        (host.notes() == ["hang"]).then_some(())
    });
    let waits = host.submit("a", &[]);
    host.restart(false);
    host.wait_until(&waits, "done");
    let stopped = host.task(&hang);
    assert_eq!(stopped["state"], "interrupted", "{stopped:#}");
    assert!(
        stopped["error"]["message"]
            .as_str()
            .unwrap()
            .contains("the daemon ended")
    );
    assert_eq!(host.notes(), ["hang", "a"]);
    // Without a daemon there is nobody to submit to, but the tasks can be looked at.
    drop(host.daemon.take());
    let refused = host
        .rig
        .run(&["task", "submit", "command_run", "name=a"])
        .expect(1);
    assert!(
        refused.err.contains("systemctl start op-dbusd"),
        "{refused:?}"
    );
    assert_eq!(host.task(&hang), stopped);
}

#[test]
fn who_waits_for_a_task_whose_end_cannot_be_kept_is_told_and_it_is_kept_later() {
    const DO: &str = "import sqlite3, sys\nsqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    let Some(host) = Host::new() else { return };
    host.wait_until(&host.submit("a", &[]), "done");
    let file = host.rig.base.join("@state/tasks.db");
    let change = |sql: &str| {
        let file = file.to_str().unwrap();
        host.bus.python(ROOT, DO, &[file, sql]).expect(0);
    };
    change(
        "CREATE TRIGGER full BEFORE UPDATE ON tasks WHEN NEW.state = 'done' \
         BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    );
    let task = json!({ "operation": "run", "name": "b" }).to_string();
    let ended = host.call(ROOT, "Executor", "Execute", &["s", &task]);
    assert!(
        ended.status == 1 && ended.err.contains("has no end yet"),
        "{ended:?}"
    );
    let tasks = host.rig.json(&["task", "list", "--state", "running"]);
    let id = tasks.expect(0).json()["tasks"][0]["id"].to_string();
    change("DROP TRIGGER full");
    // The next task that comes or ends wakes who keeps them.
    host.wait_until(&host.submit("c", &[]), "done");
    host.wait_until(&id, "done");
    assert_eq!(host.notes(), ["a", "b", "c"]);
}

#[test]
fn what_was_open_in_a_queue_that_is_brought_back_is_not_done_again() {
    let Some(mut host) = Host::new() else { return };
    let hang = host.submit("hang", &["--idempotent"]);
    host.wait_until(&hang, "running");
    wait_for("the command", SOON, || {
        (host.notes() == ["hang"]).then_some(())
    });
    let waits = host.submit("a", &[]);
    host.rig
        .run(&["snapshot", "create", "early", "@state"])
        .expect(0);
    host.go();
    host.wait_until(&waits, "done");
    let last = host.submit("b", &[]);
    host.wait_until(&last, "done");
    let back = ["--yes", "snapshot", "restore", "early", "@state"];
    host.rig.run(&back).expect(0);
    let number = |id: &str| id.parse::<i64>().unwrap();
    for offline in [false, true] {
        for id in [&hang, &waits] {
            let task = host.wait_until(id, "interrupted");
            let error = task["error"]["message"].as_str().unwrap();
            assert!(error.contains("brought back"), "{error}");
        }
        // Tasks go on, the others first if they went on at all.
        let next = host.submit("c", &[]);
        host.wait_until(&next, "done");
        assert!(offline || number(&next) > number(&last));
        let mut notes = vec!["hang", "a", "b", "c"];
        notes.extend(offline.then_some("c"));
        assert_eq!(host.notes(), notes, "{offline}");
        // The same while no daemon runs.
        if !offline {
            drop(host.daemon.take());
            host.rig.run(&back).expect(0);
            host.daemon = Some(host.bus.daemon(&host.rig));
        }
    }
}
