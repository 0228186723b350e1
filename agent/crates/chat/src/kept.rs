//! What kept events say later: to the next process, and to a language model.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::thinker::{Outcome, Past};

/// What has to be said about what the process before left open: calls, plans, messages without an answer.
pub(crate) fn left_open(kept: &[Value], user: &str) -> Vec<Value> {
    let ended = |kind: &str, key: &str, id: &Value| {
        kept.iter().any(|event| {
            event["type"] == kind
                && event[key] == *id
                && (kind != "tool" || event["status"] != "running")
        })
    };
    let answered = |id: &Value| {
        kept.iter()
            .any(|event| event["type"] != "user" && event["in_reply_to"] == *id)
    };
    let mut left = Vec::new();
    for event in kept {
        match event["type"].as_str() {
            Some("tool") if event["status"] == "running" && !ended("tool", "call", &event["call"]) => {
                let message = "the web server was started anew while this went on: how it ended is not known; the \
                               ledger says what was done";
                let mut event = event.clone();
                event["status"] = json!("failed");
                event["error"] = json!({ "code": "unknown", "message": message });
                event["content"] = json!(message);
                left.push(event);
            }
            Some("plan") if !ended("approval", "plan", &event["plan"]) => left.push(json!({
                "type": "approval", "plan": event["plan"], "decision": "expired", "by": user, "tools_used": [],
            })),
            Some("user") if event["id"].is_string() && !answered(&event["id"]) => left.push(json!({
                "type": "error", "code": "unanswered", "in_reply_to": event["id"], "tools_used": [],
                "message": "the web server was started anew before it could answer: say it again",
            })),
            _ => {}
        }
    }
    left
}

/// An event as a language model is shown it again.
pub(crate) fn past(event: &Value, plans: &mut HashMap<String, (String, Value)>) -> Option<Past> {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let called = |outcome| Past::Call {
        tool: text("tool"),
        arguments: event["arguments"].clone(),
        outcome,
    };
    match event["type"].as_str()? {
        "user" => Some(Past::User(text("content"))),
        "assistant" => Some(Past::Assistant(text("content"))),
        "tool" => match event["status"].as_str()? {
            "done" => {
                let raw = event.get("raw").cloned();
                Some(called(Outcome::Done(
                    raw.unwrap_or_else(|| event["content"].clone()),
                )))
            }
            "running" => None,
            _ => Some(called(Outcome::Failed(text("content")))),
        },
        "plan" => {
            plans.insert(text("plan"), (text("tool"), event["arguments"].clone()));
            let (plan, text) = (text("plan"), text("content"));
            Some(called(Outcome::Waiting { plan, text }))
        }
        "approval" if event["decision"] != "applied" => {
            let (tool, arguments) = plans.remove(&text("plan"))?;
            Some(Past::Call {
                tool,
                arguments,
                outcome: Outcome::Cancelled,
            })
        }
        _ => None,
    }
}
