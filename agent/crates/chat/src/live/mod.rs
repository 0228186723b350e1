//! Live state: topics that browsers watch, asked for once for all of them.

mod host;
mod topology;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::event::Body;
use crate::speaker::Speaker;

/// How often a topic is asked for while somebody watches.
const PACE: Duration = Duration::from_secs(2);
/// How long the host may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many entries of the ledger are shown.
const ENTRIES: usize = 20;

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// The containers.
    Containers,
    /// What is connected to what.
    Topology,
    /// Health, drift, resources over time.
    Host,
    /// The last entries of the ledger.
    Ledger,
}

impl Topic {
    const ALL: [Self; 4] = [Self::Containers, Self::Topology, Self::Host, Self::Ledger];

    fn word(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Topology => "topology",
            Self::Host => "host",
            Self::Ledger => "ledger",
        }
    }
}

/// All topics.
pub(crate) struct Live {
    feeds: [Arc<Feed>; 4],
}

/// One topic, and who watches it.
struct Feed {
    topic: Topic,
    client: Client,
    state: Mutex<Watchers>,
    last: watch::Sender<Option<Arc<str>>>,
    bell: Notify,
}

#[derive(Default)]
struct Watchers {
    all: HashMap<u64, Speaker>,
    counted: u64,
    /// Somebody asks for it now.
    runs: bool,
}

/// Topics that one browser watches; it watches no more when this is dropped.
#[derive(Default)]
pub(crate) struct Watched {
    containers: Option<Watch>,
    topology: Option<Watch>,
    host: Option<Watch>,
    ledger: Option<Watch>,
}

struct Watch {
    feed: Arc<Feed>,
    number: u64,
    last: watch::Receiver<Option<Arc<str>>>,
}

impl Live {
    pub(crate) fn new(client: Client) -> Self {
        let feed = |topic| {
            Arc::new(Feed {
                topic,
                client: client.clone(),
                state: Mutex::default(),
                last: watch::channel(None).0,
                bell: Notify::new(),
            })
        };
        Self {
            feeds: Topic::ALL.map(feed),
        }
    }

    /// Has somebody watch these topics.
    pub(crate) fn watch(&self, topics: &[Topic], speaker: &Speaker) -> Watched {
        let mut watched = Watched::default();
        for (feed, place) in self.feeds.iter().zip([
            &mut watched.containers,
            &mut watched.topology,
            &mut watched.host,
            &mut watched.ledger,
        ]) {
            *place = topics.contains(&feed.topic).then(|| feed.watch(speaker));
        }
        watched
    }

    /// Something was changed: all topics that are watched are asked for at once.
    pub(crate) fn nudge(&self) {
        for feed in &self.feeds {
            feed.bell.notify_one();
        }
    }

    /// The value of a topic now, with what is known of before.
    pub(crate) async fn look(&self, topic: Topic, speaker: &Speaker) -> Result<Value, api::Error> {
        let feed = self.feeds.iter().find(|feed| feed.topic == topic);
        match feed {
            Some(feed) => feed.ask(speaker).await,
            None => Ok(Value::Null),
        }
    }
}

impl Watched {
    /// The next change of any of them; never, if there are none.
    pub(crate) async fn next(&mut self) -> Arc<str> {
        tokio::select! {
            state = changed(&mut self.containers) => state,
            state = changed(&mut self.topology) => state,
            state = changed(&mut self.host) => state,
            state = changed(&mut self.ledger) => state,
        }
    }
}

async fn changed(watch: &mut Option<Watch>) -> Arc<str> {
    let Some(watch) = watch else {
        return std::future::pending().await;
    };
    loop {
        if watch.last.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(state) = watch.last.borrow_and_update().clone() {
            return state;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feed.watchers().all.remove(&self.number);
    }
}

impl Feed {
    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(self: &Arc<Self>, speaker: &Speaker) -> Watch {
        let mut last = self.last.subscribe();
        // What is known is shown at once.
        last.mark_changed();
        let mut watchers = self.watchers();
        watchers.counted += 1;
        let number = watchers.counted;
        watchers.all.insert(number, speaker.clone());
        if !std::mem::replace(&mut watchers.runs, true) {
            let feed = Arc::clone(self);
            tokio::spawn(async move { feed.run().await });
        }
        Watch {
            feed: Arc::clone(self),
            number,
            last,
        }
    }

    /// Asks again and again, until nobody watches any more.
    async fn run(&self) {
        let mut before = None;
        loop {
            let speakers: Vec<_> = {
                let mut watchers = self.watchers();
                if watchers.all.is_empty() {
                    watchers.runs = false;
                    // What is known grows old from here on.
                    self.last.send_replace(None);
                    return;
                }
                watchers.all.values().cloned().collect()
            };
            let value = self.ask_any(&speakers).await;
            if before.as_ref() != Some(&value) {
                before = Some(value.clone());
                let topic = self.topic.word();
                let state = Body::State { topic, value }.aside("");
                self.last.send_replace(Some(state));
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = self.bell.notified() => {}
            }
        }
    }

    /// Asks with the right of the first watcher who still has one.
    async fn ask_any(&self, speakers: &[Speaker]) -> Value {
        let mut why = String::new();
        for speaker in speakers.iter().take(8) {
            match self.ask(speaker).await {
                Ok(value) => return value,
                Err(error) => {
                    let again = matches!(
                        error.code(),
                        Some(api::Code::Unauthenticated | api::Code::Refused)
                    );
                    why = error.to_string();
                    if !again {
                        break;
                    }
                }
            }
        }
        json!({ "error": why })
    }

    async fn ask(&self, speaker: &Speaker) -> Result<Value, api::Error> {
        tokio::time::timeout(PATIENCE, self.value(speaker))
            .await
            .unwrap_or(Err(api::Error::TimedOut))
    }

    async fn value(&self, speaker: &Speaker) -> Result<Value, api::Error> {
        let call = |tool: &str, arguments| {
            let call = speaker.call(tool, arguments);
            async move { self.client.call(&call, |_| {}).await }
        };
        match self.topic {
            Topic::Containers => call("container_list", json!({ "limit": 1000 })).await,
            Topic::Topology => topology::ask(&self.client, speaker).await,
            Topic::Host => host::ask(&self.client, speaker).await,
            Topic::Ledger => {
                let mut log = call("ledger_log", json!({ "limit": ENTRIES })).await?;
                let entries = log["entries"].take();
                let head = entries.get(0).and_then(|entry| entry.get("id")).cloned();
                Ok(json!({ "head": head, "entries": entries }))
            }
        }
    }
}

/// Asks a tool; what it cannot say is null.
async fn told(client: &Client, speaker: &Speaker, tool: &str, arguments: Value) -> Value {
    match client.call(&speaker.call(tool, arguments), |_| {}).await {
        Ok(answer) => answer,
        Err(error) => {
            log::debug!("{tool} says nothing: {error}");
            Value::Null
        }
    }
}
