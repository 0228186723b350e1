//! What clients say.

use serde::Deserialize;
use serde_json::Value;

use crate::live::Topic;

/// The longest text of a message, in bytes.
pub const LONGEST: usize = 16 << 10;
/// The longest id that a client gives a message.
const LONGEST_ID: usize = 128;

/// One text of a client: a message as it is, or an object with a `type`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    /// Says something. The same id again is the same message.
    Message {
        /// Chosen by the client.
        #[serde(default)]
        id: Option<String>,
        /// What is said.
        content: String,
    },
    /// Agrees to a plan.
    Approve {
        /// Its id.
        plan: String,
        /// The typed name, where the plan asks for one.
        #[serde(default)]
        name: Option<String>,
    },
    /// Drops a plan.
    Cancel {
        /// Its id.
        plan: String,
    },
    /// Takes a running call back.
    Stop {
        /// Its id.
        call: String,
    },
    /// Wants to see these topics, and no others.
    Watch {
        /// They.
        topics: Vec<Topic>,
    },
    /// Keeps what waits to be confirmed.
    Confirm,
    /// Wants a sign of life.
    Ping,
}

impl Request {
    /// Reads a text; what is wrong with it, in a sentence, if it cannot be.
    pub fn read(text: &str) -> Result<Self, String> {
        let request = match serde_json::from_str::<Value>(text) {
            Ok(object @ Value::Object(_)) => serde_json::from_value(object).map_err(|error| {
                format!("{error}. An object has a `type`: message, approve, cancel, stop, watch, confirm or ping")
            })?,
            _ => Self::Message {
                id: None,
                content: text.to_owned(),
            },
        };
        match &request {
            Self::Message { content, .. } if content.trim().is_empty() => {
                Err("the message is empty".to_owned())
            }
            Self::Message { content, .. } if content.len() > LONGEST => {
                Err(format!("a message has at most {LONGEST} bytes"))
            }
            Self::Message { id: Some(id), .. } if id.is_empty() || id.len() > LONGEST_ID => {
                Err(format!("the id of a message has 1 to {LONGEST_ID} bytes"))
            }
            _ => Ok(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_text_is_a_message() {
        for text in ["list containers", "[1, 2]", "{ not json", "\"x\"", "7"] {
            let said = Request::Message {
                id: None,
                content: text.to_owned(),
            };
            assert_eq!(Request::read(text), Ok(said));
        }
    }

    #[test]
    fn objects_are_what_their_type_says() {
        let approve = r#"{"type":"approve","plan":"P1","name":"web-01"}"#;
        let plan = Request::Approve {
            plan: "P1".to_owned(),
            name: Some("web-01".to_owned()),
        };
        assert_eq!(Request::read(approve), Ok(plan));
        let watch = r#"{"type":"watch","topics":["host","ledger"]}"#;
        let topics = vec![Topic::Host, Topic::Ledger];
        assert_eq!(Request::read(watch), Ok(Request::Watch { topics }));
        for wrong in [
            "{}",
            r#"{"type":"other"}"#,
            r#"{"type":"approve"}"#,
            r#"{"type":"watch","topics":["secrets"]}"#,
            r#"{"type":"message","content":" "}"#,
            r#"{"type":"message","id":"","content":"x"}"#,
            "",
        ] {
            assert!(Request::read(wrong).is_err(), "{wrong}");
        }
        assert!(Request::read(&"x".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_does_harm(text in ".{0,200}") {
            let _ = Request::read(&text);
        }
    }
}
