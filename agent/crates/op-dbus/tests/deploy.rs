//! Versions of the web server: installed beside each other, switched, and taken back, on btrfs and as overlays.

#![allow(clippy::unwrap_used)]

mod rig;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rig::bus::{Who, as_who};
use rig::{Ended, Rig};
use serde_json::{Value, json};

/// The program of this tree with something behind it that it does not read: another version.
fn version(directory: &Path, mark: &str) -> PathBuf {
    let path = directory.join(mark);
    let (program, copy) = (env!("CARGO_BIN_EXE_op-dbus"), path.to_str().unwrap());
    // Most of it is for debuggers, and each step reads all of it.
    match lab::has("strip") {
        true => drop(lab::run("strip", &["-o", copy, program])),
        false => drop(fs::copy(program, copy).unwrap()),
    }
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(mark.as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A host with a ledger, and a place for versions on each kind of file system.
fn host() -> Option<(Rig, [PathBuf; 2])> {
    let rig = Rig::storage(512)?;
    rig.declare("");
    rig.apply();
    let tmpfs = rig.machine.dir().join("tmpfs");
    fs::create_dir(&tmpfs).unwrap();
    lab::run("mount", &["-t", "tmpfs", "tmpfs", tmpfs.to_str().unwrap()]);
    let on_btrfs = rig.base.parent().unwrap().join("chat");
    Some((rig, [on_btrfs, tmpfs.join("chat")]))
}

fn web(rig: &Rig, directory: &Path, words: &[&str]) -> Ended {
    let mut arguments = vec!["--json", "--yes", "web"];
    arguments.extend(words);
    arguments.extend(["--directory", directory.to_str().unwrap()]);
    rig.run(&arguments)
}

fn deploy(rig: &Rig, directory: &Path, program: &Path) -> Value {
    web(
        rig,
        directory,
        &["deploy", "--from", program.to_str().unwrap()],
    )
    .expect(0)
    .json()
}

fn serves(directory: &Path) -> Vec<u8> {
    fs::read(directory.join("current/bin/mcp-chat")).unwrap()
}

#[test]
fn a_version_is_deployed_and_another_and_the_first_comes_back() {
    let Some((rig, directories)) = host() else {
        return;
    };
    let [one, two] = ["one", "two"].map(|mark| version(rig.machine.dir(), mark));
    for (directory, store) in directories.iter().zip(["btrfs", "overlay"]) {
        let before = rig.ledger(&[]).len();
        let words = ["deploy", "--dry-run", "--from", one.to_str().unwrap()];
        let plan = web(&rig, directory, &words).expect(0).json();
        assert_eq!(plan["summary"]["create"], 2, "{plan:#}");
        assert!(!directory.exists());

        let first = deploy(&rig, directory, &one);
        assert_eq!(first["outcome"], "deployed");
        assert_eq!(first["previous"], Value::Null);
        assert_eq!(serves(directory), fs::read(&one).unwrap());
        let again = deploy(&rig, directory, &one);
        assert_eq!(again["outcome"], "unchanged");
        let second = deploy(&rig, directory, &two);
        assert_eq!(second["previous"], first["name"]);
        assert_eq!(serves(directory), fs::read(&two).unwrap());

        // What serves runs, and brings the schema that it reads.
        let current = directory.join("current");
        let program = current.join("bin/op-dbus");
        let said = lab::run(program.to_str().unwrap(), &["--version"]);
        assert!(said.contains("op-dbus"), "{said}");
        let schema = fs::read(current.join("config/declaration.schema.json")).unwrap();
        assert!(serde_json::from_slice::<Value>(&schema).unwrap()["$defs"].is_object());

        let manifest = directory.join("deployment-manifest.json");
        let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
        let listed = web(&rig, directory, &["deployments"]).expect(0).json();
        assert_eq!(listed, manifest);
        assert_eq!(manifest["store"], store);
        assert_eq!(manifest["current"], second["name"]);
        assert_eq!(manifest["previous"], first["name"]);
        assert_eq!(manifest["versions"][1]["deployed_by"], "root");
        assert_eq!(manifest["versions"][0]["source"], json!(one));

        let back = web(&rig, directory, &["rollback"]).expect(0).json();
        assert_eq!(back["outcome"], "rolled-back");
        assert_eq!(back["name"], first["name"]);
        assert_eq!(serves(directory), fs::read(&one).unwrap());
        let ended = web(&rig, directory, &["rollback"]).expect(2);
        assert!(
            ended.out.contains("nothing was deployed before"),
            "{ended:?}"
        );
        // One that is there is switched to, and not copied again.
        deploy(&rig, directory, &two);

        let entries = rig.ledger(&[]);
        let entries: Vec<_> = entries[before..]
            .iter()
            .map(|entry| (entry["operation"].as_str().unwrap(), &entry["target"]))
            .collect();
        assert_eq!(
            entries,
            [
                ("web_deploy", &first["name"]),
                ("web_deploy", &second["name"]),
                ("web_rollback", &first["name"]),
                ("web_deploy", &second["name"]),
            ]
        );
    }
}

#[test]
fn what_would_not_serve_is_not_deployed() {
    let Some((rig, [directory, _])) = host() else {
        return;
    };
    let one = version(rig.machine.dir(), "one");
    let refused = web(&rig, &directory, &["deploy", "--from", "/bin/true"]).expect(2);
    assert!(refused.out.contains("no op-dbus"), "{refused:?}");
    web(&rig, &directory, &["deploy", "--from", "/nowhere"]).expect(2);
    web(&rig, Path::new("/tmp/a:b"), &["deployments"]).expect(2);

    // Without a yes, and without rights, nothing is done.
    let words = |program: &'static str| [program, "web", "deploy", "--directory"];
    let mut command = rig.command(&words("--json"));
    let output = command.arg(&directory).arg("--from").arg(&one).output();
    assert_eq!(output.unwrap().status.code(), Some(3));
    let somebody = Who {
        uid: 60_020,
        groups: "",
    };
    let mut command = as_who(somebody, one.to_str().unwrap());
    let output = command
        .arg("--file")
        .arg(&rig.file)
        .args(words("--yes"))
        .arg(&directory)
        .output();
    assert_eq!(output.unwrap().status.code(), Some(3));
    assert!(!directory.exists());

    deploy(&rig, &directory, &one);
    // A declaration that the new version does not read: the old one goes on.
    let good = fs::read_to_string(&rig.file).unwrap();
    fs::write(&rig.file, format!("{good}web: {{ listen: nowhere }}\n")).unwrap();
    let two = version(rig.machine.dir(), "two");
    let words = ["deploy", "--from", two.to_str().unwrap()];
    let ended = web(&rig, &directory, &words);
    assert_ne!(ended.status, 0, "{ended:?}");
    assert_eq!(serves(&directory), fs::read(&one).unwrap());
    assert_eq!(fs::read_dir(directory.join("versions")).unwrap().count(), 1);
}

#[test]
fn killed_at_any_point_it_goes_on_or_goes_back() {
    let Some((rig, directories)) = host() else {
        return;
    };
    let marks = ["one", "two"].map(|mark| version(rig.machine.dir(), mark));
    for directory in &directories {
        deploy(&rig, directory, &marks[0]);
        for step in 0..6_u64 {
            let program = &marks[usize::try_from(step % 2).unwrap()];
            let mut command = rig.command(&["--yes", "web", "deploy", "--keep", "1", "--from"]);
            command
                .arg(program)
                .arg("--directory")
                .arg(directory)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(Duration::from_millis(80 * step));
            child.kill().unwrap();
            child.wait().unwrap();
            // Whatever it had done, a whole version serves, and it is one of the two.
            let serving = serves(directory);
            assert!(marks.iter().any(|mark| fs::read(mark).unwrap() == serving));
        }
        let done = deploy(&rig, directory, &marks[1]);
        assert!(done["name"].is_string());
        assert_eq!(serves(directory), fs::read(&marks[1]).unwrap());
        let manifest = web(&rig, directory, &["deployments"]).expect(0).json();
        assert_eq!(manifest["trial"], Value::Null);
        let kept = manifest["versions"].as_array().unwrap().len();
        assert_eq!(
            fs::read_dir(directory.join("versions")).unwrap().count(),
            kept
        );
    }
}

#[test]
fn two_at_once_do_not_get_in_each_others_way() {
    let Some((rig, [directory, _])) = host() else {
        return;
    };
    let one = version(rig.machine.dir(), "one");
    fs::create_dir_all(&directory).unwrap();
    let lock = fs::File::create(directory.join(".lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let words = ["deploy", "--from", one.to_str().unwrap()];
    let ended = web(&rig, &directory, &words).expect(3);
    assert!(ended.out.contains("another run is going on"), "{ended:?}");
    drop(lock);
    deploy(&rig, &directory, &one);
}

/// The daemon at the socket where a web server in the container looks for it: both have the same `/run`.
struct Daemon(Child);

impl Daemon {
    fn start(rig: &Rig) -> Self {
        let socket = Path::new("/run/op-dbus/jsonrpc.sock");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let mut command = rig.command(&["daemon", "--no-bus", "--jsonrpc"]);
        command
            .arg(socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = Self(command.spawn().unwrap());
        lab::wait_for("the daemon", Duration::from_secs(60), || {
            UnixStream::connect(socket).ok()
        });
        daemon
    }
}

impl Daemon {
    fn end(&self) {
        let id = i32::try_from(self.0.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A unit as the packaged one, but that a version with BAD at its end does not start.
const UNIT: &str = "[Service]\nType=notify\nNotifyAccess=main\n\
    ExecStartPre=/bin/sh -c '! tail -c 3 /opt/op-dbus/chat/current/bin/op-dbus | grep -q BAD'\n\
    ExecStart=/usr/local/bin/op-dbus --file /etc/op-dbus/state.yaml web\n\
    Restart=on-failure\nRestartSec=100ms\nStateDirectory=op-dbus-web\n";

/// A machine on which systemd runs the web server by that unit, beside a daemon.
struct Served {
    daemon: Daemon,
    systemd: lab::Systemd,
}

impl Served {
    /// With these versions at hand, and these keys in the declaration.
    fn start(rig: &Rig, versions: &[PathBuf], keys: &str) -> Option<Self> {
        let systemd = rig.machine.systemd()?;
        let root = systemd.root();
        // The container has a ledger of its own, which begins as the host's.
        let base = root.join("var/lib/op-dbus");
        fs::create_dir_all(&base).unwrap();
        let timing = rig.base.join("@timing");
        lab::run(
            "cp",
            &["-a", timing.to_str().unwrap(), base.to_str().unwrap()],
        );
        fs::create_dir_all(root.join("etc/op-dbus")).unwrap();
        let declaration =
            format!("version: \"1.0\"\n{keys}plugins: {{ btrfs: {{ base: /var/lib/op-dbus }} }}\n");
        fs::write(root.join("etc/op-dbus/state.yaml"), declaration).unwrap();
        let program = root.join("usr/local/bin/op-dbus");
        fs::copy(env!("CARGO_BIN_EXE_op-dbus"), &program).unwrap();
        for version in versions {
            let name = version.file_name().unwrap();
            fs::copy(version, root.join("usr/local/bin").join(name)).unwrap();
        }
        let daemon = Daemon::start(rig);
        systemd.unit("op-dbus-web.service", UNIT);
        systemd.systemctl(&["start", "op-dbus-web.service"]);
        Some(Self { daemon, systemd })
    }

    /// `op-dbus web` in the container: its status, its answer, and what else it said.
    fn web(&self, words: &[&str]) -> (i32, Value, String) {
        let mut all = vec!["/usr/local/bin/op-dbus", "--json", "--yes"];
        all.extend(["--file", "/etc/op-dbus/state.yaml", "web"]);
        all.extend(words);
        let output = self.systemd.inside(&all);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let noise = String::from_utf8_lossy(&output.stderr).into_owned();
        let status = output.status.code().unwrap_or(-1);
        (
            status,
            serde_json::from_str::<Value>(&said).unwrap_or_default(),
            noise,
        )
    }

    /// Deploys a version that is at hand; its answer.
    #[track_caller]
    fn deploy(&self, version: &str) -> Value {
        let (status, answer, noise) =
            self.web(&["deploy", "--from", &format!("/usr/local/bin/{version}")]);
        assert_eq!(status, 0, "{answer:#} {noise}");
        answer
    }

    /// Deploys a version that will not be well; why not.
    #[track_caller]
    fn fail_to_deploy(&self, version: &str) -> String {
        let program = format!("/usr/local/bin/{version}");
        // On a busy machine it takes some seconds until the server is there, and can say that it is not well.
        let (status, error, noise) = self.web(&["deploy", "--within", "10s", "--from", &program]);
        assert_eq!(status, 1, "{error:#} {noise}");
        error.to_string()
    }

    fn manifest(&self) -> Value {
        self.web(&["deployments"]).1
    }

    fn state(&self) -> String {
        self.systemd
            .systemctl(&["is-active", "op-dbus-web.service"])
    }
}

#[test]
fn the_unit_is_led_to_the_version_and_goes_back_if_it_does_not_serve() {
    let Some((rig, _)) = host() else { return };
    let versions = ["one", "two", "BAD"].map(|mark| version(rig.machine.dir(), mark));
    let Some(served) = Served::start(&rig, &versions, "") else {
        return;
    };
    let systemd = &served.systemd;
    let runs = || systemd.systemctl(&["show", "--value", "-p", "ExecStart", "op-dbus-web.service"]);

    let first = served.deploy("one");
    assert_eq!(first["restarted"], "op-dbus-web.service");
    assert!(
        runs().contains("/opt/op-dbus/chat/current/bin/op-dbus"),
        "{}",
        runs()
    );
    let second = served.deploy("two");

    let said = served.fail_to_deploy("BAD");
    assert!(said.contains("serves again"), "{said}");
    assert_eq!(served.manifest()["current"], second["name"]);
    assert_eq!(served.state(), "active");

    let (status, back, noise) = served.web(&["rollback"]);
    assert_eq!(status, 0, "{back:#} {noise}");
    assert_eq!(back["name"], first["name"]);

    // As after a restart of the machine: the overlay is gone, and the unit brings it back.
    systemd.systemctl(&["stop", "op-dbus-web.service"]);
    let mount = format!(
        "/opt/op-dbus/chat/mounts/{}",
        first["name"].as_str().unwrap()
    );
    assert!(systemd.inside(&["umount", &mount]).status.success());
    systemd.systemctl(&["start", "op-dbus-web.service"]);
    assert_eq!(served.state(), "active");

    // It runs, and is not well: nothing was gained, and what served serves.
    served.daemon.end();
    let said = served.fail_to_deploy("two");
    assert!(said.contains("/healthz answers 503"), "{said}");
    let manifest = served.manifest();
    assert_eq!(manifest["current"], first["name"]);
    assert_eq!(manifest["trial"], Value::Null);
}

#[test]
fn a_server_that_takes_tls_alone_is_asked_by_tls() {
    let Some((rig, _)) = host() else { return };
    let versions = ["one", "two", "BAD"].map(|mark| version(rig.machine.dir(), mark));
    let keys = "web: { listen: \"0.0.0.0:8443\", tls: { self_signed: true } }\n";
    let Some(served) = Served::start(&rig, &versions, keys) else {
        return;
    };
    let first = served.deploy("one");
    assert_eq!(first["restarted"], "op-dbus-web.service");
    let get = |url: &str| {
        let words = ["curl", "--silent", "--insecure", "--max-time", "30", url];
        served.systemd.inside(&words)
    };
    let well = get("https://127.0.0.1:8443/healthz");
    assert!(well.status.success(), "{well:?}");
    for away in ["http://127.0.0.1:8443/healthz", "http://127.0.0.1:8080/"] {
        let answer = get(away);
        assert!(!answer.status.success(), "{away}: {answer:?}");
    }
    // The version is another one, the certificate is not.
    let certificate = served
        .systemd
        .root()
        .join("var/lib/op-dbus-web/tls/certificate.pem");
    let before = fs::read(&certificate).unwrap();
    let second = served.deploy("two");
    assert_eq!(second["previous"], first["name"]);
    assert_eq!(fs::read(&certificate).unwrap(), before);

    let said = served.fail_to_deploy("BAD");
    assert!(said.contains("serves again"), "{said}");
    assert_eq!(served.manifest()["current"], second["name"]);
    assert!(get("https://127.0.0.1:8443/healthz").status.success());

    served.daemon.end();
    let said = served.fail_to_deploy("one");
    assert!(
        said.contains("https://127.0.0.1:8443/healthz answers 503"),
        "{said}"
    );
    let manifest = served.manifest();
    assert_eq!(manifest["current"], second["name"]);
    assert_eq!(manifest["trial"], Value::Null);
}
