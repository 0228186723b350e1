//! All conversations, and what they share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use api::Client;
use serde_json::{Value, json};

use crate::answer::beginning;
use crate::conversation::Conversation;
use crate::knowledge::Knowledge;
use crate::live::{Live, Topic};
use crate::seat::Seat;
use crate::speaker::Speaker;
use crate::thinker::Thinker;

/// How many conversations are held in memory although nobody listens; the others are read again.
const HELD: usize = 32;

/// Told of each call of a tool: its name, how it came out, how long it took.
pub type Observer = Box<dyn Fn(&str, &Result<Value, api::Error>, Duration) + Send + Sync>;

/// By user and role.
type Conversations = HashMap<(Arc<str>, String), Arc<Conversation>>;

/// All conversations with the host.
pub struct Chat {
    pub(crate) client: Client,
    pub(crate) knowledge: Knowledge,
    pub(crate) live: Live,
    state: Option<PathBuf>,
    thinker: RwLock<Option<Arc<dyn Thinker>>>,
    /// It was said that the thinker is away.
    told_away: AtomicBool,
    observer: Observer,
    conversations: Mutex<Conversations>,
}

impl Chat {
    /// Conversations with the daemon behind a client. What is said is kept in `history` below `state`; without one
    /// it is gone with this process.
    pub fn new(client: Client, state: Option<PathBuf>) -> Arc<Self> {
        Self::observed(client, state, Box::new(|_, _, _| {}))
    }

    /// The same; `observer` is told of each call.
    pub fn observed(client: Client, state: Option<PathBuf>, observer: Observer) -> Arc<Self> {
        Arc::new(Self {
            knowledge: Knowledge::new(client.clone()),
            live: Live::new(client.clone()),
            client,
            state: state.map(|dir| dir.join("history")),
            thinker: RwLock::default(),
            told_away: AtomicBool::new(false),
            observer,
            conversations: Mutex::default(),
        })
    }

    /// From now on this one answers what is not understood; none for nobody.
    pub fn set_thinker(&self, thinker: Option<Arc<dyn Thinker>>) {
        *self.thinker.write().unwrap_or_else(PoisonError::into_inner) = thinker;
    }

    pub(crate) fn thinker(&self) -> Option<Arc<dyn Thinker>> {
        self.thinker
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// It did not answer; whether that is news.
    pub(crate) fn thinker_is_away(&self) -> bool {
        !self.told_away.swap(true, Ordering::AcqRel)
    }

    /// It answered.
    pub(crate) fn thinker_is_back(&self) {
        self.told_away.store(false, Ordering::Release);
    }

    pub(crate) fn observe(&self, tool: &str, result: &Result<Value, api::Error>, took: Duration) {
        (self.observer)(tool, result, took);
    }

    fn conversations(&self) -> MutexGuard<'_, Conversations> {
        self.conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The conversation of a user with a role: a session that was begun with a lesser one is not shown what the other
    /// was, and stops nothing of it.
    fn conversation(&self, speaker: &Speaker) -> Arc<Conversation> {
        let (user, role) = (&speaker.name, speaker.right().role);
        let key = (Arc::clone(user), role);
        let mut all = self.conversations();
        if let Some(known) = all.get(&key) {
            return Arc::clone(known);
        }
        if all.len() >= HELD {
            all.retain(|_, one| Arc::strong_count(one) > 1 || !one.is_idle());
        }
        let conversation = Arc::new(Conversation::open(self.state.as_deref(), user, &key.1));
        all.insert(key, Arc::clone(&conversation));
        conversation
    }

    /// Sits somebody down. With `after`, the number of the last event that they have seen, they get what they missed;
    /// `conversation` is the one that the number is of.
    pub fn join(
        self: &Arc<Self>,
        speaker: Speaker,
        after: Option<u64>,
        conversation: Option<&str>,
    ) -> Seat {
        let with = self.conversation(&speaker);
        Seat::new(Arc::clone(self), with, speaker, after, conversation)
    }

    /// `{"events": […], "more": bool}`: at most so many events of a user before a number, oldest first.
    pub fn history(&self, speaker: &Speaker, before: Option<u64>, limit: usize) -> Value {
        self.conversation(speaker).history(before, limit)
    }

    /// `{"completions": [{"text", "title"}]}`: ways to go on with a sentence.
    pub async fn complete(&self, speaker: &Speaker, text: &str) -> Result<Value, api::Error> {
        let known = self.knowledge.get(speaker).await?;
        let conversation = self.conversation(speaker);
        // A message may be being answered: typing does not wait for that.
        let context = conversation
            .context
            .try_lock()
            .map(|context| context.clone());
        let text = beginning(text, 1_000);
        let found = known
            .catalog
            .complete(&known.world, &context.unwrap_or_default(), text);
        Ok(json!({ "completions": found }))
    }

    /// The value of a topic now, asked for somebody.
    pub async fn look(&self, topic: Topic, speaker: &Speaker) -> Result<Value, api::Error> {
        self.live.look(topic, speaker).await
    }

    /// Something was changed through this process: who watches sees it at once.
    pub fn changed(&self) {
        self.knowledge.changed();
        self.live.nudge();
    }
}
