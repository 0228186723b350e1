//! What polkit allows, when a task is taken in and when it is done.

use super::*;

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
