//! The queue against a model in memory, with the program ending at any point.
#![allow(clippy::unwrap_used)]

mod task;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use task::task;
use tasks::{Cancelled, Error, Filter, Lane, Limits, NewTask, Outcome, Queue, State, TaskId};

/// Few, so that bounds are met.
const LIMITS: Limits = Limits {
    open: 6,
    open_of_one: 4,
    arguments: 4096,
    result: 64,
    finished: 5,
    age: 1_000_000,
};

#[derive(Debug, Clone)]
enum Step {
    Accept {
        owner: u8,
        priority: i8,
        deadline: Option<i64>,
        retries: u8,
        idempotent: bool,
        exclusive: bool,
    },
    Take(bool),
    Done(usize, bool),
    Fail(usize, bool, bool),
    GiveUp(usize),
    Stop(usize, bool),
    Cancel(i64),
    Pass(i64),
    Crash,
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    let accept = (
        0..2_u8,
        -1..2_i8,
        prop::option::of(1..5000_i64),
        0..3_u8,
        any::<bool>(),
        any::<bool>(),
    );
    let accept = accept.prop_map(
        |(owner, priority, deadline, retries, idempotent, exclusive)| Step::Accept {
            owner,
            priority,
            deadline,
            retries,
            idempotent,
            exclusive,
        },
    );
    prop_oneof![
        4 => accept,
        4 => any::<bool>().prop_map(Step::Take),
        2 => (0..4_usize, any::<bool>()).prop_map(|(which, large)| Step::Done(which, large)),
        2 => (0..4_usize, any::<bool>(), any::<bool>()).prop_map(|(which, a, b)| Step::Fail(which, a, b)),
        1 => (0..4_usize).prop_map(Step::GiveUp),
        1 => (0..4_usize, any::<bool>()).prop_map(|(which, nothing)| Step::Stop(which, nothing)),
        1 => (1..12_i64).prop_map(Step::Cancel),
        2 => (0..3000_i64).prop_map(Step::Pass),
        1 => Just(Step::Crash),
        1 => Just(Step::Prune),
    ]
}

/// What the model knows of a task.
#[derive(Debug, Clone)]
struct Known {
    new: NewTask,
    state: State,
    attempts: u32,
    retries: u8,
    not_before: i64,
    cancel_asked: bool,
    ended: Option<i64>,
}

#[derive(Default)]
struct Model {
    tasks: BTreeMap<i64, Known>,
    now: i64,
}

impl Model {
    fn open(&self, owner: Option<&str>) -> usize {
        let open = self.tasks.values().filter(|task| task.state.is_open());
        open.filter(|task| owner.is_none_or(|owner| task.new.owner == owner))
            .count()
    }

    fn next(&self, exclusive: bool) -> Option<i64> {
        let ready = self.tasks.iter().filter(|(_, task)| {
            task.state == State::Queued
                && task.new.exclusive == exclusive
                && task.not_before <= self.now
                && task.new.deadline.is_none_or(|deadline| deadline > self.now)
        });
        let best = ready.max_by_key(|(id, task)| (task.new.priority, -**id));
        best.map(|(id, _)| *id)
    }

    fn end(&mut self, id: i64, state: State) {
        let now = self.now;
        let task = self.tasks.get_mut(&id).unwrap();
        (task.state, task.ended) = (state, Some(now));
    }

    /// The program ends while this one runs.
    fn stop(&mut self, id: i64, did_nothing: bool) {
        let task = self.tasks.get_mut(&id).unwrap();
        match (task.new.idempotent || did_nothing, task.cancel_asked) {
            (false, _) => self.end(id, State::Interrupted),
            (true, true) => self.end(id, State::Cancelled),
            (true, false) if task.attempts >= 3 && task.retries == 0 => self.end(id, State::Failed),
            (true, false) => {
                task.state = State::Queued;
                task.not_before = 0;
                task.retries = task.retries.saturating_sub(1);
            }
        }
    }

    fn running(&self) -> Vec<i64> {
        let running = self
            .tasks
            .iter()
            .filter(|(_, task)| task.state == State::Running);
        running.map(|(id, _)| *id).collect()
    }
}

fn new(step: &Step, now: i64) -> NewTask {
    let Step::Accept {
        owner,
        priority,
        deadline,
        retries,
        idempotent,
        exclusive,
    } = step
    else {
        unreachable!()
    };
    NewTask {
        caller: json!({ "uid": owner }),
        owner: owner.to_string(),
        priority: *priority,
        deadline: deadline.map(|after| now + after),
        retries: *retries,
        idempotent: *idempotent,
        exclusive: *exclusive,
        ..task()
    }
}

fn check(queue: &Queue, model: &Model) {
    let all = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let tasks = queue.list(&all).unwrap();
    let there: Vec<_> = tasks.iter().map(|task| (task.id.0, task.state)).collect();
    let known: Vec<_> = model
        .tasks
        .iter()
        .rev()
        .map(|(id, task)| (*id, task.state))
        .collect();
    assert_eq!(there, known);
    for task in tasks {
        let known = &model.tasks[&task.id.0];
        assert_eq!(task.attempts, known.attempts, "{task:?}");
        assert_eq!(task.retries_left, known.retries, "{task:?}");
        assert_eq!(task.finished, known.ended, "{task:?}");
        assert_eq!(task.arguments, known.new.shown);
        let executions = queue.executions(task.id).unwrap();
        assert_eq!(executions.len(), known.attempts as usize);
        let under_way = executions
            .iter()
            .filter(|execution| execution.ended.is_none())
            .count();
        assert_eq!(
            under_way,
            usize::from(task.state == State::Running),
            "{executions:?}"
        );
    }
}

fn run(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let mut queue = Queue::open(&path, LIMITS).unwrap();
    let mut model = Model {
        now: 1_000_000,
        ..Model::default()
    };
    let nth = |model: &Model, which: usize| model.running().get(which).copied();
    for step in steps {
        let now = model.now;
        match step {
            Step::Accept { .. } => {
                let new = new(step, now);
                let room = model.open(None) < LIMITS.open
                    && model.open(Some(&new.owner)) < LIMITS.open_of_one;
                match queue.accept(&new, now) {
                    Ok(id) => {
                        assert!(room);
                        let last = model.tasks.keys().last().copied().unwrap_or_default();
                        assert!(id.0 > last);
                        let known = Known {
                            state: State::Queued,
                            attempts: 0,
                            retries: new.retries,
                            not_before: 0,
                            cancel_asked: false,
                            ended: None,
                            new,
                        };
                        model.tasks.insert(id.0, known);
                    }
                    Err(Error::Full { .. }) => assert!(!room),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Take(exclusive) => {
                let lane = if *exclusive {
                    Lane::Exclusive
                } else {
                    Lane::Shared
                };
                let taken = queue.take(lane, now).unwrap();
                assert_eq!(
                    taken.as_ref().map(|taken| taken.task.id.0),
                    model.next(*exclusive)
                );
                if let Some(taken) = taken {
                    assert_eq!(taken.arguments, json!({ "password": "hunter2" }));
                    let known = model.tasks.get_mut(&taken.task.id.0).unwrap();
                    known.state = State::Running;
                    known.attempts += 1;
                }
            }
            Step::Done(which, large) => {
                let Some(id) = nth(&model, *which) else {
                    continue;
                };
                let result = json!(if *large {
                    "x".repeat(100)
                } else {
                    "x".to_owned()
                });
                let task = queue
                    .finish(TaskId(id), &Outcome::Done(result), now)
                    .unwrap();
                assert_eq!(task.result.is_none(), *large);
                assert_eq!(task.result_bytes, large.then_some(102));
                model.end(id, State::Done);
            }
            Step::Fail(which, transient, did_nothing) => {
                let Some(id) = nth(&model, *which) else {
                    continue;
                };
                let outcome = Outcome::Failed {
                    error: Value::Null,
                    transient: *transient,
                    did_nothing: *did_nothing,
                };
                queue.finish(TaskId(id), &outcome, now).unwrap();
                let known = model.tasks.get_mut(&id).unwrap();
                let pause = 1000 << (known.attempts - 1);
                let in_time = known
                    .new
                    .deadline
                    .is_none_or(|deadline| now + pause < deadline);
                let may = *transient && (known.new.idempotent || *did_nothing);
                match may && known.retries > 0 && !known.cancel_asked && in_time {
                    true => {
                        known.state = State::Queued;
                        known.retries -= 1;
                        known.not_before = now + pause;
                    }
                    false => model.end(id, State::Failed),
                }
            }
            Step::GiveUp(which) => {
                let Some(id) = nth(&model, *which) else {
                    continue;
                };
                queue
                    .finish(TaskId(id), &Outcome::Cancelled(Value::Null), now)
                    .unwrap();
                model.end(id, State::Cancelled);
            }
            Step::Stop(which, did_nothing) => {
                let Some(id) = nth(&model, *which) else {
                    continue;
                };
                queue
                    .finish(
                        TaskId(id),
                        &Outcome::Stopped {
                            did_nothing: *did_nothing,
                        },
                        now,
                    )
                    .unwrap();
                model.stop(id, *did_nothing);
            }
            Step::Cancel(id) => {
                let cancelled = queue.cancel(TaskId(*id), &Value::Null, now);
                match model.tasks.get_mut(id).map(|task| (task.state, task)) {
                    None => assert!(matches!(cancelled, Err(Error::NotFound(_)))),
                    Some((State::Queued, _)) => {
                        assert_eq!(cancelled.unwrap(), Cancelled::AtOnce);
                        model.end(*id, State::Cancelled);
                    }
                    Some((State::Running, task)) => {
                        assert_eq!(cancelled.unwrap(), Cancelled::Asked);
                        task.cancel_asked = true;
                    }
                    Some((ended, _)) => assert_eq!(cancelled.unwrap(), Cancelled::TooLate(ended)),
                }
            }
            Step::Pass(time) => {
                // What falls due first is known, so that nobody has to look again and again.
                let due = queue.next_due(now).unwrap();
                model.now += time;
                let expired = queue.expire(model.now).unwrap();
                let late: Vec<_> = model
                    .tasks
                    .iter()
                    .filter(|(_, task)| task.state == State::Queued)
                    .filter(|(_, task)| {
                        task.new
                            .deadline
                            .is_some_and(|deadline| deadline <= model.now)
                    })
                    .map(|(id, _)| *id)
                    .collect();
                let mut ids: Vec<_> = expired.iter().map(|task| task.id.0).collect();
                ids.sort_unstable();
                assert_eq!(ids, late);
                assert!(late.is_empty() || due.is_some_and(|due| due <= model.now));
                for id in late {
                    model.end(id, State::Expired);
                }
            }
            Step::Crash => {
                drop(queue);
                queue = Queue::open(&path, LIMITS).unwrap();
                let recovered = queue.recover(now).unwrap();
                let running = model.running();
                let settled =
                    recovered.queued.len() + recovered.interrupted.len() + recovered.ended.len();
                assert_eq!(settled, running.len());
                for id in running {
                    model.stop(id, false);
                }
                assert_eq!(queue.recover(now).unwrap(), tasks::Recovered::default());
            }
            Step::Prune => {
                queue.prune(now).unwrap();
                for owner in ["0", "1"] {
                    let mut ended: Vec<_> = model
                        .tasks
                        .iter()
                        .filter(|(_, task)| task.new.owner == owner)
                        .filter_map(|(id, task)| Some((task.ended?, *id)))
                        .collect();
                    ended.sort_unstable();
                    for (_, id) in ended.iter().rev().skip(LIMITS.finished) {
                        model.tasks.remove(id);
                    }
                }
            }
        }
        check(&queue, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}

#[test]
fn a_task_that_ends_the_program_is_not_begun_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let id = Queue::open(&path, LIMITS)
        .unwrap()
        .accept(&task(), 0)
        .unwrap();
    for _ in 0..3 {
        let queue = Queue::open(&path, LIMITS).unwrap();
        queue.recover(1).unwrap();
        assert!(queue.take(Lane::Exclusive, 1).unwrap().is_some());
    }
    let queue = Queue::open(&path, LIMITS).unwrap();
    assert_eq!(queue.recover(2).unwrap().ended, [id]);
    let task = queue.get(id).unwrap();
    assert_eq!((task.state, task.attempts), (State::Failed, 3));
    assert!(
        task.error.unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("3 times")
    );
}

#[test]
fn only_root_reads_the_file_and_secrets_leave_it_with_the_end() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let queue = Queue::open(&path, LIMITS).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let id = queue.accept(&task(), 0).unwrap();
    let holds = || String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("hunter2");
    assert!(holds());
    // Others may look meanwhile, and change nothing.
    let reader = Queue::open_to_read(&path).unwrap();
    assert_eq!(reader.get(id).unwrap().state, State::Queued);
    assert!(reader.accept(&task(), 0).is_err());
    queue.take(Lane::Exclusive, 1).unwrap().unwrap();
    queue.finish(id, &Outcome::Done(json!(1)), 2).unwrap();
    assert!(!holds());
    assert_eq!(reader.get(id).unwrap().state, State::Done);
    assert!(matches!(
        queue.finish(id, &Outcome::Done(json!(1)), 3),
        Err(Error::NotRunning { .. })
    ));
}

#[test]
fn what_is_no_queue_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    assert!(matches!(Queue::open_to_read(&path), Err(Error::Missing(_))));
    for text in ["this is no database ".repeat(100), "x".to_owned()] {
        std::fs::write(&path, &text).unwrap();
        for opened in [Queue::open(&path, LIMITS), Queue::open_to_read(&path)] {
            assert!(matches!(opened, Err(Error::Foreign { .. })), "{opened:?}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn the_last_to_end_are_kept_for_each_owner() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(&dir.path().join("tasks.db"), LIMITS).unwrap();
    let end = |owner: &str, now| {
        let mut task = task();
        task.owner = owner.to_owned();
        let id = queue.accept(&task, now).unwrap();
        assert!(queue.take(Lane::Exclusive, now).unwrap().is_some());
        queue.finish(id, &Outcome::Done(json!(1)), now).unwrap();
        id
    };
    let theirs = end("theirs", 0);
    // It was the first to be accepted, and the last to end.
    let mut late = task();
    late.exclusive = false;
    let late = queue.accept(&late, 1).unwrap();
    queue.take(Lane::Shared, 1).unwrap();
    let mine: Vec<_> = (2..8).map(|now| end("0", now)).collect();
    queue.finish(late, &Outcome::Done(json!(1)), 9).unwrap();
    assert_eq!(queue.prune(9).unwrap(), 2);
    for id in [theirs, late].iter().chain(&mine[2..]) {
        queue.get(*id).unwrap();
    }
}

#[test]
fn too_much_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(&dir.path().join("tasks.db"), LIMITS).unwrap();
    let mut large = task();
    large.arguments = json!("x".repeat(2000));
    queue.accept(&large, 0).unwrap();
    queue.accept(&large, 0).unwrap();
    assert!(matches!(
        queue.accept(&large, 0),
        Err(Error::TooLarge { .. })
    ));
    assert!(queue.accept(&task(), 0).is_ok());
}
