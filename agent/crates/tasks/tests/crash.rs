//! Workers that are killed: no accepted task is lost, and none is done twice unless it is idempotent.
#![allow(clippy::unwrap_used)]

mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;
use task::task;
use tasks::{Filter, Lane, Limits, NewTask, Outcome, Queue, State, TaskId};

const PLACE: &str = "PLACE_OF_THE_DOOMED_QUEUE";
const TEST: &str = "killed_workers_lose_nothing_and_do_nothing_twice";

/// Room for all that the rounds leave.
fn queue(dir: &Path) -> Queue {
    let limits = Limits {
        open: 100_000,
        open_of_one: 100_000,
        finished: 100_000,
        ..Limits::default()
    };
    Queue::open(&dir.join("tasks.db"), limits).unwrap()
}

/// Notes that work was done: one line in a file, which is there whatever becomes of the process.
fn work(dir: &Path, id: TaskId) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(dir.join("done"))
        .unwrap();
    file.write_all(format!("{id}\n").as_bytes()).unwrap();
}

/// Takes and does one task; whether there was one.
fn do_one(dir: &Path, queue: &Queue) -> bool {
    let Some(taken) = queue.take(Lane::Exclusive, 1).unwrap() else {
        return false;
    };
    work(dir, taken.task.id);
    queue
        .finish(taken.task.id, &Outcome::Done(json!("done")), 1)
        .unwrap();
    true
}

/// Accepts and works until it is killed; says what was accepted.
fn toil(dir: &Path) -> ! {
    let queue = queue(dir);
    queue.recover(1).unwrap();
    for n in 0_u64.. {
        let new = NewTask {
            idempotent: n.is_multiple_of(2),
            ..task()
        };
        let id = queue.accept(&new, 1).unwrap();
        println!("accepted {id}");
        if !n.is_multiple_of(4) {
            do_one(dir, &queue);
        }
    }
    unreachable!("nobody stops")
}

#[test]
fn killed_workers_lose_nothing_and_do_nothing_twice() {
    if let Some(dir) = std::env::var_os(PLACE) {
        toil(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut accepted = BTreeSet::new();
    for round in 0..40_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env(PLACE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let id = |line: std::io::Result<String>| {
            line.unwrap()
                .strip_prefix("accepted ")?
                .parse::<TaskId>()
                .ok()
        };
        // Every other one gets as far as to work; the others are killed while they start, too.
        if round % 2 == 0 {
            accepted.extend(lines.by_ref().find_map(id));
        }
        let reader = thread::spawn(move || lines.filter_map(id).collect::<Vec<_>>());
        thread::sleep(Duration::from_micros(round * 7919 % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();
        accepted.extend(reader.join().unwrap());
    }
    assert!(
        accepted.len() >= 20,
        "only {} were accepted",
        accepted.len()
    );

    let queue = queue(dir.path());
    queue.recover(1).unwrap();
    while do_one(dir.path(), &queue) {}
    let mut done: BTreeMap<TaskId, usize> = BTreeMap::new();
    for line in std::fs::read_to_string(dir.path().join("done"))
        .unwrap()
        .lines()
    {
        *done.entry(line.parse().unwrap()).or_default() += 1;
    }
    let all = Filter {
        limit: usize::MAX,
        ..Filter::default()
    };
    let tasks: BTreeMap<_, _> = queue
        .list(&all)
        .unwrap()
        .into_iter()
        .map(|task| (task.id, task))
        .collect();
    let mut interrupted = 0;
    for id in &accepted {
        let task = &tasks[id];
        let times = done.get(id).copied().unwrap_or_default();
        match task.state {
            State::Done => assert!(
                times == 1 || times > 1 && task.idempotent,
                "{times} times: {task:?}"
            ),
            State::Interrupted => {
                assert!(!task.idempotent && times <= 1, "{times} times: {task:?}");
                interrupted += 1;
            }
            // It was running at three kills.
            State::Failed => assert!(task.idempotent && task.attempts == 3, "{task:?}"),
            _ => panic!("left behind: {task:?}"),
        }
    }
    println!("{} accepted, {interrupted} interrupted", accepted.len());
}
