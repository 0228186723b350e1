//! A container by the bus, and the ends of daemon and bus.

use super::*;

/// Lives a container's whole life, and prints what was heard of it.
const LIFE: &str = r#"
import json, subprocess, sys
import dbus, dbus.mainloop.glib
from gi.repository import GLib

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus, loop = dbus.SystemBus(), GLib.MainLoop()
host = bus.get_object('org.opdbus1', '/org/opdbus1')
heard, entries, answers = [], [], []

def listen(member, interface, what):
    bus.add_signal_receiver(what, member, interface, path='/org/opdbus1')

listen('Progress', 'org.opdbus1.Tools', lambda serial, tool, kind, text, done, total:
       heard.append({'serial': int(serial), 'tool': tool, 'kind': kind, 'done': int(done), 'total': int(total)}))
listen('Completed', 'org.opdbus1.Tools', lambda serial, tool, succeeded, code:
       heard.append({'serial': int(serial), 'tool': tool, 'kind': 'completed', 'succeeded': bool(succeeded),
                     'code': code}))
listen('EntryAdded', 'org.opdbus1.Ledger', lambda id: entries.append(int(id)))
statuses, heads = [], []

def changed(interface, values, invalidated):
    statuses.extend(str(values[key]) for key in values if key == 'Status')
    heads.extend(int(values[key]) for key in values if key == 'Head')

listen('PropertiesChanged', 'org.freedesktop.DBus.Properties', changed)

def call(interface, method, *values):
    def good(text):
        answers.append({'method': method, 'answer': json.loads(text)})
        heard.append({'kind': 'answer'})
        loop.quit()
    def bad(error):
        answers.append({'method': method, 'error': error.get_dbus_name()})
        heard.append({'kind': 'answer'})
        loop.quit()
    function = host.get_dbus_method(method, 'org.opdbus1.' + interface)
    function(*values, reply_handler=good, error_handler=bad, timeout=120)
    loop.run()
    return answers[-1].get('answer', {})

def wait_for(condition, seconds=20):
    left = [seconds * 100]
    def look():
        left[0] -= 1
        if condition() or left[0] == 0:
            loop.quit()
            return False
        return True
    GLib.timeout_add(10, look)
    loop.run()

values = dbus.Dictionary({'address': '10.7.0.21/24', 'cores': dbus.UInt32(1), 'memory': '64MiB'}, signature='sv')
none = dbus.Dictionary({}, signature='sv')
call('Containers', 'Create', 'app', 'busybox', values)
call('Containers', 'List', none)
call('Containers', 'Show', 'app')
call('Containers', 'Stop', 'app')
call('Containers', 'Show', 'app')
call('Containers', 'Start', 'app')
plan = call('Containers', 'Destroy', 'app', '')
call('Containers', 'Destroy', 'app', '0123456789abcdef')
call('Containers', 'Show', 'app')
call('Containers', 'Destroy', 'app', plan.get('plan_hash', '-'))
call('Containers', 'Show', 'app')
subprocess.run(['btrfs', 'subvolume', 'delete', sys.argv[1]], check=True, stdout=subprocess.DEVNULL)
properties = dbus.Interface(host, 'org.freedesktop.DBus.Properties')
# A look in the middle of a call above may have found drift, too.
wait_for(lambda: 'btrfs/@cache' in properties.Get('org.opdbus1.State', 'Drift'))
head = int(properties.Get('org.opdbus1.Ledger', 'Head'))
wait_for(lambda: entries and entries[-1] >= head and statuses[-1:] == ['drifted'])
print(json.dumps({'heard': heard, 'entries': entries, 'answers': answers, 'statuses': statuses, 'heads': heads,
                  'head': head}))
"#;

#[test]
fn a_container_lives_its_life_and_the_bus_hears_of_it() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[]);
    rig.apply();
    let text = fs::read_to_string(&rig.file).unwrap();
    fs::write(&rig.file, format!("reconcile: observe\n{text}")).unwrap();
    let Some(bus) = Bus::open(&rig) else { return };
    let _daemon = bus.daemon(&rig);
    let seen = rig.machine.dir().join("monitor.log");
    let monitor = bus
        .command(ROOT, "busctl")
        .args(["--system", "monitor", NAME])
        .stdout(fs::File::create(&seen).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _monitor = Kept(monitor);
    let monitored = || fs::read_to_string(&seen).unwrap();
    wait_for("the monitor", SOON, || {
        bus.call("Tools", "List", &[]).expect(0);
        monitored().contains("Member=List").then_some(())
    });

    let cache = rig.base.join("@cache");
    let told = bus
        .python(ROOT, LIFE, &[cache.to_str().unwrap()])
        .expect(0)
        .json();
    let answers = told["answers"].as_array().unwrap();
    let of = |place: usize| {
        let answer = &answers[place];
        assert!(answer["error"].is_null(), "{told:#}");
        &answer["answer"]
    };
    let error = |place: usize| answers[place]["error"].as_str().unwrap_or("none");
    assert_eq!(of(0)["outcome"], "applied");
    assert_eq!(of(1)["containers"][0]["name"], "app");
    let running = |place: usize| of(place)["state"]["running"].clone();
    assert_eq!(running(2), true, "{:#}", of(2));
    assert_eq!(of(3)["outcome"], "applied");
    assert_eq!(running(4), false, "{:#}", of(4));
    assert_eq!(of(5)["outcome"], "applied");
    assert!(of(6)["summary"]["delete"].as_u64() > Some(0), "{:#}", of(6));
    assert_eq!(error(7), "org.opdbus1.Error.PlanChanged");
    assert_eq!(running(8), true, "{:#}", of(8));
    assert_eq!(of(9)["outcome"], "applied");
    assert_eq!(error(10), "org.opdbus1.Error.NotFound");

    // Each call: begin, what is done, end, completed, and only then the answer.
    let heard = told["heard"].as_array().unwrap();
    let mut calls: Vec<Vec<&Value>> = vec![Vec::new()];
    for event in heard {
        match event["kind"] == "answer" {
            true => calls.push(Vec::new()),
            false => calls.last_mut().unwrap().push(event),
        }
    }
    assert_eq!(
        calls.pop(),
        Some(Vec::new()),
        "something was told after the last answer"
    );
    assert_eq!(calls.len(), answers.len());
    let mut serials = BTreeMap::new();
    for (place, events) in calls.iter().enumerate() {
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds.last(), Some(&"completed"), "{events:#?}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "completed").count(), 1);
        let serial = events[0]["serial"].as_u64().unwrap();
        assert!(
            serials.insert(serial, place).is_none(),
            "a serial came twice"
        );
        assert!(
            events.iter().all(|event| event["serial"] == serial),
            "{events:#?}"
        );
        let failed = !answers[place]["error"].is_null();
        assert_eq!(events.last().unwrap()["succeeded"], !failed, "{events:#?}");
        if answers[place]["answer"]["outcome"] == "applied" {
            assert_eq!(kinds[0], "begin", "{kinds:?}");
            assert_eq!(kinds[kinds.len() - 2], "end", "{kinds:?}");
            assert!(kinds.contains(&"done"), "{kinds:?}");
            let counts: Vec<_> = events[..events.len() - 1]
                .iter()
                .map(|event| &event["done"])
                .collect();
            assert!(
                counts.is_sorted_by_key(|count| count.as_u64()),
                "{counts:?}"
            );
            let end = &events[events.len() - 2];
            assert_eq!(end["done"], end["total"], "{end:#}");
        }
    }
    assert_eq!(calls[7].last().unwrap()["code"], "plan-changed");

    let entries: Vec<_> = told["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_i64().unwrap())
        .collect();
    assert!(
        entries.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{entries:?}"
    );
    assert_eq!(entries.last(), told["head"].as_i64().as_ref());
    let heads = told["heads"].as_array().unwrap();
    assert!(heads.is_sorted_by_key(|head| head.as_i64()), "{heads:?}");
    assert_eq!(
        told["statuses"].as_array().unwrap().last(),
        Some(&json!("drifted"))
    );

    let monitored = wait_for("the monitor to have seen it all", SOON, || {
        Some(monitored()).filter(|text| {
            text.contains("Member=EntryAdded") && text.contains("STRING \"drifted\"")
        })
    });
    for member in [
        "Create",
        "Progress",
        "Completed",
        "Destroy",
        "PropertiesChanged",
    ] {
        assert!(monitored.contains(&format!("Member={member}")), "{member}");
    }
    rig.json(&["ledger", "verify"]).expect(0);
}

#[test]
fn of_two_daemons_the_second_goes() {
    let Some((rig, bus, daemon)) = host() else {
        return;
    };
    let other = rig.machine.dir().join("other.yaml");
    // Of another base: a second daemon of the same one goes without a look at the bus.
    let declared = fs::read_to_string(&rig.file).unwrap();
    let base = rig.machine.dir().join("other");
    let declared = declared.replace(rig.base.to_str().unwrap(), base.to_str().unwrap());
    fs::write(&other, declared).unwrap();
    let socket = rig.machine.dir().join("second.sock");
    let mut second = bus.command(ROOT, env!("CARGO_BIN_EXE_op-dbus"));
    second
        .arg("--file")
        .arg(&other)
        .args(["daemon", "--jsonrpc"])
        .arg(&socket);
    let second = second.output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(3), "{said}");
    assert!(
        said.contains(&format!("held by process {} (op-dbus", daemon.id())),
        "{said}"
    );
    assert!(said.contains("--no-bus"), "{said}");
    assert!(!socket.exists());
    bus.call("State", "Verify", &[]).expect(0);
    // Nobody gets the name by insisting, and who waits for it gets it when the daemon ends.
    let insists =
        "import dbus; bus = dbus.SystemBus(); print(bus.request_name('org.opdbus1', 4 | 2))";
    assert_eq!(bus.python(ROOT, insists, &[]).expect(0).out.trim(), "3");
    drop(daemon);
    assert_eq!(bus.python(ROOT, insists, &[]).expect(0).out.trim(), "1");
}

#[test]
fn the_daemon_outlives_its_bus() {
    let Some((rig, mut bus, mut daemon)) = host() else {
        return;
    };
    assert_eq!(bus.call("State", "Verify", &[]).expect(0).status, 0);
    bus.kill();
    // What it would tell the bus goes nowhere, and nothing else changes.
    let cache = rig.base.join("@cache");
    for _ in 0..3 {
        lab::run("btrfs", &["subvolume", "delete", cache.to_str().unwrap()]);
        wait_for("the mending", SOON, || cache.exists().then_some(()));
    }
    let answer = daemon.connect().call("state_verify", json!({}));
    assert_eq!(answer["result"]["converged"], true, "{answer:#}");
    // It takes its name on the next one.
    bus.start_again();
    bus.wait_for("org.opdbus1");
    assert_eq!(bus.call("State", "Verify", &[]).expect(0).status, 0);
    daemon.terminate();
}

#[test]
fn without_a_bus_the_daemon_says_so_and_serves_its_socket() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    let daemon = Daemon::start_with(&rig, &[], |command| {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    });
    daemon.wait_until("the first look", SOON, |host| host["state"] == "converged");
    let log = fs::read_to_string(rig.machine.dir().join("daemon.log")).unwrap();
    assert!(log.contains("there is no system bus"), "{log}");
}

#[test]
fn only_root_gets_the_name_and_everybody_may_ask() {
    let Some(rig) = Rig::storage(512) else { return };
    rig.declare("");
    rig.apply();
    let Some(bus) = Bus::strict(&rig) else { return };
    let take = "import dbus\nbus = dbus.SystemBus()\ntry: print(bus.request_name('org.opdbus1'))\n\
        except dbus.DBusException as error: print(error.get_dbus_name())";
    let denied = "org.freedesktop.DBus.Error.AccessDenied";
    assert_eq!(bus.python(NOBODY, take, &[]).expect(0).out.trim(), denied);
    let other = take.replace("opdbus1", "opdbus2");
    assert_eq!(bus.python(ROOT, &other, &[]).expect(0).out.trim(), denied);
    let _daemon = bus.daemon(&rig);
    assert!(bus.has(NAME));
    // Asking is free; for an answer polkit is asked, and there is none on this bus.
    let listed = bus.gdbus(NOBODY, "Tools", "List", &[]).expect(0);
    assert!(listed.out.contains("state_plan"), "{listed:?}");
    let refused = bus.gdbus(NOBODY, "State", "Plan", &[]).expect(1);
    assert!(
        refused.err.contains("org.opdbus1.Error.Refused"),
        "{refused:?}"
    );
    bus.gdbus(ROOT, "State", "Plan", &[]).expect(0);
    // What others are told nobody hears.
    let spy = "import dbus\nbus = dbus.SystemBus()\ntry: bus.add_match_string(\"eavesdrop='true'\"); \
        dbus.Interface(bus.get_object('org.freedesktop.DBus', '/org/freedesktop/DBus'), \
        'org.freedesktop.DBus.Monitoring').BecomeMonitor(dbus.Array([], signature='s'), dbus.UInt32(0)); print('hears')\n\
        except dbus.DBusException as error: print(error.get_dbus_name())";
    assert_eq!(bus.python(NOBODY, spy, &[]).expect(0).out.trim(), denied);
}
