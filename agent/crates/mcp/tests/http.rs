//! Upstream servers over HTTP: a real one in the stateless era, and those that redirect, drip and flood.
#![allow(clippy::unwrap_used)]

mod peers;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp::Fault;
use peers::{directory, join, stdio};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What was asked of a server, as it came.
type Heard = Arc<Mutex<Vec<String>>>;

#[derive(Clone)]
struct Adder;

impl ServerHandler for Adder {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, rmcp::ErrorData> {
        let tool = json!({
            "name": "add",
            "inputSchema": { "type": "object" },
            "outputSchema": { "type": "object", "properties": { "sum": { "type": "integer" } } },
        });
        let tool: Tool = serde_json::from_value(tool).unwrap();
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, rmcp::ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let sum = arguments["a"].as_i64().unwrap() + arguments["b"].as_i64().unwrap();
        Ok(CallToolResult::structured(json!({ "sum": sum })).into())
    }
}

/// A server of the SDK, and the headers of what it was asked.
async fn real() -> (SocketAddr, Heard) {
    let service = StreamableHttpService::new(
        || Ok(Adder),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let heard = Heard::default();
    let note = Arc::clone(&heard);
    let router =
        axum::Router::new()
            .nest_service("/mcp", service)
            .layer(axum::middleware::from_fn(
                move |request: axum::extract::Request, next: axum::middleware::Next| {
                    note.lock()
                        .unwrap()
                        .push(format!("{:?}", request.headers()));
                    next.run(request)
                },
            ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

/// A server that answers every request with these bytes, and says what it was asked.
async fn raw(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let note = Arc::clone(&heard);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (note, answer) = (Arc::clone(&note), Arc::clone(&answer));
            tokio::spawn(async move {
                let _ = serve(stream, &note, &*answer).await;
            });
        }
    });
    (address, heard)
}

async fn serve(
    mut stream: TcpStream,
    note: &Heard,
    answer: &(dyn Fn(&str) -> Vec<u8> + Send + Sync),
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    note.lock().unwrap().push(request.clone());
    stream.write_all(&answer(&request)).await?;
    // The peer decides when it has had enough.
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Whether head and body of a request are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0usize)
}

fn http(address: SocketAddr, more: Value) -> Value {
    let mut upstream = json!({ "url": format!("http://{address}/mcp"), "timeout": 5 });
    upstream
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    upstream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_stateless_era_serves_with_its_own_token_only() {
    let (address, heard) = real().await;
    let dir = directory();
    let token = dir.path().join("token");
    peers::write_secret(&token, "the-servers-own\n");
    let joined = join(
        dir,
        json!({ "sums": http(address, json!({ "token_file": token })) }),
    );
    assert_eq!(joined.names("operator").await, ["sums_add"]);
    let added = joined
        .call("operator", "sums_add", json!({ "a": 2, "b": 3 }))
        .await
        .unwrap();
    assert_eq!(added.structured, Some(json!({ "sum": 5 })));
    let report = joined.report("sums");
    assert_eq!(report["protocol"], "2026-07-28", "{report}");
    let heard = heard.lock().unwrap();
    assert!(!heard.is_empty());
    for headers in heard.iter() {
        assert!(
            headers.contains("Bearer the-servers-own") || headers.contains("Sensitive"),
            "{headers}"
        );
        // The caller's token is its role here.
        assert!(!headers.contains("operator"), "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_nowhere() {
    let (secret, seen) = raw(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let targets = [
        format!("http://{secret}/latest/meta-data"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ];
    for target in targets {
        let (address, heard) = raw(move |_| {
            format!(
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
            )
            .into_bytes()
        })
        .await;
        let dir = directory();
        let good = stdio(dir.path(), "good");
        let joined = join(
            dir,
            json!({ "good": good, "bad": http(address, json!({})) }),
        );
        assert!(
            joined
                .names("admin")
                .await
                .iter()
                .all(|name| name.starts_with("good_"))
        );
        assert_eq!(joined.report("bad")["standing"], "away");
        assert!(!heard.lock().unwrap().is_empty());
        joined.good_one_serves().await;
    }
    assert!(
        seen.lock().unwrap().is_empty(),
        "nothing was sent to where it pointed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let (address, heard) = real().await;
    let url = format!("http://localhost:{}/mcp", address.port());
    let shut = json!({ "url": url, "timeout": 5 });
    let open = json!({ "url": url, "timeout": 5, "addresses": ["127.0.0.1", "::1"] });
    let joined = join(directory(), json!({ "shut": shut }));
    assert!(joined.names("admin").await.is_empty());
    let report = joined.report("shut");
    assert!(
        report["error"].as_str().unwrap().contains("loopback"),
        "{report}"
    );
    assert!(heard.lock().unwrap().is_empty());
    let joined = join(directory(), json!({ "open": open }));
    assert_eq!(joined.names("admin").await, ["open_add"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_and_drips_are_bounded_and_others_serve() {
    let (flood, _) = raw(|_| {
        let mut answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ".to_vec();
        answer.resize(100 << 20, b'x');
        answer
    })
    .await;
    let (json, _) = raw(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n\"".to_vec();
        answer.resize(100 << 20, b'x');
        answer
    })
    .await;
    // A head without an end, and a body that never comes.
    let (drip, _) = raw(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{".to_vec()
    })
    .await;
    let (html, _) = raw(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi".to_vec()
    })
    .await;
    let dir = directory();
    let upstreams = json!({
        "good": stdio(dir.path(), "good"),
        "flood": http(flood, json!({})),
        "json": http(json, json!({})),
        "drip": http(drip, json!({ "timeout": 2 })),
        "html": http(html, json!({})),
    });
    let joined = join(dir, upstreams);
    joined.good_one_serves().await;
    let names = joined.names("admin").await;
    assert!(
        names.iter().all(|name| name.starts_with("good_")),
        "{names:?}"
    );
    for name in ["flood", "json", "drip", "html"] {
        let report = joined.report(name);
        assert_eq!(report["standing"], "away", "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_listening_is_away_and_the_list_stays() {
    let (address, _) = raw(legacy).await;
    let dir = directory();
    let good = stdio(dir.path(), "good");
    let joined = join(
        dir,
        json!({ "good": good, "bad": http(address, json!({})) }),
    );
    assert!(
        joined
            .names("operator")
            .await
            .contains(&"bad_add".to_owned())
    );
    let called = tokio::time::timeout(
        Duration::from_secs(60),
        joined.call("operator", "bad_add", json!({})),
    );
    let called = called.await.unwrap();
    assert!(
        matches!(called, Err(Fault::Failed { .. } | Fault::Unavailable(_))),
        "{called:?}"
    );
    assert!(
        joined
            .names("operator")
            .await
            .contains(&"bad_add".to_owned())
    );
    joined.good_one_serves().await;
}

/// A server of the era before, which answers all but calls.
fn legacy(request: &str) -> Vec<u8> {
    let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    let result = match message["method"].as_str() {
        Some("initialize") => json!({ "result": {
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": { "name": "old", "version": "1" },
        } }),
        Some("tools/list") => json!({ "result": { "tools": [{ "name": "add", "inputSchema": { "type": "object" } }] } }),
        Some("tools/call") => return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{".to_vec(),
        Some(_) if message["id"].is_null() => {
            return b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec();
        }
        None => return b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_vec(),
        _ => json!({ "error": { "code": -32601, "message": "no such method" } }),
    };
    let mut answer = json!({ "jsonrpc": "2.0", "id": message["id"] });
    answer
        .as_object_mut()
        .unwrap()
        .extend(result.as_object().unwrap().clone());
    let text = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    format!("{head}content-length: {}\r\n\r\n{text}", text.len()).into_bytes()
}
