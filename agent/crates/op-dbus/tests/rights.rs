//! Who may do what through which door: everything but a clear yes changes nothing and is in the ledger.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::wait_for;
use rig::Rig;
use rig::bus::{Bus, Kept, ROOT, Who, as_who};
use rig::daemon::Daemon;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);
/// polkit, as the bus and its own programs call it.
const POLKIT: &str = "org.freedesktop.PolicyKit1";
const AUTHORITY: &str = "/org/freedesktop/PolicyKit1/Authority";
/// Where Debian and others have the daemon of polkit.
const POLKITD: [&str; 3] = [
    "/usr/lib/polkit-1/polkitd",
    "/usr/libexec/polkitd",
    "/run/current-system/sw/lib/polkit-1/polkitd",
];
/// The actions that are shipped.
const ACTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dbus/org.opdbus1.policy");

/// People of the test's own. All of them get to the socket; what they may do there is another matter.
const PEOPLE: [(&str, Who, &str); 6] = [
    ("nina", who(60_001), "none"),
    ("viola", who(60_002), "viewer"),
    ("vera", who(60_003), "viewer"),
    ("oscar", who(60_004), "operator"),
    ("ada", who(60_005), "admin"),
    ("root", ROOT, "admin"),
];
const ACCESS: &str = "access:\n  viewer: {users: [viola], groups: [watchers]}\n  operator: {users: [oscar]}\n\
    \x20 admin: {groups: [wardens]}\n";
const ROLES: [&str; 4] = ["none", "viewer", "operator", "admin"];

const fn who(uid: u32) -> Who {
    Who {
        uid,
        groups: "60000",
    }
}

fn person(name: &str) -> Who {
    PEOPLE.iter().find(|(known, ..)| *known == name).unwrap().1
}

/// A host that is not as declared and only reports it, with templates that nothing declares.
struct Host {
    rig: Rig,
    bus: Bus,
    daemon: Daemon,
}

impl Host {
    fn new(containers: usize) -> Option<Self> {
        let rig = Rig::storage(512)?;
        people(rig.machine.dir());
        if containers > 0 && (!lab::has("busybox") || !lab::has("lxc-start")) {
            lab::skip("needs lxc and busybox-static");
            return None;
        }
        let section = match containers {
            0 => "",
            _ => {
                "  lxc: {templates: {busybox: {recipe: busybox}, old: {recipe: busybox}}, containers: {}}\n"
            }
        };
        rig.declare(section);
        rig.apply();
        for number in 0..containers {
            let arguments = json!({
                "name": format!("c{number}"), "template": "busybox", "network": "none", "stopped": true,
            });
            rig.json(&["tool", "call", "container_create", &arguments.to_string()])
                .expect(0);
        }
        let write = format!(
            "{ACCESS}  files: {{write: [{}]}}\n",
            rig.machine.dir().join("files").display()
        );
        fs::create_dir(rig.machine.dir().join("files")).unwrap();
        rig.declare_top(&format!("reconcile: observe\n{write}"), section);
        let bus = Bus::open(&rig)?;
        let daemon = bus.daemon(&rig);
        Some(Self { rig, bus, daemon })
    }

    /// Takes a declared subvolume away, if it is there.
    fn damage(&self) {
        let cache = self.cache();
        if cache.exists() {
            lab::run("btrfs", &["subvolume", "delete", cache.to_str().unwrap()]);
        }
    }

    fn cache(&self) -> std::path::PathBuf {
        self.rig.base.join("@cache")
    }

    fn container(&self, name: &str) -> bool {
        self.rig
            .base
            .join("@containers")
            .join(name)
            .join("rootfs")
            .exists()
    }

    fn template(&self, name: &str) -> bool {
        self.rig.base.join("@templates").join(name).exists()
    }

    /// Calls a tool; the answer, or the word for why not.
    fn call(
        &self,
        door: &str,
        who: Who,
        tool: &str,
        arguments: &Value,
        plan: &str,
    ) -> Result<Value, String> {
        match door {
            "jsonrpc" => self.by_socket(who, tool, arguments, plan),
            "dbus" => self.by_bus(who, tool, arguments, plan),
            _ => self.here(tool, arguments, plan),
        }
    }

    fn by_socket(
        &self,
        who: Who,
        tool: &str,
        arguments: &Value,
        plan: &str,
    ) -> Result<Value, String> {
        let mut params = json!({ "name": tool, "arguments": arguments });
        if !plan.is_empty() {
            params["plan"] = json!(plan);
        }
        let request =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools.call", "params": params });
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
            s.sendall(sys.argv[2].encode())\nprint(s.makefile().readline())";
        let python = rig::bus::python("import socket").expect("Python");
        let mut command = as_who(who, &python);
        command
            .arg("-c")
            .arg(script)
            .arg(&self.daemon.jsonrpc)
            .arg(request.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
        match &answer["error"] {
            Value::Null => Ok(answer["result"].clone()),
            error => Err(error["data"]["code"]
                .as_str()
                .unwrap_or("no code")
                .to_owned()),
        }
    }

    fn by_bus(&self, who: Who, tool: &str, arguments: &Value, plan: &str) -> Result<Value, String> {
        self.by_bus_until(who, tool, arguments, plan)
            .map_err(|(code, _)| code)
    }

    /// The error with its text.
    fn by_bus_until(
        &self,
        who: Who,
        tool: &str,
        arguments: &Value,
        plan: &str,
    ) -> Result<Value, (String, String)> {
        let output = self.asking(who, tool, arguments, plan).output().unwrap();
        answered(&output)
    }

    /// A caller by the bus, not yet begun.
    fn asking(&self, who: Who, tool: &str, arguments: &Value, plan: &str) -> Command {
        let script = "import dbus, json, sys\nbus = dbus.SystemBus()\n\
            call = bus.get_object('org.opdbus1', '/org/opdbus1').get_dbus_method('Call', 'org.opdbus1.Tools')\n\
            options = dbus.Dictionary({'plan': sys.argv[3]} if sys.argv[3] else {}, signature='sv')\n\
            try: print(call(sys.argv[1], sys.argv[2], options, timeout=60))\n\
            except dbus.DBusException as error:\n    print(json.dumps([error.get_dbus_name(), error.get_dbus_message()]))";
        let mut command = self
            .bus
            .script(who, script, &[tool, &arguments.to_string(), plan]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn here(&self, tool: &str, arguments: &Value, plan: &str) -> Result<Value, String> {
        let arguments = arguments.to_string();
        let mut all = vec!["--here", "tool", "call", tool, &arguments];
        if !plan.is_empty() {
            all.extend(["--plan", plan]);
        }
        let ended = self.rig.json(&all);
        match ended.status {
            0 => Ok(ended.json()),
            _ if ended.err.contains("has to be confirmed")
                || ended.out.contains("has to be confirmed") =>
            {
                Err("unconfirmed".to_owned())
            }
            _ => Err(format!("{ended:?}")),
        }
    }

    /// The ledger's entries after so many.
    fn entries_after(&self, count: usize) -> Vec<Value> {
        self.rig.ledger(&[]).split_off(count)
    }

    /// Asserts that since then there is one entry, of a refusal.
    #[track_caller]
    fn assert_refused(&self, count: usize, door: &str, name: &str, who: Who, tool: &str) -> Value {
        let mut new = self.entries_after(count);
        assert_eq!(new.len(), 1, "{door} {name} {tool}: {new:#?}");
        let entry = new.remove(0);
        assert_eq!(entry["operation"], tool);
        assert_eq!(entry["metadata"]["outcome"], "refused", "{entry:#}");
        assert_eq!(
            entry["metadata"]["actor"],
            json!({ "uid": who.uid, "name": name, "door": door })
        );
        entry
    }

    /// Asserts that nina is not let write, and why.
    #[track_caller]
    fn assert_polkit_refuses(&self, because: &str) {
        self.damage();
        let count = self.rig.ledger(&[]).len();
        let nina = person("nina");
        let ended = self.by_bus_until(nina, "state_apply", &json!({}), "");
        let (code, text) = ended.expect_err("it was done");
        assert_eq!(code, "refused", "{text}");
        assert!(text.contains(because), "{because}: {text}");
        assert!(
            !self.cache().exists(),
            "{because}: it was done all the same"
        );
        let entry = self.assert_refused(count, "dbus", "nina", nina, "state_apply");
        assert!(
            entry["metadata"]["error"]
                .as_str()
                .unwrap()
                .contains(because),
            "{entry:#}"
        );
    }
}

/// What a caller by the bus was answered.
fn answered(output: &Output) -> Result<Value, (String, String)> {
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
    let Some(error) = answer.as_array() else {
        return Ok(answer);
    };
    let name = error[0].as_str().unwrap();
    let code = match name.strip_prefix("org.opdbus1.Error.") {
        Some("Refused") => "refused",
        Some("Unconfirmed") => "unconfirmed",
        _ => name,
    };
    Err((code.to_owned(), error[1].as_str().unwrap().to_owned()))
}

/// Puts the test's people among those that the machine knows.
fn people(directory: &Path) {
    let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut group = fs::read_to_string("/etc/group").unwrap();
    // Whoever of the real host has such a group is nobody here.
    group = group
        .lines()
        .filter(|line| !line.starts_with("opdbus:"))
        .map(|line| format!("{line}\n"))
        .collect();
    for (name, who, _) in PEOPLE.iter().filter(|(_, who, _)| who.uid != 0) {
        passwd.push_str(&format!("{name}:x:{0}:{0}::/:/bin/false\n", who.uid));
    }
    group.push_str("opdbus:x:60000:\nwatchers:x:60010:vera\nwardens:x:60011:nobody,ada\n");
    for (name, text) in [("passwd", passwd), ("group", group)] {
        let file = directory.join(name);
        fs::write(&file, text).unwrap();
        over(&file, Path::new("/etc").join(name).as_path());
    }
}

/// Puts a file or directory where another one is, for this test only.
fn over(what: &Path, place: &Path) {
    lab::run(
        "mount",
        &["--bind", what.to_str().unwrap(), place.to_str().unwrap()],
    );
}

/// The mock of polkit, which allows what it is told to.
struct Mock<'a> {
    bus: &'a Bus,
    process: Kept,
}

impl<'a> Mock<'a> {
    fn start(bus: &'a Bus) -> Option<Self> {
        let Some(python) = rig::bus::python("import dbus, gi, dbusmock") else {
            lab::skip("needs python3-dbusmock");
            return None;
        };
        let process = bus
            .command(ROOT, &python)
            .args(["-m", "dbusmock", "--template", "polkitd"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Kept(process);
        bus.wait_for(POLKIT);
        Some(Self { bus, process })
    }

    fn tell(&self, method: &str, values: &[&str]) {
        let mut all = vec![
            "--system",
            "call",
            POLKIT,
            AUTHORITY,
            "org.freedesktop.DBus.Mock",
            method,
        ];
        all.extend(values);
        self.bus.run(ROOT, "busctl", &all).expect(0);
    }

    /// Allows what this role may do.
    fn allow(&self, role: &str) {
        let actions = match role {
            "none" => &[][..],
            "viewer" => &["org.opdbus1.read"],
            "operator" => &["org.opdbus1.read", "org.opdbus1.write"],
            _ => &[
                "org.opdbus1.read",
                "org.opdbus1.write",
                "org.opdbus1.destroy",
            ],
        };
        let count = actions.len().to_string();
        let mut values = vec!["as", count.as_str()];
        values.extend(actions);
        self.tell("SetAllowed", &values);
    }

    /// Waits until it keeps somebody waiting.
    fn wait_until_asked(&self) {
        let values = [
            "--system",
            "call",
            POLKIT,
            AUTHORITY,
            "org.freedesktop.DBus.Mock",
            "HaveHangingCalls",
        ];
        wait_for("polkit to be asked", SOON, || {
            self.bus
                .run(ROOT, "busctl", &values)
                .expect(0)
                .out
                .contains("true")
                .then_some(())
        });
    }

    /// Answers with this, in Python, from now on.
    fn answer(&self, python: &str) {
        let check = "CheckAuthorization";
        let interface = "org.freedesktop.PolicyKit1.Authority";
        self.tell(
            "AddMethod",
            &[
                "sssss",
                interface,
                check,
                "(sa{sv})sa{ss}us",
                "(bba{ss})",
                python,
            ],
        );
    }
}

#[test]
fn each_door_gives_each_role_its_rights_and_no_more() {
    /// One for each that may destroy one.
    const CONTAINERS: usize = 5;
    let Some(host) = Host::new(CONTAINERS) else {
        return;
    };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    let mut cases: Vec<(&str, &str, Who, &str)> = vec![("cli", "root", ROOT, "admin")];
    for door in ["jsonrpc", "dbus"] {
        cases.extend(
            PEOPLE
                .iter()
                .map(|(name, who, role)| (door, *name, *who, *role)),
        );
    }
    let mut next = 0;
    for (door, name, who, role) in cases {
        let rank = ROLES.iter().position(|known| *known == role).unwrap();
        mock.allow(role);
        let refused = Err("refused".to_owned());
        let case = format!("{name} ({role}) by {door}");

        // What reads leaves no trace.
        let count = host.rig.ledger(&[]).len();
        for tool in ["state_verify", "template_list", "ledger_log"] {
            let read = host.call(door, who, tool, &json!({}), "");
            match rank >= 1 {
                true => assert!(read.is_ok(), "{case} {tool}: {read:?}"),
                false => assert_eq!(read, refused, "{case} {tool}"),
            }
        }
        assert_eq!(host.rig.ledger(&[]).len(), count, "{case}");

        // What writes.
        host.damage();
        let count = host.rig.ledger(&[]).len();
        let wrote = host.call(door, who, "state_apply", &json!({}), "");
        assert_eq!(host.cache().exists(), rank >= 2, "{case}: {wrote:?}");
        if rank >= 2 {
            let entry = host.entries_after(count).pop().unwrap();
            assert_eq!(wrote.unwrap()["outcome"], "applied", "{case}");
            assert_eq!(entry["operation"], "state_apply", "{entry:#}");
            assert_eq!(entry["metadata"]["outcome"], "done", "{entry:#}");
            assert_eq!(
                entry["metadata"]["actor"],
                json!({ "uid": who.uid, "name": name, "door": door })
            );
        } else {
            assert_eq!(wrote, refused, "{case}");
            host.assert_refused(count, door, name, who, "state_apply");
        }

        // What destroys: never without the plan's hash, and not with it for want of the right.
        let container = format!("c{next}");
        let arguments = json!({ "name": container });
        let dry = format!("name={container}");
        let plan = host.rig.json(&[
            "--here",
            "tool",
            "call",
            "container_destroy",
            &dry,
            "--dry-run",
        ]);
        let plan = plan.expect(0).json()["plan_hash"]
            .as_str()
            .unwrap()
            .to_owned();
        let count = host.rig.ledger(&[]).len();
        let unbound = host.call(door, who, "container_destroy", &arguments, "");
        let word = if rank >= 3 { "unconfirmed" } else { "refused" };
        assert_eq!(unbound, Err(word.to_owned()), "{case}");
        host.assert_refused(count, door, name, who, "container_destroy");
        assert!(host.container(&container), "{case}");
        let count = host.rig.ledger(&[]).len();
        let bound = host.call(door, who, "container_destroy", &arguments, &plan);
        if rank >= 3 {
            assert_eq!(bound.unwrap()["outcome"], "applied", "{case}");
            assert!(!host.container(&container), "{case}");
            next += 1;
        } else {
            assert_eq!(bound, refused, "{case}");
            host.assert_refused(count, door, name, who, "container_destroy");
            assert!(host.container(&container), "{case}");
        }

        // A tool that writes, and for more than writing: only for admins.
        let file = host
            .rig
            .machine
            .dir()
            .join("files")
            .join(format!("{door}-{name}"));
        let arguments = json!({ "path": file, "content": "swordfish" });
        let count = host.rig.ledger(&[]).len();
        let wrote = host.call(door, who, "file_write", &arguments, "");
        assert_eq!(wrote.is_ok(), rank >= 3, "{case}: {wrote:?}");
        assert_eq!(file.exists(), rank >= 3, "{case}");
        let entries = host.entries_after(count);
        assert_eq!(entries.len(), 1, "{case}: {entries:#?}");
        assert_eq!(
            entries[0]["metadata"]["arguments"]["content"], "redacted",
            "{:#}",
            entries[0]
        );
    }
    let ledger = json!(host.rig.ledger(&[])).to_string();
    assert!(!ledger.contains("swordfish"), "a secret is in the ledger");
    host.rig.json(&["ledger", "verify"]).expect(0);
}

#[test]
fn even_what_can_be_built_again_goes_only_by_its_plan() {
    let Some(host) = Host::new(1) else { return };
    let text = fs::read_to_string(&host.rig.file).unwrap();
    fs::write(&host.rig.file, text.replace(", old: {recipe: busybox}", "")).unwrap();
    let name = json!({ "name": "old" });
    let cases = [
        ("jsonrpc", "ada", "unconfirmed"),
        ("jsonrpc", "oscar", "refused"),
        ("cli", "root", "unconfirmed"),
    ];
    for (door, who, word) in cases {
        let count = host.rig.ledger(&[]).len();
        let ended = host.call(door, person(who), "template_destroy", &name, "");
        assert_eq!(ended, Err(word.to_owned()), "{who} by {door}");
        host.assert_refused(count, door, who, person(who), "template_destroy");
        assert!(host.template("old"), "{who} by {door}");
    }
}

#[test]
fn what_is_refused_is_kept_without_its_secrets() {
    let Some(host) = Host::new(0) else { return };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    mock.allow("viewer");
    let viola = person("viola");
    let arguments = json!({
        "token": "swordfish",
        "Root-Password": { "value": "swordfish" },
        "list": [{ "private_key": "swordfish" }],
        "text": "swordfish".repeat(200),
        "name": "harmless",
    });
    for door in ["jsonrpc", "dbus"] {
        let count = host.rig.ledger(&[]).len();
        let ended = host.call(door, viola, "state_apply", &arguments, "");
        assert_eq!(ended, Err("refused".to_owned()));
        let entry = host.assert_refused(count, door, "viola", viola, "state_apply");
        assert_eq!(entry["metadata"]["arguments"]["name"], "harmless");
        assert!(!entry.to_string().contains("swordfish"), "{entry:#}");
    }
}

#[test]
fn no_argument_keeps_a_refusal_out_of_the_ledger_or_fills_it() {
    let Some(host) = Host::new(0) else { return };
    let Some(mock) = Mock::start(&host.bus) else {
        return;
    };
    mock.allow("viewer");
    let viola = person("viola");
    let many: Vec<_> = (0..20_000).collect();
    let strange = [
        json!({ "number": 1e300 }),
        json!({ "number": u64::MAX, "list": [i64::MIN] }),
        json!({ "text": "\u{0}\u{1b}[2J\u{202e}" }),
        json!({ "many": many }),
        json!({ "name": "x".repeat(50_000) }),
        json!([1, 2, 3]),
        json!("text"),
    ];
    for door in ["jsonrpc", "dbus"] {
        for arguments in &strange {
            let count = host.rig.ledger(&[]).len();
            let ended = host.call(door, viola, "state_apply", arguments, "");
            assert_eq!(ended, Err("refused".to_owned()), "{door}");
            let entry = host.assert_refused(count, door, "viola", viola, "state_apply");
            assert!(
                entry.to_string().len() < 20_000,
                "{} bytes",
                entry.to_string().len()
            );
        }
    }
    // The same holds for a hash that is none.
    let count = host.rig.ledger(&[]).len();
    let ended = host.call(
        "jsonrpc",
        viola,
        "state_apply",
        &json!({}),
        &"0".repeat(50_000),
    );
    assert!(ended.is_err(), "{ended:?}");
    assert!(json!(host.entries_after(count)).to_string().len() < 20_000);
    host.rig.json(&["ledger", "verify"]).expect(0);
}

#[test]
fn who_does_not_get_to_the_socket_is_not_served() {
    let Some(host) = Host::new(0) else { return };
    let Some(python) = rig::bus::python("import socket") else {
        return;
    };
    let connect = "import socket, sys\nsocket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    for (groups, gets) in [("60000", true), ("60010", false)] {
        let who = Who {
            uid: 60_004,
            groups,
        };
        for socket in [&host.daemon.jsonrpc, &host.daemon.api] {
            let mut command = as_who(who, &python);
            let output = command.arg("-c").arg(connect).arg(socket).output().unwrap();
            assert_eq!(
                output.status.success(),
                gets,
                "{groups} {}",
                socket.display()
            );
        }
    }
}

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
    assert!(begun.elapsed() < Duration::from_secs(20));
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

#[test]
fn roles_change_with_the_declaration_at_once() {
    let Some(host) = Host::new(0) else { return };
    let oscar = person("oscar");
    let read = || host.call("jsonrpc", oscar, "state_plan", &json!({}), "");
    read().unwrap();
    let text = fs::read_to_string(&host.rig.file).unwrap();
    fs::write(&host.rig.file, text.replace("users: [oscar]", "users: []")).unwrap();
    assert_eq!(read(), Err("refused".to_owned()));
    // A bad declaration gives nobody but root a role.
    fs::write(
        &host.rig.file,
        text.replace("reconcile: observe", "reconcile: sometimes"),
    )
    .unwrap();
    assert_eq!(read(), Err("refused".to_owned()));
    fs::write(&host.rig.file, text).unwrap();
    read().unwrap();
}
