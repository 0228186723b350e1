//! polkit, real and mocked: only a clear yes is one.

use super::*;

#[test]
fn everything_but_a_clear_yes_of_polkit_is_a_no() {
    let Some(host) = Host::new(0) else { return };
    host.assert_polkit_refuses("polkit does not answer");
    let Some(mut mock) = Mock::start(&host.bus) else {
        return;
    };
    host.assert_polkit_refuses("polkit does not allow org.opdbus1.write");
    // Another action's yes is none for this one.
    mock.allow("viewer");
    host.assert_polkit_refuses("polkit does not allow org.opdbus1.write");
    mock.tell(
        "SetAllowed",
        &["as", "2", "org.opdbus1.destroy", "org.opdbus1.writers"],
    );
    host.assert_polkit_refuses("polkit does not allow org.opdbus1.write");
    // A slow yes is one, if it comes in time.
    mock.tell("AllowUnknown", &["b", "true"]);
    mock.tell("SetDelay", &["d", "2"]);
    host.damage();
    host.by_bus(person("nina"), "state_apply", &json!({}), "")
        .unwrap();
    assert!(host.cache().exists());
    mock.tell("SetDelay", &["d", "0"]);
    // It does not come.
    mock.tell("SimulateHang", &["b", "true"]);
    let begun = Instant::now();
    host.assert_polkit_refuses("polkit does not answer within");
    assert!(begun.elapsed() < Duration::from_secs(60));
    mock.tell("ReleaseHangingCalls", &[]);
    assert!(!host.cache().exists(), "the yes came too late");
    // It dies while it is asked.
    let nina = person("nina");
    host.damage();
    let count = host.rig.ledger(&[]).len();
    let asking = host
        .asking(nina, "state_apply", &json!({}), "")
        .spawn()
        .unwrap();
    mock.wait_until_asked();
    mock.process.kill();
    let (code, text) = answered(&asking.wait_with_output().unwrap()).expect_err("it was done");
    assert_eq!(code, "refused", "{text}");
    assert!(text.contains("polkit does not answer"), "{text}");
    assert!(!host.cache().exists());
    host.assert_refused(count, "dbus", "nina", nina, "state_apply");
    drop(mock);
    // Root needs nobody's leave.
    host.by_bus(ROOT, "state_apply", &json!({}), "").unwrap();
    assert!(host.cache().exists());
}

#[test]
fn an_odd_answer_of_polkit_is_a_no() {
    let Some(host) = Host::new(0) else { return };
    let answers = [
        (
            "ret = (False, True, {'polkit.dismissed': 'true'})",
            "polkit wants org.opdbus1.write to be authenticated",
        ),
        (
            "ret = (False, False, {'authorized': 'true'})",
            "polkit does not allow",
        ),
        (
            "raise dbus.exceptions.DBusException('no', name='org.freedesktop.PolicyKit1.Error.Failed')",
            "polkit does not answer",
        ),
    ];
    for (python, because) in answers {
        let Some(mock) = Mock::start(&host.bus) else {
            return;
        };
        mock.tell("AllowUnknown", &["b", "true"]);
        mock.answer(python);
        host.assert_polkit_refuses(because);
    }
    // The caller goes while polkit is asked: nobody is left to be allowed anything.
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    mock.allow("none");
    mock.tell("SimulateHang", &["b", "true"]);
    host.damage();
    let count = host.rig.ledger(&[]).len();
    let mut caller = Kept(
        host.asking(person("nina"), "state_apply", &json!({}), "")
            .spawn()
            .unwrap(),
    );
    mock.wait_until_asked();
    caller.kill();
    mock.tell("ReleaseHangingCalls", &[]);
    wait_for("the refusal", SOON, || {
        (host.rig.ledger(&[]).len() > count).then_some(())
    });
    host.assert_refused(count, "dbus", "nina", person("nina"), "state_apply");
    assert!(!host.cache().exists());
}

/// Takes a call back that polkit has not said yes to yet, and prints what became of it.
const SECOND_THOUGHTS: &str = r#"
import time
import dbus, dbus.lowlevel, dbus.mainloop.glib
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop = dbus.SystemBus(), GLib.MainLoop()
mock = dbus.Interface(bus.get_object('org.freedesktop.PolicyKit1', '/org/freedesktop/PolicyKit1/Authority'),
                      'org.freedesktop.DBus.Mock')
message = dbus.lowlevel.MethodCallMessage('org.opdbus1', '/org/opdbus1', 'org.opdbus1.State', 'Apply')
message.append(dbus.Dictionary({}, signature='sv'), signature='a{sv}')
def ended(reply):
    print(reply.get_error_name() if isinstance(reply, dbus.lowlevel.ErrorMessage) else 'done')
    loop.quit()
bus.send_message_with_reply(message, ended, 60)
bus.flush()
while not mock.HaveHangingCalls():
    time.sleep(0.01)
tools = dbus.Interface(bus.get_object('org.opdbus1', '/org/opdbus1'), 'org.opdbus1.Tools')
print(bool(tools.Cancel(dbus.UInt32(message.get_serial()))))
mock.ReleaseHangingCalls()
loop.run()
"#;

#[test]
fn a_call_is_taken_back_while_polkit_is_asked() {
    let Some(host) = Host::new(0) else { return };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    mock.tell("AllowUnknown", &["b", "true"]);
    mock.tell("SimulateHang", &["b", "true"]);
    host.damage();
    let told = host
        .bus
        .python(person("nina"), SECOND_THOUGHTS, &[])
        .expect(0);
    assert_eq!(told.out, "True\norg.opdbus1.Error.Cancelled\n", "{told:?}");
    assert!(!host.cache().exists());
}

#[test]
fn polkit_is_told_who_asks_for_what() {
    let Some(host) = Host::new(0) else { return };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    let log = host.rig.machine.dir().join("asked");
    mock.answer(&format!(
        "open('{}', 'a').write(repr([str(args[0][0]), str(args[1]), dict((str(k), str(v)) for k, v in args[2].items()), \
         int(args[3])]) + '\\n')\nasks = str(args[1]).endswith('destroy') and not args[3]\n\
         ret = (not asks, asks, dbus.Dictionary({{}}, signature='ss'))",
        log.display()
    ));
    let nina = person("nina");
    host.by_bus(nina, "state_plan", &json!({}), "").unwrap();
    host.by_bus(nina, "state_apply", &json!({}), "").unwrap();
    let interactive = [
        "call",
        "--system",
        "--interactive",
        "--dest",
        "org.opdbus1",
        "--object-path",
        "/org/opdbus1",
    ];
    let mut interactive = interactive.to_vec();
    interactive.extend(["--method", "org.opdbus1.Containers.Destroy", "none", ""]);
    let ended = host.bus.run(nina, "gdbus", &interactive).expect(1);
    assert!(ended.err.contains("org.opdbus1.Error"), "{ended:?}");
    let drift = [
        "--system",
        "get-property",
        "org.opdbus1",
        "/org/opdbus1",
        "org.opdbus1.State",
        "Drift",
    ];
    host.bus.run(nina, "busctl", &drift).expect(0);
    let asked = fs::read_to_string(&log).unwrap();
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!(
        &asked[..4],
        [
            "['system-bus-name', 'org.opdbus1.read', {'tool': 'state_plan'}, 0]",
            "['system-bus-name', 'org.opdbus1.write', {'tool': 'state_apply'}, 0]",
            // A person is asked only where there is no other way.
            "['system-bus-name', 'org.opdbus1.destroy', {'tool': 'container_destroy'}, 0]",
            "['system-bus-name', 'org.opdbus1.destroy', {'tool': 'container_destroy'}, 1]",
        ]
    );
    assert!(
        asked[4].contains("'org.opdbus1.read', {'tool': 'properties'}"),
        "{asked:?}"
    );
    // Without the right to read, what the host is like stays untold, but how it is in a word.
    mock.answer("ret = (False, False, dbus.Dictionary({}, signature='ss'))");
    host.bus.run(nina, "busctl", &drift).expect(1);
    let status = [
        "--system",
        "get-property",
        "org.opdbus1",
        "/org/opdbus1",
        "org.opdbus1.State",
        "Status",
    ];
    host.bus.run(nina, "busctl", &status).expect(0);
}

#[test]
fn the_real_polkit_goes_by_the_shipped_actions_and_the_hosts_rules() {
    let Some(host) = Host::new(0) else { return };
    let Some(polkitd) = POLKITD.iter().find(|path| Path::new(path).exists()) else {
        lab::skip("needs polkitd");
        return;
    };
    let directory = host.rig.machine.dir();
    let (actions, rules) = (directory.join("actions"), directory.join("rules.d"));
    for directory in [&actions, &rules] {
        fs::create_dir(directory).unwrap();
    }
    fs::copy(ACTIONS, actions.join("org.opdbus1.policy")).unwrap();
    fs::write(
        rules.join("10-test.rules"),
        "polkit.addRule(function(action, subject) {\n\
         \x20 if (action.id.indexOf('org.opdbus1.') != 0) return polkit.Result.NOT_HANDLED;\n\
         \x20 if (subject.user == 'ada') return polkit.Result.YES;\n\
         \x20 if (subject.user == 'oscar' && action.id != 'org.opdbus1.destroy') return polkit.Result.YES;\n\
         \x20 if (subject.user == 'vera' && action.lookup('tool') == 'state_verify') return polkit.Result.YES;\n\
         \x20 if (subject.user == 'nina') return polkit.Result.NO;\n\
         });\n",
    )
    .unwrap();
    over(&actions, Path::new("/usr/share/polkit-1/actions"));
    over(&rules, Path::new("/etc/polkit-1/rules.d"));
    let polkit = host
        .bus
        .command(ROOT, polkitd)
        .arg("--no-debug")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut polkit = Kept(polkit);
    host.bus.wait_for(POLKIT);
    let known = host.bus.run(ROOT, "pkaction", &[]).expect(0).out;
    for action in ["read", "write", "destroy"] {
        assert!(
            known.contains(&format!("org.opdbus1.{action}\n")),
            "{known}"
        );
    }

    host.assert_polkit_refuses("polkit does not allow org.opdbus1.write");
    let file = directory.join("files/by-ada");
    let write = json!({ "path": file, "content": "hello" });
    let by = |name: &str, tool: &str, arguments: &Value| {
        host.by_bus_until(person(name), tool, arguments, "")
            .map_err(|(_, text)| text)
    };
    by("oscar", "state_verify", &json!({})).unwrap();
    by("oscar", "state_apply", &json!({})).unwrap();
    assert!(host.cache().exists());
    // The shipped defaults want those who are not at the machine to be authenticated.
    let wants = "polkit wants org.opdbus1.destroy to be authenticated";
    let refused = by("oscar", "file_write", &write).unwrap_err();
    assert!(refused.contains(wants), "{refused}");
    assert!(!file.exists());
    by("ada", "file_write", &write).unwrap();
    assert!(file.exists());
    by("vera", "state_verify", &json!({})).unwrap();
    let refused = by("vera", "state_plan", &json!({})).unwrap_err();
    assert!(
        refused.contains("polkit wants org.opdbus1.read"),
        "{refused}"
    );
    let refused = by("viola", "state_verify", &json!({})).unwrap_err();
    assert!(
        refused.contains("polkit wants org.opdbus1.read"),
        "{refused}"
    );
    // polkit may ask, but there is nobody to ask by.
    let interactive = host.bus.run(
        person("viola"),
        "gdbus",
        &[
            "call",
            "--system",
            "--interactive",
            "--dest",
            "org.opdbus1",
            "--object-path",
            "/org/opdbus1",
            "--method",
            "org.opdbus1.State.Plan",
        ],
    );
    assert!(
        interactive.err.contains("org.opdbus1.Error.Refused"),
        "{interactive:?}"
    );
    // What it allowed before it went counts no more.
    polkit.kill();
    let refused = by("ada", "state_verify", &json!({})).unwrap_err();
    assert!(refused.contains("polkit does not answer"), "{refused}");
}
