//! What is asked: the conversation so far, and the tools that there are.

use serde_json::{Map, Value, json};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// How the model is to behave.
    System(String),
    /// What a person wrote.
    User(String),
    /// What the model answered.
    Assistant {
        /// Its text; may be empty where it calls tools.
        text: String,
        /// The tools that it called.
        calls: Vec<ToolCall>,
    },
    /// What a tool returned.
    Tool {
        /// The id of the call.
        id: String,
        /// The result.
        content: String,
    },
}

impl Message {
    /// What a person wrote.
    pub fn user(text: impl Into<String>) -> Self {
        Self::User(text.into())
    }

    fn body(&self) -> Value {
        match self {
            Self::System(text) => json!({ "role": "system", "content": text }),
            Self::User(text) => json!({ "role": "user", "content": text }),
            Self::Assistant { text, calls } if calls.is_empty() => {
                json!({ "role": "assistant", "content": text })
            }
            Self::Assistant { text, calls } => {
                let calls: Vec<_> = calls.iter().map(ToolCall::body).collect();
                json!({ "role": "assistant", "content": text, "tool_calls": calls })
            }
            Self::Tool { id, content } => {
                json!({ "role": "tool", "tool_call_id": id, "content": content })
            }
        }
    }
}

/// A tool that the model wants to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What its result is to be marked with.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as the model wrote them: JSON, if it went well.
    pub arguments: String,
}

impl ToolCall {
    /// The arguments, or what is wrong with them, in words for the model.
    pub fn parsed(&self) -> Result<Map<String, Value>, String> {
        let text = self.arguments.trim();
        if text.is_empty() {
            return Ok(Map::new());
        }
        let value = serde_json::from_str(text);
        // Some models quote what is JSON already.
        let value = match value {
            Ok(Value::String(inner)) => serde_json::from_str(&inner),
            value => value,
        };
        match value {
            Ok(Value::Object(arguments)) => Ok(arguments),
            Ok(Value::Null) => Ok(Map::new()),
            Ok(_) => Err("the arguments are no JSON object".to_owned()),
            Err(error) => Err(format!("the arguments are no JSON: {error}")),
        }
    }

    fn body(&self) -> Value {
        // Servers read what they get back, and refuse a conversation with arguments that are no JSON.
        let arguments = match self.parsed() {
            Ok(arguments) => Value::Object(arguments).to_string(),
            Err(_) => "{}".to_owned(),
        };
        json!({
            "id": self.id,
            "type": "function",
            "function": { "name": self.name, "arguments": arguments },
        })
    }
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDefinition {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its arguments, an object.
    pub parameters: Value,
}

impl ToolDefinition {
    fn body(&self) -> Value {
        json!({
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        })
    }
}

/// A question.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools that may be called.
    pub tools: Vec<ToolDefinition>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u32>,
}

/// What a server turned out not to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The limit is called `max_completion_tokens`, as OpenAI's newer models want.
    pub(crate) new_limit: bool,
    /// It does not know `stream_options`.
    pub(crate) no_stream_options: bool,
}

impl Request {
    /// A question without tools.
    pub fn of(messages: Vec<Message>) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    /// Roughly how many tokens are sent: a third of the bytes, which is rather too many than too few for English
    /// and JSON.
    pub fn estimate(&self) -> usize {
        self.body("", Dialect::default()).to_string().len() / 3
    }

    pub(crate) fn body(&self, model: &str, dialect: Dialect) -> Value {
        let messages: Vec<_> = self.messages.iter().map(Message::body).collect();
        let mut body = json!({ "model": model, "messages": messages, "stream": true });
        if !dialect.no_stream_options {
            body["stream_options"] = json!({ "include_usage": true });
        }
        if !self.tools.is_empty() {
            body["tools"] = self.tools.iter().map(ToolDefinition::body).collect();
        }
        if let Some(limit) = self.max_tokens {
            let key = match dialect.new_limit {
                true => "max_completion_tokens",
                false => "max_tokens",
            };
            body[key] = limit.into();
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arguments: &str) -> ToolCall {
        ToolCall {
            id: "a".to_owned(),
            name: "ping".to_owned(),
            arguments: arguments.to_owned(),
        }
    }

    #[test]
    fn arguments_are_an_object() {
        for good in ["", " {} ", "null", r#""{}""#] {
            assert_eq!(call(good).parsed(), Ok(Map::new()), "{good}");
        }
        for bad in ["{", "[]", "1", r#""x""#, "{}{}"] {
            assert!(call(bad).parsed().is_err(), "{bad}");
            assert_eq!(call(bad).body()["function"]["arguments"], "{}");
        }
    }

    #[test]
    fn only_what_is_asked_for_is_sent() {
        let mut request = Request::of(vec![Message::user("hi")]);
        let plain = Dialect {
            no_stream_options: true,
            new_limit: true,
        };
        let bare = json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
        assert_eq!(request.body("m", plain), bare);
        request.max_tokens = Some(5);
        assert_eq!(request.body("m", plain)["max_completion_tokens"], 5);
        let body = request.body("m", Dialect::default());
        assert_eq!(body["max_tokens"], 5);
        assert_eq!(body["stream_options"]["include_usage"], true);
    }
}
