//! Workers: they take tasks whose turn it is, call the tool, and say how it ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;
use tasks::{Lane, Outcome, State, Taken, Task};
use tokio::runtime::Handle;
use tools::{Cancel, Options, ToolError, of_queue};

use super::{MISHAP, News, Orchestrator, READS, Underway, lock, now};
use crate::doors::Request;

impl Orchestrator {
    /// Begins what there is room for; how long until something falls due by itself.
    pub(super) fn hand_out(self: &Arc<Self>) -> Result<Option<Duration>, ToolError> {
        if lock(&self.queue).is_none() {
            return Ok(None);
        }
        let queue = self.open()?;
        let unkept = self.keep_unkept();
        for task in queue.expire(now()).map_err(of_queue)? {
            log::info!("task {} expired", task.id);
            self.tell(task.id, News::Finished(Box::new(task)));
        }
        for lane in [Lane::Exclusive, Lane::Shared] {
            loop {
                // Held until the task is among those that run, so that taking it back finds it.
                let mut underway = lock(&self.underway);
                let exclusive = lane == Lane::Exclusive;
                let busy = underway
                    .values()
                    .filter(|task| task.exclusive == exclusive)
                    .count();
                let room = if exclusive { 1 } else { READS };
                if busy >= room || self.ending.load(Ordering::SeqCst) {
                    break;
                }
                let Some(taken) = queue.take(lane, now()).map_err(of_queue)? else {
                    break;
                };
                let cancel = Cancel::default();
                let entry = Underway {
                    cancel: cancel.clone(),
                    exclusive,
                    taken_back: false,
                };
                underway.insert(taken.task.id, entry);
                drop(underway);
                Handle::current().spawn(Arc::clone(self).work(taken, cancel));
            }
        }
        let due = queue.next_due(now()).map_err(of_queue)?;
        let until =
            |due: i64| Duration::from_millis(u64::try_from(due - now()).unwrap_or_default() + 1);
        let due = due.map(until);
        Ok(match unkept {
            true => Some(due.map_or(MISHAP, |due| due.min(MISHAP))),
            false => due,
        })
    }

    /// Tries once more to keep how tasks have ended; whether some are left.
    fn keep_unkept(&self) -> bool {
        // Taken out first: what makes this panic is not tried for ever.
        let unkept = std::mem::take(&mut *lock(&self.unkept));
        for ended in unkept {
            let id = ended.0.id;
            match self.keep(&ended) {
                Ok(task) => self.tell_end(task),
                Err(error @ ToolError::Unavailable(_)) => {
                    log::error!("the end of task {id} can still not be kept: {error}");
                    lock(&self.unkept).push(ended);
                }
                Err(error) => log::error!("the end of task {id} is not kept: {error}"),
            }
        }
        !lock(&self.unkept).is_empty()
    }

    /// Carries one task out.
    async fn work(self: Arc<Self>, taken: Taken, cancel: Cancel) {
        let Taken { task, arguments } = taken;
        let id = task.id;
        self.tell(id, News::Started(id));
        let result = self.call(&task, arguments, &cancel).await;
        let taken_back = lock(&self.underway)
            .get(&id)
            .is_some_and(|underway| underway.taken_back);
        let outcome = self.outcome(&task, result, &cancel, taken_back);
        let ended = Arc::new((task, outcome));
        let (keeper, end) = (Arc::clone(&self), Arc::clone(&ended));
        let kept = tokio::task::spawn_blocking(move || keeper.keep(&end)).await;
        lock(&self.underway).remove(&id);
        match kept.unwrap_or_else(|error| Err(ToolError::failed("keep its end", error))) {
            Ok(task) => self.tell_end(task),
            Err(error) => {
                log::error!("task {id} has ended, but that could not be kept: {error}");
                // Who waits for its end hears now that there is none yet.
                lock(&self.patrons).remove(&id);
                lock(&self.unkept).push(ended);
            }
        }
        self.bell.notify_one();
        self.settled.notify_waiters();
    }

    /// Tells who submitted a task how an attempt at it has ended.
    fn tell_end(&self, task: Task) {
        let id = task.id;
        log::info!("task {id} is {}", task.state);
        let news = match task.state {
            State::Queued => News::Postponed(id),
            _ => News::Finished(Box::new(task)),
        };
        self.tell(id, news);
    }

    async fn call(
        self: &Arc<Self>,
        task: &Task,
        arguments: Value,
        cancel: &Cancel,
    ) -> Result<Value, ToolError> {
        let left = |deadline: i64| {
            Duration::from_millis(u64::try_from(deadline - now()).unwrap_or_default())
        };
        let deadline = task
            .deadline
            .map(|deadline| Instant::now() + left(deadline));
        let request = Request {
            caller: self.caller_of(task).await,
            name: task.tool.clone(),
            arguments,
            options: Options {
                plan: task.plan.clone(),
                deadline,
                ..Options::default()
            },
            cancel: cancel.clone(),
        };
        let (listener, id) = (Arc::clone(self), task.id);
        self.hall
            .call(request, move |event| {
                listener.tell(id, News::Progress(id, event.clone()))
            })
            .await
    }

    /// What the end of a call is for the queue.
    fn outcome(
        &self,
        task: &Task,
        result: Result<Value, ToolError>,
        cancel: &Cancel,
        taken_back: bool,
    ) -> Outcome {
        let did_nothing = task.exclusive && !cancel.has_begun();
        let ending = self.ending.load(Ordering::SeqCst);
        match result {
            Ok(result) => Outcome::Done(result),
            Err(ToolError::Cancelled) if ending && !taken_back => Outcome::Stopped { did_nothing },
            Err(ToolError::Cancelled) => Outcome::Cancelled(ToolError::Cancelled.json()),
            Err(error) => Outcome::Failed {
                transient: matches!(
                    error,
                    ToolError::Failed(_) | ToolError::Unavailable(_) | ToolError::RolledBack(_)
                ),
                did_nothing,
                error: error.json(),
            },
        }
    }

    /// Writes down how a task ended, and forgets old ones.
    fn keep(&self, (task, outcome): &(Task, Outcome)) -> Result<Task, ToolError> {
        let queue = self.open()?;
        let task = queue.finish(task.id, outcome, now()).map_err(of_queue)?;
        if let Err(error) = queue.prune(now()) {
            log::warn!("old tasks are not forgotten: {error}");
        }
        Ok(task)
    }
}
