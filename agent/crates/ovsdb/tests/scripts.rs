//! Monitors, locks and waits over several sessions, against `ovsdb-server`.
#![allow(clippy::unwrap_used)]

mod pair;

use std::collections::BTreeMap;
use std::path::Path;

use pair::{Ours, Real, SECOND, Wire, fill, normal, note_rows};
use serde_json::{Value as Json, json};

const SCHEMA: &str = include_str!("corpus/watch.ovsschema");

/// What one server's sessions heard, step by step.
struct Play<'a> {
    socket: &'a Path,
    sessions: BTreeMap<String, Wire>,
    rows: Vec<String>,
    heard: Vec<Vec<Json>>,
}

impl<'a> Play<'a> {
    fn new(socket: &'a Path) -> Self {
        Self {
            socket,
            sessions: BTreeMap::new(),
            rows: Vec::new(),
            heard: Vec::new(),
        }
    }

    fn step(&mut self, step: &Json) {
        let step = fill(step, &self.rows);
        let who = step[0].as_str().unwrap().to_owned();
        let socket = self.socket;
        let wire = self
            .sessions
            .entry(who.clone())
            .or_insert_with(|| Wire::connect(socket));
        let heard = match step[1].as_str().unwrap() {
            "hang up" => {
                self.sessions.remove(&who);
                return;
            }
            "until" => std::iter::from_fn(|| wire.receive())
                .take_while(|message| message["method"] != step[2])
                .collect(),
            "answer" => wire.until(&step[2]),
            "cancel" => {
                wire.send(&json!({ "method": "cancel", "params": [step[2]], "id": null }));
                return;
            }
            "!transact" => {
                wire.send(&json!({ "method": "transact", "params": step[3], "id": step[2] }));
                return;
            }
            method => wire.call(method, step[2].clone()),
        };
        note_rows(&heard, &mut self.rows);
        self.heard.push(heard);
    }

    /// What was heard, comparable.
    fn normal(&self) -> Vec<Vec<Json>> {
        let steps = self.heard.iter();
        steps.map(|heard| normal(heard, &self.rows)).collect()
    }
}

/// `(name, steps)`
fn scripts(text: &str) -> Vec<(String, Vec<Json>)> {
    let mut scripts: Vec<(String, Vec<Json>)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(name) => scripts.push((name.to_owned(), Vec::new())),
            None => scripts
                .last_mut()
                .unwrap()
                .1
                .push(serde_json::from_str(line).unwrap()),
        }
    }
    scripts
}

fn compare(text: &str) -> usize {
    let (real, ours) = (Real::start(SCHEMA), Ours::start(SCHEMA));
    let (there, here) = (real.socket(), ours.socket());
    let mut differ = String::new();
    let scripts = scripts(text);
    for (name, steps) in &scripts {
        lab::wait_for("the end of the sessions before", 5 * SECOND, || {
            (ours.server.sessions() == 0).then_some(())
        });
        let (mut theirs, mut mine) = (Play::new(&there), Play::new(&here));
        for step in steps {
            theirs.step(step);
            mine.step(step);
            let hung_up = theirs
                .heard
                .last()
                .is_some_and(|heard| heard.contains(&json!("hung up")));
            assert!(!hung_up, "{name}: the real server hung up at {step}");
        }
        let (heard, told) = (theirs.normal(), mine.normal());
        if let Some(place) =
            (0..heard.len()).find(|place| comparable(&heard[*place]) != comparable(&told[*place]))
        {
            let (heard, told) = (json!(heard[place]), json!(told[place]));
            differ += &format!("{name}: answer {place}\n real {heard}\n ours {told}\n");
        }
    }
    let count = differ.matches("\n real ").count();
    println!("{} scripts, {count} differ", scripts.len());
    assert!(differ.is_empty(), "{differ}");
    scripts.len()
}

/// Leaves out the milliseconds that a `wait` took.
fn comparable(heard: &[Json]) -> Vec<Json> {
    let mut heard = heard.to_vec();
    for result in heard.iter_mut().filter_map(results).flatten() {
        if let Some(Json::String(details)) = result.get_mut("details")
            && details.starts_with("\"wait\" timed out after")
        {
            *details = String::new();
        }
    }
    heard
}

fn results(message: &mut Json) -> Option<&mut Vec<Json>> {
    message.get_mut("result")?.as_array_mut()
}

#[test]
fn monitors_are_told_alike() {
    let count = compare(include_str!("corpus/monitors.jsonl"));
    assert!(count >= 30, "{count}");
}

#[test]
fn locks_waits_and_cancels_are_answered_alike() {
    compare(include_str!("corpus/sessions.jsonl"));
}

#[test]
fn who_comes_back_is_told_what_it_missed() {
    let (real, ours) = (Real::cluster(SCHEMA), Ours::start(SCHEMA));
    let said = [real.socket(), ours.socket()].map(|socket| {
        let mut play = Play::new(&socket);
        let insert = json!(["a", "transact", ["Watch", { "op": "insert", "table": "T", "row": { "i": 1, "s": "one" } }]]);
        lab::wait_for("a leader", 20 * SECOND, || {
            play.step(&insert);
            let heard = play.heard.pop().unwrap();
            let inserted = heard[0]["result"][0].get("uuid").is_some();
            inserted.then(|| play.heard.push(heard))
        });
        let since = |last: &str, wanted: Json| json!(["b", "monitor_cond_since", ["Watch", last, wanted, last]]);
        // The real server keeps no more history than there is data.
        let many = (0..300).map(|n| json!({ "op": "insert", "table": "U", "row": { "n": n } }));
        let many: Json = std::iter::once(json!("Watch")).chain(many).collect();
        play.step(&json!(["a", "transact", many]));
        play.step(&insert);
        play.step(&since("00000000-0000-0000-0000-000000000000", json!({ "T": {} })));
        let last = play.heard.last().unwrap()[0]["result"][1].as_str().unwrap().to_owned();
        for operations in [
            json!([{ "op": "insert", "table": "T", "row": { "i": 2, "set": ["set", [1, 2]] } }]),
            json!([{ "op": "update", "table": "T", "where": [], "row": { "s": "new", "m": ["map", [["a", "b"]]] } }]),
            json!([{ "op": "insert", "table": "T", "row": { "i": 3 } }, { "op": "insert", "table": "U", "row": { "n": 1 } }]),
            json!([{ "op": "delete", "table": "T", "where": [["i", "==", 1]] }]),
            json!([{ "op": "mutate", "table": "T", "where": [["i", "==", 2]], "mutations": [["set", "insert", 3], ["set", "delete", 1]] }]),
            json!([{ "op": "delete", "table": "T", "where": [["i", "==", 3]] }]),
        ] {
            let mut params = vec![json!("Watch")];
            params.extend(operations.as_array().unwrap().iter().cloned());
            play.step(&json!(["a", "transact", params]));
        }
        for wanted in [json!({ "T": {} }), json!({ "T": { "columns": ["s"], "where": [["i", ">", 1]] }, "U": {} }), json!({ "U": { "where": [false] } })] {
            play.step(&since(&last, wanted));
            play.step(&json!(["b", "monitor_cancel", [last]]));
        }
        play.step(&since("01234567-89ab-cdef-0123-456789abcdef", json!({ "T": {} })));
        play.normal()
    });
    let [theirs, mine] = said;
    for (theirs, mine) in theirs.iter().zip(&mine) {
        assert_eq!(mine, theirs);
    }
}
