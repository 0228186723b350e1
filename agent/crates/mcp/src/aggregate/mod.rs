//! The host's tools and those of upstream servers behind one server.
//!
//! The list is made when the process starts and changes only by [`Aggregate::reload`]. A server that is away by
//! then has no tools in it; one that goes away later keeps its tools, whose calls say so. Names cannot meet:
//! a prefix has no `_`, no two servers have the same one, and one that begins a name of the host's own tools
//! leaves its whole server out.
//!
//! The list says nothing of what somebody may do. The host has the last word on each call: it is asked for a read, and told of a write before the call goes
//! out and after it has ended (module `gate`).

mod gate;
mod status;

pub use gate::Ticket;
pub(crate) use status::NAME as STATUS;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use declaration::Mcp;
use futures_util::future::join_all;
use tokio::sync::OnceCell;

use crate::backend::{Answer, Backend, Fault, Output, Request, Speaker, ToolInfo, passed_on};
use crate::upstream::{Report, Upstream};

/// The host and its upstream servers.
pub struct Aggregate {
    host: Arc<dyn Backend>,
    reserved: BTreeSet<String>,
    joined: RwLock<Arc<Joined>>,
}

/// The servers of one reading of the declaration.
struct Joined {
    upstreams: BTreeMap<String, Arc<Upstream>>,
    /// Servers that are left out for their prefix, each with the reason.
    refused: Vec<(String, String)>,
    ready: OnceCell<()>,
}

/// The prefixes that begin names of other tools, each with what is wrong.
pub fn collisions<'a>(
    mcp: &Mcp,
    reserved: impl IntoIterator<Item = &'a str>,
) -> Vec<(String, String)> {
    let words: BTreeMap<&str, &str> = reserved
        .into_iter()
        .map(|name| (name.split('_').next().unwrap_or(name), name))
        .collect();
    let prefixes = mcp.upstreams.keys().map(|prefix| prefix.as_str());
    prefixes
        .filter_map(|prefix| {
            let other = words.get(prefix)?;
            let reason = format!(
                "the prefix `{prefix}` of an upstream server begins the name of the tool `{other}`: name the \
                 server otherwise"
            );
            Some((prefix.to_owned(), reason))
        })
        .collect()
}

impl Aggregate {
    /// The host with the declared servers. Also without any, since what the host is asked for their sake is not for
    /// clients.
    pub fn joined_to(host: Arc<dyn Backend>, mcp: &Mcp) -> Arc<dyn Backend> {
        let built_in = tools::builtin::all();
        Self::start(host, mcp, built_in.iter().map(|tool| tool.name))
    }

    /// Starts the declared servers. `reserved` are the names of all tools that the host itself may have,
    /// whoever sees them.
    pub fn start<'a>(
        host: Arc<dyn Backend>,
        mcp: &Mcp,
        reserved: impl IntoIterator<Item = &'a str>,
    ) -> Arc<Self> {
        let reserved: BTreeSet<String> = reserved.into_iter().map(str::to_owned).collect();
        let joined = Arc::new(Joined::of(mcp, &reserved));
        let first = Arc::clone(&joined);
        // Whoever asks for the list waits for this, and may stop waiting without stopping it.
        tokio::spawn(async move { first.ready().await });
        Arc::new(Self {
            host,
            reserved,
            joined: RwLock::new(joined),
        })
    }

    /// Reads the lists of all servers anew, of those that are declared now. Calls on their way end with the
    /// servers that they went to.
    pub async fn reload(&self, mcp: &Mcp) {
        let joined = Arc::new(Joined::of(mcp, &self.reserved));
        joined.ready().await;
        *self.joined.write().unwrap_or_else(PoisonError::into_inner) = joined;
    }

    /// What there is to say of each server.
    pub fn reports(&self) -> Vec<Report> {
        self.joined().reports()
    }

    fn joined(&self) -> Arc<Joined> {
        Arc::clone(&self.joined.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The server that a tool's name leads to.
    async fn upstream_of(&self, name: &str) -> Option<Arc<Upstream>> {
        let (prefix, _) = name.split_once('_')?;
        let joined = self.joined();
        let upstream = Arc::clone(joined.upstreams.get(prefix)?);
        joined.ready().await;
        Some(upstream)
    }

    async fn list(&self, speaker: &Speaker) -> Result<Vec<ToolInfo>, Fault> {
        let host = self.host.tools(speaker).await?;
        let mut tools: Vec<ToolInfo> = host
            .iter()
            .filter(|tool| !gate::is_gate(&tool.name))
            .cloned()
            .collect();
        let joined = self.joined();
        if joined.is_empty() {
            return Ok(tools);
        }
        joined.ready().await;
        tools.push(status::tool());
        for upstream in joined.upstreams.values() {
            let offered = upstream
                .offer()
                .into_iter()
                .flat_map(|offer| offer.tools.values());
            tools.extend(offered.map(|offered| offered.info.clone()));
        }
        Ok(tools)
    }

    async fn status(&self, speaker: &Speaker) -> Result<Output, Fault> {
        // Whoever the host does not know gets no list from it, and none of this.
        self.host.tools(speaker).await?;
        let joined = self.joined();
        joined.ready().await;
        Ok(Output::from(status::answer(&joined.reports())))
    }
}

impl Joined {
    fn of(mcp: &Mcp, reserved: &BTreeSet<String>) -> Self {
        let refused = collisions(mcp, reserved.iter().map(String::as_str));
        for (_, reason) in &refused {
            log::error!("{reason}");
        }
        let upstreams = mcp
            .upstreams
            .iter()
            .filter(|(prefix, _)| !refused.iter().any(|(other, _)| other == prefix.as_str()))
            .map(|(prefix, declared)| {
                let upstream = Upstream::new(prefix.as_str(), declared.clone());
                (prefix.to_string(), Arc::new(upstream))
            })
            .collect();
        Self {
            upstreams,
            refused,
            ready: OnceCell::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.upstreams.is_empty() && self.refused.is_empty()
    }

    /// Waits until each server has given its list, or its time is over; all at once.
    async fn ready(&self) {
        self.ready
            .get_or_init(|| async {
                let prepare = |upstream: &Arc<Upstream>| {
                    let upstream = Arc::clone(upstream);
                    async move {
                        if let Err(error) = upstream.prepare().await {
                            log::warn!("upstream {} is left out: {error}", upstream.name());
                        }
                    }
                };
                join_all(self.upstreams.values().map(prepare)).await;
            })
            .await;
    }

    fn reports(&self) -> Vec<Report> {
        let refused = self
            .refused
            .iter()
            .map(|(name, reason)| Report::refused(name, reason));
        let running = self.upstreams.values().map(|upstream| upstream.report());
        refused.chain(running).collect()
    }
}

impl Backend for Aggregate {
    fn tools<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(async move { self.list(speaker).await.map(Arc::new) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async move {
            if request.name == status::NAME {
                return self.status(request.speaker).await;
            }
            if gate::is_gate(request.name) {
                let text = format!("there is no tool `{}` for clients", request.name);
                return Err(Fault::NotFound(text));
            }
            match self.upstream_of(request.name).await {
                Some(upstream) => gate::call(&self.host, upstream, request).await,
                None => self.host.call(request).await,
            }
        })
    }

    passed_on!(host);
}
