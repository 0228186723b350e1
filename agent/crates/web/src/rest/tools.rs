//! The tools: what there is, and a call of one.

use std::sync::Arc;
use std::time::Instant;

use api::{Answer, Call, Tool};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Ask;
use super::fault::of_daemon;
use crate::plain::{Refusal, json_response};

/// What a call takes.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    arguments: Map<String, Value>,
    /// Show the plan, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// The hash of the plan that a person has seen.
    #[serde(default)]
    plan: Option<String>,
}

/// All tools.
pub(super) async fn list(ask: Ask) -> Result<Response<Body>, Refusal> {
    let tools = ask.rest.tools(&ask.session()?.access().token).await?;
    Ok(json_response(StatusCode::OK, &json!({ "tools": *tools })))
}

/// One tool.
pub(super) async fn show(ask: Ask) -> Result<Response<Body>, Refusal> {
    let token = ask.session()?.access().token;
    let tool = ask.rest.client.show(ask.named("name"), Some(&token)).await;
    let tool = tool.map_err(|error| of_daemon(&error))?;
    Ok(json_response(StatusCode::OK, &json!(tool)))
}

/// Calls a tool.
pub(super) async fn call(ask: Ask) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&ask.body)?;
    let name = ask.named("name").to_owned();
    let call = Call {
        arguments: Value::Object(wanted.arguments),
        dry_run: wanted.dry_run,
        plan: wanted.plan,
        ..Call::of(name)
    };
    carry_out(&ask, call).await
}

/// What the body of a call says; one without a body takes no arguments.
fn wanted(body: &Value) -> Result<Wanted, Refusal> {
    let read = match body {
        Value::Null => return Ok(Wanted::default()),
        // A list would be taken for the fields in their order.
        Value::Object(_) => Wanted::deserialize(body).map_err(|error| error.to_string()),
        _ => Err("this is no object".to_owned()),
    };
    read.map_err(|error| {
        invalid(&format!(
            "{error}: send {{\"arguments\": {{…}}}}, with \"dry_run\": true for its plan, or \"plan\": HASH"
        ))
    })
}

/// Applies the plan that was shown.
pub(super) async fn apply(ask: Ask) -> Result<Response<Body>, Refusal> {
    let Some(plan) = ask.body["plan"].as_str() else {
        return Err(invalid(
            "send {\"plan\": HASH} with the hash that GET /api/plan gave",
        ));
    };
    let arguments = match &ask.body["arguments"] {
        Value::Null => json!({}),
        arguments => arguments.clone(),
    };
    let call = Call {
        arguments,
        plan: Some(plan.to_owned()),
        ..Call::of("state_apply")
    };
    carry_out(&ask, call).await
}

async fn carry_out(ask: &Ask, mut call: Call) -> Result<Response<Body>, Refusal> {
    call.token = Some(ask.session()?.access().token);
    let begun = Instant::now();
    let Answer { result, entry } = ask.rest.client.carry_out(&call, |_| {}).await;
    let took = begun.elapsed();
    ask.rest.metrics.called(&call.name, &result, took);
    if entry.is_some() {
        ask.rest.chat.changed();
    }
    let result = result.map_err(|error| of_daemon(&error).told("entry", json!(entry)))?;
    let mut body = match call.dry_run {
        true => {
            let mut plan = result;
            if let Some(hash) = plan.get("plan_hash").cloned() {
                plan["hash"] = hash;
            }
            json!({ "plan": plan })
        }
        false => json!({ "result": result }),
    };
    body["duration_ms"] = json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    if let Some(entry) = entry {
        body["entry"] = json!(entry);
    }
    Ok(json_response(StatusCode::OK, &body))
}

/// A route that is a tool which reads: what stands in the path and the query are its arguments.
pub(super) async fn through(ask: Ask) -> Result<Response<Body>, Refusal> {
    let through = ask.route.through;
    let Some((name, aliases)) = through else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such tool"));
    };
    let token = ask.session()?.access().token;
    let tools = ask.rest.tools(&token).await?;
    let tool = tools.iter().find(|tool| tool.name == name);
    let tool = tool.ok_or_else(|| {
        Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon has no such tool: are both of one version?",
        )
    })?;
    let mut arguments = Map::new();
    for (key, value) in &ask.path {
        arguments.insert(key.clone(), typed(tool, key, value)?);
    }
    for (key, value) in ask.query()? {
        let alias = aliases.iter().find(|(alias, _)| *alias == key);
        let key = alias.map_or(key.as_str(), |(_, argument)| argument);
        arguments.insert(key.to_owned(), typed(tool, key, &value)?);
    }
    let call = Call {
        token: Some(token),
        ..Call::of(name).with(Value::Object(arguments))
    };
    let begun = Instant::now();
    let result = ask.rest.client.call(&call, |_| {}).await;
    ask.rest.metrics.called(name, &result, begun.elapsed());
    let result = result.map_err(|error| of_daemon(&error))?;
    Ok(json_response(StatusCode::OK, &result))
}

/// A value of an address as the tool's schema wants it; whether it fits is for the daemon to say.
fn typed(tool: &Tool, key: &str, text: &str) -> Result<Value, Refusal> {
    let known = tool.input_schema.get("properties");
    let Some(schema) = known.and_then(|known| known.get(key)) else {
        let keys = known.and_then(Value::as_object);
        let keys: Vec<_> = keys.into_iter().flat_map(Map::keys).cloned().collect();
        let text = format!("there is no `{key}` here; there are {}", keys.join(", "));
        return Err(invalid(&text));
    };
    let is = |kind: &str| match &schema["type"] {
        Value::String(only) => only == kind,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        _ => false,
    };
    if is("integer") {
        let number: i64 = text
            .parse()
            .map_err(|_| invalid(&format!("`{key}` has to be a whole number")))?;
        return Ok(json!(number));
    }
    if is("boolean") {
        let truth: bool = text
            .parse()
            .map_err(|_| invalid(&format!("`{key}` has to be true or false")))?;
        return Ok(json!(truth));
    }
    if is("array") {
        return Ok(text.split(',').map(|item| json!(item)).collect());
    }
    Ok(json!(text))
}

pub(super) fn invalid(text: &str) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

/// The catalogue of one daemon.
pub(crate) type Tools = Arc<Vec<Tool>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_an_object() {
        assert!(wanted(&Value::Null).is_ok());
        assert!(wanted(&json!({ "arguments": { "name": "x" }, "dry_run": true })).is_ok());
        for body in [
            json!([{ "name": "x" }, true]),
            json!("x"),
            json!({ "argument": {} }),
        ] {
            let refused = wanted(&body).map(|_| ()).unwrap_err();
            assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
    }

    #[test]
    fn what_stands_in_an_address_becomes_what_the_tool_takes() {
        let tool: Tool = serde_json::from_value(json!({
            "name": "t", "title": "", "description": "", "domain": "state", "effect": "read", "role": "viewer",
            "input_schema": { "properties": {
                "limit": { "type": ["integer", "null"] }, "all": { "type": "boolean" },
                "names": { "type": "array" }, "name": { "type": "string" },
            } },
            "output_schema": {},
        }))
        .unwrap();
        let typed = |key, text| typed(&tool, key, text).map_err(|refusal| refusal.status());
        assert_eq!(typed("limit", "20"), Ok(json!(20)));
        assert_eq!(typed("all", "true"), Ok(json!(true)));
        assert_eq!(typed("names", "a,b"), Ok(json!(["a", "b"])));
        assert_eq!(typed("name", "20"), Ok(json!("20")));
        for (key, text) in [("limit", "x"), ("all", "1"), ("other", "x")] {
            assert_eq!(typed(key, text), Err(StatusCode::UNPROCESSABLE_ENTITY));
        }
    }
}
