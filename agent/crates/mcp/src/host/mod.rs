//! The host's own tools as a backend: through the daemon, or in this process where none runs.
//!
//! Resources, prompts and completion call the same tools with the speaker's rights; there is no second way to the
//! host.

mod complete;
mod prompts;
mod resources;
mod way;

use std::sync::Arc;

use rmcp::model::{GetPromptResult, Prompt, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tools::{Caller, Registry};

use crate::backend::{Answer, Backend, Completion, Fault, Output, Request, Speaker, ToolInfo};
use way::Way;

/// What a model should know before it uses the tools.
pub const INSTRUCTIONS: &str = "These tools look at and change one host that keeps a declared state. Look before \
    you change: state_status and state_verify say how it stands. Tools that change something take `dry_run`, \
    which shows the plan. What destroys data is asked of a person, with the plan; there is no argument that \
    confirms it. Every change is recorded: ledger_log shows by whom and why.";

/// The host.
pub struct Host {
    way: Way,
    tools: OnceCell<Arc<Vec<ToolInfo>>>,
}

impl Host {
    /// Through the daemon, which decides by the speaker's token, or by this process's user without one.
    pub fn through(daemon: api::Client) -> Self {
        Self::by(Way::Daemon(daemon))
    }

    /// In this process, as this caller.
    pub fn here(registry: Registry, caller: Caller) -> Self {
        Self::by(Way::Here {
            registry: Arc::new(registry),
            caller: Arc::new(caller),
        })
    }

    fn by(way: Way) -> Self {
        Self {
            way,
            tools: OnceCell::new(),
        }
    }

    /// The list is as it was when it was first asked for: it does not change while a client uses it.
    async fn list(&self, speaker: &Speaker) -> Result<Arc<Vec<ToolInfo>>, Fault> {
        let list = || async { Ok(Arc::new(self.way.list(speaker).await?)) };
        self.tools.get_or_try_init(list).await.cloned()
    }

    /// Reads with a tool. One that is not there is no fault of the asker.
    async fn read_with(
        &self,
        speaker: &Speaker,
        tool: &str,
        arguments: Value,
    ) -> Result<Value, Fault> {
        let request = Request {
            speaker,
            name: tool,
            arguments: match arguments {
                Value::Object(arguments) => arguments,
                _ => Map::new(),
            },
            dry_run: false,
            plan: None,
            listener: &|_| {},
            cancel: CancellationToken::new(),
        };
        self.way.call(request).await
    }
}

impl Backend for Host {
    fn tools<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(self.list(speaker))
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async { self.way.call(request).await.map(Output::from) })
    }

    fn resources<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Resource>>> {
        Box::pin(async { Ok(Arc::new(resources::listed())) })
    }

    fn templates<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ResourceTemplate>>> {
        Box::pin(async {
            let tools = self.list(speaker).await?;
            Ok(Arc::new(resources::templates(&tools)))
        })
    }

    fn read<'a>(&'a self, speaker: &'a Speaker, uri: &'a str) -> Answer<'a, Vec<ResourceContents>> {
        Box::pin(self.resource(speaker, uri))
    }

    fn prompts<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Prompt>>> {
        Box::pin(async { Ok(Arc::new(prompts::listed())) })
    }

    fn prompt<'a>(
        &'a self,
        _speaker: &'a Speaker,
        name: &'a str,
        arguments: Map<String, Value>,
    ) -> Answer<'a, GetPromptResult> {
        Box::pin(async move { prompts::filled(name, &arguments) })
    }

    fn complete<'a>(
        &'a self,
        speaker: &'a Speaker,
        completion: Completion,
    ) -> Answer<'a, Vec<String>> {
        Box::pin(self.values(speaker, completion))
    }
}

/// The JSON of an error of the registry, with its code, as a fault.
fn fault_of(code: &str, text: String, plan: Option<&str>) -> Fault {
    match (code, plan) {
        ("not-found", _) => Fault::NotFound(text),
        ("invalid", _) => Fault::Invalid(text),
        ("refused" | "unauthenticated" | "rate-limited", _) => Fault::Refused(text),
        ("unavailable", _) => Fault::Unavailable(text),
        ("unconfirmed", Some(plan)) => Fault::Unconfirmed {
            text,
            plan: plan.to_owned(),
        },
        (code, _) => Fault::Failed {
            code: code.to_owned(),
            text,
        },
    }
}

/// The problems of a bad declaration, a line each, since that is what has to be mended.
fn with_problems(text: String, data: &Value) -> String {
    let Some(problems) = data["problems"].as_array().filter(|all| !all.is_empty()) else {
        return text;
    };
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| json!(problem).to_string())
        .collect();
    format!("{text}\n{}", lines.join("\n"))
}
