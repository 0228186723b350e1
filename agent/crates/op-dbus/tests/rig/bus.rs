//! A system bus of a test's own, and those who come to the daemon by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{has, output, skip, wait_for};

use super::daemon::Daemon;
use super::{Ended, Rig};

/// The daemon's name.
pub const NAME: &str = "org.opdbus1";
/// Where its interfaces are.
pub const PATH: &str = "/org/opdbus1";

/// The policy that is shipped.
const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../images/debian/org.opdbus1.conf"
);

/// That of the agents.
const AGENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../images/debian/org.dbusmcp.Agent.conf"
);

/// As on a host; dbus-daemon's own would be lower.
const LIMITS: &str = r#"<limit name="max_replies_per_connection">50000</limit>"#;

/// Everybody may do everything.
const OPEN: &str = r#"<policy context="default"><allow user="*"/><allow own="*"/>
  <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy>"#;

/// As on a host: nobody owns a name or calls anybody, but for what the shipped policy adds.
const STRICT: &str = r#"<policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
  <allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
  <allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus"/></policy>
  <policy user="root"><allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>"#;

/// Somebody who comes by the bus.
#[derive(Debug, Clone, Copy)]
pub struct Who {
    pub uid: u32,
    /// The groups beside that of the same number.
    pub groups: &'static str,
}

/// The administrator.
pub const ROOT: Who = Who { uid: 0, groups: "" };
/// Nobody of importance.
pub const NOBODY: Who = Who {
    uid: 65_534,
    groups: "",
};

/// A bus that ends with the test.
pub struct Bus {
    child: Child,
    socket: PathBuf,
    python: String,
}

impl Bus {
    /// A bus where everybody may do everything; `None`, and the test is skipped, without what it takes.
    pub fn open(rig: &Rig) -> Option<Self> {
        Self::start(rig, OPEN)
    }

    /// A bus with the shipped policy, and as strict as that of a host besides.
    pub fn strict(rig: &Rig) -> Option<Self> {
        Self::start(
            rig,
            &format!("{STRICT}<include>{SHIPPED}</include><include>{AGENTS}</include>"),
        )
    }

    fn start(rig: &Rig, policy: &str) -> Option<Self> {
        for program in ["dbus-daemon", "busctl", "gdbus", "setpriv"] {
            if !has(program) {
                skip(&format!("needs {program}"));
                return None;
            }
        }
        let Some(python) = python("import dbus, gi") else {
            skip("needs python3-dbus and python3-gi");
            return None;
        };
        let socket = rig.machine.dir().join("bus.sock");
        let config = rig.machine.dir().join("bus.conf");
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>{LIMITS}{policy}</busconfig>",
            socket.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        let bus = Self {
            child,
            socket,
            python,
        };
        wait_for("the bus", Duration::from_secs(60), || {
            std::os::unix::net::UnixStream::connect(&bus.socket).ok()
        });
        Some(bus)
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket.display())
    }

    /// A daemon that serves this bus.
    pub fn daemon(&self, rig: &Rig) -> Daemon {
        let address = self.address();
        Daemon::start_with(rig, &[], |command| {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
        })
    }

    /// A command of somebody on the bus.
    pub fn command(&self, who: Who, program: &str) -> Command {
        let mut command = as_who(who, program);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.address());
        command
    }

    pub fn run(&self, who: Who, program: &str, arguments: &[&str]) -> Ended {
        super::end(self.command(who, program).args(arguments))
    }

    /// A script, begun.
    pub fn script(&self, who: Who, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(who, &self.python);
        command.arg("-c").arg(script).args(arguments);
        command
    }

    pub fn python(&self, who: Who, script: &str, arguments: &[&str]) -> Ended {
        super::end(&mut self.script(who, script, arguments))
    }

    /// `busctl call` of a method, with types and values; what it prints.
    pub fn call(&self, interface: &str, method: &str, values: &[&str]) -> Ended {
        let interface = format!("{NAME}.{interface}");
        let mut all = vec!["--system", "call", NAME, PATH, &interface, method];
        all.extend(values);
        self.run(ROOT, "busctl", &all)
    }

    /// `gdbus call` of a method with values in its own notation; it tells errors by name.
    pub fn gdbus(&self, who: Who, interface: &str, method: &str, values: &[&str]) -> Ended {
        let method = format!("{NAME}.{interface}.{method}");
        let mut all = vec!["call", "--system", "--timeout", "60", "--dest", NAME];
        all.extend(["--object-path", PATH, "--method", &method]);
        all.extend(values);
        self.run(who, "gdbus", &all)
    }

    /// Whether somebody has a name.
    pub fn has(&self, name: &str) -> bool {
        let asked = self.run(
            ROOT,
            "gdbus",
            &[
                "call",
                "--system",
                "--dest",
                "org.freedesktop.DBus",
                "--object-path",
                "/org/freedesktop/DBus",
                "--method",
                "org.freedesktop.DBus.NameHasOwner",
                name,
            ],
        );
        asked.out.contains("true")
    }

    pub fn wait_for(&self, name: &str) {
        wait_for(name, Duration::from_secs(60), || {
            self.has(name).then_some(())
        });
    }

    /// Another bus comes at the same address.
    pub fn start_again(&mut self) {
        let _ = fs::remove_file(&self.socket);
        let config = self.socket.with_extension("conf");
        self.child = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
    }

    /// The bus dies.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of somebody, with no rights but theirs.
pub fn as_who(who: Who, program: &str) -> Command {
    if who.uid == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", who.uid))
        .arg(format!("--regid={}", who.uid));
    match who.groups {
        "" => command.arg("--clear-groups"),
        groups => command.arg(format!("--groups={groups}")),
    };
    command.arg("--inh-caps=-all").arg(program).current_dir("/");
    command
}

/// The Python that can do this; a host may have several, and `scripts/python.sh` fetches what Debian may not have.
pub fn python(imports: &str) -> Option<String> {
    let fetched = std::env::var("OP_DBUS_PYTHON").ok();
    // One that others than root get to comes first.
    let known = ["/usr/bin/python3", "python3"].map(str::to_owned);
    let can = |python: &String| {
        (has(python) || Path::new(python).is_file())
            && output(python, &["-c", imports]).status.success()
    };
    known.into_iter().chain(fetched).find(can)
}
