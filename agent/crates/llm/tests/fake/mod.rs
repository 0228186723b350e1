//! A server of models that does what a test wants it to do.
#![allow(clippy::unwrap_used, dead_code)]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it answers to one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A response: status, further header lines, body; the connection ends with it.
    Http(u16, &'static str, Vec<u8>),
    /// A body in pieces, each flushed.
    Pieces(Vec<Vec<u8>>),
    /// A beginning, and then nothing any more.
    Stall(Vec<u8>),
    /// A beginning, and then the same for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Fewer bytes than its header says.
    Cut(Vec<u8>),
    /// The connection is closed without a word.
    Nothing,
    /// What a person would call a good answer to what was asked.
    Of(fn(&Value) -> Answer),
}

/// What came in: the head and the body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// The server. It answers one request after the other with what was given; the last answer is repeated.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) async fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), Arc::clone(&seen)));
            }
        });
        Self { url, asked }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answers: Vec<Answer>, seen: Arc<Mutex<Vec<Asked>>>) {
    let Some(asked) = request(&mut stream).await else {
        return;
    };
    let body = asked.body.clone();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked);
        seen.len() - 1
    };
    let mut answer = answers[number.min(answers.len() - 1)].clone();
    while let Answer::Of(make) = answer {
        answer = make(&body);
    }
    let _ = send(&mut stream, answer).await;
}

async fn send(stream: &mut TcpStream, answer: Answer) -> std::io::Result<()> {
    let sse = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n";
    match answer {
        Answer::Http(status, lines, body) => {
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{lines}\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
        }
        Answer::Pieces(pieces) => {
            stream.write_all(format!("{sse}\r\n").as_bytes()).await?;
            for piece in pieces {
                stream.write_all(&piece).await?;
                stream.flush().await?;
            }
        }
        Answer::Stall(head) => {
            stream.write_all(format!("{sse}\r\n").as_bytes()).await?;
            stream.write_all(&head).await?;
            // Until the other side goes.
            while stream.read(&mut [0; 64]).await? > 0 {}
        }
        Answer::Endless(head, again) => {
            stream.write_all(format!("{sse}\r\n").as_bytes()).await?;
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&again).await?;
            }
        }
        Answer::Cut(body) => {
            let head = format!("{sse}content-length: {}\r\n\r\n", body.len() + 100);
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
        }
        Answer::Nothing | Answer::Of(_) => {}
    }
    stream.shutdown().await
}

async fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.ok()?;
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = match text.split_once("\r\n\r\n") {
            Some(parts) => parts,
            None if count == 0 => return None,
            None => continue,
        };
        let head = head.to_ascii_lowercase();
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            let body = serde_json::from_str(body).unwrap_or_default();
            return Some(Asked { head, body });
        }
    }
}

/// A chunk of a stream.
pub(crate) fn chunk(delta: Value, finish: Option<&str>) -> Vec<u8> {
    let chunk = json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
    format!("data: {chunk}\n\n").into_bytes()
}

/// An answer in words.
pub(crate) fn says(text: &str) -> Answer {
    Answer::Pieces(vec![
        chunk(json!({ "role": "assistant", "content": text }), None),
        chunk(json!({}), Some("stop")),
        b"data: [DONE]\n\n".to_vec(),
    ])
}

/// An answer that calls tools.
pub(crate) fn calls(calls: &[(&str, Value)]) -> Answer {
    let calls: Vec<_> = calls
        .iter()
        .enumerate()
        .map(|(index, (name, arguments))| {
            let arguments = match arguments {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            json!({
                "index": index, "id": format!("call_{index}"), "type": "function",
                "function": { "name": name, "arguments": arguments },
            })
        })
        .collect();
    Answer::Pieces(vec![
        chunk(
            json!({ "role": "assistant", "content": null, "tool_calls": calls }),
            None,
        ),
        chunk(json!({}), Some("tool_calls")),
        b"data: [DONE]\n\n".to_vec(),
    ])
}
