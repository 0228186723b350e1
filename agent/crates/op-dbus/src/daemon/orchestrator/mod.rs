//! Distributes tasks: takes them in, gives them to workers by priority, and keeps what became of them.
//!
//! Nothing is polled: it wakes when a task comes, when one ends, and when a deadline or the end of a pause is due.

mod rights;
mod worker;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tasks::{Cancelled, Limits, Millis, NewTask, Outcome, Queue, Task, TaskId};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};
use tools::{
    Agent, Caller, Cancel, Door, Effect, Event, Options, PRIORITIES, Role, Submission, ToolError,
    may_see, of_queue, owner,
};

use crate::doors::Hall;

pub(crate) use rights::{Judge, Right};

/// How many tasks that only read run at once; of those that change something one does.
const READS: usize = 4;
/// How often a task may be tried again.
const MOST_RETRIES: u8 = 10;
/// The longest time to a deadline, in seconds: a week.
const LONGEST_DEADLINE: u32 = 604_800;
/// How long to wait before the queue is tried again after it could not be read or written.
const MISHAP: Duration = Duration::from_secs(60);

/// What is told of a task to who submitted it.
#[derive(Debug)]
pub(crate) enum News {
    /// It is on disk.
    Accepted(Box<Task>),
    /// Somebody works on it.
    Started(TaskId),
    /// It is under way.
    Progress(TaskId, Event),
    /// It failed, and is tried again later.
    Postponed(TaskId),
    /// It has ended.
    Finished(Box<Task>),
}

/// Who is interested in a task as long as this process lives.
pub(crate) struct Patron {
    /// Says whether the right that the task was accepted with is still there.
    pub(crate) judge: Judge,
    /// Where news go.
    pub(crate) news: UnboundedSender<News>,
}

/// A task that runs.
struct Underway {
    cancel: Cancel,
    exclusive: bool,
    /// Its owner took it back, and not the end of the daemon.
    taken_back: bool,
}

/// Device and number of a file.
type FileId = (u64, u64);

fn identity(path: &Path) -> Option<FileId> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// What tells a file from its copies, over restarts: its subvolume, and its number there.
fn home(path: &Path) -> Result<String, ToolError> {
    let failed = |error: &dyn std::fmt::Display| {
        ToolError::Unavailable(format!("look at {}: {error}", path.display()))
    };
    let number = std::fs::metadata(path)
        .map_err(|error| failed(&error))?
        .ino();
    let subvolume = path.parent().unwrap_or(path);
    let uuid = match btrfs::is_subvolume(subvolume).map_err(|error| failed(&error))? {
        true => btrfs::info(subvolume).map_err(|error| failed(&error))?.uuid,
        false => None,
    };
    let uuid = uuid.map_or_else(String::new, |uuid| uuid.to_string());
    Ok(format!("{uuid} {number}"))
}

/// The one who distributes tasks.
pub(crate) struct Orchestrator {
    hall: Arc<Hall>,
    /// With the file that it is in, which may have been brought back from a snapshot since.
    queue: Mutex<Option<(FileId, Arc<Queue>)>>,
    patrons: Mutex<HashMap<TaskId, Patron>>,
    underway: Mutex<HashMap<TaskId, Underway>>,
    /// Tasks that have ended, which could not be kept yet.
    unkept: Mutex<Vec<Arc<(Task, Outcome)>>>,
    bell: Notify,
    settled: Notify,
    ending: AtomicBool,
}

/// Now, by the clock of this machine.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Orchestrator {
    pub(crate) fn new(hall: &Arc<Hall>) -> Arc<Self> {
        let orchestrator = Arc::new(Self {
            hall: Arc::clone(hall),
            queue: Mutex::default(),
            patrons: Mutex::default(),
            underway: Mutex::default(),
            unkept: Mutex::default(),
            bell: Notify::new(),
            settled: Notify::new(),
            ending: AtomicBool::new(false),
        });
        let as_seen: Arc<dyn tools::Orchestrator> = orchestrator.clone();
        hall.registry
            .site()
            .set_orchestrator(Arc::downgrade(&as_seen));
        orchestrator
    }

    /// Opens the queue once the base is there, and puts in order what a crash left.
    pub(crate) fn open(&self) -> Result<Arc<Queue>, ToolError> {
        let mut place = lock(&self.queue);
        let paths = self.hall.registry.site().paths();
        if let Some((known, queue)) = &*place {
            // Where nobody can say where it is now, it is where it was.
            let there = paths
                .as_ref()
                .map_or(Some(*known), |paths| identity(&paths.tasks()));
            if there == Some(*known) {
                return Ok(Arc::clone(queue));
            }
            log::warn!(
                "the tasks are those of another file now, such as one that was brought back"
            );
        }
        let paths = paths?;
        if !paths.timing().is_dir() {
            return Err(ToolError::Unavailable(
                "the base is not there yet, and tasks could not be kept: `op-dbus apply` makes it"
                    .to_owned(),
            ));
        }
        let queue = Queue::open(&paths.tasks(), Limits::default()).map_err(of_queue)?;
        if let Some((_, before)) = &*place {
            // What runs still goes by its id, which no other task must get.
            let last = before.last_id().map_err(of_queue)?;
            queue.continue_after(last).map_err(of_queue)?;
        }
        let home = home(&paths.tasks())?;
        let interrupted = queue.at_home(&home, now()).map_err(of_queue)?;
        if !interrupted.is_empty() {
            log::warn!(
                "the tasks were brought back, and those that were open then are not run again: {interrupted:?}"
            );
        }
        let found = queue.recover(now()).map_err(of_queue)?;
        if found != tasks::Recovered::default() {
            log::warn!(
                "tasks that ran when the daemon died: {} run again, {} interrupted, {} ended",
                found.queued.len(),
                found.interrupted.len(),
                found.ended.len()
            );
        }
        let queue = Arc::new(queue);
        *place = identity(&paths.tasks()).map(|file| (file, Arc::clone(&queue)));
        self.bell.notify_one();
        Ok(queue)
    }

    /// A task as a caller may see it. Whose it is not learns nothing of it.
    pub(crate) fn seen(&self, caller: &Caller, id: TaskId) -> Result<Task, ToolError> {
        let task = self.open()?.get(id).map_err(of_queue)?;
        match may_see(caller, &task) {
            true => Ok(task),
            false => Err(of_queue(tasks::Error::NotFound(id))),
        }
    }

    /// Takes a task in; who submitted it hears of it.
    pub(crate) fn submit_for(
        &self,
        caller: &Caller,
        submission: Submission,
        patron: Option<Patron>,
    ) -> Result<Task, ToolError> {
        if self.ending.load(Ordering::SeqCst) {
            return Err(ToolError::Unavailable(
                "the daemon is ending: try again later".to_owned(),
            ));
        }
        check(&submission)?;
        let new = self.accepted(caller, submission)?;
        let queue = self.open()?;
        // Held until the patron is there, so that no worker begins before.
        let mut patrons = lock(&self.patrons);
        let id = queue.accept(&new, now()).map_err(of_queue)?;
        let task = queue.get(id).map_err(of_queue)?;
        if let Some(patron) = patron {
            let _ = patron.news.send(News::Accepted(Box::new(task.clone())));
            patrons.insert(id, patron);
        }
        drop(patrons);
        log::info!(
            "task {id} accepted: {} of {} for {}",
            task.tool,
            task.agent,
            caller.name
        );
        self.bell.notify_one();
        Ok(task)
    }

    /// The task that a submission is, if its caller may have it done.
    fn accepted(&self, caller: &Caller, submission: Submission) -> Result<NewTask, ToolError> {
        let registry = &self.hall.registry;
        let operation = submission.operation.as_str();
        let (agent, tool) = match submission.agent.as_deref() {
            Some(name) => {
                let agent = Agent::of(name)?;
                (agent, agent.tool(registry, operation)?)
            }
            None => {
                let tool = registry.tool(operation)?;
                (Agent::with(tool)?, tool)
            }
        };
        // There a plan's hash is an argument that a program gives, and no person's word.
        if tool.effect == Effect::Destroy && matches!(caller.door, Door::Mcp | Door::Web) {
            return Err(ToolError::Refused(format!(
                "{} loses data for good: call the tool itself, so that a person can be asked",
                tool.name
            )));
        }
        if submission.priority > 0 && caller.role < Some(Role::Operator) {
            return Err(ToolError::Refused(
                "a priority above 0 takes the role operator: leave it out".to_owned(),
            ));
        }
        let arguments = Value::Object(submission.arguments);
        let options = Options {
            plan: submission.plan.clone(),
            ..Options::default()
        };
        let accepted = registry.accept(caller, tool.name, &arguments, options)?;
        let deadline = submission
            .deadline_s
            .map(|after| now() + i64::from(after) * 1000);
        Ok(NewTask {
            agent: agent.name.to_owned(),
            tool: accepted.tool.to_owned(),
            arguments,
            shown: accepted.shown,
            caller: rights::kept(caller),
            owner: owner(caller),
            plan: submission.plan,
            priority: submission.priority,
            deadline,
            retries: submission.retries,
            idempotent: submission.idempotent || accepted.effect == Effect::Read,
            exclusive: accepted.effect != Effect::Read,
        })
    }

    /// Distributes until the daemon ends.
    pub(crate) async fn distribute(self: Arc<Self>) {
        let mut changes = self.hall.changes();
        while !self.ending.load(Ordering::SeqCst) {
            let at_work = Arc::clone(&self);
            let due = tokio::task::spawn_blocking(move || at_work.hand_out()).await;
            let pause = match due {
                Ok(Ok(due)) => due,
                Ok(Err(error)) => {
                    log::error!("{error}");
                    Some(MISHAP)
                }
                Err(error) => {
                    log::error!("hand out tasks: {error}");
                    Some(MISHAP)
                }
            };
            self.until_due(pause, &mut changes).await;
        }
    }

    /// Waits for a task, for the end of a pause, or until the tasks are those of another file.
    async fn until_due(&self, pause: Option<Duration>, changes: &mut watch::Receiver<u64>) {
        let pause = sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = self.bell.notified() => return,
                () = &mut pause => return,
                changed = changes.changed() => {
                    if changed.is_err() || self.is_elsewhere() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether another file than the one that is open is in the queue's place.
    fn is_elsewhere(&self) -> bool {
        let known = lock(&self.queue).as_ref().map(|(known, _)| *known);
        let paths = self.hall.registry.site().paths();
        known.is_some() && paths.is_ok_and(|paths| identity(&paths.tasks()) != known)
    }

    /// Tells who submitted a task.
    fn tell(&self, id: TaskId, news: News) {
        let mut patrons = lock(&self.patrons);
        let ended = matches!(news, News::Finished(_));
        if let Some(patron) = patrons.get(&id) {
            let _ = patron.news.send(news);
        }
        if ended {
            patrons.remove(&id);
        }
    }

    /// Takes no more tasks, and begins none.
    pub(crate) fn stop(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.bell.notify_one();
    }

    /// Waits until it is on disk how the tasks that ran have ended.
    pub(crate) async fn settle(&self, limit: Duration) {
        let all = async {
            loop {
                let settled = self.settled.notified();
                if lock(&self.underway).is_empty() {
                    return;
                }
                settled.await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            log::warn!(
                "tasks were still running at the end; the next start says what became of them"
            );
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Whether the numbers of a submission are within bounds.
fn check(submission: &Submission) -> Result<(), ToolError> {
    let wrong = [
        (
            !PRIORITIES.contains(&submission.priority),
            "`priority` is -10 to 10",
        ),
        (submission.retries > MOST_RETRIES, "`retries` is 0 to 10"),
        (
            submission
                .deadline_s
                .is_some_and(|after| !(1..=LONGEST_DEADLINE).contains(&after)),
            "`deadline_s` is 1 to 604800",
        ),
        (
            submission
                .plan
                .as_ref()
                .is_some_and(|plan| plan.len() > 128),
            "`plan` is the hash of a plan",
        ),
    ];
    let wrong: Vec<_> = wrong
        .iter()
        .filter(|(wrong, _)| *wrong)
        .map(|(_, text)| *text)
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(ToolError::Invalid(wrong.join("; "))),
    }
}

impl tools::Orchestrator for Orchestrator {
    fn submit(&self, caller: &Caller, submission: Submission) -> Result<Task, ToolError> {
        self.submit_for(caller, submission, None)
    }

    fn cancel(&self, caller: &Caller, id: TaskId) -> Result<Task, ToolError> {
        let queue = self.open()?;
        self.seen(caller, id)?;
        let reason =
            json!({ "code": "cancelled", "message": format!("{} took it back", caller.name) });
        match queue.cancel(id, &reason, now()).map_err(of_queue)? {
            Cancelled::AtOnce => {
                let task = queue.get(id).map_err(of_queue)?;
                self.tell(id, News::Finished(Box::new(task)));
                self.bell.notify_one();
            }
            Cancelled::Asked => {
                if let Some(underway) = lock(&self.underway).get_mut(&id) {
                    underway.taken_back = true;
                    underway.cancel.cancel();
                }
            }
            Cancelled::TooLate(state) => {
                return Err(ToolError::Invalid(format!(
                    "task {id} has ended already: it is {state}. `op-dbus task show {id}` shows it"
                )));
            }
        }
        queue.get(id).map_err(of_queue)
    }
}
