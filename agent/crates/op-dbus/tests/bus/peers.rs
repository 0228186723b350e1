//! Peers that send nonsense, much, or take it back.

use super::*;

#[test]
fn nonsense_is_answered_with_an_error() {
    let Some((rig, bus, daemon)) = host() else {
        return;
    };
    let entries = rig.ledger(&[]).len();
    let invalid = "org.opdbus1.Error.Invalid";
    let not_found = "org.opdbus1.Error.NotFound";
    let standard = "org.freedesktop.DBus.Error";
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    // As long as a program's argument may be, with some room.
    let long = "x".repeat(60_000);
    let long_option = format!("{{'{long}': <'{long}'>}}");
    let long_json = format!("{{\"name\": \"{long}\"}}");
    let cases: &[(&str, &str, &[&str], &str)] = &[
        ("State", "Apply", &["{'confirm_s': <'soon'>}"], invalid),
        ("State", "Apply", &["{'confirm_s': <-1>}"], invalid),
        ("State", "Apply", &["{'confirm_s': <1.5>}"], invalid),
        ("State", "Apply", &["{'confirm_s': <@d nan>}"], invalid),
        (
            "State",
            "Apply",
            &["{'confirm_s': <objectpath '/x'>}"],
            invalid,
        ),
        ("State", "Apply", &["{'confirm_s': <{'a': <1>}>}"], invalid),
        ("State", "Apply", &["{'except': <[1, 2]>}"], invalid),
        ("State", "Apply", &["{'careful': <uint32 1>}"], invalid),
        ("State", "Apply", &["{'plan': <true>}"], invalid),
        ("State", "Apply", &["{'dry_run': <'yes'>}"], invalid),
        ("State", "Apply", &["{'timeout_ms': <-5>}"], invalid),
        ("State", "Apply", &["{'timeout_ms': <0.5>}"], invalid),
        ("State", "Apply", &["{'token': <'x'>}"], invalid),
        ("State", "Query", &["nonsense"], not_found),
        ("Containers", "List", &["{'limit': <uint32 0>}"], invalid),
        ("Containers", "Show", &["../../etc"], invalid),
        ("Containers", "Show", &[&long], invalid),
        (
            "Containers",
            "Create",
            &["app", "busybox", "{'name': <5>, 'colour': <'blue'>}"],
            invalid,
        ),
        ("Ledger", "Show", &["int64 -7"], not_found),
        ("Ledger", "Show", &["int64 9223372036854775807"], not_found),
        ("Tools", "Describe", &["container_crete"], not_found),
        ("Tools", "Describe", &[&long], not_found),
        (
            "Tools",
            "Call",
            &["state_pla", "{}", "@a{sv} {}"],
            not_found,
        ),
        ("Tools", "Call", &[&long, "{}", "@a{sv} {}"], not_found),
        ("Tools", "Call", &["state_plan", "{", "@a{sv} {}"], invalid),
        ("Tools", "Call", &["state_plan", "[]", "@a{sv} {}"], invalid),
        ("Tools", "Call", &["state_plan", "7", "@a{sv} {}"], invalid),
        (
            "Tools",
            "Call",
            &["state_plan", &deep, "@a{sv} {}"],
            invalid,
        ),
        (
            "Tools",
            "Call",
            &["container_show", &long_json, "@a{sv} {}"],
            invalid,
        ),
        (
            "Tools",
            "Call",
            &["state_plan", "{}", "{'colour': <'blue'>}"],
            invalid,
        ),
        (
            "Tools",
            "Call",
            &["state_plan", "{}", &long_option],
            invalid,
        ),
        ("Tools", "Nonsense", &[], standard),
        ("Nonsense", "Call", &[], standard),
    ];
    for (interface, method, values, error) in cases {
        let ended = bus.gdbus(ROOT, interface, method, values);
        let shown: String = format!("{interface}.{method} {values:?}")
            .chars()
            .take(200)
            .collect();
        assert_ne!(ended.status, 0, "{shown} was done");
        assert!(
            ended.err.contains(error),
            "{shown}: {}",
            &ended.err[..ended.err.len().min(500)]
        );
        assert!(
            ended.err.len() < 2_000 || !shown.contains("State"),
            "{shown}: a long answer"
        );
    }
    // Wrong types for the method as a whole, and writing what can only be read.
    for (member, values) in [
        ("Call", &["s", "state_plan"][..]),
        ("Describe", &["u", "5"]),
        ("Cancel", &["s", "5"]),
    ] {
        let ended = bus.call("Tools", member, values).expect(1);
        assert!(!ended.err.is_empty());
    }
    let set = [
        "--system",
        "set-property",
        NAME,
        PATH,
        "org.opdbus1.State",
        "Status",
        "s",
        "fine",
    ];
    bus.run(ROOT, "busctl", &set).expect(1);
    // Too late before it began.
    let late = bus
        .gdbus(
            ROOT,
            "Tools",
            "Call",
            &["state_plan", "{}", "{'timeout_ms': <uint64 0>}"],
        )
        .expect(1);
    assert!(late.err.contains("org.opdbus1.Error.TimedOut"), "{late:?}");
    assert_eq!(
        bus.call("Tools", "Cancel", &["u", "77"])
            .expect(0)
            .out
            .trim(),
        "b false"
    );
    // Nothing of this is in the ledger, and the daemon goes on.
    assert_eq!(rig.ledger(&[]).len(), entries);
    assert_eq!(answer(&bus, "State", "Verify", &[])["converged"], true);
    assert_eq!(daemon.host()["state"], "converged");
}

/// Sends texts of many megabytes, and prints how each is answered.
const FLOOD: &str = r#"
import dbus, time
bus = dbus.SystemBus()
host = bus.get_object('org.opdbus1', '/org/opdbus1')
text = 'x' * (10 << 20)
none = dbus.Dictionary({}, signature='sv')
for interface, method, values in [
        ('Tools', 'Describe', (text,)),
        ('Tools', 'Call', (text, '{}', none)),
        ('Tools', 'Call', ('state_apply', '{"except": ["' + text + '"]}', none)),
        ('Tools', 'Call', ('state_plan', '{}', dbus.Dictionary({'plan': text, text: 5}, signature='sv'))),
        ('State', 'Apply', (dbus.Dictionary({'token': text}, signature='sv'),)),
        ('Containers', 'Show', (text,))]:
    begun = time.monotonic()
    try:
        host.get_dbus_method(method, 'org.opdbus1.' + interface)(*values, timeout=60)
        print('done')
    except dbus.DBusException as error:
        print(error.get_dbus_name(), len(str(error)), round(time.monotonic() - begun, 1))
"#;

#[test]
fn a_flood_is_answered_in_few_words_and_leaves_no_trace() {
    let Some((rig, bus, _daemon)) = host() else {
        return;
    };
    let entries = rig.ledger(&[]).len();
    for who in [ROOT, NOBODY] {
        let answers = bus.python(who, FLOOD, &[]).expect(0);
        println!("{}", answers.out);
        assert_eq!(answers.out.lines().count(), 6, "{answers:?}");
        for line in answers.out.lines() {
            let words: Vec<_> = line.split(' ').collect();
            assert!(words[0].starts_with("org.opdbus1.Error."), "{line}");
            assert!(words[1].parse::<usize>().unwrap() < 1_000, "{line}");
            assert!(words[2].parse::<f64>().unwrap() < 5.0, "{line}");
        }
    }
    assert_eq!(rig.ledger(&[]).len(), entries);
}

/// Asks for so many things at once, and prints how many were answered.
const CROWD: &str = r#"
import dbus, dbus.mainloop.glib, json
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop = dbus.SystemBus(), GLib.MainLoop()
call = bus.get_object('org.opdbus1', '/org/opdbus1').get_dbus_method('Call', 'org.opdbus1.Tools')
good, bad = [], []
def ended(list, value):
    list.append(value)
    if len(good) + len(bad) == 200:
        loop.quit()
none = dbus.Dictionary({}, signature='sv')
for count in range(200):
    tool = ['state_verify', 'ledger_log', 'container_list', 'state_plan'][count % 4]
    call(tool, '{}', none, reply_handler=lambda text: ended(good, json.loads(text)),
         error_handler=lambda error: ended(bad, str(error)), timeout=120)
loop.run()
print(len(good), bad[:3])
"#;

#[test]
fn many_ask_at_once_and_all_are_answered() {
    let Some((_rig, bus, _daemon)) = host() else {
        return;
    };
    let begun = std::time::Instant::now();
    assert_eq!(bus.python(ROOT, CROWD, &[]).expect(0).out.trim(), "200 []");
    println!("200 reads took {} ms", begun.elapsed().as_millis());
}

/// Begins a long call, takes it back, and prints what became of it. The arguments: a file that appears when it has
/// begun.
const CANCEL: &str = r#"
import os, sys, time
import dbus, dbus.lowlevel, dbus.bus, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, other, loop = dbus.SystemBus(), dbus.SystemBus(private=True), GLib.MainLoop()
message = dbus.lowlevel.MethodCallMessage('org.opdbus1', '/org/opdbus1', 'org.opdbus1.Tools', 'Call')
message.append('command_run', '{"name": "long"}', dbus.Dictionary({}, signature='sv'), signature='ssa{sv}')
def ended(reply):
    print(reply.get_error_name() if isinstance(reply, dbus.lowlevel.ErrorMessage) else 'done')
    loop.quit()
bus.send_message_with_reply(message, ended, 60)
bus.flush()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
def cancel(by):
    tools = dbus.Interface(by.get_object('org.opdbus1', '/org/opdbus1'), 'org.opdbus1.Tools')
    return bool(tools.Cancel(dbus.UInt32(message.get_serial())))
print(cancel(other), cancel(bus))
begun = time.monotonic()
loop.run()
print(time.monotonic() - begun < 10, cancel(bus))
"#;

#[test]
fn a_call_is_taken_back_by_who_made_it() {
    let Some(rig) = Rig::storage(512) else { return };
    let mark = rig.machine.dir().join("mark");
    let commands = format!(
        "access:\n  commands:\n    long: [/bin/sh, -c, \"touch {}; exec sleep 60\"]\n",
        mark.display()
    );
    rig.declare_top(&commands, "");
    rig.apply();
    let Some(bus) = Bus::open(&rig) else { return };
    let _daemon = bus.daemon(&rig);
    let told = bus
        .python(ROOT, CANCEL, &[mark.to_str().unwrap()])
        .expect(0);
    let lines: Vec<_> = told.out.lines().collect();
    assert_eq!(
        lines,
        ["False True", "org.opdbus1.Error.Cancelled", "True False"],
        "{told:?}"
    );
    let entry = rig.ledger(&["--operation", "command_run"]).pop().unwrap();
    assert_eq!(entry["metadata"]["outcome"], "failed", "{entry:#}");
}
