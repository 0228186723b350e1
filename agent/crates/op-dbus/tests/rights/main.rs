//! Who may do what through which door: everything but a clear yes changes nothing and is in the ledger.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod polkit;
mod refusals;
#[path = "../rig/mod.rs"]
mod rig;
mod roles;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::{Kept, wait_for};
use rig::Rig;
use rig::bus::{Bus, ROOT, Who, as_who};
use rig::daemon::Daemon;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
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
const ACTIONS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../images/debian/org.opdbus1.policy"
);

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
