//! The table of routes.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{Method, Response};
use futures_util::future::BoxFuture;

use super::{Ask, login, look};
use crate::plain::Refusal;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody who reaches the server.
    Anybody,
    /// Whoever has a session or a token; what they may is for the daemon to say.
    Session,
}

type Act = fn(Ask) -> BoxFuture<'static, Result<Response<Body>, Refusal>>;

/// One thing that may be asked.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// With names in braces for what varies.
    pub(crate) path: &'static str,
    /// What it is for, in a sentence.
    pub(crate) summary: &'static str,
    pub(crate) who: Who,
    pub(crate) takes_body: bool,
    pub(crate) act: Act,
}

impl Route {
    fn get(path: &'static str, summary: &'static str, act: Act) -> Self {
        Self {
            method: Method::GET,
            path,
            summary,
            who: Who::Session,
            takes_body: false,
            act,
        }
    }

    fn post(path: &'static str, summary: &'static str, act: Act) -> Self {
        Self {
            method: Method::POST,
            takes_body: true,
            ..Self::get(path, summary, act)
        }
    }

    fn delete(path: &'static str, summary: &'static str, act: Act) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path, summary, act)
        }
    }

    /// For everybody.
    fn open(self) -> Self {
        Self {
            who: Who::Anybody,
            ..self
        }
    }

    fn bodiless(self) -> Self {
        Self {
            takes_body: false,
            ..self
        }
    }
}

/// All routes.
pub(crate) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    vec![
        Route::get("/healthz", "Whether the daemon answers", |ask| {
            Box::pin(look::health(ask))
        })
        .open(),
        Route::post(
            "/api/login",
            "Begin a session with a code or a token",
            |ask| Box::pin(login::login(ask)),
        )
        .open(),
        Route::get("/api/session", "Who is logged in, and until when", |ask| {
            Box::pin(login::session(ask))
        }),
        Route::post("/api/session", "Renew the session", |ask| {
            Box::pin(login::renew(ask))
        })
        .open()
        .bodiless(),
        Route::delete("/api/session", "End the session", |ask| {
            Box::pin(login::logout(ask))
        })
        .open(),
    ]
});
