//! Transactions per second over a Unix socket, against `ovsdb-server` with its log in memory.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ovsdb::server::{Options, Schema, Server, serve};
use serde_json::{Value, json};

const TRANSACTIONS: usize = 20_000;
const ROWS: usize = 500;
const RUNS: usize = 5;

fn main() {
    // Both without a disk: ours keeps nothing, and the real one's log does not wait for one.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut real = start_real(dir.path());
    start_ours(&dir.path().join("ours"));
    let sockets = [dir.path().join("real"), dir.path().join("ours")];
    for (name, window) in [("one at a time", 1), ("64 at a time", 64)] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            for (socket, times) in sockets.iter().zip(&mut times) {
                times.push(work(socket, window));
            }
        }
        let [real, ours] = times.map(median);
        println!(
            "transact: ovsdb-server, {name}: {:.0} transactions/s",
            rate(real)
        );
        println!(
            "transact: ours, {name}: {:.0} transactions/s, {:.2} of ovsdb-server",
            rate(ours),
            real.as_secs_f64() / ours.as_secs_f64(),
        );
    }
    real.kill().unwrap();
    real.wait().unwrap();
}

fn schema() -> Value {
    let strings =
        json!({ "type": { "key": "string", "value": "string", "min": 0, "max": "unlimited" } });
    json!({ "name": "Bench", "version": "1.0.0", "tables": { "Port": { "isRoot": true, "indexes": [["name"]], "columns": {
        "name": { "type": "string" }, "tag": { "type": { "key": "integer", "min": 0 } },
        "up": { "type": "boolean" }, "external_ids": strings,
    } } } })
}

fn start_real(dir: &Path) -> Child {
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    std::fs::write(at("schema"), schema().to_string()).unwrap();
    lab::run("ovsdb-tool", &["create", &at("db"), &at("schema")]);
    let child = Command::new("ovsdb-server")
        .arg(format!("--remote=punix:{}", at("real")))
        .arg(format!("--unixctl={}", at("ctl")))
        .arg(at("db"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    lab::wait_for("ovsdb-server", Duration::from_secs(10), || {
        UnixStream::connect(at("real")).ok()
    });
    child
}

fn start_ours(socket: &Path) {
    let server = Server::new().unwrap();
    server.add(Schema::parse(&schema()).unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let server = server.clone();
            thread::spawn(move || serve(&server, stream.unwrap(), Options::default()));
        }
    });
}

/// Half of them change a row, a quarter reads one, the rest makes one and takes it away.
fn request(n: usize) -> Vec<u8> {
    let name = format!("port-{}", n % ROWS);
    let rows = json!([["name", "==", name]]);
    let operation = match n % 8 {
        _ if n < ROWS => {
            json!({ "op": "insert", "table": "Port", "row": { "name": name, "tag": n } })
        }
        0 | 1 => {
            json!({ "op": "update", "table": "Port", "where": rows, "row": { "tag": n, "up": true } })
        }
        2 | 3 => json!({ "op": "mutate", "table": "Port", "where": rows, "mutations": [
            ["external_ids", "delete", ["set", ["n"]]], ["external_ids", "insert", ["map", [["n", n.to_string()]]]],
        ] }),
        4 | 5 => {
            json!({ "op": "select", "table": "Port", "where": rows, "columns": ["_uuid", "tag", "up"] })
        }
        6 => {
            json!({ "op": "insert", "table": "Port", "row": { "name": "new", "external_ids": ["map", [["a", "b"]]] } })
        }
        _ => json!({ "op": "delete", "table": "Port", "where": [["name", "==", "new"]] }),
    };
    json!({ "method": "transact", "params": ["Bench", operation], "id": n })
        .to_string()
        .into_bytes()
}

/// All transactions, with so many under way at a time.
fn work(socket: &Path, window: usize) -> Duration {
    let requests: Vec<Vec<u8>> = (0..TRANSACTIONS).map(request).collect();
    let mut stream = UnixStream::connect(socket).unwrap();
    let clear = json!({ "method": "transact", "id": "clear", "params":
        ["Bench", { "op": "delete", "table": "Port", "where": [] }] });
    stream.write_all(clear.to_string().as_bytes()).unwrap();
    let mut answers = Answers::default();
    answers.wait(&mut stream, 1);
    let start = Instant::now();
    for part in requests.chunks(window) {
        stream.write_all(&part.concat()).unwrap();
        answers.wait(&mut stream, part.len());
    }
    let time = start.elapsed();
    assert!(!answers.refused);
    time
}

/// Counts objects in a stream, which costs a client less than to read them.
#[derive(Default)]
struct Answers {
    depth: usize,
    in_string: bool,
    escaped: bool,
    refused: bool,
}

impl Answers {
    fn wait(&mut self, stream: &mut UnixStream, mut count: usize) {
        let mut buffer = vec![0; 64 << 10];
        while count > 0 {
            let length = stream.read(&mut buffer).unwrap();
            assert!(length > 0, "the server hung up");
            self.refused |= buffer[..length]
                .windows(9)
                .any(|text| text == b"\"details\"");
            for byte in &buffer[..length] {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' if self.in_string => self.escaped = true,
                    b'"' => self.in_string = !self.in_string,
                    b'{' if !self.in_string => self.depth += 1,
                    b'}' if !self.in_string => {
                        self.depth -= 1;
                        count -= usize::from(self.depth == 0);
                    }
                    _ => {}
                }
            }
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn rate(time: Duration) -> f64 {
    TRANSACTIONS as f64 / time.as_secs_f64()
}
