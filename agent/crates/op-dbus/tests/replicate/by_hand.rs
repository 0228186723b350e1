//! A far end that is spoken to by hand, and what it does not take.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lab::subvolume_show;
use serde_json::{Value, json};

use crate::pair::Pair;

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

    /// One that knows what it is to be sent.
    #[track_caller]
    fn offered(directory: &Path, options: &[&str], offer: &Value) -> Self {
        let mut far = Self::start(directory, options);
        let here = far.ask(&json!({ "ask": "hello", "version": 1 }));
        assert_eq!(here["answer"], "here", "{here}");
        let ready = far.ask(offer);
        assert_eq!(ready["answer"], "ready", "{ready}");
        far
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

    #[track_caller]
    fn hear_it_was_taken(&mut self) {
        assert_eq!(self.hear()["answer"], "received");
        assert_eq!(self.hear()["answer"], "complete");
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

/// What an answer says to people.
fn said(answer: &Value) -> &str {
    answer["text"].as_str().unwrap_or_default()
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
        subvolume_show(&path, "UUID")
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
        println!("{what}");
        let mut far = Far::offered(&pair.far, &[], &offer);
        far.stream(&bytes);
        let answer = far.hear();
        assert!(said(&answer).contains(error), "{what}: {answer}");
        drop(far);
        assert!(pair.there().is_empty(), "{what}");
    }
    // A peer that goes away in the middle.
    let mut far = Far::offered(&pair.far, &[], &offer(&pair, "one", None));
    far.tell(&100_u32.to_le_bytes());
    far.tell(&whole[..50]);
    drop(far);
    assert!(pair.there().is_empty());
    // Garbage, and another version.
    let mut far = Far::start(&pair.far, &[]);
    let answer = far.ask(&json!({ "ask": "hello", "version": 2 }));
    assert!(said(&answer).contains("the same version"), "{answer}");
    let mut far = Far::start(&pair.far, &[]);
    let answer = far.ask(&json!({ "ask": "receive", "snapshot": "../../etc" }));
    assert_eq!(answer["answer"], "failed", "{answer}");
    // The real one, by the same hand; too long for one who takes little.
    let mut far = Far::offered(
        &pair.far,
        &["--largest", "1MiB"],
        &offer(&pair, "one", None),
    );
    far.stream(&whole);
    let answer = far.hear();
    let limit = "more than 1048576 bytes";
    assert!(said(&answer).contains(limit), "{answer}");
    drop(far);
    let mut far = Far::offered(&pair.far, &["--append-only"], &offer(&pair, "one", None));
    far.stream(&whole);
    far.hear_it_was_taken();
    far.ask(&offer(&pair, "two", Some("one")));
    far.stream(&further);
    far.hear_it_was_taken();
    let answer = far.ask(&json!({ "ask": "prune", "keep": 1, "spare": [] }));
    assert!(said(&answer).contains("--append-only"), "{answer}");
    assert_eq!(pair.there(), ["one", "two"]);
    pair.assert_same("two", "@state");
}
