//! Whether a server is there, has the model, answers and calls tools, and how long that takes.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::error::Error;
use crate::reply::Usage;
use crate::request::{Message, Request, ToolDefinition};

/// The tool that the model is asked to call.
const TOOL: &str = "ping";
/// Tokens of the answer; models that think first need some.
const TOKENS: u32 = 1024;

/// What was found out.
#[derive(Debug)]
pub struct Probe {
    /// The models that the server has, and how long the list took. Not every server has a list.
    pub models: Result<(Vec<String>, Duration), Error>,
    /// What came of a question.
    pub answer: Result<Answered, Error>,
}

/// An answer, and how long it took.
#[derive(Debug)]
pub struct Answered {
    /// Until the first piece of it came.
    pub first: Duration,
    /// Until it was complete.
    pub whole: Duration,
    /// Whether the model called the tool that it was asked to call.
    pub calls_tools: bool,
    /// What it cost.
    pub usage: Usage,
}

impl Probe {
    /// Asks a server for its models, and its model for a call of a tool; that costs a few tokens.
    pub async fn of(client: &Client) -> Self {
        let begun = Instant::now();
        let models = client.models().await;
        Self {
            models: models.map(|models| (models, begun.elapsed())),
            answer: ask(client).await,
        }
    }

    /// Whether the server's list has the model; none without a list. Ollama leaves `:latest` out.
    pub fn has(&self, model: &str) -> Option<bool> {
        let plain = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
        let (models, _) = self.models.as_ref().ok()?;
        Some(models.iter().any(|name| plain(name) == plain(model)))
    }
}

async fn ask(client: &Client) -> Result<Answered, Error> {
    let request = Request {
        messages: vec![
            Message::System("You check whether tools can be called.".to_owned()),
            Message::user(format!("Call the tool {TOOL} with the word hello.")),
        ],
        tools: vec![ToolDefinition {
            name: TOOL.to_owned(),
            description: "Checks that tools can be called.".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": { "word": { "type": "string" } },
                "required": ["word"],
            }),
        }],
        max_tokens: Some(TOKENS),
    };
    let begun = Instant::now();
    let mut first = None;
    let mut listener = |_| {
        first.get_or_insert_with(|| begun.elapsed());
    };
    let reply = client.complete(&request, &mut listener).await?;
    let whole = begun.elapsed();
    Ok(Answered {
        first: first.unwrap_or(whole),
        whole,
        calls_tools: reply.calls.iter().any(|call| call.name == TOOL),
        usage: reply.usage,
    })
}
