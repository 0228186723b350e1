//! The door on the system bus, with clients that others wrote: busctl, gdbus and Python's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use lab::wait_for;
use rig::Rig;
use rig::bus::{Bus, Kept, NAME, NOBODY, PATH, ROOT};
use rig::daemon::Daemon;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

/// A converged host with nothing but a file system, a bus, and a daemon on it.
fn host() -> Option<(Rig, Bus, Daemon)> {
    let rig = Rig::storage(512)?;
    rig.declare("");
    rig.apply();
    let bus = Bus::open(&rig)?;
    let daemon = bus.daemon(&rig);
    Some((rig, bus, daemon))
}

/// The JSON in what `busctl --json=short` printed of a method that answers with one text.
#[track_caller]
fn answer(bus: &Bus, interface: &str, method: &str, values: &[&str]) -> Value {
    let mut all = vec!["--system", "--json=short", "call", NAME, PATH];
    let interface = format!("{NAME}.{interface}");
    all.extend([interface.as_str(), method]);
    all.extend(values);
    let printed = bus.run(ROOT, "busctl", &all).expect(0).json();
    let text = printed["data"][0].as_str().expect("a text");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_interfaces_say_what_they_are() {
    let Some((_rig, bus, _daemon)) = host() else {
        return;
    };
    let listed = bus
        .run(ROOT, "busctl", &["--system", "introspect", NAME, PATH])
        .expect(0)
        .out;
    let xml = bus
        .run(
            ROOT,
            "gdbus",
            &[
                "introspect",
                "--system",
                "--dest",
                NAME,
                "--object-path",
                PATH,
                "--xml",
            ],
        )
        .expect(0)
        .out;
    let members = [
        (
            "State",
            "Plan Apply Confirm Rollback Verify Query Status Reconcile Text Drift Version",
        ),
        ("Containers", "List Show Create Start Stop Destroy"),
        ("Ledger", "Log Show Verify Head EntryAdded"),
        ("Tools", "List Describe Call Cancel Progress Completed"),
    ];
    for (interface, members) in members {
        assert!(
            listed.contains(&format!("org.opdbus1.{interface} ")),
            "{listed}"
        );
        assert!(
            xml.contains(&format!("<interface name=\"org.opdbus1.{interface}\">")),
            "{xml}"
        );
        for member in members.split(' ') {
            assert!(
                listed.contains(&format!(".{member} ")),
                "{interface}.{member}: {listed}"
            );
            assert!(
                xml.contains(&format!(" name=\"{member}\"")),
                "{interface}.{member}: {xml}"
            );
        }
    }
    // busctl gives the same, with what each is for.
    let xml = bus
        .run(
            ROOT,
            "busctl",
            &["--system", "--xml-interface", "introspect", NAME, PATH],
        )
        .expect(0)
        .out;
    for sentence in [
        "What Apply would change (state_plan).",
        "Removes a container and all its data (container_destroy).",
        "The status in a sentence; takes the right to read.",
        "A call of yours has ended;",
    ] {
        assert!(xml.contains(sentence), "{sentence}: {xml}");
    }
    // Arguments have names, since people read them.
    for name in ["template", "values", "plan", "serial", "filter"] {
        assert!(xml.contains(&format!("name=\"{name}\"")), "{name}: {xml}");
    }
}

#[test]
fn the_methods_are_the_tools() {
    let Some((rig, bus, _daemon)) = host() else {
        return;
    };
    let tool = |name: &str, arguments: Value| {
        let text = arguments.to_string();
        rig.json(&["--here", "tool", "call", name, &text])
            .expect(0)
            .json()
    };
    assert_eq!(
        answer(&bus, "State", "Plan", &[]),
        tool("state_plan", json!({}))
    );
    assert_eq!(answer(&bus, "State", "Verify", &[])["converged"], true);
    let query = json!({ "plugin": "btrfs", "limit": 1000 });
    assert_eq!(
        answer(&bus, "State", "Query", &["s", "btrfs"]),
        tool("state_query", query)
    );
    let whole = answer(&bus, "State", "Query", &["s", ""]);
    assert!(whole["plugins"]["btrfs"]["@cache"].is_object(), "{whole:#}");
    let log = answer(&bus, "Ledger", "Log", &["a{sv}", "1", "limit", "u", "2"]);
    assert_eq!(log["entries"].as_array().unwrap().len(), 2, "{log:#}");
    let head = bus.run(
        ROOT,
        "busctl",
        &[
            "--system",
            "get-property",
            NAME,
            PATH,
            "org.opdbus1.Ledger",
            "Head",
        ],
    );
    let head = head.expect(0).out.trim().replace("x ", "");
    assert_eq!(log["entries"][0]["id"].to_string(), head);
    assert_eq!(
        answer(&bus, "Ledger", "Show", &["x", &head])["operation"],
        "state_apply"
    );
    assert_eq!(answer(&bus, "Ledger", "Verify", &[])["valid"], true);

    let names = bus.call("Tools", "List", &[]).expect(0).out;
    let known = rig.json(&["--here", "tool", "list"]).expect(0).json();
    let known = known
        .as_array()
        .or(known["tools"].as_array())
        .expect("tools");
    for tool in known {
        assert!(names.contains(&tool["name"].to_string()), "{tool}: {names}");
    }
    let shown = answer(&bus, "Tools", "Describe", &["s", "state_apply"]);
    assert_eq!(
        shown,
        rig.json(&["--here", "tool", "show", "state_apply"])
            .expect(0)
            .json()
    );
    let called = answer(&bus, "Tools", "Call", &["ssa{sv}", "state_plan", "", "0"]);
    assert_eq!(called, tool("state_plan", json!({})));
    // The other program says the same.
    let called = bus
        .gdbus(ROOT, "Tools", "Call", &["state_verify", "{}", "@a{sv} {}"])
        .expect(0);
    assert!(called.out.contains("\"converged\":true"), "{called:?}");
    let properties = bus.run(
        ROOT,
        "busctl",
        &[
            "--system",
            "--json=short",
            "get-property",
            NAME,
            PATH,
            "org.opdbus1.State",
            "Status",
            "Reconcile",
            "Drift",
        ],
    );
    for value in ["\"converged\"", "\"enforce\"", "\"as\",\"data\":[]"] {
        assert!(properties.out.contains(value), "{properties:?}");
    }

    // What is not in order is mended by hand too, bound to the plan that was shown.
    rig.declare_top("reconcile: observe\n", "");
    lab::run(
        "btrfs",
        &[
            "subvolume",
            "delete",
            rig.base.join("@cache").to_str().unwrap(),
        ],
    );
    let plan = answer(&bus, "State", "Plan", &[]);
    let hash = plan["plan_hash"].as_str().unwrap();
    let other = bus
        .gdbus(ROOT, "State", "Apply", &["{'plan': <'0123456789abcdef'>}"])
        .expect(1);
    assert!(
        other.err.contains("org.opdbus1.Error.PlanChanged"),
        "{other:?}"
    );
    let dry = answer(
        &bus,
        "State",
        "Apply",
        &["a{sv}", "1", "dry_run", "b", "true"],
    );
    assert_eq!(dry["plan_hash"], hash);
    assert!(!rig.base.join("@cache").exists());
    let applied = answer(
        &bus,
        "State",
        "Apply",
        &["a{sv}", "2", "plan", "s", hash, "confirm_s", "t", "0"],
    );
    assert_eq!(applied["outcome"], "applied");
    assert!(rig.base.join("@cache").exists());
    let entry = rig.ledger(&["--operation", "state_apply"]).pop().unwrap();
    assert_eq!(
        entry["metadata"]["actor"],
        json!({ "uid": 0, "name": "root", "door": "dbus" })
    );
}

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
wait_for(lambda: 'drifted' in statuses)
properties = dbus.Interface(host, 'org.freedesktop.DBus.Properties')
head = int(properties.Get('org.opdbus1.Ledger', 'Head'))
wait_for(lambda: entries and entries[-1] >= head)
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
    fs::copy(&rig.file, &other).unwrap();
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
