//! Replication between two real file systems, with `btrfs` as the witness, and all that can break on the way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::{run, wait_for};
use rig::{Ended, Rig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const SHORT: Duration = Duration::from_secs(30);

/// A host, and a file system to replicate to.
struct Pair {
    rig: Rig,
    far: PathBuf,
}

impl Pair {
    fn new(near_mib: u64, far_mib: u64, more: &str) -> Option<Self> {
        let rig = Rig::storage(near_mib)?;
        let far = rig.machine.btrfs(far_mib).join("replica");
        fs::create_dir(&far).unwrap();
        let pair = Self { rig, far };
        pair.declare(more);
        pair.rig.apply();
        Some(pair)
    }

    /// Keys of the target `disk` beside its path.
    fn declare(&self, more: &str) {
        let target = format!(
            "replication: {{targets: {{disk: {{path: {}{more}}}}}}}\n",
            self.far.display()
        );
        self.rig.declare_top(&target, "");
    }

    /// A snapshot of these subvolumes.
    fn snapshot(&self, name: &str, subvolumes: &[&str]) {
        let place = self.rig.base.join("@snapshots").join(name);
        fs::create_dir(&place).unwrap();
        for subvolume in subvolumes {
            let source = self.rig.base.join(subvolume);
            btrfs::snapshot(source, place.join(subvolume), true).unwrap();
        }
        let manifest = json!({ "name": name }).to_string();
        fs::write(place.join("snapshot.json"), manifest).unwrap();
    }

    fn write(&self, file: &str, mib: usize) {
        let mut random = fs::File::open("/dev/urandom").unwrap();
        let mut bytes = vec![0; mib << 20];
        random.read_exact(&mut bytes).unwrap();
        fs::write(self.rig.base.join(file), bytes).unwrap();
    }

    fn replicate(&self) -> Ended {
        self.rig.json(&["replicate", "disk"])
    }

    fn start(&self) -> Child {
        let mut command = self.rig.command(&["--json", "replicate", "disk"]);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Everything at the far end, hidden or not.
    fn there(&self) -> Vec<String> {
        names(&self.far)
    }

    #[track_caller]
    fn assert_same(&self, snapshot: &str, subvolume: &str) {
        let near = self
            .rig
            .base
            .join("@snapshots")
            .join(snapshot)
            .join(subvolume);
        let far = self.far.join(snapshot).join(subvolume);
        run("diff", &["-r", "--no-dereference", text(&near), text(&far)]);
        assert_eq!(show(&far, "Received UUID"), show(&near, "UUID"));
        assert_eq!(show(&far, "Flags"), "readonly");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The value of one line of `btrfs subvolume show`.
fn show(path: &Path, field: &str) -> String {
    let shown = run("btrfs", &["subvolume", "show", text(path)]);
    let line = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix(field)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {field} in\n{shown}"));
    line.trim().to_owned()
}

fn children(process: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn kill(process: i32) {
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn the_first_transfer_is_whole_and_each_further_one_builds_on_the_last() {
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.write("@state/large", 20);
    pair.snapshot("one", &["@state", "@timing"]);
    let planned = pair
        .rig
        .json(&["replicate", "disk", "--dry-run"])
        .expect(0)
        .json();
    assert_eq!(
        planned["changes"].as_array().unwrap().len(),
        2,
        "{planned:#}"
    );
    assert!(pair.there().is_empty());

    let first = pair.replicate().expect(0).json();
    let sent = first["sent"].as_array().unwrap();
    assert_eq!(
        (&first["outcome"], sent.len()),
        (&json!("done"), 2),
        "{first:#}"
    );
    assert!(sent[0]["bytes"].as_u64().unwrap() > 20 << 20, "{first:#}");
    assert_eq!(sent[0]["parent"], Value::Null);
    let checked = sent[1]["checked"].as_str().unwrap();
    assert!(checked.starts_with("ledger verified: "), "{checked}");
    pair.assert_same("one", "@state");
    pair.assert_same("one", "@timing");
    assert_eq!(
        names(&pair.far.join("one")),
        ["@state", "@timing", "snapshot.json"]
    );

    let again = pair.replicate().expect(0).json();
    assert_eq!(again["outcome"], "unchanged", "{again:#}");

    fs::write(pair.rig.base.join("@state/small"), "new").unwrap();
    pair.snapshot("two", &["@state", "@timing"]);
    fs::remove_file(pair.rig.base.join("@state/large")).unwrap();
    pair.snapshot("three", &["@state", "@timing"]);
    let second = pair.replicate().expect(0).json();
    let parents: Vec<_> = second["sent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["parent"])
        .collect();
    assert_eq!(parents, ["one", "one", "two", "two"], "{second:#}");
    assert!(
        second["sent"][0]["bytes"].as_u64().unwrap() < 1 << 20,
        "{second:#}"
    );
    for snapshot in ["one", "two", "three"] {
        pair.assert_same(snapshot, "@state");
        pair.assert_same(snapshot, "@timing");
    }
    assert_eq!(pair.there(), ["one", "three", "two"]);
    // Two calls that did something, in the ledger; and the host says how it stands.
    assert_eq!(pair.rig.ledger(&["--operation", "replicate"]).len(), 2);
    let status = pair.rig.json(&["status"]).expect(0).json();
    assert_eq!(
        status["replication"]["disk"]["snapshot"], "three",
        "{status:#}"
    );
    assert!(
        pair.rig
            .run(&["status"])
            .expect(0)
            .out
            .contains("has three since")
    );
}

#[test]
fn the_oldest_go_and_what_the_next_builds_on_stays() {
    let Some(pair) = Pair::new(256, 256, ", keep: 2, subvolumes: ['@state']") else {
        return;
    };
    for name in ["a", "b", "c"] {
        pair.snapshot(name, &["@state", "@timing"]);
    }
    // A foreign thing is nobody's snapshot.
    fs::create_dir(pair.far.join("0-foreign")).unwrap();
    let first = pair.replicate().expect(0).json();
    assert_eq!(first["sent"].as_array().unwrap().len(), 2, "{first:#}");
    assert_eq!(pair.there(), ["0-foreign", "b", "c"]);
    assert_eq!(names(&pair.far.join("c")), ["@state", "snapshot.json"]);
    pair.snapshot("d", &["@state", "@timing"]);
    let second = pair.replicate().expect(0).json();
    assert_eq!(second["removed"], json!(["b"]), "{second:#}");
    assert_eq!(second["sent"][0]["parent"], "c");
    assert_eq!(pair.there(), ["0-foreign", "c", "d"]);

    // Without a common snapshot the whole is sent again, and the names are free.
    for name in ["a", "b", "c", "d"] {
        btrfs::delete_recursive(pair.rig.base.join("@snapshots").join(name).join("@state"))
            .unwrap();
    }
    pair.snapshot("e", &["@state"]);
    let third = pair.replicate().expect(0).json();
    assert_eq!(third["sent"][0]["parent"], Value::Null, "{third:#}");
    assert_eq!(pair.there(), ["0-foreign", "d", "e"]);
}

#[test]
fn the_state_before_a_restore_is_sent_too_and_what_is_back_builds_on_what_is_there() {
    let Some(pair) = Pair::new(256, 256, ", subvolumes: ['@state']") else {
        return;
    };
    let snapshot = |arguments: &[&str]| {
        let all = [&["--yes", "snapshot"][..], arguments].concat();
        pair.rig.json(&all).expect(0).json()
    };
    pair.write("@state/large", 20);
    snapshot(&["create", "one", "@state"]);
    pair.replicate().expect(0);
    fs::write(pair.rig.base.join("@state/small"), "new").unwrap();
    let restored = snapshot(&["restore", "one", "@state"]);
    let before = restored["before"].as_str().unwrap();
    snapshot(&["create", "two", "@state"]);
    let sent = pair.replicate().expect(0).json();
    let sent = sent["sent"].as_array().unwrap();
    let names: Vec<_> = sent.iter().map(|it| &it["snapshot"]).collect();
    assert_eq!(names, [before, "two"], "{sent:#?}");
    for it in sent {
        assert_ne!(it["parent"], Value::Null, "{it:#}");
        assert!(it["bytes"].as_u64().unwrap() < 1 << 20, "{it:#}");
    }
    pair.assert_same(before, "@state");
    pair.assert_same("two", "@state");
}

#[test]
fn what_was_changed_at_the_far_end_is_not_built_on() {
    if !lab::has("sqlite3") {
        lab::skip("needs sqlite3");
        return;
    }
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    pair.replicate().expect(0);
    let copy = pair.far.join("one/@state");
    btrfs::set_read_only(&copy, false).unwrap();
    fs::write(copy.join("forged"), "x").unwrap();
    btrfs::set_read_only(&copy, true).unwrap();
    pair.snapshot("two", &["@state"]);
    let ended = pair.replicate().expect(1);
    assert!(
        ended
            .err
            .contains("another snapshot of the name one, or changed that one"),
        "{ended:?}"
    );
    let two = pair
        .rig
        .json(&["replicate", "disk", "--snapshot", "two"])
        .expect(0)
        .json();
    assert_eq!(two["sent"][0]["parent"], Value::Null, "{two:#}");
    pair.assert_same("two", "@state");
    // A damaged ledger is refused, and nothing of it stays.
    let file = pair.rig.base.join("@timing/blockchain.db");
    let damaged = pair.rig.base.join("@damaged");
    btrfs::snapshot(file.parent().unwrap(), &damaged, false).unwrap();
    let damage = "UPDATE operations SET target = 'forged' WHERE id = 1";
    run("sqlite3", &[text(&damaged.join("blockchain.db")), damage]);
    let place = pair.rig.base.join("@snapshots/three");
    fs::create_dir(&place).unwrap();
    btrfs::snapshot(&damaged, place.join("@timing"), true).unwrap();
    let ended = pair
        .rig
        .json(&["replicate", "disk", "--snapshot", "three"])
        .expect(1);
    assert!(ended.err.contains("does not verify"), "{ended:?}");
    assert_eq!(pair.there(), ["one", "two"]);
}

#[test]
fn a_far_end_that_is_full_keeps_nothing_of_it() {
    let Some(pair) = Pair::new(384, 128, "") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    pair.replicate().expect(0);
    pair.write("@state/large", 180);
    pair.snapshot("two", &["@state"]);
    let ended = pair.replicate().expect(1);
    assert!(ended.err.contains("No space left on device"), "{ended:?}");
    assert_eq!(pair.there(), ["one"]);
    let status = pair.rig.json(&["status"]).expect(0).json();
    let error = status["replication"]["disk"]["error"].as_str().unwrap();
    assert!(error.contains("No space left"), "{error}");
    // With less it goes on from the last that was whole.
    fs::remove_file(pair.rig.base.join("@state/large")).unwrap();
    pair.snapshot("three", &["@state"]);
    // The kernel frees the space a little later.
    let only = wait_for("room at the far end", SHORT, || {
        let ended = pair.rig.json(&["replicate", "disk", "--snapshot", "three"]);
        (ended.status == 0).then(|| ended.json())
    });
    assert_eq!(only["sent"][0]["parent"], "one", "{only:#}");
    pair.assert_same("three", "@state");
}

#[test]
fn whoever_is_killed_leaves_nothing_behind() {
    let Some(pair) = Pair::new(512, 512, "") else {
        return;
    };
    pair.write("@state/large", 150);
    pair.snapshot("one", &["@state"]);
    let begun = || {
        names(&pair.far)
            .iter()
            .any(|name| name == ".incoming-one")
            .then_some(())
    };

    // The sending end: the far end notices, and clears up.
    let mut near = pair.start();
    wait_for("the transfer", SHORT, begun);
    near.kill().unwrap();
    near.wait().unwrap();
    wait_for("an empty far end", SHORT, || {
        pair.there().is_empty().then_some(())
    });

    // `btrfs receive`: the far end says so, and clears up.
    let near = pair.start();
    let receiver = |near: u32| children(near).first().copied();
    let far = wait_for("the far end", SHORT, || receiver(near.id()));
    let program = wait_for("btrfs receive", SHORT, || {
        receiver(u32::try_from(far).unwrap())
    });
    kill(program);
    let ended = near.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("btrfs receive failed (signal: 9"), "{said}");
    assert!(pair.there().is_empty());

    // The far end itself: the sending end says so, and the next transfer clears up and does it.
    let near = pair.start();
    let far = wait_for("the far end", SHORT, || receiver(near.id()));
    wait_for("the transfer", SHORT, begun);
    kill(far);
    let ended = near.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("the far end went away"), "{said}");
    assert!(!pair.far.join("one").exists());
    let done = pair.replicate().expect(0).json();
    assert_eq!(done["outcome"], "done");
    assert_eq!(pair.there(), ["one"]);
    pair.assert_same("one", "@state");
}

#[test]
fn a_transfer_ends_at_its_deadline() {
    let Some(pair) = Pair::new(512, 512, "") else {
        return;
    };
    pair.write("@state/large", 200);
    pair.snapshot("one", &["@state"]);
    let ended = pair.rig.run(&[
        "tool",
        "call",
        "replicate",
        "target=disk",
        "--timeout",
        // No disk takes 200 MB in that.
        "50ms",
    ]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("deadline"), "{ended:?}");
    assert!(pair.there().is_empty());
}

/// A far end that is spoken to by hand.
struct Far {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Far {
    fn start(directory: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_op-dbus"))
            .arg("receive")
            .args(options)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn tell(&mut self, bytes: &[u8]) {
        // It may have given up already, and says why.
        let _ = self.child.stdin.as_mut().unwrap().write_all(bytes);
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.tell(format!("{request}\n").as_bytes());
        self.hear()
    }

    fn stream(&mut self, stream: &[u8]) {
        for piece in stream.chunks(60_000) {
            let length = u32::try_from(piece.len()).unwrap().to_le_bytes();
            self.tell(&[&length, piece].concat());
        }
        self.tell(&[0; 4]);
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.child.stdin = None;
        let _ = self.child.wait();
    }
}

/// The stream of a snapshot's `@state`, by the `btrfs` program.
fn stream(pair: &Pair, snapshot: &str, parent: Option<&str>) -> Vec<u8> {
    let at = |name| pair.rig.base.join("@snapshots").join(name).join("@state");
    let mut command = Command::new("btrfs");
    command.args(["send", "-q"]);
    if let Some(parent) = parent {
        command.arg("-p").arg(at(parent));
    }
    let output = command.arg(at(snapshot)).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn offer(pair: &Pair, snapshot: &str, parent: Option<&str>) -> Value {
    let uuid = |name| {
        let path = pair.rig.base.join("@snapshots").join(name).join("@state");
        show(&path, "UUID")
    };
    json!({
        "ask": "receive", "snapshot": snapshot, "taken": 1, "manifest": null,
        "subvolumes": [{ "name": "@state", "uuid": uuid(snapshot), "parent": parent.map(uuid) }],
    })
}

#[test]
fn a_stream_that_is_not_what_was_offered_leaves_nothing() {
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.write("@state/file", 1);
    pair.snapshot("one", &["@state"]);
    fs::write(pair.rig.base.join("@state/other"), "x").unwrap();
    pair.snapshot("two", &["@state"]);
    let whole = stream(&pair, "one", None);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut twice = whole.clone();
    twice.extend_from_slice(&whole);
    let further = stream(&pair, "two", Some("one"));
    let cases: [(&str, Value, Vec<u8>, &str); 6] = [
        (
            "a flipped bit",
            offer(&pair, "one", None),
            flipped,
            "btrfs receive failed",
        ),
        (
            "cut off",
            offer(&pair, "one", None),
            whole[..middle].to_vec(),
            "ends before its end",
        ),
        (
            "no stream",
            offer(&pair, "one", None),
            b"hello, this is no stream".to_vec(),
            "not a btrfs send stream",
        ),
        (
            "another one",
            offer(&pair, "two", None),
            whole.clone(),
            "not what was offered",
        ),
        (
            "two in one",
            offer(&pair, "one", None),
            twice,
            "something follows its end",
        ),
        (
            "a parent that is not there",
            offer(&pair, "two", Some("one")),
            further.clone(),
            "btrfs receive failed",
        ),
    ];
    for (what, offer, bytes, error) in cases {
        let mut far = Far::start(&pair.far, &[]);
        let here = far.ask(&json!({ "ask": "hello", "version": 1 }));
        assert_eq!(here["answer"], "here", "{what}: {here}");
        assert_eq!(far.ask(&offer)["answer"], "ready", "{what}");
        far.stream(&bytes);
        let answer = far.hear();
        let text = answer["text"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains(error), "{what}: {answer}");
        drop(far);
        assert!(pair.there().is_empty(), "{what}");
    }
    // A peer that goes away in the middle.
    let mut far = Far::start(&pair.far, &[]);
    far.ask(&json!({ "ask": "hello", "version": 1 }));
    far.ask(&offer(&pair, "one", None));
    far.tell(&100_u32.to_le_bytes());
    far.tell(&whole[..50]);
    drop(far);
    assert!(pair.there().is_empty());
    // Garbage, and another version.
    let mut far = Far::start(&pair.far, &[]);
    let answer = far.ask(&json!({ "ask": "hello", "version": 2 }));
    assert!(
        answer["text"]
            .as_str()
            .unwrap()
            .contains("the same version"),
        "{answer}"
    );
    let mut far = Far::start(&pair.far, &[]);
    let answer = far.ask(&json!({ "ask": "receive", "snapshot": "../../etc" }));
    assert_eq!(answer["answer"], "failed", "{answer}");
    // The real one, by the same hand; too long for one who takes little.
    let mut far = Far::start(&pair.far, &["--largest", "1MiB"]);
    far.ask(&json!({ "ask": "hello", "version": 1 }));
    far.ask(&offer(&pair, "one", None));
    far.stream(&whole);
    let answer = far.hear();
    assert!(
        answer["text"]
            .as_str()
            .unwrap()
            .contains("more than 1048576 bytes"),
        "{answer}"
    );
    drop(far);
    let mut far = Far::start(&pair.far, &["--append-only"]);
    far.ask(&json!({ "ask": "hello", "version": 1 }));
    far.ask(&offer(&pair, "one", None));
    far.stream(&whole);
    assert_eq!(far.hear()["answer"], "received");
    assert_eq!(far.hear()["answer"], "complete");
    far.ask(&offer(&pair, "two", Some("one")));
    far.stream(&further);
    assert_eq!(far.hear()["answer"], "received");
    assert_eq!(far.hear()["answer"], "complete");
    let answer = far.ask(&json!({ "ask": "prune", "keep": 1, "spare": [] }));
    assert!(
        answer["text"].as_str().unwrap().contains("--append-only"),
        "{answer}"
    );
    assert_eq!(pair.there(), ["one", "two"]);
    pair.assert_same("two", "@state");
}

#[test]
fn one_transfer_at_a_time_and_only_to_another_file_system() {
    let Some(pair) = Pair::new(256, 256, "") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    let missing = pair.rig.run(&["replicate", "nowhere"]).expect(2);
    assert!(missing.err.contains("it has disk"), "{missing:?}");
    let missing = pair
        .rig
        .run(&["replicate", "disk", "--snapshot", "gone"])
        .expect(2);
    assert!(missing.err.contains("no snapshot gone"), "{missing:?}");
    let beside = pair.rig.base.with_file_name("beside");
    fs::create_dir(&beside).unwrap();
    let keys = format!(
        "replication: {{targets: {{disk: {{path: {}}}}}}}\n",
        beside.display()
    );
    pair.rig.declare_top(&keys, "");
    let same = pair.rig.run(&["replicate", "disk"]).expect(1);
    assert!(
        same.err.contains("on the file system of the base"),
        "{same:?}"
    );
    let tmp = pair.rig.machine.dir().join("plain");
    fs::create_dir(&tmp).unwrap();
    let keys = format!(
        "replication: {{targets: {{disk: {{path: {}}}}}}}\n",
        tmp.display()
    );
    pair.rig.declare_top(&keys, "");
    let plain = pair.rig.run(&["replicate", "disk"]).expect(1);
    assert!(plain.err.contains("no directory on btrfs"), "{plain:?}");
}

/// The daemon sends what is due, without being asked, and says once why it cannot.
#[test]
fn the_daemon_keeps_the_schedule() {
    let Some(pair) = Pair::new(256, 256, ", every: 1h") else {
        return;
    };
    pair.snapshot("one", &["@state"]);
    let mut daemon = rig::daemon::Daemon::start(&pair.rig);
    wait_for("the snapshot", SHORT, || {
        pair.far.join("one").exists().then_some(())
    });
    let standing = || {
        let status = pair.rig.json(&["status"]).expect(0).json();
        status["replication"].clone()
    };
    wait_for("the standing", SHORT, || {
        (standing()["disk"]["snapshot"] == "one").then_some(())
    });
    // A target that comes with a change of the declaration is sent to as well, or it is told why not.
    let keys = format!(
        "replication: {{targets: {{other: {{path: {}/nowhere, every: 1h}}}}}}\n",
        pair.far.display()
    );
    pair.rig.declare_top(&keys, "");
    let error = wait_for("the failure", SHORT, || {
        standing()["other"]["error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("No such file or directory"), "{error}");
    let said = pair.rig.run(&["status"]).expect(0);
    assert!(said.out.contains("replica `other`"), "{said:?}");
    daemon.terminate();
}
