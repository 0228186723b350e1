//! One session with an upstream server, in whichever era it speaks.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use declaration::{Program, Reach};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock,
    Implementation, PaginatedRequestParams, ProtocolVersion, Tool,
};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::ChildStdout;
use tokio_util::sync::CancellationToken;

use super::bounds;
use super::child::{self, Started};
use super::error::UpstreamError;
use super::guard::Guard;
use super::http;
use super::schema;
use super::stderr::LastLine;
use super::text::clean;

/// A session with a server. Dropping it ends the program, if it is one.
pub struct Connection {
    session: RunningService<RoleClient, ClientConfig>,
    started: Option<Started>,
    broken: Arc<OnceLock<String>>,
    last_line: Option<LastLine>,
}

/// What a server answered to a call.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// For programs.
    pub structured: Option<Value>,
    /// For people and models.
    pub content: Vec<ContentBlock>,
}

impl Connection {
    /// Starts or reaches a server, and finds out what it speaks.
    pub async fn open(
        name: &str,
        reach: &Reach,
        guard: &Guard,
        limit: Duration,
    ) -> Result<Self, UpstreamError> {
        let opened = async {
            match reach {
                Reach::Command(program) => Self::start(name, program).await,
                Reach::Http(address) => {
                    let transport = http::transport(address, guard, limit).await?;
                    let session = ours().serve_with_lifecycle(transport, eras()).await;
                    Ok(Self {
                        session: session.map_err(|error| no_session(&error.to_string()))?,
                        started: None,
                        broken: Arc::default(),
                        last_line: None,
                    })
                }
            }
        };
        tokio::time::timeout(limit, opened)
            .await
            .unwrap_or(Err(UpstreamError::TimedOut(limit)))
    }

    async fn start(name: &str, program: &Program) -> Result<Self, UpstreamError> {
        let mut started = child::start(program).await?;
        let pipes = (
            started.child.stdin.take(),
            started.child.stdout.take(),
            started.child.stderr.take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(UpstreamError::Broken("it has no pipes".to_owned()));
        };
        let last_line = LastLine::follow(name.to_owned(), stderr);
        let broken = Arc::new(OnceLock::new());
        let lines = Lines {
            stdout,
            length: 0,
            broken: Arc::clone(&broken),
        };
        let transport = AsyncRwTransport::<RoleClient, _, _>::new(lines, stdin);
        match ours().serve_with_lifecycle(transport, eras()).await {
            Ok(session) => Ok(Self {
                session,
                started: Some(started),
                broken,
                last_line: Some(last_line),
            }),
            Err(error) => {
                drop(started);
                let said = broken.get().cloned().unwrap_or_else(|| error.to_string());
                Err(no_session(&last_line.after(said).await))
            }
        }
    }

    /// The era that it speaks, such as `2026-07-28`.
    pub fn protocol(&self) -> String {
        let known = self.session.peer().peer_info();
        known.map_or_else(String::new, |known| {
            clean(known.protocol_version.as_str(), 32)
        })
    }

    /// Whether it is of no more use.
    pub fn is_closed(&self) -> bool {
        self.session.is_closed() || self.session.peer().is_transport_closed()
    }

    /// All tools that it lists, as it lists them; more than a few thousand are not asked for.
    pub async fn list(&self, limit: Duration) -> Result<Vec<Tool>, UpstreamError> {
        let listed = async {
            let mut tools = Vec::new();
            let mut cursor = None;
            for _ in 0..bounds::PAGES {
                let page = PaginatedRequestParams::default().with_cursor(cursor);
                let listed = self.session.peer().list_tools(Some(page)).await;
                let listed = match listed {
                    Ok(listed) => listed,
                    Err(error) => return Err(self.failed(error).await),
                };
                tools.extend(listed.tools);
                cursor = listed.next_cursor;
                if cursor.is_none() || tools.len() > bounds::TOOLS * bounds::PAGES {
                    return Ok(tools);
                }
            }
            Err(UpstreamError::Broken(format!(
                "its list of tools has more than {} pages",
                bounds::PAGES
            )))
        };
        tokio::time::timeout(limit, listed)
            .await
            .unwrap_or(Err(UpstreamError::TimedOut(limit)))
    }

    /// Calls a tool by the name that it has there. Whoever stops waiting takes the call back.
    pub async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Answered, UpstreamError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let answer = tokio::select! {
            answer = tokio::time::timeout(limit, self.session.peer().call_tool_once(request)) => answer,
            () = cancel.cancelled() => return Err(UpstreamError::Cancelled),
        };
        match answer {
            Err(_) => Err(UpstreamError::TimedOut(limit)),
            Ok(Err(error)) => Err(self.failed(error).await),
            Ok(Ok(CallToolResponse::Complete(result))) => answered(result),
            Ok(Ok(CallToolResponse::InputRequired(_))) => Err(UpstreamError::Unsupported(
                "it asks for further input, which is not passed on".to_owned(),
            )),
            Ok(Ok(_)) => Err(UpstreamError::Unsupported(
                "it made a task of the call, which is not followed".to_owned(),
            )),
        }
    }

    /// Ends the session: a program gets a moment to end by itself.
    pub async fn close(mut self) {
        let _ = self.session.close().await;
        if let Some(started) = self.started.take() {
            started.farewell().await;
        }
    }

    async fn failed(&self, error: ServiceError) -> UpstreamError {
        match error {
            ServiceError::McpError(error) => {
                UpstreamError::Said(clean(&error.message, bounds::ERROR))
            }
            ServiceError::Cancelled { .. } => UpstreamError::Cancelled,
            ServiceError::UnexpectedResponse => {
                UpstreamError::Lied("the message is none of the protocol's".to_owned())
            }
            other => {
                let said = self.broken.get().cloned().unwrap_or_else(|| {
                    format!("the connection ended ({})", clean(&other.to_string(), 200))
                });
                UpstreamError::Broken(match &self.last_line {
                    Some(line) => line.after(said).await,
                    None => said,
                })
            }
        }
    }
}

/// Who we are, with no capabilities: nothing of this host or its users is to be asked for.
fn ours() -> ClientConfig {
    let implementation = Implementation::new("operation-dbus", env!("CARGO_PKG_VERSION"));
    ClientConfig::new(Default::default(), implementation)
}

/// The stateless era first; a server that does not know it is greeted as before.
fn eras() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    }
}

fn no_session(said: &str) -> UpstreamError {
    UpstreamError::Session(clean(said, bounds::ERROR))
}

fn answered(result: CallToolResult) -> Result<Answered, UpstreamError> {
    let content: Vec<_> = result
        .content
        .into_iter()
        .map(cleaned)
        .collect::<Result<_, _>>()?;
    if result.is_error == Some(true) {
        let texts = content.iter().filter_map(|block| match block {
            ContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        let texts: Vec<_> = texts.collect();
        return Err(UpstreamError::Said(clean(&texts.join("\n"), bounds::ERROR)));
    }
    let size =
        serde_json::to_string(&(&content, &result.structured_content)).map_or(0, |it| it.len());
    if size > bounds::MESSAGE {
        return Err(UpstreamError::Lied(format!(
            "it has {size} bytes, more than {}",
            bounds::MESSAGE
        )));
    }
    let values = result.structured_content.as_ref().map_or(0, schema::count);
    if values > bounds::VALUES {
        return Err(UpstreamError::Lied(schema::too_many(values)));
    }
    Ok(Answered {
        structured: result.structured_content,
        content,
    })
}

/// A block of content with all its texts cleaned, whatever it is: names, links and embedded files have them too.
fn cleaned(block: ContentBlock) -> Result<ContentBlock, UpstreamError> {
    let unusable = |error: serde_json::Error| {
        UpstreamError::Lied(clean(&format!("its content: {error}"), bounds::ERROR))
    };
    let mut json = serde_json::to_value(block).map_err(unusable)?;
    clean_texts(&mut json);
    serde_json::from_value(json).map_err(unusable)
}

fn clean_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text, bounds::MESSAGE),
        Value::Array(list) => list.iter_mut().for_each(clean_texts),
        Value::Object(map) => {
            let entries = std::mem::take(map).into_iter();
            *map = entries
                .map(|(key, mut value)| {
                    clean_texts(&mut value);
                    (clean(&key, bounds::MESSAGE), value)
                })
                .collect();
        }
        _ => {}
    }
}

/// Standard output whose lines have a largest length; a longer one ends it.
struct Lines {
    stdout: ChildStdout,
    length: usize,
    broken: Arc<OnceLock<String>>,
}

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(context, buffer))?;
        let read = &buffer.filled()[before..];
        // A whole line within one read is shorter than any limit.
        match read.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.length = read.len() - end - 1,
            None => self.length += read.len(),
        }
        if self.length > bounds::MESSAGE {
            let said = format!(
                "it sent a message of more than {} MiB",
                bounds::MESSAGE >> 20
            );
            let _ = self.broken.set(said.clone());
            return Poll::Ready(Err(io::Error::other(said)));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(result: Value) -> Result<Answered, UpstreamError> {
        answered(serde_json::from_value(result).unwrap())
    }

    #[test]
    fn all_texts_of_an_answer_are_cleaned() {
        let file =
            json!({ "uri": "file:///a\u{202e}b", "mimeType": "text/plain", "text": "a\u{1b}[2Jb" });
        let answer = of(json!({ "content": [
            { "type": "resource", "resource": file },
            { "type": "resource_link", "uri": "file:///c", "name": "c\u{200b}d" },
            { "type": "image", "mimeType": "image/png", "data": "aGVsbG8=", "_meta": { "k\u{1b}[2J": "v\u{7}" } },
        ] }));
        let json = json!(answer.unwrap().content);
        assert_eq!(json[0]["resource"]["text"], "ab");
        assert_eq!(json[0]["resource"]["uri"], "file:///ab");
        assert_eq!(json[1]["name"], "cd");
        assert_eq!(json[2]["data"], "aGVsbG8=");
        assert_eq!(json[2]["_meta"], json!({ "k": "v" }));
    }

    #[test]
    fn an_answer_has_a_largest_number_of_values() {
        let answer = of(json!({ "content": [], "structuredContent": { "a": vec![0; 60_000] } }));
        assert!(
            matches!(&answer, Err(UpstreamError::Lied(why)) if why.contains("values")),
            "{answer:?}"
        );
    }
}
