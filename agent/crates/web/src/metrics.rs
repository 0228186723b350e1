//! Figures in OpenMetrics text: of this process as it counts them, of the host as the daemon says when it is asked.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::{Call, Code, Error};
use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use serde_json::{Value, json};

use crate::plain::Refusal;
use crate::rest::Rest;
use crate::session::Session;

/// The states that a host may be in, by the daemon's words.
const STATES: [&str; 7] = [
    "starting",
    "converged",
    "drifted",
    "held",
    "awaiting",
    "failing",
    "undeclared",
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    route: String,
    method: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Routed {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Called {
    tool: String,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tool {
    tool: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Tier {
    kind: String,
    tier: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stock {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    code: u16,
}

type Seconds<L> = Family<L, Histogram>;

/// What this process counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_time: Seconds<Routed>,
    calls: Family<Called, Counter>,
    call_time: Seconds<Tool>,
    sessions: Gauge,
    sockets: Gauge,
    socket_ends: Family<Ended, Counter>,
    refused: Counter,
}

/// A connection of the chat, which is counted until this is dropped.
pub(crate) struct Socket(Arc<Metrics>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.sockets.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("opdbus_web");
        // A millisecond to a minute.
        let times = || Histogram::new(exponential_buckets(0.001, 2.0, 17));
        let requests = Family::default();
        let request_time = Seconds::new_with_constructor(times);
        let calls = Family::default();
        let call_time = Seconds::new_with_constructor(times);
        let (sessions, sockets) = (Gauge::default(), Gauge::default());
        let socket_ends = Family::default();
        let refused = Counter::default();
        registry.register("requests", "Requests by route and status", requests.clone());
        registry.register_with_unit(
            "request",
            "How long answers took",
            Unit::Seconds,
            request_time.clone(),
        );
        registry.register(
            "tool_calls",
            "Calls of tools through this process by how they ended",
            calls.clone(),
        );
        registry.register_with_unit(
            "tool_call",
            "How long calls of tools took",
            Unit::Seconds,
            call_time.clone(),
        );
        registry.register(
            "sessions",
            "Sessions with an access token that is still good",
            sessions.clone(),
        );
        registry.register("sockets", "Connections of the chat", sockets.clone());
        registry.register(
            "socket_ends",
            "Connections of the chat that this end closed, by code",
            socket_ends.clone(),
        );
        registry.register(
            "too_many",
            "Requests that were refused since there were too many",
            refused.clone(),
        );
        Self {
            registry,
            requests,
            request_time,
            calls,
            call_time,
            sessions,
            sockets,
            socket_ends,
            refused,
        }
    }
}

impl Metrics {
    /// Counts an answer. `route` is that of the table, so that nobody makes new ones up.
    pub(crate) fn answered(
        &self,
        route: &str,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let labels = Answered {
            route: route.to_owned(),
            method: method.to_string(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        let route = Routed {
            route: route.to_owned(),
        };
        self.request_time
            .get_or_create(&route)
            .observe(took.as_secs_f64());
    }

    /// Counts a call of a tool. What the daemon does not know is one thing, so that nobody makes names up.
    pub(crate) fn called(&self, tool: &str, result: &Result<Value, Error>, took: Duration) {
        let outcome = match result {
            Ok(_) => "done",
            Err(Error::Tool {
                code: Code::NotFound | Code::Unauthenticated,
                ..
            }) => return,
            Err(Error::Tool { data, .. }) => data["code"].as_str().unwrap_or("failed"),
            Err(_) => "away",
        };
        let tool = tool.to_owned();
        let labels = Called {
            tool: tool.clone(),
            outcome: outcome.to_owned(),
        };
        self.calls.get_or_create(&labels).inc();
        self.call_time
            .get_or_create(&Tool { tool })
            .observe(took.as_secs_f64());
    }

    /// Counts a request that was refused since there were too many.
    pub(crate) fn too_many(&self) {
        self.refused.inc();
    }

    /// Counts a connection of the chat.
    pub(crate) fn socket(self: &Arc<Self>) -> Socket {
        self.sockets.inc();
        Socket(Arc::clone(self))
    }

    /// Counts a connection of the chat that this end closes with a code of RFC 6455 §7.4.
    pub(crate) fn ended(&self, code: u16) {
        self.socket_ends.get_or_create(&Ended { code }).inc();
    }

    /// How many connections this end has closed with a code.
    #[cfg(test)]
    pub(crate) fn ends_with(&self, code: u16) -> u64 {
        self.socket_ends.get_or_create(&Ended { code }).get()
    }

    /// How many connections of the chat there are.
    #[cfg(test)]
    pub(crate) fn open_sockets(&self) -> i64 {
        self.sockets.get()
    }

    /// All figures: those of this process, and those of the host that this session may see.
    pub(crate) async fn text(&self, rest: &Rest, session: &Session) -> Result<String, Refusal> {
        self.sessions
            .set(i64::try_from(rest.sessions.count()).unwrap_or(i64::MAX));
        let host = host(rest, session).await;
        let mut text = String::new();
        let written = encode(&mut text, &self.registry).and_then(|()| {
            // Two registries make one text: the mark of its end comes once.
            let end = text.trim_end_matches("# EOF\n").len();
            text.truncate(end);
            encode(&mut text, &host)
        });
        written.map_err(|error| {
            log::error!("the figures cannot be written: {error}");
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the figures cannot be written",
            )
        })?;
        Ok(text)
    }
}

/// What the daemon says of the host. What it does not say is left out.
async fn host(rest: &Rest, session: &Session) -> Registry {
    let mut registry = Registry::with_prefix("opdbus");
    let token = session.access().token;
    let ask = async |tool: &str, arguments: Value| {
        let call = Call {
            token: Some(Arc::clone(&token)),
            timeout: Some(Duration::from_secs(10)),
            ..Call::of(tool).with(arguments)
        };
        rest.client.call(&call, |_| {}).await.ok()
    };
    let status = rest.client.status_for(Some(&token)).await.ok();
    let up: Gauge = Gauge::default();
    up.set(i64::from(status.is_some()));
    registry.register("up", "Whether the daemon answers", up);
    if let Some(status) = status {
        state(&mut registry, &status["host"]);
    }
    if let Some(stats) = ask("cache_stats", json!({})).await {
        cache(&mut registry, &stats);
    }
    if let Some(head) = ask("ledger_checkpoint", json!({})).await {
        let newest = head["size"].as_i64().unwrap_or_default() - 1;
        let entry = ask("ledger_show", json!({ "id": newest })).await;
        ledger(&mut registry, &head, entry.as_ref());
    }
    if let Some(list) = ask("container_list", json!({})).await {
        containers(&mut registry, &list);
    }
    registry
}

fn state(registry: &mut Registry, host: &Value) {
    let states = Family::<State, Gauge>::default();
    for state in STATES {
        let labels = State {
            state: state.to_owned(),
        };
        states
            .get_or_create(&labels)
            .set(i64::from(host["state"] == state));
    }
    registry.register("host_state", "1 for the state that the host is in", states);
    let drift: Gauge = Gauge::default();
    let count = host["drift"].as_array().map_or(0, Vec::len);
    drift.set(i64::try_from(count).unwrap_or(i64::MAX));
    registry.register("host_drift", "Resources that are not as declared", drift);
    let mended: Counter = Counter::default();
    mended.inc_by(host["mended"].as_u64().unwrap_or_default());
    registry.register("host_mended", "How often drift was mended", mended);
}

fn cache(registry: &mut Registry, stats: &Value) {
    let hits = Family::<Tier, Counter>::default();
    let misses = Family::<Stock, Counter>::default();
    let sizes = Family::<Stock, Gauge>::default();
    for stock in stats["kinds"].as_array().into_iter().flatten() {
        let kind = stock["kind"].as_str().unwrap_or_default().to_owned();
        for tier in ["memory", "disk"] {
            let labels = Tier {
                kind: kind.clone(),
                tier: tier.to_owned(),
            };
            let count = stock[format!("{tier}_hits")].as_u64().unwrap_or_default();
            hits.get_or_create(&labels).inc_by(count);
        }
        let labels = Stock { kind };
        let missed = stock["misses"].as_u64().unwrap_or_default();
        misses.get_or_create(&labels).inc_by(missed);
        let bytes = stock["bytes"].as_i64().unwrap_or_default();
        sizes.get_or_create(&labels).set(bytes);
    }
    registry.register("cache_hits", "What was found, by where", hits);
    registry.register("cache_misses", "What was not found", misses);
    registry.register_with_unit("cache", "What is kept on disk", Unit::Bytes, sizes);
}

fn ledger(registry: &mut Registry, head: &Value, newest: Option<&Value>) {
    let signed = head["size"].as_i64().unwrap_or_default();
    let entries: Gauge = Gauge::default();
    entries.set(signed + head["behind"].as_i64().unwrap_or_default());
    registry.register("ledger_entries", "Entries of the ledger", entries);
    let checkpoint: Gauge = Gauge::default();
    checkpoint.set(signed);
    registry.register(
        "ledger_checkpoint_entries",
        "Entries that the newest checkpoint covers",
        checkpoint,
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = newest.and_then(|entry| entry["timestamp"].as_f64());
    if let (Ok(now), Some(time)) = (now, time) {
        let age = Gauge::<f64, AtomicU64>::default();
        age.set((now.as_secs_f64() - time).max(0.0));
        registry.register_with_unit(
            "ledger_checkpoint_age",
            "Since the newest entry that a checkpoint covers",
            Unit::Seconds,
            age,
        );
    }
}

fn containers(registry: &mut Registry, list: &Value) {
    let states = Family::<State, Gauge>::default();
    for state in ["running", "stopped"] {
        let labels = State {
            state: state.to_owned(),
        };
        let listed = list["containers"].as_array();
        let those = listed.into_iter().flatten();
        let count = those.filter(|one| (one["state"]["running"] == true) == (state == "running"));
        let count = i64::try_from(count.count()).unwrap_or(i64::MAX);
        states.get_or_create(&labels).set(count);
    }
    registry.register("containers", "Containers by state", states);
}
