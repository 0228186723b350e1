//! Routes that look.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::Ask;
use crate::plain::{Refusal, json_response};

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
