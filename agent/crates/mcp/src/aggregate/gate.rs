//! The host's word on calls that leave it.
//!
//! | effect | before the call | after it |
//! |---|---|---|
//! | read | `upstream_read`: role and declaration | nothing |
//! | write | `upstream_write`: the same, and an entry in the ledger | `upstream_outcome`: an entry |
//! | destroy | `upstream_destroy`: the same, confirmed by the hash of its plan | `upstream_outcome`: an entry |
//!
//! What the host refuses or cannot record does not go out. These tools are for doors, not for clients.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tools::Effect;

use crate::backend::{Backend, Fault, Output, Request, Speaker};
use crate::upstream::{Answered, Upstream, UpstreamError, clean};

const READ: &str = "upstream_read";
const WRITE: &str = "upstream_write";
const DESTROY: &str = "upstream_destroy";
const OUTCOME: &str = "upstream_outcome";

/// Whether a tool is one of those that only doors call.
pub(super) fn is_gate(name: &str) -> bool {
    [READ, WRITE, DESTROY, OUTCOME].contains(&name)
}

fn gate(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => READ,
        Effect::Write => WRITE,
        Effect::Destroy => DESTROY,
    }
}

/// What a call is known by in the host's ledger.
#[derive(Debug, Clone)]
pub struct Ticket {
    upstream: String,
    tool: String,
    call: String,
    arguments_sha256: String,
}

impl Ticket {
    /// A ticket for a call, with a random name.
    pub fn new(
        upstream: &str,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self {
            upstream: upstream.to_owned(),
            tool: tool.to_owned(),
            call: hex::encode(bytes),
            arguments_sha256: digest(arguments),
        })
    }

    /// The host's tool that announces a call of this effect.
    pub fn announcement(&self, effect: Effect) -> (&'static str, Map<String, Value>) {
        let mut arguments = self.subject();
        if effect != Effect::Read {
            arguments.insert("call".to_owned(), json!(self.call));
            arguments.insert("arguments_sha256".to_owned(), json!(self.arguments_sha256));
        }
        (gate(effect), arguments)
    }

    /// The host's tool that records how the call ended.
    pub fn outcome(
        &self,
        ended: Result<(), String>,
        begun: Instant,
    ) -> (&'static str, Map<String, Value>) {
        let mut arguments = self.subject();
        let duration = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        arguments.insert("call".to_owned(), json!(self.call));
        arguments.insert("duration_ms".to_owned(), json!(duration));
        let word = if ended.is_ok() { "done" } else { "failed" };
        arguments.insert("ended".to_owned(), json!(word));
        if let Err(error) = ended {
            let error: String = clean(&error, 900).chars().take(900).collect();
            arguments.insert("error".to_owned(), json!(error));
        }
        (OUTCOME, arguments)
    }

    fn subject(&self) -> Map<String, Value> {
        let subject = [("upstream", &self.upstream), ("tool", &self.tool)];
        let entry = |(key, value): (&str, &String)| (key.to_owned(), json!(value));
        subject.into_iter().map(entry).collect()
    }
}

/// Calls a tool of an upstream server, with the host's consent.
pub(super) async fn call(
    host: &Arc<dyn Backend>,
    upstream: Arc<Upstream>,
    request: Request<'_>,
) -> Result<Output, Fault> {
    let fault = |error: UpstreamError| error.fault(upstream.name());
    let offered = upstream.offered(request.name).map_err(fault)?;
    let arguments = Value::Object(request.arguments.clone());
    if let Some(faults) = offered.input_faults(&arguments) {
        let text = format!("the arguments of {} are wrong: {faults}", request.name);
        return Err(Fault::Invalid(text));
    }
    let effect = offered.info.effect;
    let ticket = Ticket::new(upstream.name(), &offered.tool, &request.arguments)
        .map_err(|error| Fault::Unavailable(format!("no random numbers: {error}")))?;
    let (name, announced) = ticket.announcement(effect);
    let changes = effect != Effect::Read;
    let consent = host
        .call(Request {
            speaker: request.speaker,
            name,
            arguments: announced,
            dry_run: request.dry_run && changes,
            plan: request.plan.filter(|_| changes),
            listener: request.listener,
            cancel: request.cancel.clone(),
        })
        .await?;
    if request.dry_run && changes {
        return Ok(consent);
    }
    // In a task of its own: once it has gone out, its end is recorded whether or not anybody still waits.
    let errand = Errand {
        host: Arc::clone(host),
        upstream,
        speaker: request.speaker.clone(),
        name: request.name.to_owned(),
        arguments: request.arguments,
        cancel: request.cancel,
        ticket: changes.then_some(ticket),
    };
    let ended = tokio::spawn(errand.run()).await;
    ended.unwrap_or_else(|error| {
        Err(Fault::Failed {
            code: "failed".to_owned(),
            text: format!("the call broke off: {error}"),
        })
    })
}

/// A call that has been announced.
struct Errand {
    host: Arc<dyn Backend>,
    upstream: Arc<Upstream>,
    speaker: Speaker,
    name: String,
    arguments: Map<String, Value>,
    cancel: CancellationToken,
    ticket: Option<Ticket>,
}

impl Errand {
    async fn run(self) -> Result<Output, Fault> {
        let begun = Instant::now();
        let answer = self
            .upstream
            .call(&self.name, self.arguments, &self.cancel)
            .await;
        if let Some(ticket) = self.ticket {
            let ended = answer.as_ref().map(|_| ()).map_err(ToString::to_string);
            let (name, arguments) = ticket.outcome(ended, begun);
            let recorded = self.host.call(Request {
                speaker: &self.speaker,
                name,
                arguments,
                dry_run: false,
                plan: None,
                listener: &|_| {},
                cancel: CancellationToken::new(),
            });
            if let Err(error) = recorded.await {
                let what = match &answer {
                    Ok(_) => "it was done, but".to_owned(),
                    Err(error) => format!("{error}; and"),
                };
                return Err(Fault::Failed {
                    code: "unrecorded".to_owned(),
                    text: format!("{what} its end was not recorded: {error}"),
                });
            }
        }
        answer
            .map(
                |Answered {
                     structured,
                     content,
                 }| Output {
                    structured,
                    content,
                },
            )
            .map_err(|error| error.fault(self.upstream.name()))
    }
}

/// The SHA-256 of arguments as canonical JSON (RFC 8785). What sounds like a secret is left out before: a short
/// one could be guessed from its hash.
fn digest(arguments: &Map<String, Value>) -> String {
    let open = open(&Value::Object(arguments.clone()));
    let bytes = serde_json_canonicalizer::to_vec(&open).unwrap_or_else(|_| open.to_string().into());
    hex::encode(Sha256::digest(bytes))
}

fn open(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries = map.iter().filter(|(key, _)| !tools::is_secret(key));
            let entries = entries.map(|(key, value)| (key.clone(), open(value)));
            Value::Object(entries.collect())
        }
        Value::Array(list) => list.iter().map(open).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_digest_is_of_what_is_no_secret() {
        let one = digest(&map(json!({ "b": [{ "password": "x" }], "a": 1 })));
        let other = digest(&map(
            json!({ "a": 1, "b": [{ "password": "y" }], "apiToken": 2 }),
        ));
        assert_eq!(one, other);
        assert_ne!(one, digest(&map(json!({ "a": 2, "b": [{}] }))));
    }
}
