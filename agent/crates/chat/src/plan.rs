//! From what is wanted to a plan that is shown, and from an approval to what is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secret_names::sounds_secret;
use serde_json::{Map, Value, json};

use crate::answer::{cut, thing, verb};
use crate::call::{self, Order};
use crate::chat::Chat;
use crate::conversation::Conversation;
use crate::event::{Body, Card, Said};
use crate::knowledge::property;
use crate::plans::{LIFE, Pending, Refusal, Wish};
use crate::speaker::Speaker;
use crate::turn::Message;
use crate::{markdown, window};

/// How long it may take to make a plan.
const PLANNING: Duration = Duration::from_secs(120);
/// How many changes of a plan are shown.
const CHANGES: usize = 200;
/// How long a state before or after may be, in bytes of JSON, to be shown.
const STATE: usize = 4 << 10;
/// How long a text in arguments may be to be shown.
const TEXT: usize = 1 << 10;
/// Arguments that name what a call is about, the most telling first.
const NAMES: [&str; 8] = [
    "name", "unit", "path", "bridge", "plugin", "snapshot", "target", "upstream",
];

/// What came of a wish to change something.
pub(crate) enum Proposed {
    /// The plan is shown.
    Waiting {
        plan: String,
        /// What it would change.
        text: String,
    },
    /// There is nothing to change.
    Unchanged {
        notes: Vec<String>,
    },
    Refused(api::Error),
}

/// Has the daemon plan a change, and shows the plan.
pub(crate) async fn propose(
    message: &Message,
    tool: &api::Tool,
    mut arguments: Value,
    wish: Wish,
) -> Proposed {
    let dry = api::Call {
        dry_run: true,
        timeout: Some(PLANNING),
        ..message.speaker.call(&tool.name, arguments.clone())
    };
    let planned = match message.chat.client.call(&dry, |_| {}).await {
        Ok(planned) => planned,
        Err(error) => return Proposed::Refused(error),
    };
    let none = Vec::new();
    let changes = planned["changes"].as_array().unwrap_or(&none);
    let notes = notes(&planned["notes"]);
    if changes.is_empty() {
        return Proposed::Unchanged { notes };
    }
    let loses = changes.iter().any(|change| change["destroys"] == true);
    if loses && property(tool, "allow_destroy").is_some() && arguments.is_object() {
        // The typed name stands for it.
        arguments["allow_destroy"] = json!(true);
    }
    let effect = match loses {
        true => api::Effect::Destroy,
        false => tool.effect,
    };
    let texts: Vec<_> = changes.iter().map(text_of).collect();
    let text = texts
        .iter()
        .take(10)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    let until = Instant::now() + LIFE;
    let pending = |id: String, seq: u64| Pending {
        id,
        seq,
        tool: tool.name.clone(),
        title: tool.title.clone(),
        effect,
        hash: planned["plan_hash"].as_str().unwrap_or_default().to_owned(),
        confirm_name: (effect == api::Effect::Destroy)
            .then(|| confirm_name(tool, &arguments, changes)),
        arguments: arguments.clone(),
        until,
        wish: wish.clone(),
        in_reply_to: message.in_reply_to.clone(),
    };
    let mut id = String::new();
    message.conversation.show(&tool.name, |seq| {
        id = format!("P{seq}");
        let pending = pending(id.clone(), seq);
        let card = Card {
            plan: id.clone(),
            tool: tool.name.clone(),
            title: tool.title.clone(),
            arguments: shown(tool, &arguments),
            effect,
            hash: pending.hash.clone(),
            changes: changes.iter().take(CHANGES).map(change).collect(),
            notes,
            confirm_name: pending.confirm_name.clone(),
            expires: expires(),
            sentence: wish.sentence.clone(),
            in_reply_to: message.in_reply_to.clone(),
        };
        let content = format!("{}: {}", tool.title, text);
        (pending, Body::Plan(Box::new(card)), content)
    });
    let conversation = Arc::downgrade(&message.conversation);
    tokio::spawn(async move {
        tokio::time::sleep_until(until.into()).await;
        if let Some(conversation) = conversation.upgrade() {
            conversation.expire();
        }
    });
    Proposed::Waiting { plan: id, text }
}

/// Carries out a plan that was agreed to, and says what came of it. Where the host has changed meanwhile, the plan as it
/// is now is shown.
pub(crate) async fn carry_out(
    chat: &Arc<Chat>,
    conversation: &Arc<Conversation>,
    speaker: &Speaker,
    plan: Pending,
) {
    let known = chat.knowledge.get(speaker).await.ok();
    let tool = known.as_ref().and_then(|known| known.tool(&plan.tool));
    let order = Order {
        tool: plan.tool.clone(),
        title: plan.title.clone(),
        effect: plan.effect,
        shown: tool.map_or(Value::Null, |tool| shown(tool, &plan.arguments)),
        arguments: plan.arguments.clone(),
        plan: Some(plan.hash.clone()),
        in_reply_to: plan.in_reply_to.clone(),
    };
    let ended = call::perform(chat, conversation, speaker, order).await;
    if let Some(entry) = ended.entry {
        conversation.set_entry(entry);
    }
    let text = match &ended.result {
        Ok(answer) => {
            window::open(chat, conversation, speaker, answer);
            ended.summary.clone()
        }
        Err(_) if ended.stopped => "Taken back: the ledger says what was done before.".to_owned(),
        Err(error) => error.to_string(),
    };
    conversation.set_why(text.clone());
    let said = Said {
        html: markdown::plain(&text),
        call: Some(ended.call),
        in_reply_to: plan.in_reply_to.clone(),
        ..Said::default()
    };
    conversation.tell(
        &Body::Assistant(Box::new(said)),
        &text,
        std::slice::from_ref(&plan.tool),
    );
    let changed =
        matches!(&ended.result, Err(error) if error.code() == Some(api::Code::PlanChanged));
    if changed && let (Some(known), Some(tool)) = (&known, tool) {
        let message = Message::again(chat, conversation, speaker, known, plan.in_reply_to);
        let _ = propose(&message, tool, plan.arguments, plan.wish).await;
    }
}

impl From<Refusal> for Body {
    fn from(refusal: Refusal) -> Self {
        Self::fault(refusal.code(), refusal.to_string())
    }
}

/// Arguments without secrets and long texts.
pub(crate) fn shown(tool: &api::Tool, arguments: &Value) -> Value {
    redacted(&Value::Object(tool.input_schema.clone()), arguments)
}

fn redacted(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let clean = |(key, value): (&String, &Value)| {
                let below = &schema["properties"][key];
                let secret = below["writeOnly"] == true || sounds_secret(key);
                let value = match secret {
                    true => json!("redacted"),
                    false => redacted(below, value),
                };
                (key.clone(), value)
            };
            Value::Object(map.iter().map(clean).collect::<Map<_, _>>())
        }
        Value::Array(list) => list
            .iter()
            .map(|item| redacted(&schema["items"], item))
            .collect(),
        Value::String(text) if text.len() > TEXT => {
            json!(format!("{} bytes: {}", text.len(), cut(text, 200)))
        }
        other => other.clone(),
    }
}

/// One change as it is shown.
fn change(change: &Value) -> Value {
    let mut shown =
        json!({ "resource": resource(change), "verb": change["verb"], "text": text_of(change) });
    for key in ["before", "after"] {
        let state = redacted(&Value::Null, &change[key]);
        if !state.is_null() {
            shown[key] = match state.to_string().len() {
                small if small <= STATE => state,
                large => json!(format!("{large} bytes, too much to be shown")),
            };
        }
    }
    shown
}

fn resource(change: &Value) -> String {
    let part = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", part("plugin"), part("resource"))
}

/// A change in words, such as `create container web-01`.
fn text_of(change: &Value) -> String {
    let mut text = format!("{} {}", verb(change), thing(&change["resource"]));
    if change["destroys"] == true {
        text.push_str(", whose data is lost for good");
    }
    if change["adopts"] == true {
        text.push_str(", which was not ours and is taken over");
    }
    let disrupted: Vec<_> = change["disrupts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !disrupted.is_empty() {
        text.push_str(&format!(", which interrupts {}", disrupted.join(", ")));
    }
    text
}

fn notes(notes: &Value) -> Vec<String> {
    let notes = notes.as_array().into_iter().flatten();
    let text = |note: &Value| match note {
        Value::String(text) => text.clone(),
        note => note["text"]
            .as_str()
            .map_or_else(|| note.to_string(), str::to_owned),
    };
    notes.take(50).map(|note| cut(&text(note), 1_000)).collect()
}

/// What has to be typed: what the call names, or what is lost first.
fn confirm_name(tool: &api::Tool, arguments: &Value, changes: &[Value]) -> String {
    let named = NAMES.iter().find_map(|key| arguments[*key].as_str());
    let lost = || {
        let lost = changes.iter().find(|change| change["destroys"] == true);
        let resource = lost
            .or(changes.first())
            .and_then(|change| change["resource"].as_str())?;
        Some(resource.rsplit(':').next().unwrap_or(resource))
    };
    let name = named
        .or_else(lost)
        .map(str::trim)
        .filter(|name| !name.is_empty());
    name.unwrap_or(&tool.name).to_owned()
}

fn expires() -> String {
    let life = i64::try_from(LIFE.as_secs()).unwrap_or_default();
    let end = Timestamp::now().as_second().saturating_add(life);
    Timestamp::from_second(end).map_or_else(|_| String::new(), |end| end.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool() -> api::Tool {
        serde_json::from_value(json!({
            "name": "x_set", "title": "X", "description": "", "domain": "state", "effect": "write", "role": "operator",
            "input_schema": { "properties": { "hidden": { "writeOnly": true } } }, "output_schema": {},
        }))
        .unwrap()
    }

    #[test]
    fn no_secret_and_no_long_text_is_shown() {
        let arguments = json!({ "hidden": "x", "apiKey": "y", "name": "z", "content": "w".repeat(5000), "in": [{ "password": 1 }] });
        let shown = shown(&tool(), &arguments);
        assert_eq!(
            (&shown["hidden"], &shown["apiKey"]),
            (&json!("redacted"), &json!("redacted"))
        );
        assert_eq!(
            (&shown["name"], &shown["in"][0]["password"]),
            (&json!("z"), &json!("redacted"))
        );
        assert!(shown["content"].as_str().unwrap().len() < 300);
    }

    #[test]
    fn changes_are_said_in_words() {
        let one = json!({ "plugin": "lxc", "resource": "container:web-01", "verb": "delete", "destroys": true,
                          "disrupts": ["br0"], "before": { "token": "s" }, "after": null });
        let shown = change(&one);
        assert_eq!(
            shown["text"],
            "delete container web-01, whose data is lost for good, which interrupts br0"
        );
        assert_eq!(
            (&shown["resource"], &shown["before"]["token"]),
            (&json!("lxc/container:web-01"), &json!("redacted"))
        );
        assert!(shown.get("after").is_none());
        assert_eq!(confirm_name(&tool(), &json!({}), &[one]), "web-01");
        let update = |before: Value, after: Value| {
            change(
                &json!({ "plugin": "lxc", "resource": "container:a", "verb": "update", "before": before, "after": after }),
            )
        };
        let runs = |running: bool| json!({ "running": running });
        let (old, new) = (
            json!({ "running": true, "init": 7 }),
            json!({ "running": true, "init": "new" }),
        );
        for (before, after, said) in [
            (runs(true), runs(false), "stop container a"),
            (runs(false), runs(true), "start container a"),
            (runs(false), new.clone(), "start container a"),
            (old, new, "restart container a"),
            (
                runs(true),
                json!({ "running": false, "cores": 1 }),
                "update container a",
            ),
        ] {
            assert_eq!(update(before, after)["text"], said);
        }
        assert_eq!(
            confirm_name(&tool(), &json!({ "unit": "a.service" }), &[]),
            "a.service"
        );
        assert_eq!(confirm_name(&tool(), &json!({ "name": " " }), &[]), "x_set");
    }
}
