//! A declared server over time: its list as it was first seen, a connection that comes back, and a pause after
//! each failure.

use std::sync::{Arc, Mutex as Quick, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use declaration::{Reach, Upstream as Declared};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::bounds;
use super::connection::{Answered, Connection};
use super::error::UpstreamError;
use super::guard::Guard;
use super::offer::{LeftOut, Offer, Offered};

/// A declared server. Its list of tools is read once and stays; a connection that ends is opened again when
/// the next call comes, but not at once if it failed.
pub struct Upstream {
    name: String,
    declared: Declared,
    guard: Guard,
    offer: OnceLock<Offer>,
    link: Mutex<Link>,
    calls: Semaphore,
    /// One answer is checked at a time: a slow check is this server's own.
    checking: Arc<Semaphore>,
    notes: Quick<Notes>,
}

#[derive(Default)]
struct Link {
    connection: Option<Arc<Connection>>,
    failures: u32,
    rest_until: Option<Instant>,
    reason: String,
}

#[derive(Default, Clone)]
struct Notes {
    protocol: String,
    error: Option<String>,
    starts: u32,
}

/// Where a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Its tools are passed on.
    Serving,
    /// It has no list yet.
    Waiting,
    /// Its tools are not passed on until the list is read again.
    Away,
}

/// What there is to say of a server.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its prefix.
    pub name: String,
    /// Where it stands.
    pub standing: Standing,
    /// The revision of the protocol that it speaks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// How many of its tools are passed on.
    pub tools: usize,
    /// How many the operator's patterns leave out.
    pub filtered: usize,
    /// What is not passed on although it was asked for, the first 20.
    pub left_out: Vec<LeftOut>,
    /// How many more are not.
    pub left_out_more: usize,
    /// How often it was started or connected to.
    pub starts: u32,
    /// The last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Upstream {
    /// A server that is not started yet.
    pub fn new(name: &str, declared: Declared) -> Self {
        let guard = match &declared.reach {
            Reach::Http(address) => Guard::Only(address.addresses.clone()),
            Reach::Command(_) => Guard::Only(Vec::new()),
        };
        Self {
            name: name.to_owned(),
            declared,
            guard,
            offer: OnceLock::new(),
            link: Mutex::default(),
            calls: Semaphore::new(bounds::CALLS),
            checking: Arc::new(Semaphore::new(1)),
            notes: Quick::default(),
        }
    }

    /// A server that a person named at the command line: it may be anywhere.
    pub fn named(name: &str, declared: Declared) -> Self {
        Self {
            guard: Guard::Open,
            ..Self::new(name, declared)
        }
    }

    /// Ends the connection, and waits a moment for a program to end by itself.
    pub async fn close(&self) {
        let connection = self.link.lock().await.connection.take();
        if let Some(connection) = connection.and_then(Arc::into_inner) {
            connection.close().await;
        }
    }

    /// Its prefix.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it is declared.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// What it offers, once that is known.
    pub fn offer(&self) -> Option<&Offer> {
        self.offer.get()
    }

    /// Starts it and reads its list, if that was not done yet.
    pub async fn prepare(&self) -> Result<&Offer, UpstreamError> {
        if let Some(offer) = self.offer.get() {
            return Ok(offer);
        }
        let limit = self.limit().min(bounds::START);
        let begun = Instant::now();
        let connection = self.connection(limit).await?;
        let left = limit.saturating_sub(begun.elapsed());
        let listed = connection.list(left).await;
        let offer = listed.and_then(|listed| {
            Offer::of(&self.name, &self.declared, listed).map_err(UpstreamError::Lied)
        });
        match offer {
            Ok(offer) => Ok(self.offer.get_or_init(|| offer)),
            Err(error) => {
                self.note(&error);
                Err(error)
            }
        }
    }

    /// Calls a tool that it offers, by the name that clients use.
    pub async fn call(
        self: &Arc<Self>,
        name: &str,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<Answered, UpstreamError> {
        let _place = self
            .calls
            .try_acquire()
            .map_err(|_| UpstreamError::Busy(bounds::CALLS))?;
        let offered = self.offered(name)?;
        let connection = self.connection(self.limit().min(bounds::START)).await?;
        let answer = connection
            .call(&offered.tool, arguments, self.limit(), cancel)
            .await;
        if let Err(error) = &answer {
            self.note(error);
            if error.ends_connection() {
                self.hang_up(&connection, error).await;
            }
        }
        let answer = answer?;
        if let Ok(mut link) = self.link.try_lock() {
            link.failures = 0;
        }
        if offered.has_output() {
            self.check(name.to_owned(), answer.structured.clone())
                .await?;
        }
        Ok(answer)
    }

    /// A tool that it offers.
    pub fn offered(&self, name: &str) -> Result<&Offered, UpstreamError> {
        let offered = self.offer.get().and_then(|offer| offer.tools.get(name));
        offered.ok_or_else(|| UpstreamError::NoTool(name.to_owned()))
    }

    /// What there is to say of it.
    pub fn report(&self) -> Report {
        const SHOWN: usize = 20;
        let notes = self
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let offer = self.offer.get();
        let left_out = offer.map_or(&[][..], |offer| &offer.left_out);
        Report {
            name: self.name.clone(),
            standing: match (&offer, &notes.error) {
                (Some(_), _) => Standing::Serving,
                (None, None) => Standing::Waiting,
                (None, Some(_)) => Standing::Away,
            },
            protocol: notes.protocol,
            tools: offer.map_or(0, |offer| offer.tools.len()),
            filtered: offer.map_or(0, |offer| offer.filtered),
            left_out: left_out.iter().take(SHOWN).cloned().collect(),
            left_out_more: left_out.len().saturating_sub(SHOWN),
            starts: notes.starts,
            error: notes.error,
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.declared.timeout.into())
    }

    /// Checks an answer away from the tasks that serve others, and waits no longer than a call may take.
    async fn check(
        self: &Arc<Self>,
        name: String,
        answer: Option<Value>,
    ) -> Result<(), UpstreamError> {
        let Some(answer) = answer else {
            return Err(UpstreamError::Lied(
                "there is no structured answer".to_owned(),
            ));
        };
        let this = Arc::clone(self);
        let faults = async {
            let place = Arc::clone(&self.checking).acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _place = place;
                this.offered(&name)
                    .ok()
                    .and_then(|offered| offered.output_faults(&answer))
            })
            .await
        };
        match tokio::time::timeout(self.limit(), faults).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(faults))) => {
                let error = UpstreamError::Lied(faults);
                self.note(&error);
                Err(error)
            }
            Ok(Err(_)) => Err(UpstreamError::Lied("it cannot be checked".to_owned())),
            Err(_) => Err(UpstreamError::TimedOut(self.limit())),
        }
    }

    /// The connection there is, or a new one; none during the pause after a failure.
    async fn connection(&self, limit: Duration) -> Result<Arc<Connection>, UpstreamError> {
        let mut link = self.link.lock().await;
        if let Some(connection) = link.connection.as_ref().filter(|it| !it.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        if link.connection.take().is_some() {
            link.pause("the connection ended");
        }
        let now = Instant::now();
        if let Some(until) = link.rest_until.filter(|until| *until > now) {
            return Err(UpstreamError::Resting {
                reason: link.reason.clone(),
                wait: until - now,
            });
        }
        self.count_start();
        match Connection::open(&self.name, &self.declared.reach, &self.guard, limit).await {
            Ok(connection) => {
                self.note_protocol(connection.protocol());
                let connection = Arc::new(connection);
                link.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                self.note(&error);
                link.pause(&error.to_string());
                Err(error)
            }
        }
    }

    /// Closes a connection that broke, unless another has taken its place since.
    async fn hang_up(&self, broken: &Arc<Connection>, error: &UpstreamError) {
        let mut link = self.link.lock().await;
        let current = link.connection.as_ref();
        if current.is_some_and(|current| Arc::ptr_eq(current, broken)) {
            link.connection = None;
            link.pause(&error.to_string());
        }
    }

    fn count_start(&self) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .starts += 1;
    }

    fn note_protocol(&self, protocol: String) {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .protocol = protocol;
    }

    fn note(&self, error: &UpstreamError) {
        log::warn!("upstream {}: {error}", self.name);
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.error = Some(error.to_string());
    }
}

impl Report {
    /// What there is to say of a server that is left out for its prefix.
    pub(crate) fn refused(name: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            standing: Standing::Away,
            protocol: String::new(),
            tools: 0,
            filtered: 0,
            left_out: Vec::new(),
            left_out_more: 0,
            starts: 0,
            error: Some(reason.to_owned()),
        }
    }
}

impl Link {
    fn pause(&mut self, reason: &str) {
        // What has worked until now is tried again at once.
        let longer = match self.failures {
            0 => Duration::ZERO,
            failures => bounds::FIRST_PAUSE * 2u32.saturating_pow((failures - 1).min(16)),
        };
        self.failures += 1;
        self.rest_until = Some(Instant::now() + longer.min(bounds::LONGEST_PAUSE));
        self.reason = reason.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use declaration::Declaration;
    use serde_json::json;

    use super::*;

    fn upstream(command: Value) -> Arc<Upstream> {
        let server = json!({ "command": command, "timeout": 1 });
        let document = json!({ "version": "1.0", "mcp": { "upstreams": { "x": server } } });
        let declaration = Declaration::from_json(&document.to_string()).unwrap();
        let declared = declaration.mcp.upstreams.into_values().next().unwrap();
        Arc::new(Upstream::new("x", declared))
    }

    #[tokio::test]
    async fn an_answer_waits_for_its_check_no_longer_than_a_call_may_take() {
        let upstream = upstream(json!(["/usr/bin/x"]));
        let _busy = upstream.checking.acquire().await.unwrap();
        let checked = upstream.check("x_y".to_owned(), Some(json!({}))).await;
        assert!(
            matches!(checked, Err(UpstreamError::TimedOut(_))),
            "{checked:?}"
        );
    }

    #[tokio::test]
    async fn a_late_error_closes_no_other_connection() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let peer = dir.path().join("peer.py");
        std::fs::write(&peer, include_str!("../../tests/peers/peer.py")).unwrap();
        let upstream = upstream(json!(["/usr/bin/python3", peer, "good"]));
        let limit = Duration::from_secs(20);
        let first = upstream.connection(limit).await.unwrap();
        let broken = UpstreamError::Broken("gone".to_owned());
        upstream.hang_up(&first, &broken).await;
        let second = upstream.connection(limit).await.unwrap();
        upstream.hang_up(&first, &broken).await;
        let now = upstream.connection(limit).await.unwrap();
        assert!(Arc::ptr_eq(&now, &second));
    }
}
