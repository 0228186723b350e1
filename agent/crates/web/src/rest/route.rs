//! The table of routes.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{Method, Response};
use futures_util::future::BoxFuture;

use super::{Ask, login, look, tools};
use crate::plain::Refusal;

/// Where one logs in.
pub(super) const LOGIN: &str = "/api/login";
const SESSION: &str = "/api/session";

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody who reaches the server.
    Anybody,
    /// Whoever has a session or a token; what they may is for the daemon to say.
    Session,
}

/// What a request takes beside its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing.
    Nothing,
    /// Words in the query: name, kind of JSON Schema, and what it is.
    Query(&'static [(&'static str, &'static str, &'static str)]),
    /// A body whose schema has this name.
    Body(&'static str),
}

type Act = fn(Ask) -> BoxFuture<'static, Result<Response<Body>, Refusal>>;
/// A tool, and words of the address that are not named as its arguments are.
type Through = (&'static str, &'static [(&'static str, &'static str)]);

/// One thing that may be asked.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// With names in braces for what varies.
    pub(crate) path: &'static str,
    /// What it is for, in a few words.
    pub(crate) summary: &'static str,
    pub(crate) who: Who,
    pub(crate) takes: Takes,
    /// The name of the answer's schema.
    pub(crate) gives: &'static str,
    /// The tool that it is, which then says what it takes and gives.
    pub(crate) through: Option<Through>,
    pub(crate) act: Act,
}

impl Route {
    fn get(path: &'static str, summary: &'static str, gives: &'static str, act: Act) -> Self {
        Self {
            method: Method::GET,
            path,
            summary,
            who: Who::Session,
            takes: Takes::Nothing,
            gives,
            through: None,
            act,
        }
    }

    fn post(path: &'static str, summary: &'static str, gives: &'static str, act: Act) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path, summary, gives, act)
        }
    }

    fn delete(path: &'static str, summary: &'static str, gives: &'static str, act: Act) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path, summary, gives, act)
        }
    }

    /// What a tool that reads gives.
    fn tool(path: &'static str, summary: &'static str, through: Through) -> Self {
        let act: Act = |ask| Box::pin(tools::through(ask));
        Self {
            through: Some(through),
            ..Self::get(path, summary, "", act)
        }
    }

    /// For everybody.
    fn open(self) -> Self {
        Self {
            who: Who::Anybody,
            ..self
        }
    }

    /// Whether it begins, renews or ends a session: its answers tell things that only their receiver may know.
    pub(crate) fn is_of_session(&self) -> bool {
        matches!(self.path, LOGIN | SESSION)
    }

    fn taking(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }
}

/// All routes.
pub(crate) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    [sessions(), host(), chat(), process()]
        .into_iter()
        .flatten()
        .collect()
});

fn sessions() -> Vec<Route> {
    vec![
        Route::post(
            LOGIN,
            "Begin a session with a code or a token",
            "Session",
            |ask| Box::pin(login::login(ask)),
        )
        .taking(Takes::Body("Login"))
        .open(),
        Route::get(
            SESSION,
            "Who is logged in, and until when",
            "Session",
            |ask| Box::pin(login::session(ask)),
        ),
        Route::post(
            SESSION,
            "Renew the session by its refresh cookie",
            "Session",
            |ask| Box::pin(login::renew(ask)),
        )
        .open(),
        Route::delete(SESSION, "End the session", "NoSession", |ask| {
            Box::pin(login::logout(ask))
        })
        .open(),
    ]
}

/// The host: each is a tool, under a shorter name.
fn host() -> Vec<Route> {
    const TOOL: &str = "/api/tools/{name}";
    vec![
        Route::get("/api/tools", "List the tools", "Tools", |ask| {
            Box::pin(tools::list(ask))
        }),
        Route::get(TOOL, "Describe a tool", "Tool", |ask| {
            Box::pin(tools::show(ask))
        }),
        Route::post(TOOL, "Call a tool, or see its plan", "Called", |ask| {
            Box::pin(tools::call(ask))
        })
        .taking(Takes::Body("Call")),
        Route::tool("/api/status", "How the host stands", ("state_status", &[])),
        Route::tool(
            "/api/containers",
            "List the containers",
            ("container_list", &[]),
        ),
        Route::tool(
            "/api/containers/{name}",
            "Show a container",
            ("container_show", &[]),
        ),
        Route::tool(
            "/api/snapshots",
            "List the snapshots",
            ("snapshot_list", &[]),
        ),
        Route::tool(
            "/api/snapshots/{name}",
            "Show a snapshot",
            ("snapshot_show", &[]),
        ),
        Route::tool(
            "/api/ledger",
            "List what was asked and done, newest first",
            ("ledger_log", &[("before", "cursor")]),
        ),
        Route::tool(
            "/api/ledger/{id}",
            "Show an entry of the ledger",
            ("ledger_show", &[]),
        ),
        Route::tool(
            "/api/ledger/{id}/proof",
            "Prove that an entry is in the ledger",
            ("ledger_prove", &[]),
        ),
        Route::tool(
            "/api/search",
            "Search the ledger in words",
            ("search", &[("q", "query")]),
        ),
        Route::tool("/api/plan", "What apply would change", ("state_plan", &[])),
        Route::post(
            "/api/apply",
            "Apply the plan that was shown",
            "Called",
            |ask| Box::pin(tools::apply(ask)),
        )
        .taking(Takes::Body("Apply")),
    ]
}

fn chat() -> Vec<Route> {
    let topic: Act = |ask| Box::pin(look::topic(ask));
    let page = Takes::Query(&[
        ("before", "integer", "Only messages before this number."),
        ("limit", "integer", "How many messages at most."),
    ]);
    vec![
        Route::get(
            "/api/topology",
            "The network as it is now",
            "Topology",
            topic,
        ),
        Route::get("/api/host", "Health, drift and resources", "Host", topic),
        Route::get(
            "/api/complete",
            "How a sentence may go on",
            "Completions",
            |ask| Box::pin(look::complete(ask)),
        )
        .taking(Takes::Query(&[("q", "string", "The sentence so far.")])),
        Route::get(
            "/api/history",
            "What was said in the chat",
            "History",
            |ask| Box::pin(look::history(ask)),
        )
        .taking(page),
    ]
}

fn process() -> Vec<Route> {
    vec![
        Route::get("/healthz", "Whether the daemon answers", "Health", |ask| {
            Box::pin(look::health(ask))
        })
        .open(),
        Route::get(
            "/metrics",
            "Figures in OpenMetrics text",
            "Metrics",
            |ask| Box::pin(look::metrics(ask)),
        ),
        Route::get("/api/openapi.json", "This description", "OpenApi", |ask| {
            Box::pin(look::description(ask))
        }),
    ]
}
