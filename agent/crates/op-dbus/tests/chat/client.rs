//! A client of `/ws`.
#![allow(dead_code, unreachable_pub)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::rig::web::Web;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

pub struct Client {
    socket: WebSocket<TcpStream>,
    /// The number of the last event of the conversation.
    pub seq: u64,
    pub seen: Vec<Value>,
}

impl Client {
    /// A client with a token.
    pub fn new(web: &Web, token: &str) -> Self {
        Self::with(web, "", &[("Authorization", &format!("Bearer {token}"))]).expect("a connection")
    }

    /// The same, after an event.
    pub fn after(web: &Web, token: &str, seq: u64) -> Self {
        let bearer = format!("Bearer {token}");
        Self::with(web, &format!("?after={seq}"), &[("Authorization", &bearer)])
            .expect("a connection")
    }

    /// A client with a token from another address of this host, 127.0.0.`last`.
    pub fn from(web: &Web, last: u8, token: &str) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
        let here = std::net::SocketAddr::from(([127, 0, 0, last], 0));
        let file = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&file, &here).unwrap();
        connect(&file, &web.address).unwrap();
        let bearer = format!("Bearer {token}");
        Self::on(file.into(), web, "", &[("Authorization", &bearer)]).expect("a connection")
    }

    /// A client with these headers; the status if it is refused.
    pub fn with(web: &Web, query: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::on(web.connect(), web, query, headers)
    }

    fn on(
        stream: TcpStream,
        web: &Web,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let url = format!("ws://{}/ws{query}", web.address);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self {
                socket,
                seq: 0,
                seen: Vec::new(),
            }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(reply))) => {
                Err(reply.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    pub fn send(&mut self, object: &Value) {
        self.say(&object.to_string());
    }

    /// The next event; the code of the end if there is none. The server's pings keep a connection up, and are none.
    #[track_caller]
    pub fn next(&mut self) -> Result<Value, u16> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let event: Value = serde_json::from_str(&text).unwrap();
                    self.seq = event["seq"].as_u64().unwrap_or(self.seq);
                    self.seen.push(event.clone());
                    return Ok(event);
                }
                Ok(Message::Close(frame)) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Ok(_) => {}
                Err(_) => return Err(1006),
            }
        }
        panic!("nothing came: {:#?}", self.seen);
    }

    /// The code that it ends with, after whatever comes before.
    #[track_caller]
    pub fn end(&mut self) -> u16 {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if let Err(code) = self.next() {
                return code;
            }
        }
        panic!("it did not end: {:#?}", self.seen);
    }

    /// The next event that `is` knows.
    #[track_caller]
    pub fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            match self.next() {
                Ok(event) if is(&event) => return event,
                Ok(_) => {}
                Err(code) => panic!("{what}: it ended with {code}: {:#?}", self.seen),
            }
        }
        panic!("{what} did not come: {:#?}", self.seen);
    }

    #[track_caller]
    pub fn of(&mut self, kind: &str) -> Value {
        self.until(kind, |event| event["type"] == kind)
    }

    /// The end of a call of a tool.
    #[track_caller]
    pub fn done(&mut self, tool: &str) -> Value {
        let ended = |event: &Value| {
            event["type"] == "tool" && event["tool"] == tool && event["status"] != "running"
        };
        self.until(tool, ended)
    }

    /// Agrees to the plan of a sentence; the end of its call.
    #[track_caller]
    pub fn carry_out(&mut self, sentence: &str, name: Option<&str>) -> Value {
        self.say(sentence);
        let plan = self.of("plan");
        self.send(&json!({ "type": "approve", "plan": plan["plan"], "name": name }));
        self.done(plan["tool"].as_str().unwrap())
    }
}
