//! Routes that look at the chat, at this process, and at the table itself.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::tools::invalid;
use super::{Ask, openapi};
use crate::plain::{Refusal, json_response};

/// How much of a conversation is shown at once, and at most.
const HISTORY: usize = 100;
const HISTORY_MOST: usize = 1000;

pub(super) async fn health(ask: Ask) -> Result<Response<Body>, Refusal> {
    Ok(match ask.rest.client.status().await {
        Ok(_) => json_response(StatusCode::OK, &json!({ "status": "ok" })),
        Err(error) => {
            log::warn!("{error}");
            let body = json!({ "status": "the daemon is away" });
            json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    })
}

pub(super) async fn metrics(ask: Ask) -> Result<Response<Body>, Refusal> {
    let session = ask.session()?;
    let text = ask.rest.metrics.text(&ask.rest, session).await?;
    let mut response = Response::new(Body::from(text));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

pub(super) async fn description(ask: Ask) -> Result<Response<Body>, Refusal> {
    let tools = ask.rest.tools(&ask.session()?.access().token).await?;
    Ok(json_response(StatusCode::OK, &openapi::document(&tools)))
}

/// A live topic as it is now: the last part of the path names it.
pub(super) async fn topic(ask: Ask) -> Result<Response<Body>, Refusal> {
    let name = ask.route.path.rsplit('/').next().unwrap_or_default();
    let value = ask.rest.chat.topic(ask.session()?, name).await?;
    Ok(json_response(StatusCode::OK, &value))
}

pub(super) async fn complete(ask: Ask) -> Result<Response<Body>, Refusal> {
    let query = ask.query()?;
    let text = query.iter().find(|(key, _)| key == "q");
    let text = text.map(|(_, text)| text.as_str()).unwrap_or_default();
    let value = ask.rest.chat.complete(ask.session()?, text).await?;
    Ok(json_response(StatusCode::OK, &value))
}

pub(super) async fn history(ask: Ask) -> Result<Response<Body>, Refusal> {
    let (mut before, mut limit) = (None, HISTORY);
    for (key, value) in ask.query()? {
        let number = value.parse::<u64>();
        let number = number.map_err(|_| invalid(&format!("`{key}` has to be a whole number")))?;
        match key.as_str() {
            "before" => before = Some(number),
            "limit" => {
                limit = usize::try_from(number)
                    .unwrap_or(usize::MAX)
                    .min(HISTORY_MOST)
            }
            _ => {
                return Err(invalid(&format!(
                    "there is no `{key}` here; there are before, limit"
                )));
            }
        }
    }
    let value: Value = ask.rest.chat.history(ask.session()?, before, limit).await?;
    Ok(json_response(StatusCode::OK, &value))
}
