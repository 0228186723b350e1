//! What each agent says, does and refuses.

use super::*;

#[test]
fn each_agent_says_what_it_is_and_does_what_it_can() {
    let Some(host) = Host::new() else { return };
    for (name, part) in AGENTS {
        assert_eq!(
            host.call(ROOT, part, "Ping", &[]).expect(0).json()["data"][0],
            true
        );
        let answered = host.call(ROOT, part, "AgentType", &[]).expect(0).json();
        assert_eq!(answered["data"][0], name);
        let answered = host.call(ROOT, part, "AgentId", &[]).expect(0).json();
        assert_eq!(answered["data"][0], format!("op-dbus-{name}"));
        let metadata = host.ask(ROOT, part, "Metadata", &[]);
        assert_eq!(metadata["bus_name"], format!("org.dbusmcp.Agent.{part}"));
        for operation in metadata["operations"].as_array().unwrap() {
            assert_eq!(operation["input_schema"]["type"], "object", "{operation}");
        }
    }
    let packages = host.ask(ROOT, "PackageKit", "Metadata", &[]);
    for action in [
        "search", "install", "remove", "list", "updates", "refresh", "details",
    ] {
        let operations = packages["operations"].as_array().unwrap();
        assert!(
            operations
                .iter()
                .any(|operation| operation["short"] == action),
            "{action}"
        );
    }
    let listed = host.rig.json(&["agent", "list"]).expect(0).json();
    assert_eq!(listed["agents"].as_array().unwrap().len(), AGENTS.len());

    let path = host.file("files/greeting");
    let read = host.ask(
        ROOT,
        "File",
        "RunOperation",
        &["sss", "read", path.to_str().unwrap(), ""],
    );
    assert_eq!(
        (&read["state"], &read["result"]["content"]),
        (&json!("done"), &json!("hello\n")),
        "{read}"
    );
    let links = host.execute(ROOT, "Network", &json!({ "operation": "links" }));
    assert_eq!(links["result"]["links"][0]["name"], "lo", "{links}");
    let stands = host.execute(
        ROOT,
        "Monitor",
        &json!({ "type": "monitor", "operation": "state_verify" }),
    );
    assert_eq!(stands["result"]["converged"], true, "{stands}");
    let ran = host.execute(
        ROOT,
        "Executor",
        &json!({ "operation": "run", "arguments": { "name": "a" } }),
    );
    assert_eq!(ran["state"], "done", "{ran}");
    assert_eq!(host.notes(), ["a"]);
    let entry = host
        .rig
        .ledger(&["--operation", "command_run"])
        .pop()
        .unwrap();
    assert_eq!(
        entry["metadata"]["actor"],
        json!({ "uid": 0, "name": "root", "door": "agent" })
    );
    // Without the service that it needs, an agent says so; a task that was accepted has an end all the same.
    for (agent, task) in [
        (
            "Systemd",
            json!({ "operation": "status", "unit": "nonexistent.service" }),
        ),
        (
            "PackageKit",
            json!({ "type": "package", "action": "details", "packages": ["op-dbus-nonexistent"] }),
        ),
    ] {
        let answered = host.execute(ROOT, agent, &task);
        assert!(
            ["done", "failed"].contains(&answered["state"].as_str().unwrap()),
            "{answered}"
        );
        assert!(
            answered.get("result").or(answered.get("error")).is_some(),
            "{answered}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_it_is_a_task() {
    let Some(host) = Host::new() else { return };
    for (agent, task, what) in [
        ("File", "{", "no task"),
        ("File", r#"{"operation": "start"}"#, "no operation"),
        ("File", r#"{"operation": "state_apply"}"#, "no operation"),
        (
            "Monitor",
            r#"{"operation": "host_set_hostname", "hostname": "x"}"#,
            "no operation",
        ),
        ("Executor", r#"{"operation": "run", "nmae": "a"}"#, "nmae"),
        (
            "Executor",
            r#"{"operation": "run", "name": "a", "priority": 11}"#,
            "priority",
        ),
        (
            "Executor",
            r#"{"operation": "run", "name": "a", "retries": 200}"#,
            "retries",
        ),
    ] {
        let ended = host.call(ROOT, agent, "Execute", &["s", task]);
        assert_eq!(ended.status, 1, "{task}: {ended:?}");
        assert!(ended.err.contains(what), "{task}: {ended:?}");
    }
    let garbage = "x".repeat(100_000);
    assert_eq!(
        host.call(ROOT, "File", "RunOperation", &["sss", &garbage, "", ""])
            .status,
        1
    );
    let tasks = host.rig.json(&["task", "list"]).expect(0).json();
    assert_eq!(tasks["tasks"], json!([]));
    assert_eq!(host.notes().len(), 0);
}

#[test]
fn what_destroys_is_no_task_without_its_plan() {
    const PACKAGE: &str = "busybox-static";
    if !lab::has("dpkg") || !lab::output("dpkg", &["--status", PACKAGE]).status.success() {
        return lab::skip("needs dpkg and busybox-static");
    }
    let Some(host) = Host::new() else { return };
    let count = host.rig.ledger(&[]).len();
    let task = json!({ "type": "package", "action": "remove", "packages": [PACKAGE] });
    let ended = host.call(ROOT, "PackageKit", "Execute", &["s", &task.to_string()]);
    assert!(
        ended.status == 1 && ended.err.contains("has to be confirmed"),
        "{ended:?}"
    );
    let mut other = task;
    other["plan"] = json!("0123456789abcdef");
    let ended = host.call(ROOT, "PackageKit", "Execute", &["s", &other.to_string()]);
    assert!(
        ended.status == 1 && ended.err.contains("the plan is no longer"),
        "{ended:?}"
    );
    let entries = host.rig.ledger(&[]).split_off(count);
    let refused = |entry: &Value| entry["metadata"]["outcome"] == "refused";
    assert!(
        entries.len() == 2 && entries.iter().all(refused),
        "{entries:#?}"
    );
    assert_eq!(
        host.rig.json(&["task", "list"]).expect(0).json()["tasks"],
        json!([])
    );
}

/// Submits without waiting, and prints what it hears until the task has ended.
const LISTEN: &str = r#"
import json, sys
import dbus, dbus.mainloop.glib
from gi.repository import GLib

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop, heard = dbus.SystemBus(), GLib.MainLoop(), []
bus.add_signal_receiver(lambda id, kind, text, done, total: heard.append([str(id), str(kind)]),
                        'TaskEvent', 'org.dbusmcp.Agent')

def completed(id, state, result):
    heard.append([str(id), str(state), json.loads(result)])
    loop.quit()

bus.add_signal_receiver(completed, 'TaskCompleted', 'org.dbusmcp.Agent')
agent = bus.get_object('org.dbusmcp.Agent.File', '/org/dbusmcp/Agent/File')
if sys.argv[1] == 'listen':
    print('ready', flush=True)
    GLib.timeout_add_seconds(60, loop.quit)
    sys.stdin.readline()
    GLib.timeout_add(200, loop.quit)
else:
    task = json.dumps({'operation': 'read', 'path': sys.argv[1], 'wait': False})
    answer = json.loads(agent.Execute(task, dbus_interface='org.dbusmcp.Agent'))
    heard.append([answer['id'], 'answer'])
    GLib.timeout_add_seconds(20, loop.quit)
loop.run()
print(json.dumps(heard))
"#;

#[test]
fn who_asked_hears_of_the_end_and_nobody_else() {
    use std::io::{BufRead, BufReader, Read, Write};
    let Some(host) = Host::new() else { return };
    let mut other = host.bus.script(NOBODY, LISTEN, &["listen"]);
    let mut other = Kept(
        other
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = BufReader::new(other.0.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

    let path = host.file("files/greeting");
    let heard = host
        .bus
        .python(ROOT, LISTEN, &[path.to_str().unwrap()])
        .expect(0)
        .json();
    let heard = heard.as_array().unwrap();
    let id = heard[0][0].as_str().unwrap();
    assert!(heard.iter().all(|news| news[0] == id), "{heard:?}");
    for kind in ["answer", "accepted", "started", "done"] {
        assert!(
            heard.iter().any(|news| news[1] == kind),
            "{kind}: {heard:?}"
        );
    }
    assert_eq!(heard.last().unwrap()[2]["content"], "hello\n");

    other.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.trim(), "[]");
}
