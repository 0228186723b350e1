//! Agents and their tasks: on the bus with busctl and Python, by command, and over the daemon's death.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use lab::wait_for;
use rig::Rig;
use rig::bus::{Bus, Kept, NOBODY, ROOT, Who};
use rig::daemon::Daemon;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const AGENTS: [(&str, &str); 6] = [
    ("systemd", "Systemd"),
    ("file", "File"),
    ("network", "Network"),
    ("packagekit", "PackageKit"),
    ("monitor", "Monitor"),
    ("executor", "Executor"),
];
/// A host on which commands may be run that leave traces.
struct Host {
    rig: Rig,
    bus: Bus,
    daemon: Option<Daemon>,
}

impl Host {
    /// On a bus that is as strict as that of a host.
    fn new() -> Option<Self> {
        Self::on(Bus::strict)
    }

    fn on(bus: fn(&Rig) -> Option<Bus>) -> Option<Self> {
        let rig = Rig::storage(512)?;
        rig.declare("");
        rig.apply();
        let dir = rig.machine.dir().display().to_string();
        fs::create_dir(format!("{dir}/files")).unwrap();
        fs::write(format!("{dir}/files/greeting"), "hello\n").unwrap();
        let note = |name: &str| format!("{name}: [/bin/sh, -c, 'echo {name} >> {dir}/notes']");
        let hang = format!(
            "hang: [/bin/sh, -c, 'echo hang >> {dir}/notes; while [ ! -e {dir}/go ]; do sleep 0.05; done']"
        );
        rig.declare_top(
            &format!(
                "reconcile: observe\naccess:\n  files: {{read: [{dir}/files], write: [{dir}/files]}}\n  commands:\n\
                 \x20   {}\n    {}\n    {}\n    {hang}\n",
                note("a"),
                note("b"),
                note("c"),
            ),
            "",
        );
        let bus = bus(&rig)?;
        let daemon = Some(bus.daemon(&rig));
        Some(Self { rig, bus, daemon })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.rig.machine.dir().join(name)
    }

    /// The commands that were run, in order.
    fn notes(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.file("notes")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// Lets the command that hangs end, now and later.
    fn go(&self) {
        fs::write(self.file("go"), "").unwrap();
    }

    fn call(&self, who: Who, agent: &str, method: &str, values: &[&str]) -> rig::Ended {
        let name = format!("org.dbusmcp.Agent.{agent}");
        let path = format!("/org/dbusmcp/Agent/{agent}");
        let mut all = vec![
            "--system",
            "--json=short",
            "call",
            &name,
            &path,
            "org.dbusmcp.Agent",
            method,
        ];
        all.extend(values);
        self.bus.run(who, "busctl", &all)
    }

    /// What an agent answers as JSON.
    #[track_caller]
    fn ask(&self, who: Who, agent: &str, method: &str, values: &[&str]) -> Value {
        let printed = self.call(who, agent, method, values).expect(0).json();
        serde_json::from_str(printed["data"][0].as_str().expect("a text")).expect("JSON")
    }

    #[track_caller]
    fn execute(&self, who: Who, agent: &str, task: &Value) -> Value {
        self.ask(who, agent, "Execute", &["s", &task.to_string()])
    }

    /// Submits the run of a command by the command line; the task's number.
    #[track_caller]
    fn submit(&self, command: &str, options: &[&str]) -> String {
        let mut all = vec!["task", "submit", "command_run"];
        let name = format!("name={command}");
        all.push(&name);
        all.extend(options);
        self.rig.json(&all).expect(0).json()["id"].to_string()
    }

    #[track_caller]
    fn task(&self, id: &str) -> Value {
        self.rig.json(&["task", "show", id]).expect(0).json()
    }

    #[track_caller]
    fn wait_until(&self, id: &str, state: &str) -> Value {
        wait_for(&format!("task {id} to be {state}"), SOON, || {
            Some(self.task(id)).filter(|task| task["state"] == state)
        })
    }

    /// The daemon dies, or ends, and comes again.
    fn restart(&mut self, kill: bool) {
        let mut daemon = self.daemon.take().unwrap();
        match kill {
            true => {
                daemon.child.kill().unwrap();
                daemon.child.wait().unwrap();
            }
            false => assert!(daemon.terminate() < Duration::from_secs(30)),
        }
        drop(daemon);
        self.daemon = Some(self.bus.daemon(&self.rig));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.go();
    }
}

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

#[test]
fn the_order_is_priority_then_age_and_what_is_late_or_taken_back_is_not_begun() {
    let Some(host) = Host::new() else { return };
    let hang = host.submit("hang", &[]);
    host.wait_until(&hang, "running");
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

/// The mock of polkit, which allows these actions.
struct Polkit<'a> {
    bus: &'a Bus,
    _process: Kept,
}

const POLKIT: &str = "org.freedesktop.PolicyKit1";

impl<'a> Polkit<'a> {
    fn start(bus: &'a Bus) -> Option<Self> {
        let Some(python) = rig::bus::python("import dbus, gi, dbusmock") else {
            lab::skip("needs python3-dbusmock");
            return None;
        };
        let mut command = bus.command(ROOT, &python);
        command
            .args(["-m", "dbusmock", "--template", "polkitd"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = Kept(command.spawn().unwrap());
        bus.wait_for(POLKIT);
        Some(Self {
            bus,
            _process: process,
        })
    }

    fn allow(&self, actions: &[&str]) {
        let count = actions.len().to_string();
        let mut all = vec![
            "--system",
            "call",
            POLKIT,
            "/org/freedesktop/PolicyKit1/Authority",
        ];
        all.extend(["org.freedesktop.DBus.Mock", "SetAllowed", "as", &count]);
        all.extend(actions);
        self.bus.run(ROOT, "busctl", &all).expect(0);
    }

    /// Answers with this, in Python, from now on.
    fn answer(&self, python: &str) {
        let path = "/org/freedesktop/PolicyKit1/Authority";
        let mut all = vec!["--system", "call", POLKIT, path];
        all.extend(["org.freedesktop.DBus.Mock", "AddMethod", "sssss"]);
        all.extend(["org.freedesktop.PolicyKit1.Authority", "CheckAuthorization"]);
        all.extend(["(sa{sv})sa{ss}us", "(bba{ss})", python]);
        self.bus.run(ROOT, "busctl", &all).expect(0);
    }
}

/// Has a command run that hangs, and takes it back, first by the serial of the call.
const TAKE_BACK: &str = r#"
import json
import dbus, dbus.lowlevel, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop = dbus.SystemBus(), GLib.MainLoop()
name, path, interface = 'org.dbusmcp.Agent.Executor', '/org/dbusmcp/Agent/Executor', 'org.dbusmcp.Agent'
message = dbus.lowlevel.MethodCallMessage(name, path, interface, 'Execute')
message.append(json.dumps({'operation': 'run', 'name': 'hang'}), signature='s')

def event(id, kind, text, done, total):
    if kind == 'started':
        tools = dbus.Interface(bus.get_object('org.opdbus1', '/org/opdbus1'), 'org.opdbus1.Tools')
        print(bool(tools.Cancel(dbus.UInt32(message.get_serial()))))
        print(bool(dbus.Interface(bus.get_object(name, path), interface).CancelTask(id)))

def ended(reply):
    print(json.loads(reply.get_args_list()[0])['state'])
    loop.quit()

bus.add_signal_receiver(event, 'TaskEvent', interface)
bus.send_message_with_reply(message, ended, 60)
GLib.timeout_add_seconds(40, loop.quit)
loop.run()
"#;

#[test]
fn a_task_is_taken_back_by_its_number_alone_and_that_is_recorded() {
    let Some(host) = Host::new() else { return };
    let told = host.bus.python(ROOT, TAKE_BACK, &[]).expect(0);
    assert_eq!(told.out, "False\nTrue\ncancelled\n", "{told:?}");
    let entries = host.rig.ledger(&["--operation", "task_cancel"]);
    assert_eq!(entries.len(), 1, "{entries:#?}");
    let data = &entries[0]["metadata"];
    assert_eq!(
        (&data["outcome"], &data["actor"]["door"]),
        (&json!("done"), &json!("agent")),
        "{data:#}"
    );
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

/// Submits a task with leave to ask a person, and stays on the bus until its input ends.
const ASK: &str = r#"
import json, sys
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
answer = bus.call_sync('org.dbusmcp.Agent.File', '/org/dbusmcp/Agent/File', 'org.dbusmcp.Agent', 'Execute',
                       GLib.Variant('(s)', (sys.argv[1],)), None,
                       Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION, -1)
print(json.loads(answer[0])['id'], flush=True)
sys.stdin.readline()
"#;

#[test]
fn a_right_is_kept_by_a_password_that_was_entered_and_not_by_leave_to_ask_for_one() {
    use std::io::{BufRead, BufReader};
    let Some(host) = Host::on(Bus::open) else {
        return;
    };
    let Some(polkit) = Polkit::start(&host.bus) else {
        return;
    };
    let mode = host.file("mode");
    polkit.answer(&format!(
        "mode = open('{}').read()\n\
         ret = (mode == 'yes' or int(args[3]) == 1, mode == 'ask', dbus.Dictionary({{}}, signature='ss'))",
        mode.display()
    ));
    for (begins, state) in [("yes", "failed"), ("ask", "done")] {
        let path = host.file(&format!("files/{state}"));
        let task = json!({ "operation": "write", "path": path, "content": "x", "wait": false })
            .to_string();
        fs::write(&mode, begins).unwrap();
        let hang = host.submit("hang", &[]);
        host.wait_until(&hang, "running");
        let mut stays = host.bus.script(NOBODY, ASK, &[&task]);
        let stays = stays.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut stays = Kept(stays.spawn().unwrap());
        let mut id = String::new();
        BufReader::new(stays.0.stdout.take().unwrap())
            .read_line(&mut id)
            .unwrap();
        // From now on polkit wants a password.
        fs::write(&mode, "ask").unwrap();
        host.rig.json(&["task", "cancel", &hang]).expect(0);
        host.wait_until(id.trim(), state);
        assert_eq!(path.exists(), state == "done");
    }
}

/// Submits a task without waiting, and stays on the bus until its input ends.
const STAY: &str = r#"
import json, sys
import dbus
agent = dbus.SystemBus().get_object('org.dbusmcp.Agent.File', '/org/dbusmcp/Agent/File')
print(json.loads(agent.Execute(sys.argv[1], dbus_interface='org.dbusmcp.Agent'))['id'], flush=True)
if sys.argv[2] == 'stay':
    sys.stdin.readline()
"#;

#[test]
fn nobody_gets_more_by_an_agent_than_polkit_allows_when_it_is_done() {
    use std::io::{BufRead, BufReader};
    // A strict bus would not let the mock have polkit's name.
    let Some(host) = Host::on(Bus::open) else {
        return;
    };
    let Some(polkit) = Polkit::start(&host.bus) else {
        return;
    };
    let path = host.file("files/written");
    let write = json!({ "operation": "write", "path": path, "content": "swordfish" });
    let read = json!({ "operation": "read", "path": host.file("files/greeting") });

    for (allowed, reads) in [
        (&[][..], false),
        (&["org.opdbus1.read"], true),
        (&["org.opdbus1.read", "org.opdbus1.write"], true),
    ] {
        polkit.allow(allowed);
        let count = host.rig.ledger(&[]).len();
        let ended = host.call(NOBODY, "File", "Execute", &["s", &write.to_string()]);
        assert!(
            ended.status == 1 && ended.err.contains("polkit does not allow"),
            "{ended:?}"
        );
        assert!(!path.exists());
        let entries = host.rig.ledger(&[]).split_off(count);
        assert_eq!(entries.len(), 1, "{entries:#?}");
        assert_eq!(entries[0]["metadata"]["outcome"], "refused");
        assert_eq!(entries[0]["metadata"]["actor"]["door"], "agent");
        let ended = host.call(NOBODY, "File", "Execute", &["s", &read.to_string()]);
        assert_eq!(ended.status == 0, reads, "{allowed:?}: {ended:?}");
    }
    let tasks = host.rig.json(&["task", "list"]).expect(0).json();
    assert!(
        tasks["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|task| task["tool"] == "file_read"),
        "{tasks:#}"
    );

    // A right that was lost before the task's turn came, and one whose holder left, are none.
    let all = [
        "org.opdbus1.read",
        "org.opdbus1.write",
        "org.opdbus1.destroy",
    ];
    let mut later = write.clone();
    later["wait"] = json!(false);
    let later = later.to_string();
    polkit.allow(&all);
    let hang = host.submit("hang", &[]);
    host.wait_until(&hang, "running");
    let mut stays = host.bus.script(NOBODY, STAY, &[&later, "stay"]);
    let mut stays = Kept(
        stays
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lost = String::new();
    BufReader::new(stays.0.stdout.take().unwrap())
        .read_line(&mut lost)
        .unwrap();
    let left = host
        .bus
        .python(NOBODY, STAY, &[&later, "leave"])
        .expect(0)
        .out;
    polkit.allow(&["org.opdbus1.read"]);
    // What changes something takes the right to write, to take it back, too; and that is in the ledger.
    let count = host.rig.ledger(&[]).len();
    let theirs = host.call(NOBODY, "File", "CancelTask", &["s", lost.trim()]);
    assert!(
        theirs.status == 1 && theirs.err.contains("org.opdbus1.write"),
        "{theirs:?}"
    );
    // It waits for the end: a caller who has left the bus by the task's turn would be refused.
    let read = host.execute(NOBODY, "File", &read);
    assert_eq!(read["state"], "done", "{read}");
    let id = read["id"].as_str().unwrap();
    let late = host.call(NOBODY, "File", "CancelTask", &["s", id]);
    assert_eq!(late.expect(0).json()["data"][0], false);
    let entries = host.rig.ledger(&[]).split_off(count);
    let outcomes: Vec<_> = entries
        .iter()
        .map(|entry| &entry["metadata"]["outcome"])
        .collect();
    assert_eq!(outcomes, ["refused", "failed"], "{entries:#?}");
    // Tasks of others do not exist for them.
    let theirs = host.call(NOBODY, "File", "CancelTask", &["s", &hang]);
    assert!(
        theirs.status == 1 && theirs.err.contains("no task"),
        "{theirs:?}"
    );
    host.rig.json(&["task", "cancel", &hang]).expect(0);
    for (id, why) in [(lost.trim(), "any more"), (left.trim(), "left the bus")] {
        let failed = host.wait_until(id, "failed");
        assert_eq!(failed["error"]["code"], "refused", "{failed:#}");
        assert!(
            failed["error"]["message"].as_str().unwrap().contains(why),
            "{failed:#}"
        );
        assert_eq!(failed["arguments"]["content"], "redacted");
    }
    assert!(!path.exists());
    let ledger = json!(host.rig.ledger(&[])).to_string();
    assert!(!ledger.contains("swordfish"));

    // Who submitted a task sees it by every door, and nobody else but an admin does.
    polkit.allow(&["org.opdbus1.read"]);
    for (id, seen) in [(lost.trim(), true), (&*hang, false)] {
        let arguments = json!({ "id": id.parse::<i64>().unwrap() }).to_string();
        let shown = host.bus.gdbus(
            NOBODY,
            "Tools",
            "Call",
            &["task_show", &arguments, "@a{sv} {}"],
        );
        assert_eq!(shown.status == 0, seen, "{shown:?}");
    }

    // With it, it is done.
    polkit.allow(&all);
    let done = host.execute(NOBODY, "File", &write);
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "swordfish");
}
