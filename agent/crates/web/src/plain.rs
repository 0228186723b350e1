//! Answers that are no business of the protocol: refusals and health.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

/// Why a request is not served.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal in words that say what to do.
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self {
            status,
            body: json!({ "error": { "code": code(status), "message": text } }),
            headers: Vec::new(),
        }
    }

    /// The same with a word, and with what belongs to it, as the daemon gave them.
    #[must_use]
    pub(crate) fn of_daemon(status: StatusCode, message: &str, data: &Value) -> Self {
        let mut refusal = Self::new(status, message);
        for (key, value) in data.as_object().into_iter().flatten() {
            refusal.body["error"][key] = value.clone();
        }
        refusal
    }

    /// The same as an answer to a request of the protocol (JSON-RPC 2.0 §5.1).
    #[must_use]
    pub(crate) fn answering(mut self, id: Value) -> Self {
        let message = self.body["error"]["message"].take();
        let error = json!({ "code": -32000, "message": message });
        self.body = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        // What is not a header's value (there is none such here) is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The same with something more about the error, unless that is null.
    #[must_use]
    pub(crate) fn told(mut self, key: &str, value: Value) -> Self {
        if !value.is_null() {
            self.body["error"][key] = value;
        }
        self
    }

    /// The same with one more cookie set.
    #[must_use]
    pub(crate) fn setting(mut self, cookie: HeaderValue) -> Self {
        self.headers.push((SET_COOKIE, cookie));
        self
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = json_response(self.status, &self.body);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// A word for programs, where nobody has a better one.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "bad-request",
        401 => "unauthenticated",
        403 => "forbidden",
        404 => "not-found",
        405 => "not-this-way",
        408 => "too-slow",
        413 => "too-large",
        415 => "not-json",
        421 => "wrong-host",
        422 => "invalid",
        429 => "rate-limited",
        502 | 503 => "away",
        _ => "failed",
    }
}

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn not_this_way(allowed: &str) -> Refusal {
    let text = format!("only {allowed} here");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, allowed)
}

pub(crate) fn busy(text: &str) -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).with(RETRY_AFTER, "1")
}

/// Somebody asks too often, and may again after so many seconds.
pub(crate) fn too_often(seconds: u64) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too many requests came lately: wait a while",
    )
    .with(RETRY_AFTER, &seconds.to_string())
}
