//! Bodies of requests, with limits to their size, their time, and what they hold.

use std::time::Duration;

use api::Bounds;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use futures_util::StreamExt;
use serde_json::Value;

use crate::budget::Room;
use crate::plain::{Refusal, busy};

/// The largest body of a request, in bytes.
pub(crate) const LARGEST: usize = 4 << 20;
/// The largest body of who has not said yet who they are, in bytes: a code or a token.
pub(crate) const LARGEST_UNKNOWN: usize = 8 << 10;
/// What a body may hold: less than the daemon takes, which gets the arguments with something around them.
const BODY: Bounds = Bounds {
    bytes: LARGEST,
    depth: 90,
    values: 90_000,
};
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A body that may be parsed: it is looked at first, since parsing takes many times the memory of a text that is all
/// brackets.
pub(crate) async fn whole(body: Body, room: &mut Room, most: usize) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(PATIENCE, read(body, room, most)).await;
    let body = read.unwrap_or_else(|_| {
        Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        ))
    })?;
    BODY.check(&body)
        .map_err(|excess| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, excess.to_string()))?;
    Ok(body)
}

/// The same parsed. It has to say that it is JSON, which no form of another page can (Fetch standard, CORS-safelisted
/// request-header).
pub(crate) async fn json(
    headers: &HeaderMap,
    body: Body,
    room: &mut Room,
    most: usize,
) -> Result<Value, Refusal> {
    let body = whole(body, room, most).await?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON, as `Content-Type: application/json`",
        ));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("not JSON: {error}")))
}

/// Reads a body, which takes room as it comes in: what is only announced takes none.
async fn read(body: Body, room: &mut Room, most: usize) -> Result<Bytes, Refusal> {
    let mut parts = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| {
            let text = format!("the body did not arrive whole: {error}");
            Refusal::new(StatusCode::BAD_REQUEST, text)
        })?;
        if whole.len() + part.len() > most {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a request has at most {most} bytes here"),
            ));
        }
        room.grow(part.len())
            .map_err(|full| busy(&full.to_string()))?;
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}
