//! What the command costs, each figure beside the bare operation in the same run.
//!
//! Needs root, Open vSwitch, LXC and busybox-static. Prints one line a figure; asserts nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Machine, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_op-dbus");

struct Host {
    machine: Machine,
    ovs: lab::Ovs,
    base: PathBuf,
    file: PathBuf,
}

impl Host {
    fn new() -> Option<Self> {
        let machine = Machine::new("needs root")?;
        let ovs = machine.ovs();
        let base = machine.btrfs(2048).join("base");
        let file = machine.dir().join("state.yaml");
        Some(Self {
            machine,
            ovs,
            base,
            file,
        })
    }

    fn declare(&self, subvolumes: usize, ports: usize, flows: usize, containers: &str) {
        let mut text = format!(
            "version: 1\nplugins:\n  btrfs:\n    base: {}\n    subvolumes:\n      \"@cache\": {{}}\n",
            self.base.display()
        );
        for n in 0..subvolumes {
            writeln!(text, "      \"@s{n}\": {{compression: \"zstd:1\"}}").unwrap();
        }
        writeln!(text, "  ovs:\n    run_dir: {}\n    bridges:\n      br0:\n        datapath: netdev\n        addresses: [10.7.0.1/16]\n        ports:", self.ovs.run_dir().display()).unwrap();
        writeln!(text, "          first: {{type: internal}}").unwrap();
        for n in 0..ports {
            writeln!(
                text,
                "          p{n}: {{type: internal, tag: {}}}",
                n % 4000 + 1
            )
            .unwrap();
        }
        text.push_str("  openflow:\n    bridges:\n      br0:\n        standard_tables: true\n        flows:\n");
        text.push_str("          - {table: 5, priority: 1, match: {}, actions: [drop]}\n");
        for n in 0..flows {
            writeln!(text, "          - {{table: 5, priority: 7, match: {{ip_dst: 10.{}.{}.0/24}}, actions: [{{goto: 30}}]}}", 8 + n / 256, n % 256).unwrap();
        }
        writeln!(text, "  lxc:\n    templates: {{busybox: {{recipe: busybox}}}}\n    containers: {{{containers}}}").unwrap();
        std::fs::write(&self.file, text).unwrap();
    }

    fn op(&self, arguments: &[&str]) -> Duration {
        let start = Instant::now();
        let output = Command::new(PROGRAM)
            .args(["--yes", "--json", "--file"])
            .arg(&self.file)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let elapsed = start.elapsed();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        elapsed
    }

    /// The largest resident set of a command, in KiB.
    fn peak(&self, arguments: &[&str]) -> String {
        if !Path::new("/usr/bin/time").exists() {
            return "SKIPPED: needs the package `time`".to_owned();
        }
        let output = Command::new("/usr/bin/time")
            .args(["-f", "%M", PROGRAM, "--json", "--file"])
            .arg(&self.file)
            .args(arguments)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let kib: f64 = text
            .lines()
            .last()
            .unwrap_or_default()
            .parse()
            .unwrap_or_default();
        format!("{:.1} MiB", kib / 1024.0)
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn times(count: usize, mut work: impl FnMut(usize) -> Duration) -> Duration {
    median((0..count).map(&mut work).collect())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn no_op_apply() {
    let Some(host) = Host::new() else { return };
    let mut found = Vec::new();
    for n in [100_usize, 1000] {
        // A third of each kind; base, bridge, tables and template come on top of both.
        let third = n / 3;
        host.declare(third, third, n - 2 * third, "");
        host.op(&["apply", "--confirm", "0"]);
        let time = times(7, |_| host.op(&["apply"]));
        println!(
            "no-op apply of {n} resources: {:.1} ms, {:.1} us each",
            ms(time),
            ms(time) * 1000.0 / n as f64
        );
        found.push(time);
    }
    println!(
        "  1000 against 100: {:.1} x (bound: 12)",
        ms(found[1]) / ms(found[0])
    );
    println!("  peak memory of that apply: {}", host.peak(&["apply"]));
}

fn containers() {
    if !lab::has("lxc-start") || !lab::has("busybox") {
        println!("containers: SKIPPED, needs lxc and busybox-static");
        return;
    }
    let Some(host) = Host::new() else { return };
    host.declare(0, 0, 0, "");
    host.op(&["apply", "--confirm", "0"]);
    println!(
        "plan of that declaration: {:.1} ms",
        ms(times(7, |_| host.op(&["plan"])))
    );
    println!("  peak memory of plan: {}", host.peak(&["plan"]));

    let containers = host.base.join("@containers");
    let path = containers.to_str().unwrap();
    // The bare operation starts what the command makes: the same snapshot, the same configuration.
    host.op(&[
        "container",
        "create",
        "model",
        "--template",
        "busybox",
        "--network",
        "none",
        "--stopped",
    ]);
    let model = std::fs::read_to_string(containers.join("model/config")).unwrap();
    let bare = |n: usize| {
        let name = format!("bare-{n}");
        let place = containers.join(&name);
        let config = host.machine.dir().join("bare.conf");
        let text: String = model
            .replace("/model", &format!("/{name}"))
            .replace("uts.name = model", &format!("uts.name = {name}"));
        std::fs::write(&config, text).unwrap();
        let start = Instant::now();
        run(
            "btrfs",
            &[
                "-q",
                "subvolume",
                "snapshot",
                host.base.join("@templates/busybox").to_str().unwrap(),
                place.to_str().unwrap(),
            ],
        );
        // The container's root must get through to its root file system.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(&place, open).unwrap();
        // As the command starts it: without newuidmap, which would ask for ranges in /etc/subuid.
        let started = Command::new("/usr/bin/lxc-start")
            .env("PATH", "/nonexistent")
            .args(["-P", path, "-n", &name, "-f", config.to_str().unwrap()])
            .status()
            .unwrap();
        assert!(started.success());
        let elapsed = start.elapsed();
        run("lxc-stop", &["-k", "-P", path, "-n", &name]);
        run(
            "btrfs",
            &["-q", "subvolume", "delete", place.to_str().unwrap()],
        );
        elapsed
    };
    let made = |network: &'static str| {
        let host = &host;
        move |n: usize| {
            let name = format!("made-{n}");
            let elapsed = host.op(&[
                "container",
                "create",
                &name,
                "--template",
                "busybox",
                "--network",
                network,
            ]);
            host.op(&["container", "destroy", &name]);
            elapsed
        }
    };
    let bare = times(9, bare);
    println!("bare snapshot and lxc-start: {:.1} ms", ms(bare));
    for network in ["none", "socket"] {
        let time = times(9, made(network));
        println!(
            "container create and start, network {network}: {:.1} ms, {:.2} x the bare operation (bound: 1.3)",
            ms(time),
            ms(time) / ms(bare)
        );
    }
    match Incus::start(&host) {
        Ok(incus) => {
            let launched = times(9, |n| incus.launch(n));
            println!(
                "incus launch of the same root file system: {:.1} ms",
                ms(launched)
            );
            for network in ["none", "socket"] {
                let time = times(9, made(network));
                println!(
                    "container create and start, network {network}: {:.1} ms, {:.2} x incus launch (bound: 0.5)",
                    ms(time),
                    ms(time) / ms(launched)
                );
            }
        }
        Err(reason) => println!("against incus launch: SKIPPED, {reason}"),
    }
}

/// An Incus of the bench's own, with a pool on btrfs and an image of the same busybox template.
struct Incus {
    directory: PathBuf,
    daemon: Child,
}

impl Incus {
    fn start(host: &Host) -> Result<Self, &'static str> {
        let program = Path::new("/usr/libexec/incus/incusd");
        if !program.exists() {
            return Err("incus is not installed (Debian 12 has it in backports only)");
        }
        let directory = host.machine.dir().join("incus");
        std::fs::create_dir(&directory).unwrap();
        let log = std::fs::File::create(directory.join("bench.log")).unwrap();
        let daemon = Command::new(program)
            .args(["--group", "root"])
            .env("INCUS_DIR", &directory)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let incus = Self { directory, daemon };
        lab::wait_for("incus answers", Duration::from_secs(60), || {
            incus.try_call(&["info"]).then_some(())
        });
        let image = incus.directory.join("image.tar");
        let metadata = "architecture: x86_64\ncreation_date: 1700000000\n";
        std::fs::write(incus.directory.join("metadata.yaml"), metadata).unwrap();
        run(
            "tar",
            &[
                "--create",
                "--file",
                image.to_str().unwrap(),
                "--directory",
                incus.directory.to_str().unwrap(),
                "metadata.yaml",
                "--directory",
                host.base.join("@templates/busybox").to_str().unwrap(),
                "rootfs",
            ],
        );
        incus.call(&["storage", "create", "default", "btrfs", "size=1GiB"]);
        let disk = [
            "profile",
            "device",
            "add",
            "default",
            "root",
            "disk",
            "path=/",
            "pool=default",
        ];
        incus.call(&disk);
        incus.call(&[
            "image",
            "import",
            image.to_str().unwrap(),
            "--alias",
            "busybox",
        ]);
        Ok(incus)
    }

    fn try_call(&self, arguments: &[&str]) -> bool {
        Command::new("incus")
            .args(arguments)
            .env("INCUS_DIR", &self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn call(&self, arguments: &[&str]) {
        assert!(self.try_call(arguments), "incus {arguments:?}");
    }

    fn launch(&self, n: usize) -> Duration {
        let name = format!("launched-{n}");
        let start = Instant::now();
        self.call(&["launch", "busybox", &name]);
        let elapsed = start.elapsed();
        self.call(&["delete", "--force", &name]);
        elapsed
    }
}

impl Drop for Incus {
    fn drop(&mut self) {
        self.try_call(&["storage", "delete", "default"]);
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn main() {
    let size = std::fs::metadata(PROGRAM).unwrap().len();
    println!(
        "size of the binary: {:.1} MiB (bound: 19.1, which is 20 MB)",
        size as f64 / 1_048_576.0
    );
    // Each in a thread of its own, since a lab takes its thread's namespaces.
    for bench in [no_op_apply, containers] {
        std::thread::Builder::new()
            .name("bench".into())
            .spawn(bench)
            .unwrap()
            .join()
            .unwrap();
    }
}
