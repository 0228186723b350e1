//! One user's conversation: what all of their browsers with the same role see, in one order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::event::{Body, Decision};
use crate::history::{EVENTS, History};
use crate::kept::{left_open, past};
use crate::plans::{Pending, Plans, Refusal};
use crate::thinker::Past;

/// How many events may wait for a browser that is slow; after that it is sent away, and comes back.
const QUEUE: usize = 256;
/// How many messages may wait to be answered.
const WAITING: usize = 16;

/// One user's conversation.
pub(crate) struct Conversation {
    pub(crate) user: Arc<str>,
    state: Mutex<State>,
    /// What was talked of. Held while a message is answered, so that they are answered in their order.
    pub(crate) context: tokio::sync::Mutex<say::Context>,
    /// Places for messages that are to be answered.
    pub(crate) waiting: Arc<Semaphore>,
}

struct State {
    history: History,
    listeners: Vec<Listener>,
    counted: u64,
    plans: Plans,
    running: HashMap<String, oneshot::Sender<()>>,
    ids: HashSet<String>,
    ids_in_order: VecDeque<String>,
    window: Option<Window>,
    /// The entry of the last change.
    entry: Option<i64>,
    /// Why the last thing came out as it did.
    why: Option<String>,
}

/// A run that waits to be confirmed.
struct Window {
    run: String,
    end: Instant,
    /// The number of the first event that could tell of it.
    seq: u64,
}

struct Listener {
    number: u64,
    queue: mpsc::Sender<Arc<str>>,
}

/// What somebody gets who begins to listen.
pub(crate) struct Entered {
    pub(crate) number: u64,
    pub(crate) conversation: String,
    pub(crate) next_seq: u64,
    /// What was missed; none if that cannot be said.
    pub(crate) missed: Option<Vec<Arc<str>>>,
    pub(crate) window: Option<Value>,
    pub(crate) queue: mpsc::Receiver<Arc<str>>,
}

impl Conversation {
    /// The conversation of a user, as far as it was kept. What a process before this one left open is closed.
    pub(crate) fn open(dir: Option<&Path>, user: &str, role: &str) -> Self {
        let history = History::open(dir, &format!("{user}\n{role}"));
        let kept: Vec<_> = history.values().collect();
        let conversation = Self {
            user: user.into(),
            state: Mutex::new(State {
                history,
                listeners: Vec::new(),
                counted: 0,
                plans: Plans::default(),
                running: HashMap::new(),
                ids: HashSet::new(),
                ids_in_order: VecDeque::new(),
                window: None,
                entry: None,
                why: None,
            }),
            context: tokio::sync::Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
        };
        let mut state = conversation.state();
        for left in left_open(&kept, user) {
            let content = left["content"].as_str().unwrap_or_default().to_owned();
            state.append_value(left, &content);
        }
        for id in kept.iter().filter(|event| event["type"] == "user") {
            if let Some(id) = id["id"].as_str() {
                state.remember(id);
            }
        }
        drop(state);
        conversation
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next event.
    pub(crate) fn next_seq(&self) -> u64 {
        self.state().history.next()
    }

    /// Begins to listen after a number of this conversation.
    pub(crate) fn enter(&self, after: Option<u64>, conversation: Option<&str>) -> Entered {
        let mut state = self.state();
        let same = conversation.is_none_or(|known| known == state.history.conversation);
        let missed = after
            .filter(|_| same)
            .and_then(|after| state.history.after(after));
        let (sender, queue) = mpsc::channel(QUEUE);
        state.counted += 1;
        let number = state.counted;
        state.listeners.push(Listener {
            number,
            queue: sender,
        });
        Entered {
            number,
            conversation: state.history.conversation.clone(),
            next_seq: state.history.next(),
            missed,
            window: state.window.as_ref().map(|Window { run, end, .. }| {
                let left = end.saturating_duration_since(Instant::now()).as_secs();
                json!({ "run": run, "seconds_left": left })
            }),
            queue,
        }
    }

    /// Listens no more.
    pub(crate) fn leave(&self, number: u64) {
        self.state()
            .listeners
            .retain(|listener| listener.number != number);
    }

    /// Whether nobody listens and nothing goes on.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        state.listeners.is_empty()
            && state.running.is_empty()
            && state.plans.open().next().is_none()
            && state.window.is_none()
            && self.waiting.available_permits() == WAITING
    }

    /// Tells an event of the conversation; its number.
    pub(crate) fn tell(&self, body: &Body, content: &str, tools: &[String]) -> u64 {
        self.state().tell(body, content, tools)
    }

    /// Tells an event that is named by its number.
    pub(crate) fn tell_numbered(
        &self,
        tools: &[String],
        body: impl FnOnce(u64) -> (Body, String),
    ) -> u64 {
        let mut state = self.state();
        let (body, content) = body(state.history.next());
        state.tell(&body, &content, tools)
    }

    /// Tells those who listen now, and keeps nothing. Who is slow misses it.
    pub(crate) fn whisper(&self, body: &Body, content: &str) {
        let event = body.aside(content);
        for listener in &self.state().listeners {
            let _ = listener.queue.try_send(Arc::clone(&event));
        }
    }

    /// Takes a message in; its number, or none if it was there before.
    pub(crate) fn take_in(&self, id: Option<&str>, content: &str) -> Option<u64> {
        let mut state = self.state();
        if let Some(id) = id
            && !state.remember(id)
        {
            return None;
        }
        let body = Body::User {
            id: id.map(str::to_owned),
        };
        Some(state.tell(&body, content, &[]))
    }

    /// Whether a message was taken in before.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.state().ids.contains(id)
    }

    /// Shows a plan, named by its number, which waits from now on.
    pub(crate) fn show(&self, tool: &str, plan: impl FnOnce(u64) -> (Pending, Body, String)) {
        let mut state = self.state();
        let (pending, body, content) = plan(state.history.next());
        state.tell(&body, &content, &[tool.to_owned()]);
        for replaced in state.plans.add(pending) {
            state.decided(&replaced, Decision::Replaced, &self.user);
        }
    }

    /// Takes a plan out to carry it out, and tells so.
    pub(crate) fn approve(&self, plan: &str, name: Option<&str>) -> Result<Pending, Refusal> {
        let mut state = self.state();
        let plan = state.plans.approve(plan, name, Instant::now())?;
        state.decided(&plan, Decision::Applied, &self.user);
        Ok(plan)
    }

    /// Drops a plan, and tells so.
    pub(crate) fn cancel(&self, plan: &str) -> Result<(), Refusal> {
        let mut state = self.state();
        let plan = state.plans.cancel(plan)?;
        state.decided(&plan, Decision::Cancelled, &self.user);
        Ok(())
    }

    /// Drops what nobody agreed to in time.
    pub(crate) fn expire(&self) {
        let mut state = self.state();
        for plan in state.plans.expire(Instant::now()) {
            state.decided(&plan, Decision::Expired, &self.user);
        }
    }

    /// The plans that wait.
    pub(crate) fn waiting_plans(&self) -> Vec<Pending> {
        self.state().plans.open().cloned().collect()
    }

    /// Something goes on that can be stopped, by its id.
    pub(crate) fn begin(&self, id: &str) -> oneshot::Receiver<()> {
        let (stop, stopped) = oneshot::channel();
        self.state().running.insert(id.to_owned(), stop);
        stopped
    }

    /// It goes on no more.
    pub(crate) fn end(&self, id: &str) {
        self.state().running.remove(id);
    }

    /// Stops something; false if nothing of that id goes on.
    pub(crate) fn stop(&self, id: &str) -> bool {
        let running = self.state().running.remove(id);
        running.is_some_and(|stop| stop.send(()).is_ok())
    }

    /// Stops everything; how much that was.
    pub(crate) fn stop_all(&self) -> usize {
        let running = std::mem::take(&mut self.state().running);
        running
            .into_values()
            .filter_map(|stop| stop.send(()).ok())
            .count()
    }

    /// A run waits to be confirmed from now on, or none.
    pub(crate) fn set_window(&self, window: Option<(String, Instant)>) {
        let mut state = self.state();
        let seq = state.history.next();
        state.window = window.map(|(run, end)| Window { run, end, seq });
    }

    /// The run that waits.
    pub(crate) fn window(&self) -> Option<String> {
        self.state()
            .window
            .as_ref()
            .map(|window| window.run.clone())
    }

    /// Whether a run waited before the event of this number.
    pub(crate) fn had_window(&self, seq: u64) -> bool {
        let state = self.state();
        state.window.as_ref().is_some_and(|window| window.seq < seq)
    }

    /// Keeps the entry of the last change.
    pub(crate) fn set_entry(&self, entry: i64) {
        self.state().entry = Some(entry);
    }

    /// The entry of the last change.
    pub(crate) fn entry(&self) -> Option<i64> {
        self.state().entry
    }

    /// Keeps why something came out as it did.
    pub(crate) fn set_why(&self, why: String) {
        self.state().why = Some(why);
    }

    /// Why the last thing came out as it did.
    pub(crate) fn why(&self) -> Option<String> {
        self.state().why.clone()
    }

    /// Events before a number, as the page reads them.
    pub(crate) fn history(&self, before: Option<u64>, limit: usize) -> Value {
        let (events, more) = self.state().history.before(before, limit.clamp(1, EVENTS));
        let events: Vec<Value> = events
            .iter()
            .filter_map(|event| serde_json::from_str(event).ok())
            .collect();
        json!({ "events": events, "more": more })
    }

    /// What was said lately, oldest first.
    pub(crate) fn past(&self, limit: usize) -> Vec<Past> {
        let (events, _) = self.state().history.before(None, limit);
        let events = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok());
        let mut plans = HashMap::new();
        events
            .filter_map(|event| past(&event, &mut plans))
            .collect()
    }
}

impl State {
    fn tell(&mut self, body: &Body, content: &str, tools: &[String]) -> u64 {
        let seq = self.history.next();
        self.append(&body.write(content, tools, Some(seq)));
        seq
    }

    fn append(&mut self, event: &Arc<str>) {
        self.history.push(Arc::clone(event));
        // Who is too slow is let go, and comes back for what it missed.
        self.listeners
            .retain(|listener| listener.queue.try_send(Arc::clone(event)).is_ok());
    }

    fn append_value(&mut self, mut event: Value, content: &str) {
        event["seq"] = json!(self.history.next());
        event["content"] = json!(content);
        event["timestamp"] = json!(crate::event::now());
        self.append(&event.to_string().into());
    }

    fn decided(&mut self, plan: &Pending, decision: Decision, by: &str) {
        let body = Body::Approval {
            plan: plan.id.clone(),
            decision,
            by: by.to_owned(),
        };
        self.tell(&body, "", &[]);
    }

    /// Remembers the id of a message; false if it was known.
    fn remember(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.ids_in_order.push_back(id.to_owned());
        if self.ids_in_order.len() > EVENTS
            && let Some(oldest) = self.ids_in_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn say(conversation: &Conversation, text: &str) {
        conversation.tell(&Body::Assistant(Box::default()), text, &[]);
    }

    fn seq(event: &str) -> u64 {
        serde_json::from_str::<Value>(event).unwrap()["seq"]
            .as_u64()
            .unwrap()
    }

    #[test]
    fn the_same_message_is_taken_in_once_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = Conversation::open(Some(dir.path()), "alice", "admin");
        assert!(first.take_in(Some("m1"), "hello").is_some());
        assert!(first.take_in(Some("m1"), "hello").is_none());
        assert!(first.take_in(None, "x") < first.take_in(None, "x"));
        drop(first);
        let again = Conversation::open(Some(dir.path()), "alice", "admin");
        assert!(again.take_in(Some("m1"), "hello").is_none());
        // It was never answered, and that is said once.
        let events = again.history(None, 100)["events"].clone();
        let last = events.as_array().unwrap().last().unwrap();
        assert_eq!(
            (last["code"].as_str(), last["in_reply_to"].as_str()),
            (Some("unanswered"), Some("m1"))
        );
        drop(again);
        let third = Conversation::open(Some(dir.path()), "alice", "admin");
        assert_eq!(
            third.history(None, 100)["events"].as_array().unwrap().len(),
            4
        );
    }

    #[test]
    fn who_is_slow_is_let_go() {
        let conversation = Conversation::open(None, "alice", "admin");
        let mut slow = conversation.enter(None, None);
        for n in 0..QUEUE + 1 {
            say(&conversation, &n.to_string());
        }
        let mut got = 0;
        while let Some(event) = slow.queue.blocking_recv() {
            got = seq(&event);
        }
        // And finds what it missed.
        let again = conversation.enter(Some(got), Some(&slow.conversation));
        assert_eq!(seq(&again.missed.unwrap()[0]), got + 1);
        assert!(
            conversation
                .enter(Some(got), Some("other"))
                .missed
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn a_browser_that_goes_and_comes_sees_everything_once(
            steps in proptest::collection::vec((0_u8..4, 1_usize..6), 1..40),
        ) {
            let conversation = Conversation::open(None, "alice", "admin");
            let mut entered = conversation.enter(Some(0), None);
            let mut seen = Vec::new();
            let mut all = 0;
            for (step, count) in steps {
                match step {
                    0 | 1 => for _ in 0..count {
                        say(&conversation, "x");
                        all += 1;
                    },
                    2 => while let Ok(event) = entered.queue.try_recv() {
                        seen.push(seq(&event));
                    },
                    // What was on its way to it is lost.
                    _ => {
                        conversation.leave(entered.number);
                        entered = conversation.enter(Some(seen.last().copied().unwrap_or(0)), None);
                        seen.extend(entered.missed.take().unwrap().iter().map(|event| seq(event)));
                    }
                }
            }
            while let Ok(event) = entered.queue.try_recv() {
                seen.push(seq(&event));
            }
            prop_assert_eq!(seen, (1..=all).collect::<Vec<u64>>());
        }
    }
}
