//! An incremental transfer against the bare `btrfs send | btrfs receive`, in turn, in one run, both to the disk.
//!
//! `cargo bench -p replication`: needs root. The far end is this program itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::Machine;
use replication::{
    Check, Name, Observer, Progress, Reach, Result, Session, Terms, Want, plan, serve, snapshots,
};

/// How much each snapshot adds, in MiB.
const STEP: usize = 96;
const ROUNDS: usize = 5;

struct Nothing;

impl Check for Nothing {
    fn knows(&self, _: &Name) -> bool {
        false
    }

    fn look(&self, _: &Name, _: &Path) -> std::result::Result<String, String> {
        Ok(String::new())
    }
}

impl Observer for Nothing {
    fn go_on(&self) -> Result<()> {
        Ok(())
    }

    fn progress(&self, _: &Progress<'_>) {}
}

/// One large file, and a thousand small ones.
fn write(at: &Path, round: usize) {
    let mut random = File::open("/dev/urandom").unwrap();
    let mut bytes = vec![0; STEP << 20];
    random.read_exact(&mut bytes).unwrap();
    let (small, large) = bytes.split_at(8 << 20);
    fs::write(at.join(format!("large-{round}")), large).unwrap();
    let directory = at.join(format!("small-{round}"));
    fs::create_dir(&directory).unwrap();
    for (number, piece) in small.chunks(8 << 10).enumerate() {
        fs::write(directory.join(number.to_string()), piece).unwrap();
    }
}

fn bare(parent: &Path, snapshot: &Path, into: &Path) -> Duration {
    let begun = Instant::now();
    let mut send = Command::new("btrfs")
        .args(["send", "-q", "-p"])
        .args([parent, snapshot])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let received = Command::new("btrfs")
        .args(["receive", "-q"])
        .arg(into)
        .stdin(send.stdout.take().unwrap())
        .status();
    assert!(received.unwrap().success() && send.wait().unwrap().success());
    btrfs::sync(into).unwrap();
    begun.elapsed()
}

fn ours(near: &Path, far: &Path, only: &str) -> Duration {
    let begun = Instant::now();
    let program = std::env::current_exe().unwrap();
    let reach = Reach::Here {
        program: vec![program.into(), OsString::from("receive")],
        path: far.to_owned(),
    };
    let mut session = Session::open(&reach, &Nothing).unwrap();
    let want = Want {
        only: Some(only.parse().unwrap()),
        ..Want::default()
    };
    let planned = plan(&snapshots(near).unwrap(), session.held(), &want).unwrap();
    for step in &planned.steps {
        let sent = session.send(near, step).unwrap();
        let first = only == "s0";
        assert!(first || sent[0].parent.is_some());
    }
    drop(session);
    begun.elapsed()
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|word| word == "receive") {
        let root = arguments.next().unwrap();
        let (input, output) = (std::io::stdin(), std::io::stdout());
        serve(
            Path::new(&root),
            &Terms::default(),
            &Nothing,
            input.lock(),
            output.lock(),
        )
        .unwrap();
        return;
    }
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let near = machine.btrfs(2048);
    let (far, other) = (
        machine.btrfs(1536).join("ours"),
        machine.btrfs(1536).join("bare"),
    );
    fs::create_dir(&far).unwrap();
    fs::create_dir(&other).unwrap();
    let source = near.join("source");
    btrfs::create(&source).unwrap();
    let place = |round: usize| near.join("snapshots").join(format!("s{round}"));
    fs::create_dir(near.join("snapshots")).unwrap();
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        write(&source, round);
        fs::create_dir(place(round)).unwrap();
        btrfs::snapshot(&source, place(round).join("@data"), true).unwrap();
        btrfs::sync(&near).unwrap();
        let into = other.join(format!("s{round}"));
        fs::create_dir(&into).unwrap();
        let name = format!("s{round}");
        if round == 0 {
            ours(&near.join("snapshots"), &far, &name);
            let snapshot = place(0).join("@data");
            let send = format!("{}", snapshot.display());
            let mut child = Command::new("btrfs")
                .args(["send", "-q", &send])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let input = child.stdout.take().unwrap();
            let received = Command::new("btrfs")
                .args(["receive", "-q"])
                .arg(&into)
                .stdin(input)
                .status();
            assert!(received.unwrap().success() && child.wait().unwrap().success());
            continue;
        }
        let (parent, snapshot) = (place(round - 1).join("@data"), place(round).join("@data"));
        // Who goes first changes, as the second one finds the data in memory.
        let (bare, ours) = match round % 2 {
            0 => {
                let ours = ours(&near.join("snapshots"), &far, &name);
                (bare(&parent, &snapshot, &into), ours)
            }
            _ => {
                let bare = bare(&parent, &snapshot, &into);
                (bare, ours(&near.join("snapshots"), &far, &name))
            }
        };
        let rate = |time: Duration| STEP as f64 / time.as_secs_f64();
        let ratio = bare.as_secs_f64() / ours.as_secs_f64();
        println!(
            "round {round}: bare {:.0} MiB/s, ours {:.0} MiB/s, ratio {ratio:.2}",
            rate(bare),
            rate(ours)
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "median ratio {:.2} of {ROUNDS} rounds of {STEP} MiB",
        ratios[ratios.len() / 2]
    );
}
