//! A private Open vSwitch: its own database, sockets and daemons.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{run, wait_for};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// `ovsdb-server` and `ovs-vswitchd` of one test, stopped with it.
pub struct Ovs {
    run_dir: PathBuf,
    database: Option<Child>,
    switch: Option<Child>,
}

impl Ovs {
    pub(crate) fn start(run_dir: PathBuf) -> Self {
        std::fs::create_dir_all(&run_dir).expect("run directory");
        let file = run_dir.join("conf.db");
        run(
            "ovsdb-tool",
            &["create", file.to_str().expect("text"), SCHEMA],
        );
        let mut ovs = Self {
            run_dir,
            database: None,
            switch: None,
        };
        ovs.start_database();
        ovs.vsctl(&["--no-wait", "init"]);
        ovs.start_switch();
        ovs
    }

    /// The directory of its sockets: `db.sock`, `BRIDGE.mgmt`.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// The database's socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir.join("db.sock")
    }

    /// Starts the database server and waits until it answers.
    pub fn start_database(&mut self) {
        let remote = format!("--remote=punix:{}", self.socket().display());
        let file = self.run_dir.join("conf.db");
        self.database = Some(self.daemon("ovsdb-server", &[&remote, &file.to_string_lossy()]));
        let socket = self.socket();
        wait_for("ovsdb-server listens", Duration::from_secs(60), || {
            std::os::unix::net::UnixStream::connect(&socket).ok()
        });
    }

    /// Starts the switch and waits until it answers.
    pub fn start_switch(&mut self) {
        let remote = format!("unix:{}", self.socket().display());
        self.switch = Some(self.daemon("ovs-vswitchd", &["--disable-system", &remote]));
        let control = self.run_dir.join("ovs-vswitchd.ctl");
        let control = control.to_str().expect("text");
        wait_for("ovs-vswitchd answers", Duration::from_secs(60), || {
            let output = crate::output("ovs-appctl", &["-t", control, "version"]);
            output.status.success().then_some(())
        });
    }

    /// Kills the database server (SIGKILL) and waits for its end.
    pub fn kill_database(&mut self) {
        stop(&mut self.database);
    }

    /// Kills the switch (SIGKILL) and waits for its end.
    pub fn kill_switch(&mut self) {
        stop(&mut self.switch);
        let _ = std::fs::remove_file(self.run_dir.join("ovs-vswitchd.ctl"));
    }

    /// `ovs-vsctl` on this database; panics if it fails.
    pub fn vsctl(&self, arguments: &[&str]) -> String {
        let db = format!("--db=unix:{}", self.socket().display());
        let mut all = vec![db.as_str(), "--timeout=60"];
        all.extend(arguments);
        run("ovs-vsctl", &all)
    }

    /// The names of its bridges, one a line.
    pub fn bridges(&self) -> String {
        self.vsctl(&["list-br"]).trim().to_owned()
    }

    /// `ovs-ofctl -O OpenFlow13 COMMAND BRIDGE …` on this switch; panics if it fails. The bridge, the
    /// second argument, is turned into its management socket.
    pub fn ofctl(&self, arguments: &[&str]) -> String {
        let bridge = arguments.get(1).expect("a command and a bridge");
        let socket = format!("unix:{}/{bridge}.mgmt", self.run_dir.display());
        let mut all = vec!["-O", "OpenFlow13", arguments[0], &socket];
        all.extend(&arguments[2..]);
        run("ovs-ofctl", &all)
    }

    fn daemon(&self, program: &str, arguments: &[&str]) -> Child {
        let log = std::fs::File::create(self.run_dir.join(format!("{program}.log"))).expect("log");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(format!(
                "--unixctl={}/{program}.ctl",
                self.run_dir.display()
            ))
            .arg("-vfile:off")
            .env("OVS_RUNDIR", &self.run_dir)
            .env("OVS_DBDIR", &self.run_dir)
            .env("OVS_LOGDIR", &self.run_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        #[allow(unsafe_code)]
        // SAFETY: prctl is async-signal-safe and touches only the child.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(
                    rustix::process::Signal::KILL,
                ))?;
                Ok(())
            });
        }
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }
}

fn stop(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Ovs {
    fn drop(&mut self) {
        stop(&mut self.switch);
        stop(&mut self.database);
    }
}
