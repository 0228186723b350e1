//! The server over a backend of the test's own: what the host cannot be made to do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use mcp::server::{Options, Server};
use mcp::{Answer, Backend, Fault, Hint, Output, Request, Speaker, ToolInfo};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{RoleServer, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::sync::watch;
use tools::Effect;

/// Counts what it destroys, and has a resource that changes when the test says so.
struct Mock {
    destroyed: AtomicUsize,
    ended: Arc<AtomicUsize>,
    changes: watch::Sender<u64>,
}

impl Mock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            destroyed: AtomicUsize::new(0),
            ended: Arc::default(),
            changes: watch::Sender::new(0),
        })
    }
}

/// Counts when it is dropped.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn tool(name: &str, effect: Effect) -> ToolInfo {
    ToolInfo {
        name: name.to_owned(),
        title: name.to_owned(),
        description: String::new(),
        input: Arc::new(json!({ "type": "object" }).as_object().unwrap().clone()),
        output: None,
        effect,
        hint: Hint::default(),
        domain: "test".to_owned(),
    }
}

impl Backend for Mock {
    fn tools<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        let mut all: Vec<_> = (0..120)
            .map(|n| tool(&format!("tool-{n:03}"), Effect::Read))
            .collect();
        all.extend([
            tool("destroy", Effect::Destroy),
            tool("hang", Effect::Read),
            tool("long", Effect::Read),
        ]);
        Box::pin(async { Ok(Arc::new(all)) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async move {
            match (request.name, &request.plan) {
                ("destroy", _) if request.dry_run => {
                    Ok(json!({ "plan_hash": "cafe", "changes": [{ "verb": "delete", "resource": "all" }] }).into())
                }
                ("destroy", None) => Err(Fault::Unconfirmed {
                    text: "confirm it".to_owned(),
                    plan: "cafe".to_owned(),
                }),
                ("destroy", Some(_)) => {
                    self.destroyed.fetch_add(1, Ordering::SeqCst);
                    Ok(json!({}).into())
                }
                // It does not even look at what takes it back.
                ("hang", _) => {
                    let _ended = Ended(Arc::clone(&self.ended));
                    std::future::pending().await
                }
                ("long", _) => Ok(Output {
                    structured: None,
                    content: vec![rmcp::model::ContentBlock::text("ü".repeat(100_000))],
                }),
                _ => Ok(json!({}).into()),
            }
        })
    }

    fn can_watch(&self) -> bool {
        true
    }

    fn watch<'a>(
        &'a self,
        _speaker: &'a Speaker,
        uri: &'a str,
    ) -> Answer<'a, BoxStream<'static, ()>> {
        Box::pin(async move {
            if uri != "test://it" {
                return Err(Fault::NotFound(format!("there is no {uri}")));
            }
            let changes = self.changes.subscribe();
            let changes = futures_util::stream::unfold(changes, |mut changes| async {
                changes.changed().await.ok()?;
                Some(((), changes))
            });
            Ok(changes.boxed())
        })
    }
}

/// A client that writes and reads lines.
struct Client {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    output: WriteHalf<DuplexStream>,
    meta: Value,
}

impl Client {
    /// A client without a session.
    fn stateless(mock: &Arc<Mock>, capabilities: Value) -> Self {
        let mut client = Self::connect(mock, Duration::from_secs(60));
        client.meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        client
    }

    async fn session(mock: &Arc<Mock>, capabilities: Value, patience: Duration) -> Self {
        let mut client = Self::connect(mock, patience);
        let about = json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
        });
        client.request(0, "initialize", about).await;
        client
            .send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        client
    }

    fn connect(mock: &Arc<Mock>, patience: Duration) -> Self {
        let mut options = Options::new("test", "Test");
        options.patience = patience;
        let server = Server::new(Arc::clone(mock) as Arc<dyn Backend>, options).unwrap();
        let (near, far) = tokio::io::duplex(1 << 20);
        let (read, write) = tokio::io::split(far);
        tokio::spawn(async move {
            let transport = AsyncRwTransport::<RoleServer, _, _>::new(read, write);
            let service = server.serve(transport).await.unwrap();
            service.waiting().await.unwrap();
        });
        let (read, output) = tokio::io::split(near);
        Self {
            lines: BufReader::new(read).lines(),
            output,
            meta: json!({}),
        }
    }

    async fn send(&mut self, message: Value) {
        self.output
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn begin(&mut self, id: u64, method: &str, mut params: Value) {
        params["_meta"] = self.meta.clone();
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await;
    }

    async fn receive(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line());
        serde_json::from_str(&line.await.expect("a message").unwrap().unwrap()).unwrap()
    }

    async fn request(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.begin(id, method, params).await;
        loop {
            let message = self.receive().await;
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
        }
    }

    async fn call(&mut self, id: u64, tool: &str) -> Value {
        self.request(id, "tools/call", json!({ "name": tool }))
            .await
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_confirms_nothing() {
    let mock = Mock::new();
    let can_ask = json!({ "elicitation": {} });
    let mut client = Client::session(&mock, can_ask, Duration::from_millis(50)).await;
    let refused = client.call(1, "destroy").await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("nobody confirmed it in time"), "{refused:#}");
    assert_eq!(mock.destroyed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_call_that_is_taken_back_while_it_is_asked_about_does_nothing() {
    let mock = Mock::new();
    let can_ask = json!({ "elicitation": {} });
    let mut client = Client::session(&mock, can_ask, Duration::from_secs(60)).await;
    client
        .begin(1, "tools/call", json!({ "name": "destroy" }))
        .await;
    let question = client.receive().await;
    assert_eq!(question["method"], "elicitation/create");
    client
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }))
        .await;
    // In order: once this is answered, the cancellation was read.
    client.request(2, "ping", json!({})).await;
    let answer = json!({ "action": "accept", "content": { "apply": true } });
    client
        .send(json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }))
        .await;
    client.request(3, "ping", json!({})).await;
    assert_eq!(mock.destroyed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_backend_that_cannot_be_stopped_is_let_go() {
    let mock = Mock::new();
    let mut client = Client::session(&mock, json!({}), Duration::from_secs(60)).await;
    client
        .begin(1, "tools/call", json!({ "name": "hang" }))
        .await;
    assert!(
        client.call(2, "tool-000").await["result"].is_object(),
        "others are served"
    );
    client
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }))
        .await;
    while mock.ended.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn long_texts_are_cut_and_long_lists_have_pages() {
    let mock = Mock::new();
    let mut client = Client::stateless(&mock, json!({}));
    let long = client.call(1, "long").await;
    let text = long["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.len() < 60_200 && text.contains("of 200000 bytes are shown"),
        "{}",
        text.len()
    );
    let (mut names, mut cursor) = (Vec::new(), json!({}));
    for id in 2.. {
        let list = client.request(id, "tools/list", cursor).await;
        let page = list["result"]["tools"].as_array().unwrap().clone();
        names.extend(page.into_iter().map(|tool| tool["name"].clone()));
        match list["result"]["nextCursor"].as_str() {
            Some(next) => cursor = json!({ "cursor": next }),
            None => break,
        }
    }
    assert_eq!(names.len(), 123);
}

#[tokio::test]
async fn a_session_watches_until_it_has_enough() {
    let mock = Mock::new();
    let mut client = Client::session(&mock, json!({}), Duration::from_secs(60)).await;
    let wrong = client
        .request(1, "resources/subscribe", json!({ "uri": "test://no" }))
        .await;
    assert_eq!(wrong["error"]["code"], -32602);
    let it = json!({ "uri": "test://it" });
    client.request(2, "resources/subscribe", it.clone()).await;
    mock.changes.send_modify(|count| *count += 1);
    let told = client.receive().await;
    assert_eq!(told["method"], "notifications/resources/updated");
    assert_eq!(told["params"]["uri"], "test://it");
    client.request(3, "resources/unsubscribe", it).await;
    // The task that watched is gone with its receiver.
    while mock.changes.receiver_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_session_one_listens() {
    let mock = Mock::new();
    let mut client = Client::stateless(&mock, json!({}));
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["test://it"], "toolsListChanged": true } });
    client.begin(1, "subscriptions/listen", wanted).await;
    let agreed = client.receive().await;
    assert_eq!(agreed["method"], "notifications/subscriptions/acknowledged");
    assert!(
        agreed["params"]["notifications"]["toolsListChanged"].is_null(),
        "{agreed:#}"
    );
    while mock.changes.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    mock.changes.send_modify(|count| *count += 1);
    let told = client.receive().await;
    assert_eq!(told["params"]["uri"], "test://it", "{told:#}");
    assert!(client.call(2, "tool-001").await["result"].is_object());
}
