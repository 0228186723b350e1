//! The two ways to the registry.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tools::{Caller, Cancel, Domain, Effect, Options, Registry};

use super::{fault_of, with_problems};
use crate::backend::{Event, Fault, Hint, Request, Speaker, ToolInfo};

/// How calls reach the registry.
pub(super) enum Way {
    Daemon(api::Client),
    Here {
        registry: Arc<Registry>,
        caller: Arc<Caller>,
    },
}

impl Way {
    /// All tools, by name.
    pub(super) async fn list(&self, speaker: &Speaker) -> Result<Vec<ToolInfo>, Fault> {
        match self {
            Self::Daemon(client) => {
                let tools = client.list(speaker.token.as_deref()).await.map_err(fault)?;
                Ok(tools.into_iter().map(of_daemon).collect())
            }
            Self::Here { registry, .. } => Ok(registry.tools().map(of_registry).collect()),
        }
    }

    /// Calls a tool.
    pub(super) async fn call(&self, request: Request<'_>) -> Result<Value, Fault> {
        match self {
            Self::Daemon(client) => ask(client, request).await,
            Self::Here { registry, caller } => {
                run(Arc::clone(registry), Arc::clone(caller), request).await
            }
        }
    }
}

async fn ask(client: &api::Client, request: Request<'_>) -> Result<Value, Fault> {
    let call = api::Call {
        name: request.name.to_owned(),
        arguments: Value::Object(request.arguments),
        dry_run: request.dry_run,
        plan: request.plan,
        timeout: None,
        token: request.speaker.token.clone(),
    };
    let told = |event: api::Event| {
        (request.listener)(Event {
            text: event.text,
            done: event.done,
            total: event.total,
        });
    };
    tokio::select! {
        answer = client.call(&call, told) => answer.map_err(fault),
        // What is no longer waited for is taken back at the daemon.
        () = request.cancel.cancelled() => Err(fault_of("cancelled", "the call was cancelled".to_owned(), None)),
    }
}

/// Calls on a thread that may block. A call that is taken back is waited for: it ends when nothing is half done.
async fn run(
    registry: Arc<Registry>,
    caller: Arc<Caller>,
    request: Request<'_>,
) -> Result<Value, Fault> {
    let options = Options {
        dry_run: request.dry_run,
        plan: request.plan,
        deadline: None,
        ssh_client: tools::engine::ssh_client(),
    };
    let name = request.name.to_owned();
    let arguments = Value::Object(request.arguments);
    let cancel = Cancel::default();
    let (sender, mut events) = mpsc::unbounded_channel();
    let taken_back = cancel.clone();
    let mut call = tokio::task::spawn_blocking(move || {
        let listener = |event: &tools::Event| {
            let _ = sender.send(Event {
                text: event.text.clone(),
                done: event.done,
                total: event.total,
            });
        };
        registry.call(&caller, &name, arguments, options, &cancel, &listener)
    });
    let ended = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => (request.listener)(event),
            ended = &mut call => break ended,
            () = request.cancel.cancelled(), if !taken_back.is_cancelled() => taken_back.cancel(),
        }
    };
    let answer =
        ended.unwrap_or_else(|error| Err(tools::ToolError::failed("call the tool", error)));
    answer.map_err(|error| {
        let data = error.json();
        let text = with_problems(error.to_string(), &data);
        fault_of(error.code(), text, data["plan_hash"].as_str())
    })
}

fn fault(error: api::Error) -> Fault {
    match &error {
        api::Error::Tool { data, message, .. } => {
            let code = data["code"].as_str().unwrap_or("failed");
            let text = with_problems(message.clone(), data);
            fault_of(code, text, data["plan_hash"].as_str())
        }
        api::Error::Away { .. } => Fault::Unavailable(error.to_string()),
        api::Error::TooLarge(_) => fault_of("too-large", error.to_string(), None),
        api::Error::TooMuch(_) => fault_of("invalid", error.to_string(), None),
        api::Error::TimedOut => fault_of("timed-out", error.to_string(), None),
        _ => fault_of("failed", error.to_string(), None),
    }
}

fn of_daemon(tool: api::Tool) -> ToolInfo {
    ToolInfo {
        hint: hint(&tool.name, &tool.domain),
        name: tool.name,
        title: tool.title,
        description: tool.description,
        input: Arc::new(tool.input_schema),
        output: Some(Arc::new(tool.output_schema)),
        effect: match tool.effect {
            api::Effect::Read => Effect::Read,
            api::Effect::Write => Effect::Write,
            api::Effect::Destroy => Effect::Destroy,
        },
        domain: tool.domain,
    }
}

fn of_registry(tool: &tools::Tool) -> ToolInfo {
    let domain = word(tool.domain);
    ToolInfo {
        name: tool.name.to_owned(),
        title: tool.title.to_owned(),
        description: tool.description.to_owned(),
        input: Arc::new(object(tool.input())),
        output: Some(Arc::new(object(tool.output()))),
        effect: tool.effect,
        hint: hint(tool.name, &domain),
        domain,
    }
}

fn word(domain: Domain) -> String {
    let word = serde_json::to_value(domain).unwrap_or_default();
    word.as_str().unwrap_or("host").to_owned()
}

fn object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// What is known beside the effect. An apply that was done is empty the second time; packages come from elsewhere.
fn hint(name: &str, domain: &str) -> Hint {
    Hint {
        idempotent: matches!(
            name,
            "state_apply" | "host_set_hostname" | "host_set_timezone"
        ),
        open_world: domain == "packages",
        upstream: false,
    }
}
