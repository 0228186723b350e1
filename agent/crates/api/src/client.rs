//! The client: connections where they are needed, and the daemon's methods.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::error::Error;
use crate::link::Link;
use crate::message::{
    Answer, Call, Event, Identity, Intended, Login, Question, Stamped, Tokens, Tool,
};

/// How many connections there are for calls at most; one more is for who calls. The daemon makes 4 answers of a connection at once: slow ones must not
/// hold up all others.
const LINKS: usize = 4;
/// How busy a connection is before there is another.
const BUSY: usize = 3;
/// How long the daemon may take for what needs no tool.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much later than the daemon this side gives a call up.
const GRACE: Duration = Duration::from_secs(2);

/// A client of the daemon. Clones are one; it connects when it is used, and again after the daemon was away.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    path: PathBuf,
    via: Option<&'static str>,
    links: Mutex<Vec<Arc<Link>>>,
    /// For who somebody is and how the daemon stands: no call holds these up.
    aside: Mutex<Option<Arc<Link>>>,
}

impl Client {
    /// A client of the daemon at this socket; nothing is connected yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), None)
    }

    /// The same for calls that came in by a door of this process, such as `mcp`: the ledger names that.
    pub fn via(path: impl Into<PathBuf>, door: &'static str) -> Self {
        Self::with(path.into(), Some(door))
    }

    fn with(path: PathBuf, via: Option<&'static str>) -> Self {
        Self(Arc::new(Inner {
            path,
            via,
            links: Mutex::default(),
            aside: Mutex::default(),
        }))
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// All tools, by name.
    pub async fn list(&self, token: Option<&str>) -> Result<Vec<Tool>, Error> {
        #[derive(Deserialize)]
        struct List {
            tools: Vec<Tool>,
        }
        let list: List = self.ask("tools.list", json!({}), token).await?;
        Ok(list.tools)
    }

    /// One tool.
    pub async fn show(&self, name: &str, token: Option<&str>) -> Result<Tool, Error> {
        self.ask("tools.show", json!({ "name": name }), token).await
    }

    /// How the daemon stands.
    pub async fn status(&self) -> Result<Value, Error> {
        self.status_for(None).await
    }

    /// The same, with all that the owner of a token may see.
    pub async fn status_for(&self, token: Option<&str>) -> Result<Value, Error> {
        self.ask("daemon.status", json!({}), token).await
    }

    /// Who the daemon takes the caller for.
    pub async fn whoami(&self, token: Option<&str>) -> Result<Identity, Error> {
        self.ask("access.whoami", json!({}), token).await
    }

    /// The same, and whether they may make a call. A refusal is recorded, as that of the call would be.
    pub async fn may_call(
        &self,
        name: &str,
        arguments: &Value,
        token: Option<&str>,
    ) -> Result<Identity, Error> {
        let call = Intended { name, arguments };
        self.ask("access.whoami", Question { call }, token).await
    }

    /// A way in for the user of this process, with the role that is asked for or the highest they have.
    pub async fn login(&self, role: Option<&str>) -> Result<Login, Error> {
        self.once("access.login", json!({ "role": role })).await
    }

    /// Begins a session with a code, which is used up by that.
    pub async fn exchange_code(&self, code: &str) -> Result<Tokens, Error> {
        self.once("access.exchange", json!({ "code": code })).await
    }

    /// Begins a session with a declared token.
    pub async fn exchange_token(&self, token: &str) -> Result<Tokens, Error> {
        let params = self.stamped(json!({}), Some(token));
        self.once("access.exchange", params).await
    }

    /// Renews a session: its refresh token is used up.
    pub async fn renew(&self, refresh: &str) -> Result<Tokens, Error> {
        self.once("access.renew", json!({ "refresh": refresh }))
            .await
    }

    /// Ends the session of an access token, or of a refresh token; gives its name.
    pub async fn logout(&self, token: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Ended {
            session: String,
        }
        let ended: Ended = self
            .once("access.logout", json!({ "session": token }))
            .await?;
        Ok(ended.session)
    }

    /// Asks what must not be asked twice.
    async fn once<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
    ) -> Result<T, Error> {
        let limit = Some(PATIENCE);
        let answer = self.request(method, &params, limit, &mut |_| {}).await;
        let result = answer.result?;
        serde_json::from_value(result)
            .map_err(|error| Error::Protocol(format!("its answer to {method} is odd: {error}")))
    }

    /// Calls a tool, and tells of what happens meanwhile. To drop the future is to take the call back.
    pub async fn call(&self, call: &Call, listener: impl FnMut(Event)) -> Result<Value, Error> {
        self.carry_out(call, listener).await.result
    }

    /// The same, with the ledger's entry of the call.
    pub async fn carry_out(&self, call: &Call, mut listener: impl FnMut(Event)) -> Answer {
        let params = self.stamped(call.params(), call.token.as_deref());
        let limit = call.timeout.map(|timeout| timeout + GRACE);
        self.request("tools.call", &params, limit, &mut listener)
            .await
    }

    /// Asks what changes nothing: if the connection ends in the middle, once more.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize,
        token: Option<&str>,
    ) -> Result<T, Error> {
        let params = self.stamped(params, token);
        let limit = Some(PATIENCE);
        let first = self.request(method, &params, limit, &mut |_| {}).await;
        let result = match first.result {
            Err(Error::Gone) => {
                self.request(method, &params, limit, &mut |_| {})
                    .await
                    .result?
            }
            other => other?,
        };
        serde_json::from_value(result)
            .map_err(|error| Error::Protocol(format!("its answer to {method} is odd: {error}")))
    }

    /// Adds who asks.
    fn stamped<'a, P>(&self, params: P, token: Option<&'a str>) -> Stamped<'a, P> {
        Stamped {
            params,
            token,
            via: self.0.via,
        }
    }

    async fn request(
        &self,
        method: &str,
        params: &impl Serialize,
        limit: Option<Duration>,
        listener: &mut impl FnMut(Event),
    ) -> Answer {
        let waiting = async {
            let link = match method {
                "access.whoami" | "access.exchange" | "access.renew" | "access.logout"
                | "daemon.status" => self.aside().await?,
                _ => self.link().await?,
            };
            let mut pending = link.send(method, params).await?;
            Ok(loop {
                tokio::select! {
                    // Events come before the answer that they belong to.
                    biased;
                    Some(event) = pending.events.recv() => listener(event),
                    answer = &mut pending.answer => {
                        pending.over();
                        break answer.unwrap_or_else(|_| Answer::failed(Error::Gone));
                    }
                }
            })
        };
        match limit {
            Some(limit) => tokio::time::timeout(limit, waiting)
                .await
                .unwrap_or(Err(Error::TimedOut)),
            None => waiting.await,
        }
        .unwrap_or_else(Answer::failed)
    }

    /// The connection for what holds nobody up.
    async fn aside(&self) -> Result<Arc<Link>, Error> {
        let mut place = self.0.aside.lock().await;
        if let Some(link) = place.as_ref().filter(|link| !link.is_gone()) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::open(&self.0.path).await?);
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    /// The connection that has the least to do; a new one if all have enough.
    async fn link(&self) -> Result<Arc<Link>, Error> {
        let mut links = self.0.links.lock().await;
        links.retain(|link| !link.is_gone());
        let idlest = links.iter().min_by_key(|link| link.busy()).cloned();
        if let Some(link) = idlest
            && (link.busy() < BUSY || links.len() >= LINKS)
        {
            return Ok(link);
        }
        let link = Arc::new(Link::open(&self.0.path).await?);
        links.push(Arc::clone(&link));
        Ok(link)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
