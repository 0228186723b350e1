//! A real `ovsdb-server` and ours with the same schema, and what both answer to the same.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ovsdb::server::{Options, Schema, Server, serve};
use serde_json::{Value as Json, json};

pub const SECOND: Duration = Duration::from_secs(1);

/// A real server on a socket of its own.
pub struct Real {
    child: Child,
    dir: tempfile::TempDir,
}

impl Real {
    pub fn start(schema: &str) -> Self {
        Self::start_in(Path::new("/tmp"), schema, &[], false)
    }

    /// A cluster of one server, which keeps the history of its transactions.
    pub fn cluster(schema: &str) -> Self {
        Self::start_in(Path::new("/tmp"), schema, &[], true)
    }

    pub fn start_in(place: &Path, schema: &str, arguments: &[&str], cluster: bool) -> Self {
        let dir = tempfile::tempdir_in(place).unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("schema"), schema).unwrap();
        if cluster {
            let address = format!("unix:{}", at("raft"));
            lab::run(
                "ovsdb-tool",
                &["create-cluster", &at("db"), &at("schema"), &address],
            );
        } else {
            lab::run("ovsdb-tool", &["create", &at("db"), &at("schema")]);
        }
        let child = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", at("socket")))
            .arg(format!("--unixctl={}", at("ctl")))
            .args(arguments)
            .arg(at("db"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(at("log")).unwrap())
            .spawn()
            .unwrap();
        let real = Self { child, dir };
        real.wait_until_served();
        real
    }

    fn wait_until_served(&self) {
        let served = || {
            let mut client = Wire::try_connect(&self.socket())?;
            let names = client.call("list_dbs", json!([]));
            let names = names.last()?["result"].as_array()?.len();
            (names > 1).then_some(())
        };
        lab::wait_for("ovsdb-server", 10 * SECOND, served);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our server on a socket.
pub struct Ours {
    pub server: Server,
    dir: tempfile::TempDir,
}

impl Ours {
    pub fn start(schema: &str) -> Self {
        Self::start_with(schema, Options::default())
    }

    pub fn start_with(schema: &str, options: Options) -> Self {
        let server = Server::new().unwrap();
        let schema = serde_json::from_str(schema).unwrap();
        server.add(Schema::parse(&schema).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ours = Self { server, dir };
        ours.listen("socket", options);
        ours
    }

    /// Serves another socket.
    pub fn listen(&self, name: &str, options: Options) {
        let listener = UnixListener::bind(self.dir.path().join(name)).unwrap();
        let server = self.server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, options) = (server.clone(), options.clone());
                std::thread::spawn(move || serve(&server, stream.unwrap(), options));
            }
        });
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

/// A connection on which one speaks plain JSON.
pub struct Wire {
    stream: UnixStream,
    buffer: Vec<u8>,
    next: u64,
}

impl Wire {
    pub fn connect(path: &Path) -> Self {
        Self::try_connect(path).unwrap()
    }

    pub fn try_connect(path: &Path) -> Option<Self> {
        let stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(20 * SECOND)).unwrap();
        Some(Self {
            stream,
            buffer: Vec::new(),
            next: 0,
        })
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub fn send(&mut self, message: &Json) {
        self.write(message.to_string().as_bytes());
    }

    /// The next message; `None` at the end of the stream.
    pub fn receive(&mut self) -> Option<Json> {
        loop {
            let mut messages = serde_json::Deserializer::from_slice(&self.buffer).into_iter();
            if let Some(Ok(message)) = messages.next() {
                let read = messages.byte_offset();
                self.buffer.drain(..read);
                return Some(message);
            }
            let mut piece = [0; 65536];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => self.buffer.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    /// Sends a request; its identifier.
    pub fn request(&mut self, method: &str, params: Json) -> Json {
        self.next += 1;
        let id = json!(self.next);
        self.send(&json!({ "method": method, "params": params, "id": id }));
        id
    }

    /// A request, and all that comes until it is answered.
    pub fn call(&mut self, method: &str, params: Json) -> Vec<Json> {
        let id = self.request(method, params);
        self.until(&id)
    }

    /// All that comes until a request is answered.
    pub fn until(&mut self, id: &Json) -> Vec<Json> {
        let mut heard = Vec::new();
        loop {
            let Some(message) = self.receive() else {
                heard.push(json!("hung up"));
                return heard;
            };
            let answers = message["id"] == *id && message.get("method").is_none();
            heard.push(message);
            if answers {
                return heard;
            }
        }
    }
}

/// Puts what a server called `$n` (the n-th row that was inserted) in place of those texts.
pub fn fill(template: &Json, rows: &[String]) -> Json {
    match template {
        Json::String(text) => match text.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
            Some(n) => json!(
                rows.get(n)
                    .map_or("00000000-0000-0000-0000-00000000dead", String::as_str)
            ),
            None => template.clone(),
        },
        Json::Array(items) => items.iter().map(|item| fill(item, rows)).collect(),
        Json::Object(members) => {
            let members = members.iter();
            Json::Object(
                members
                    .map(|(name, json)| (name.clone(), fill(json, rows)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// Notes the rows that inserts have made.
pub fn note_rows(heard: &[Json], rows: &mut Vec<String>) {
    for message in heard {
        for result in message["result"].as_array().into_iter().flatten() {
            if let Some(uuid) = result.get("uuid").and_then(|pair| pair[1].as_str()) {
                rows.push(uuid.to_owned());
            }
        }
    }
}

/// The same for both servers if they mean the same: rows by the order in which they were inserted, other
/// identities (versions, transactions) as `?`, sets, maps, rows and simultaneous notifications sorted.
pub fn normal(heard: &[Json], rows: &[String]) -> Vec<Json> {
    let names: HashMap<&str, String> = rows
        .iter()
        .enumerate()
        .map(|(n, uuid)| (uuid.as_str(), format!("row{n}")))
        .collect();
    let text = Json::from(heard.to_vec()).to_string();
    let text = replace_uuids(&text, |uuid| {
        names.get(uuid).cloned().unwrap_or("?".to_owned())
    });
    let Json::Array(mut messages) = sorted(serde_json::from_str(&text).unwrap()) else {
        unreachable!()
    };
    messages.retain(|message| !says_nothing(message));
    // Which of several monitors hears first is up to the server.
    let is_update = |message: &Json| message.get("method").is_some();
    for run in messages.chunk_by_mut(|one, other| is_update(one) == is_update(other)) {
        if is_update(&run[0]) {
            run.sort_by_key(Json::to_string);
        }
    }
    messages
}

/// An update of which nothing is left. The real server tells of a row in which a column changed that is only
/// in the condition, its own or that of another client: `{"modify": {}}`. Ours does not.
fn says_nothing(message: &Json) -> bool {
    let tables = message["params"]
        .as_array()
        .and_then(|params| params.last()?.as_object());
    let is_update = message["method"]
        .as_str()
        .is_some_and(|method| method.starts_with("update"));
    let is_empty = |row: &Json| row == &json!({});
    let rows = tables
        .into_iter()
        .flat_map(|tables| tables.values())
        .filter_map(Json::as_object);
    is_update && rows.flat_map(|rows| rows.values()).all(is_empty)
}

fn replace_uuids(text: &str, name: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let uuid = rest
            .get(..36)
            .filter(|uuid| uuid.parse::<ovsdb::Uuid>().is_ok());
        match uuid {
            Some(uuid) => {
                out += &name(uuid);
                rest = &rest[36..];
            }
            None => {
                let first = rest.chars().next().unwrap();
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

fn sorted(json: Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut items: Vec<Json> = items.into_iter().map(sorted).collect();
            if let [Json::String(tag), Json::Array(members)] = items.as_mut_slice()
                && matches!(tag.as_str(), "set" | "map")
            {
                members.sort_by_key(Json::to_string);
            }
            items.into()
        }
        Json::Object(members) => {
            let mut object = serde_json::Map::new();
            for (name, member) in members {
                let mut member = sorted(member);
                if name == "modify" && member == json!({}) {
                    continue;
                }
                if name == "rows"
                    && let Json::Array(rows) = &mut member
                {
                    rows.sort_by_key(Json::to_string);
                }
                object.insert(name, member);
            }
            Json::Object(object)
        }
        // `1` and `1.0` are the same number, and the real server writes fifteen digits.
        Json::Number(number) => match number.as_f64() {
            Some(real) if !number.is_i64() || real.abs() >= 1e15 => json!(format!("{real:.13e}")),
            _ => Json::Number(number),
        },
        other => other,
    }
}

/// Two connections, one to each server, that are told the same.
pub struct Two {
    pub real: Wire,
    pub ours: Wire,
    pub real_rows: Vec<String>,
    pub our_rows: Vec<String>,
}

impl Two {
    pub fn connect(real: &Path, ours: &Path) -> Self {
        Self {
            real: Wire::connect(real),
            ours: Wire::connect(ours),
            real_rows: Vec::new(),
            our_rows: Vec::new(),
        }
    }

    /// What the real one and ours answer.
    pub fn call(&mut self, method: &str, params: &Json) -> (Vec<Json>, Vec<Json>) {
        let real = self.real.call(method, fill(params, &self.real_rows));
        let ours = self.ours.call(method, fill(params, &self.our_rows));
        note_rows(&real, &mut self.real_rows);
        note_rows(&ours, &mut self.our_rows);
        (
            normal(&real, &self.real_rows),
            normal(&ours, &self.our_rows),
        )
    }
}
