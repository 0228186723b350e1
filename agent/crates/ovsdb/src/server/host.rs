//! The server's state: databases, sessions, locks, and transactions that wait.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::database::{Access, Circumstances, Database, Outcome, RowChange};
use super::fault::Fault;
use super::locks::Locks;
use super::monitor::{Spec, Version};
use super::outbox::Output;
use super::symbols::random;
use super::update::merge;
use super::{catalog, members::is_id};
use crate::value::Uuid;

/// How many transactions a client may have missed for `monitor_cond_since` to tell only the difference.
const HISTORY: usize = 100;

/// How many changes of rows are kept for that, so that a few large transactions do not fill the memory.
const HISTORY_ROWS: usize = 20_000;

/// A database, its latest transactions, and what is watched of it.
pub(crate) struct Hosted {
    pub(crate) database: Database,
    /// The identity of the latest transaction.
    pub(crate) last: Uuid,
    /// Transactions, oldest first: the identity of the one before, and what each did.
    history: VecDeque<(Uuid, Arc<Vec<RowChange>>)>,
    specs: Vec<Weak<Spec>>,
    /// Committed to since waiting transactions were last tried.
    dirty: bool,
}

impl Hosted {
    pub(crate) fn new(database: Database) -> Result<Self, Fault> {
        Ok(Self {
            database,
            last: random()?,
            history: VecDeque::new(),
            specs: Vec::new(),
            dirty: false,
        })
    }

    /// The same spec for all that watch the same.
    pub(crate) fn share(&mut self, spec: Spec) -> Arc<Spec> {
        let found = self.specs.iter().filter_map(Weak::upgrade);
        if let Some(found) = found.into_iter().find(|one| **one == spec) {
            return found;
        }
        self.specs.retain(|spec| spec.strong_count() > 0);
        let spec = Arc::new(spec);
        self.specs.push(Arc::downgrade(&spec));
        spec
    }

    /// All that was committed after a transaction, if that is still known.
    pub(crate) fn since(&self, last: &Uuid) -> Option<Vec<RowChange>> {
        if *last == self.last {
            return Some(Vec::new());
        }
        let place = self.history.iter().position(|(before, _)| before == last)?;
        let missed = self.history.iter().skip(place);
        Some(merge(missed.flat_map(|(_, changes)| changes.iter())))
    }

    fn remember(&mut self, changes: Vec<RowChange>) -> Arc<Vec<RowChange>> {
        let changes = Arc::new(changes);
        // Without random numbers there is no new row either, so that this cannot fail alone.
        let next = random().unwrap_or_else(|_| self.last.clone());
        let before = std::mem::replace(&mut self.last, next);
        self.history.push_back((before, Arc::clone(&changes)));
        let mut held: usize = self.history.iter().map(|(_, changes)| changes.len()).sum();
        while self.history.len() > HISTORY || held > HISTORY_ROWS {
            let Some((_, oldest)) = self.history.pop_front() else {
                break;
            };
            held -= oldest.len();
        }
        self.dirty = true;
        changes
    }
}

/// A monitor of one session.
pub(crate) struct Monitor {
    pub(crate) database: String,
    pub(crate) spec: Arc<Spec>,
}

/// What the server knows of a session.
pub(crate) struct Peer {
    pub(crate) output: Output,
    pub(crate) read_only: bool,
    /// By the text of the monitor's identifier.
    pub(crate) monitors: BTreeMap<String, Monitor>,
}

impl Peer {
    /// Sends updates to the monitor of that identifier.
    pub(crate) fn notify(&self, id: &str, version: Version, last: &Uuid, updates: &str) {
        let head = "{\"id\":null,\"method\":\"";
        let (method, params) = (version.notification(), "\",\"params\":[");
        match version {
            Version::One | Version::Two => {
                self.output
                    .push(&[head, method, params, id, ",", updates, "]}"]);
            }
            Version::Three => {
                let last = last.as_str();
                let parts = [head, method, params, id, ",\"", last, "\",", updates, "]}"];
                self.output.push(&parts);
            }
        }
    }
}

/// A transaction of which a `wait` is not satisfied.
pub(crate) struct Blocked {
    pub(crate) session: u64,
    pub(crate) id: Json,
    pub(crate) database: String,
    pub(crate) operations: Vec<Json>,
    pub(crate) since: Instant,
    /// When it times out, if ever.
    pub(crate) deadline: Option<Instant>,
}

/// All that changes, behind one lock.
pub(crate) struct State {
    pub(crate) databases: BTreeMap<String, Hosted>,
    pub(crate) peers: BTreeMap<u64, Peer>,
    pub(crate) locks: Locks,
    pub(crate) blocked: Vec<Blocked>,
    pub(crate) next_session: u64,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            databases: BTreeMap::new(),
            peers: BTreeMap::new(),
            locks: Locks::default(),
            blocked: Vec::new(),
            next_session: 0,
        }
    }

    /// Carries out a transaction of a session, or of the owner, and tells the monitors.
    pub(crate) fn execute(
        &mut self,
        name: &str,
        operations: &[Json],
        session: Option<u64>,
        elapsed: Option<Duration>,
        access: Access,
    ) -> Option<Result<Vec<Json>, Option<Duration>>> {
        let hosted = self.databases.get_mut(name)?;
        let locks = &self.locks;
        let holds = |lock: &str| session.is_some() && is_id(lock) && locks.owner(lock) == session;
        let circumstances = Circumstances {
            elapsed,
            holds: &holds,
            access,
        };
        match hosted.database.execute(operations, &circumstances) {
            Outcome::Blocked(timeout) => Some(Err(timeout)),
            Outcome::Done(results, changes) => {
                if !changes.is_empty() {
                    let changes = hosted.remember(changes);
                    let last = hosted.last.clone();
                    self.publish(name, &last, &changes);
                }
                Some(Ok(results))
            }
        }
    }

    /// What a session may do to a database.
    pub(crate) fn access(&self, session: u64, database: &str) -> Access {
        let read_only = self.peers.get(&session).is_none_or(|peer| peer.read_only);
        match (read_only, database) {
            (true, _) => Access::ReadOnly,
            (false, catalog::NAME) => Access::Reserved,
            (false, _) => Access::Full,
        }
    }

    fn publish(&self, database: &str, last: &Uuid, changes: &[RowChange]) {
        let mut told: HashMap<*const Spec, Option<String>> = HashMap::new();
        for peer in self.peers.values() {
            for (id, monitor) in &peer.monitors {
                if monitor.database != database {
                    continue;
                }
                let updates = told
                    .entry(Arc::as_ptr(&monitor.spec))
                    .or_insert_with(|| monitor.spec.updates(changes).map(|json| json.to_string()));
                if let Some(updates) = updates {
                    peer.notify(id, monitor.spec.version, last, updates);
                }
            }
        }
    }

    /// Tries again what waits for a database that has changed, and what has waited long enough.
    pub(crate) fn retry(&mut self, now: Instant) {
        loop {
            let mut dirty = Vec::new();
            for (name, hosted) in &mut self.databases {
                if std::mem::take(&mut hosted.dirty) {
                    dirty.push(name.clone());
                }
            }
            let is_due = |blocked: &Blocked| {
                blocked.deadline.is_some_and(|deadline| deadline <= now)
                    || dirty.contains(&blocked.database)
            };
            if !self.blocked.iter().any(is_due) {
                return;
            }
            // In the order in which they came; whoever is tried may change rows for the next.
            for mut blocked in std::mem::take(&mut self.blocked) {
                if !is_due(&blocked) || !self.try_again(&mut blocked, now) {
                    self.blocked.push(blocked);
                }
            }
        }
    }

    /// Whether it is done.
    fn try_again(&mut self, blocked: &mut Blocked, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(blocked.since);
        let access = self.access(blocked.session, &blocked.database);
        let done = self.execute(
            &blocked.database,
            &blocked.operations,
            Some(blocked.session),
            Some(elapsed),
            access,
        );
        match done {
            Some(Err(timeout)) => {
                // It may wait for something else now.
                blocked.deadline = timeout.and_then(|timeout| blocked.since.checked_add(timeout));
                false
            }
            Some(Ok(results)) => {
                self.reply(blocked.session, &blocked.id, Json::Array(results));
                true
            }
            None => true,
        }
    }

    /// When the next waiting transaction times out.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.blocked.iter();
        deadlines.filter_map(|blocked| blocked.deadline).min()
    }

    pub(crate) fn send(&self, session: u64, message: &Json) {
        if let Some(peer) = self.peers.get(&session) {
            peer.output.push(&[&message.to_string()]);
        }
    }

    pub(crate) fn reply(&self, session: u64, id: &Json, result: Json) {
        let message = serde_json::json!({ "id": id, "result": result, "error": null });
        self.send(session, &message);
    }

    /// Tells the sessions that own locks from now on.
    pub(crate) fn locked(&self, owners: impl IntoIterator<Item = (String, u64)>) {
        for (lock, owner) in owners {
            self.lock_changed("locked", &lock, owner);
        }
    }

    pub(crate) fn lock_changed(&self, method: &str, lock: &str, session: u64) {
        let message = serde_json::json!({ "id": null, "method": method, "params": [lock] });
        self.send(session, &message);
    }

    /// The session is over.
    pub(crate) fn forget(&mut self, session: u64) {
        self.peers.remove(&session);
        self.blocked.retain(|blocked| blocked.session != session);
        let owners = self.locks.forget(session);
        self.locked(owners);
    }
}
