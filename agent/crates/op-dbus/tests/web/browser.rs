//! A browser as far as cookies and origins go.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::{Value, json};

use super::rig::web::{Reply, Web};
use super::*;

/// Somebody with cookies, who asks from one page.
pub(super) struct Browser<'a> {
    pub(super) web: &'a Web,
    pub(super) cookies: BTreeMap<String, String>,
    pub(super) origin: String,
}

impl<'a> Browser<'a> {
    /// Somebody new, on the page itself.
    pub(super) fn new(web: &'a Web) -> Self {
        Self {
            web,
            cookies: BTreeMap::new(),
            origin: format!("http://{}", web.address),
        }
    }

    /// Somebody who followed a link.
    pub(super) fn logged_in(host: &'a Host, role: &str) -> Self {
        let mut browser = Self::new(&host.web);
        let code = code(host, role);
        browser
            .post("/api/login", &json!({ "code": code }))
            .expect(200);
        browser
    }

    pub(super) fn cookie(&self) -> String {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match pairs.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", pairs.join("; ")),
        }
    }

    pub(super) fn get(&mut self, path: &str) -> Reply {
        let reply = self.web.get(path, &self.cookie());
        self.keep(reply)
    }

    pub(super) fn post(&mut self, path: &str, body: &Value) -> Reply {
        let headers = format!("{}Origin: {}\r\n", self.cookie(), self.origin);
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let reply = self.web.post(path, &headers, &body);
        self.keep(reply)
    }

    pub(super) fn delete(&mut self, path: &str) -> Reply {
        let host = self.web.address;
        let (cookie, origin) = (self.cookie(), &self.origin);
        let reply = self.web.raw(
            format!(
                "DELETE {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{cookie}Origin: {origin}\r\n\r\n"
            )
            .as_bytes(),
        );
        self.keep(reply)
    }

    fn keep(&mut self, reply: Reply) -> Reply {
        for line in reply.raw_head.lines() {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            if !name.eq_ignore_ascii_case("set-cookie") {
                continue;
            }
            let pair = value.split(';').next().unwrap();
            let (name, content) = pair.split_once('=').unwrap();
            match value.contains("Max-Age=0") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.to_owned(), content.to_owned())),
            }
        }
        reply
    }
}

/// The status of an attempt at `/ws`; a connection that is taken is left at once.
pub(super) fn socket(web: &Web, headers: &str) -> u16 {
    upgrade(web, headers).0
}

/// The same with the connection.
pub(super) fn upgrade(web: &Web, headers: &str) -> (u16, TcpStream) {
    let mut stream = web.connect();
    let host = web.address;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let text = String::from_utf8_lossy(&head).into_owned();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, stream)
}

/// The code of a new link for root.
pub(super) fn code(host: &Host, role: &str) -> String {
    let made = host.rig.json(&["web", "login", "--role", role]);
    let made = made.expect(0).json();
    let url = made["url"].as_str().unwrap();
    let (page, code) = url.split_once('#').unwrap();
    assert_eq!(page, "http://127.0.0.1:8080/login.html");
    assert_eq!(made["role"], role);
    code.to_owned()
}
