//! A queue that is brought back from a copy.
#![allow(clippy::unwrap_used)]

mod task;

use serde_json::json;
use task::task;
use tasks::{Lane, Limits, Outcome, Queue, Recovered, State, TaskId};

#[test]
fn what_was_open_in_a_copy_is_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let (own, copy) = (dir.path().join("tasks.db"), dir.path().join("copy.db"));
    let queue = Queue::open(&own, Limits::default()).unwrap();
    assert_eq!(queue.last_id().unwrap(), TaskId(0));
    // A queue of the time before this word keeps what waits.
    let first = queue.accept(&task(), 1).unwrap();
    assert!(queue.at_home("one", 2).unwrap().is_empty());
    assert!(queue.at_home("one", 2).unwrap().is_empty());
    let taken = queue.take(Lane::Exclusive, 3).unwrap().unwrap();
    let second = queue.accept(&task(), 4).unwrap();
    std::fs::copy(&own, &copy).unwrap();
    queue
        .finish(taken.task.id, &Outcome::Done(json!(1)), 5)
        .unwrap();
    let third = queue.accept(&task(), 6).unwrap();

    let back = Queue::open(&copy, Limits::default()).unwrap();
    assert_eq!(back.at_home("two", 7).unwrap(), [first, second]);
    assert!(back.at_home("two", 7).unwrap().is_empty());
    for id in [first, second] {
        assert_eq!(back.get(id).unwrap().state, State::Interrupted);
    }
    assert_eq!(back.recover(8).unwrap(), Recovered::default());
    assert!(back.take(Lane::Exclusive, 9).unwrap().is_none());
    back.continue_after(queue.last_id().unwrap()).unwrap();
    assert!(back.accept(&task(), 10).unwrap() > third);
}

#[test]
fn ids_go_on_in_a_queue_that_had_none() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(&dir.path().join("tasks.db"), Limits::default()).unwrap();
    queue.continue_after(TaskId(7)).unwrap();
    queue.continue_after(TaskId(3)).unwrap();
    assert_eq!(queue.accept(&task(), 1).unwrap(), TaskId(8));
}
