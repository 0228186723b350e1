//! What the daemon costs: its door beside the bare operation in the same run, and what it takes while nothing
//! happens.
//!
//! Needs root and Open vSwitch. Prints one line a figure; asserts nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ledger::Ledger;
use serde_json::{Value, json};
use tools::engine::{Host, Paths, Site, Source};

const PROGRAM: &str = env!("CARGO_BIN_EXE_op-dbus");
/// How many calls are timed one after the other.
const CALLS: usize = 2000;
/// How many commands.
const COMMANDS: usize = 101;
/// How many callers there are at once.
const CALLERS: usize = 64;
/// How long the daemon is left alone.
const QUIET: Duration = Duration::from_secs(20);

/// A host of about a hundred resources that are as declared, a third each subvolumes, ports and flows.
struct House {
    file: PathBuf,
    base: PathBuf,
    socket: PathBuf,
    _ovs: lab::Ovs,
    machine: lab::Machine,
}

impl House {
    fn new() -> Option<Self> {
        let machine = lab::Machine::new("needs root")?;
        let ovs = machine.ovs();
        let base = machine.btrfs(512).join("base");
        let mut text = format!(
            "version: 1\nplugins:\n  btrfs:\n    base: {}\n",
            base.display()
        );
        text.push_str("    subvolumes:\n");
        for n in 0..33 {
            writeln!(text, "      \"@s{n}\": {{}}").unwrap();
        }
        let run_dir = ovs.run_dir().display();
        writeln!(text, "  ovs:\n    run_dir: {run_dir}\n    bridges:").unwrap();
        text.push_str("      br0:\n        datapath: netdev\n        ports:\n");
        for n in 0..33 {
            writeln!(text, "          p{n}: {{type: internal, tag: {}}}", n + 1).unwrap();
        }
        text.push_str("  openflow:\n    bridges:\n      br0:\n        flows:\n");
        for n in 0..34 {
            let network = format!("match: {{ip_dst: 10.8.{n}.0/24}}");
            writeln!(
                text,
                "          - {{table: 5, priority: 7, {network}, actions: [drop]}}"
            )
            .unwrap();
        }
        let file = machine.dir().join("state.yaml");
        std::fs::write(&file, text).unwrap();
        let house = Self {
            file,
            base,
            socket: machine.dir().join("jsonrpc.sock"),
            _ovs: ovs,
            machine,
        };
        house.command(&["--here", "apply", "--confirm", "0"]);
        Some(house)
    }

    /// How long a command takes.
    fn command(&self, arguments: &[&str]) -> Duration {
        let begun = Instant::now();
        let output = Command::new(PROGRAM)
            .args(["--yes", "--json", "--file"])
            .arg(&self.file)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let took = begun.elapsed();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        took
    }
}

struct Daemon(Child);

impl Daemon {
    fn start(house: &House) -> Self {
        let log = std::fs::File::create(house.machine.dir().join("daemon.log")).unwrap();
        let daemon = Command::new(PROGRAM)
            .arg("--file")
            .arg(&house.file)
            .args(["daemon", "--no-bus", "--jsonrpc"])
            .arg(&house.socket)
            .stderr(log)
            .spawn()
            .unwrap();
        let limit = Duration::from_secs(60);
        lab::wait_for("the daemon's first look", limit, || {
            UnixStream::connect(&house.socket).ok()?;
            let status = Line::open(&house.socket).ask("daemon.status", json!({}));
            (status["host"]["state"] == "converged").then_some(())
        });
        Self(daemon)
    }

    /// Of `/proc/PID/status` of one of its threads.
    fn number(status: &Path, key: &str) -> u64 {
        let text = std::fs::read_to_string(status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let mut words = line.unwrap_or_default().split_whitespace();
        words.next().map_or(0, |word| word.parse().unwrap())
    }

    fn proc(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.0.id()))
    }

    /// Resident memory in MiB.
    fn memory(&self) -> f64 {
        Self::number(&self.proc().join("status"), "VmRSS:") as f64 / 1024.0
    }

    /// How often each of its threads woke up until now.
    fn wakings(&self) -> BTreeMap<PathBuf, u64> {
        let tasks = std::fs::read_dir(self.proc().join("task")).unwrap();
        let tasks = tasks.map(|task| task.unwrap().path().join("status"));
        tasks
            .map(|status| {
                let count = Self::number(&status, "voluntary_ctxt_switches:");
                (status, count)
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection to the JSON-RPC door.
struct Line(BufReader<UnixStream>);

impl Line {
    fn open(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).unwrap()))
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.0
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["result"].is_object(), "{answer:#}");
        answer["result"].take()
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask(
            "tools.call",
            json!({ "name": tool, "arguments": arguments }),
        )
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Times both in turns, so that what else goes on meets both alike.
fn beside(count: usize, mut bare: impl FnMut(), mut ours: impl FnMut()) -> (Duration, Duration) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..count {
        first.push(timed(&mut bare));
        second.push(timed(&mut ours));
    }
    (median(first), median(second))
}

fn calls(house: &House) {
    let mut line = Line::open(&house.socket);
    let paths = Paths {
        base: house.base.clone(),
    };
    let (bare, ours) = beside(
        CALLS,
        || {
            let ledger = Ledger::open_read_only(paths.ledger()).unwrap();
            let entry = ledger.get(1).unwrap().unwrap();
            std::hint::black_box(json!(entry).to_string());
        },
        || drop(line.call("ledger_show", json!({ "id": 1 }))),
    );
    println!(
        "ledger_show: bare {:.3} ms, through the socket {:.3} ms, {:.2} x (no bound: it shows what each call costs)",
        ms(bare),
        ms(ours),
        ms(ours) / ms(bare)
    );
    let site = Site::new(Source::File(house.file.clone()), None);
    let (bare, ours) = beside(
        CALLS,
        || {
            let host = Host::new(&site.declaration().unwrap()).unwrap();
            let plan = reconcile::plan(&host.plugins).unwrap();
            assert!(plan.is_empty());
        },
        || assert_eq!(line.call("state_verify", json!({}))["converged"], true),
    );
    println!(
        "state_verify of 100 resources: bare {:.3} ms, through the socket {:.3} ms, {:.2} x (bound: 1.5)",
        ms(bare),
        ms(ours),
        ms(ours) / ms(bare)
    );
}

fn commands(house: &House) {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        here.push(house.command(&["--here", "plan"]));
        there.push(house.command(&["plan"]));
    }
    let (here, there) = (median(here), median(there));
    println!(
        "op-dbus plan: in the command {:.2} ms, through the daemon {:.2} ms, {:.2} x",
        ms(here),
        ms(there),
        ms(there) / ms(here)
    );
}

fn crowd(house: &House) {
    for (tool, arguments) in [
        ("ledger_show", json!({ "id": 1 })),
        ("state_verify", json!({})),
    ] {
        let (ended, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let mut line = Line::open(&house.socket);
                    while !ended.load(Ordering::Relaxed) {
                        line.call(tool, arguments.clone());
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::sleep(Duration::from_secs(5));
            ended.store(true, Ordering::Relaxed);
        });
        let rate = count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        println!("{tool} by {CALLERS} callers at once: {rate:.0} calls/s");
    }
}

fn idle(daemon: &Daemon, when: &str) {
    // Threads that were needed before end after a while, and memory is given back.
    std::thread::sleep(Duration::from_secs(12));
    let before = daemon.wakings();
    std::thread::sleep(QUIET);
    let after = daemon.wakings();
    let woken = after
        .iter()
        .map(|(thread, count)| count - before.get(thread).unwrap_or(&0));
    println!(
        "idle {when}: {:.1} MiB resident (bound: 25), {} wake-ups in {} s, {} threads",
        daemon.memory(),
        woken.sum::<u64>(),
        QUIET.as_secs(),
        after.len()
    );
}

fn daemon() {
    let Some(house) = House::new() else { return };
    let daemon = Daemon::start(&house);
    idle(&daemon, "after the start");
    calls(&house);
    commands(&house);
    crowd(&house);
    println!("memory right after that: {:.1} MiB", daemon.memory());
    idle(&daemon, "after all that");
}

fn main() {
    // In a thread of its own, since a lab takes its thread's namespaces.
    let bench = std::thread::Builder::new().name("bench".into());
    bench.spawn(daemon).unwrap().join().unwrap();
}
