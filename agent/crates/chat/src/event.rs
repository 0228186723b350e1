//! What clients are told.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::Answer;

/// What became of a plan, or of a run that waited to be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It was agreed to.
    Applied,
    /// It was dropped.
    Cancelled,
    /// Nobody decided in time.
    Expired,
    /// Another plan for the same took its place.
    Replaced,
    /// A run is kept.
    Confirmed,
    /// A run was taken back.
    Reverted,
}

/// How a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// It failed, or nobody knows how it ended.
    Failed,
    /// Its caller took it back.
    Cancelled,
}

/// One event, without what all events have.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Body {
    /// The first of a connection.
    Hello(Box<Hello>),
    /// Somebody said something.
    User {
        /// The client's own.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// An answer.
    Assistant(Box<Said>),
    /// A piece of an answer to come.
    Delta {
        /// The `id` that the answer will have.
        message: String,
    },
    /// A call begins, or has ended.
    Tool(Box<Call>),
    /// How far a call is.
    Progress {
        /// The call.
        call: String,
        /// In words.
        text: String,
        /// Steps done.
        done: usize,
        /// Steps in all, 0 where nobody knows.
        total: usize,
    },
    /// What would be changed, to be agreed to.
    Plan(Box<Card>),
    /// What became of a plan.
    Approval {
        /// The plan.
        plan: String,
        /// What.
        decision: Decision,
        /// Who decided.
        by: String,
    },
    /// A run that is taken back unless it is confirmed.
    Window {
        /// How long there is.
        seconds_left: u64,
        /// The run.
        run: String,
        /// What became of it.
        #[serde(skip_serializing_if = "Option::is_none")]
        decision: Option<Decision>,
    },
    /// A topic has changed.
    State {
        /// Which.
        topic: &'static str,
        /// What it is now.
        value: Value,
    },
    /// Something was not done.
    Error {
        /// In a word.
        code: String,
        /// In a sentence, with what to do.
        message: String,
        /// The `id` of the answer that deltas were for.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The message that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        in_reply_to: Option<String>,
    },
    /// The sign of life.
    Pong,
}

/// Who is spoken to, and where the conversation stands.
#[derive(Debug, Clone, Serialize)]
pub struct Hello {
    /// Another one has other numbers.
    pub conversation: String,
    /// Who the daemon takes the client for.
    pub user: String,
    /// What they may.
    pub role: String,
    /// Of this program.
    pub version: &'static str,
    /// The number that the next event gets.
    pub next_seq: u64,
    /// Everything after what the client has seen follows.
    pub resumed: bool,
    /// A run that waits to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Value>,
}

/// An answer. Its text is the event's `content`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Said {
    /// The `message` of its deltas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The same, fit for a page.
    pub html: String,
    /// What the sentence was taken to mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub understood: Option<String>,
    /// What else could be said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<say::Alternative>,
    /// The call that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
}

/// A call of a tool.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Its id.
    pub call: String,
    /// The tool.
    pub tool: String,
    /// For people.
    pub title: String,
    /// `read`, `write` or `destroy`.
    pub effect: api::Effect,
    /// As they may be shown.
    pub arguments: Value,
    /// How it stands.
    pub status: Status,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The ledger's entry of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<i64>,
    /// What it gave, to be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// What it gave, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Value>,
    /// How many bytes that was, where it is too much to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_bytes: Option<usize>,
    /// Why it gave nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The message that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
}

/// A plan to be agreed to.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// Its id.
    pub plan: String,
    /// The tool.
    pub tool: String,
    /// For people.
    pub title: String,
    /// As they may be shown.
    pub arguments: Value,
    /// `write` or `destroy`.
    pub effect: api::Effect,
    /// What the approval is bound to.
    pub hash: String,
    /// What would be changed, in order.
    pub changes: Vec<Value>,
    /// What people should know besides.
    pub notes: Vec<String>,
    /// What has to be typed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_name: Option<String>,
    /// When it is too late (RFC 3339).
    pub expires: String,
    /// The sentence that asked for it.
    pub sentence: String,
    /// The message that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(flatten)]
    body: &'a Body,
    content: &'a str,
    timestamp: String,
    tools_used: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

impl Body {
    /// The event as it is sent and kept; `seq` is for those that belong to the conversation.
    pub(crate) fn write(&self, content: &str, tools_used: &[String], seq: Option<u64>) -> Arc<str> {
        let event = Event {
            body: self,
            content,
            timestamp: now(),
            tools_used,
            seq,
        };
        let text = serde_json::to_string(&event).unwrap_or_else(|error| {
            log::error!("an event cannot be written: {error}");
            json!({ "type": "error", "code": "internal", "message": "an event could not be written", "content": "",
                    "timestamp": now(), "tools_used": [], "seq": seq }).to_string()
        });
        text.into()
    }

    /// An event of one connection alone.
    pub(crate) fn aside(&self, content: &str) -> Arc<str> {
        self.write(content, &[], None)
    }

    /// An error that is about one client's text.
    pub(crate) fn fault(code: &str, message: impl Into<String>) -> Self {
        Self::Error {
            code: code.to_owned(),
            message: message.into(),
            id: None,
            in_reply_to: None,
        }
    }
}

/// Now, to the millisecond (RFC 3339).
pub(crate) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Why a call gave nothing: the daemon's own words, where it has any.
pub fn tool_fault(error: &api::Error) -> Value {
    match error {
        api::Error::Tool { data, .. } => {
            let mut fault = json!({ "code": data["code"], "message": error.to_string() });
            for key in ["problems", "plan_hash"] {
                if let Some(value) = data.get(key) {
                    fault[key] = value.clone();
                }
            }
            fault
        }
        other => {
            let code = match other {
                api::Error::Away { .. } => "away",
                api::Error::Gone => "unknown",
                api::Error::TimedOut => "timed-out",
                api::Error::TooLarge(_) | api::Error::TooMuch(_) => "too-large",
                api::Error::Tool { .. } | api::Error::Protocol(_) => "failed",
            };
            json!({ "code": code, "message": other.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_what_all_have() {
        let body = Body::Approval {
            plan: "P1".to_owned(),
            decision: Decision::Applied,
            by: "alice".to_owned(),
        };
        let event: Value =
            serde_json::from_str(&body.write("", &["x".to_owned()], Some(7))).unwrap();
        assert_eq!(event["type"], "approval");
        assert_eq!(
            (event["seq"].as_u64(), event["decision"].as_str()),
            (Some(7), Some("applied"))
        );
        assert_eq!(event["tools_used"], json!(["x"]));
        assert!(
            event["timestamp"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .is_ok()
        );
        let aside: Value = serde_json::from_str(&Body::Pong.aside("")).unwrap();
        assert!(aside.get("seq").is_none() && aside["content"] == "");
    }
}
