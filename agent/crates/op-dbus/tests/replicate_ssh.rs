//! Replication to a real sshd.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{run, wait_for};
use rig::{Ended, Rig};

const SSHD: &str = "/usr/sbin/sshd";
const PORT: u16 = 2222;
const SHORT: Duration = Duration::from_secs(30);

struct Sshd {
    child: Child,
    directory: PathBuf,
}

impl Sshd {
    /// One that lets `key` do one thing: receive into `far`.
    fn start(rig: &Rig, far: &Path) -> Option<Self> {
        if !Path::new(SSHD).exists() || !lab::has("ssh") {
            lab::skip("needs openssh-server and openssh-client");
            return None;
        }
        let directory = rig.machine.dir().join("ssh");
        fs::create_dir(&directory).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        for key in ["host", "key", "stranger"] {
            let path = directory.join(key);
            run(
                "ssh-keygen",
                &[
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-f",
                    path.to_str().unwrap(),
                ],
            );
        }
        let public = |key: &str| fs::read_to_string(directory.join(format!("{key}.pub"))).unwrap();
        let program = env!("CARGO_BIN_EXE_op-dbus");
        let allowed = format!(
            "restrict,command=\"{program} receive {}\" {}",
            far.display(),
            public("key")
        );
        fs::write(directory.join("authorized_keys"), allowed).unwrap();
        fs::write(
            directory.join("known_hosts"),
            format!("[127.0.0.1]:{PORT} {}", public("host")),
        )
        .unwrap();
        fs::write(
            directory.join("other_hosts"),
            format!("[127.0.0.1]:{PORT} {}", public("stranger")),
        )
        .unwrap();
        let at = |file: &str| directory.join(file).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{PORT}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            at("host"),
            at("authorized_keys"),
        );
        fs::write(directory.join("config"), config).unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let child = Command::new(SSHD)
            .args(["-D", "-e", "-f", &at("config")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self { child, directory };
        wait_for("sshd", SHORT, || {
            TcpStream::connect(("127.0.0.1", PORT)).ok()
        });
        Some(sshd)
    }

    fn declare(&self, rig: &Rig, path: &Path, key: &str, hosts: &str) {
        let (key, hosts) = (self.directory.join(key), self.directory.join(hosts));
        let keys = format!(
            "replication:\n  targets:\n    far:\n      path: {}\n      ssh: {{host: 127.0.0.1, port: {PORT}, \
             identityFile: {}, knownHostsFile: {}}}\n",
            path.display(),
            key.display(),
            hosts.display()
        );
        rig.declare_top(&keys, "");
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "{}",
                fs::read_to_string(self.directory.join("log")).unwrap_or_default()
            );
        }
    }
}

fn snapshot(rig: &Rig, name: &str) {
    let place = rig.base.join("@snapshots").join(name);
    fs::create_dir(&place).unwrap();
    for subvolume in ["@state", "@timing"] {
        btrfs::snapshot(rig.base.join(subvolume), place.join(subvolume), true).unwrap();
    }
}

#[test]
fn snapshots_go_to_another_host_and_nowhere_else() {
    let Some(rig) = Rig::storage(256) else {
        return;
    };
    let far = rig.machine.btrfs(256).join("replica");
    fs::create_dir(&far).unwrap();
    let Some(sshd) = Sshd::start(&rig, &far) else {
        return;
    };
    sshd.declare(&rig, &far, "key", "known_hosts");
    rig.apply();
    snapshot(&rig, "one");
    let first = rig.json(&["replicate", "far"]).expect(0).json();
    assert_eq!(first["sent"].as_array().unwrap().len(), 2, "{first:#}");
    assert!(
        first["sent"][1]["checked"]
            .as_str()
            .unwrap()
            .starts_with("ledger verified")
    );
    fs::write(rig.base.join("@state/file"), "new").unwrap();
    snapshot(&rig, "two");
    let second = rig.json(&["replicate", "far"]).expect(0).json();
    assert_eq!(second["sent"][0]["parent"], "one", "{second:#}");
    let near = rig.base.join("@snapshots/two/@state");
    let copy = far.join("two/@state");
    run(
        "diff",
        &["-r", near.to_str().unwrap(), copy.to_str().unwrap()],
    );

    // The forced command receives where it says, wherever the sending end would like to have it.
    let elsewhere = far.parent().unwrap().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    sshd.declare(&rig, &elsewhere, "key", "known_hosts");
    assert_eq!(
        rig.json(&["replicate", "far"]).expect(0).json()["outcome"],
        "unchanged"
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);

    // A host that is another one, and a key that nobody knows.
    sshd.declare(&rig, &far, "key", "other_hosts");
    let ended = rig.run(&["replicate", "far"]).expect(1);
    assert!(
        ended.err.contains("Host key verification failed"),
        "{ended:?}"
    );
    sshd.declare(&rig, &far, "stranger", "known_hosts");
    let ended = rig.run(&["replicate", "far"]).expect(1);
    assert!(ended.err.contains("Permission denied"), "{ended:?}");
}

#[test]
fn a_host_that_goes_away_has_nothing_half_received() {
    let Some(rig) = Rig::storage(512) else {
        return;
    };
    let far = rig.machine.btrfs(512).join("replica");
    fs::create_dir(&far).unwrap();
    let Some(mut sshd) = Sshd::start(&rig, &far) else {
        return;
    };
    sshd.declare(&rig, &far, "key", "known_hosts");
    rig.apply();
    let random = fs::File::open("/dev/urandom").unwrap();
    let mut large = fs::File::create(rig.base.join("@state/large")).unwrap();
    std::io::copy(&mut std::io::Read::take(random, 150 << 20), &mut large).unwrap();
    snapshot(&rig, "one");
    let mut command = rig.command(&["replicate", "far"]);
    let child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the transfer", SHORT, || {
        far.join(".incoming-one").exists().then_some(())
    });
    // The session on the far host dies.
    let sessions = lab::output("pgrep", &["-P", &sshd.child.id().to_string()]).stdout;
    for session in String::from_utf8(sessions).unwrap().lines() {
        run("kill", &["-9", session]);
    }
    let ended = Ended::of(child).expect(1);
    assert!(ended.err.contains("far end"), "{ended:?}");
    wait_for("an empty far end", SHORT, || {
        (fs::read_dir(&far).unwrap().count() == 0).then_some(())
    });
    let done = rig.json(&["replicate", "far"]).expect(0).json();
    assert_eq!(done["outcome"], "done", "{done:#}");
    sshd.child.kill().unwrap();
    // Only then does nobody listen any more.
    sshd.child.wait().unwrap();
    let ended = rig.run(&["replicate", "far"]).expect(1);
    assert!(ended.err.contains("Connection refused"), "{ended:?}");
}
