//! The client against a daemon that is played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::time::Duration;

use api::{Call, Client, Code, Error};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

struct Played {
    listener: UnixListener,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

struct Peer {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Played {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let listener = UnixListener::bind(&path).unwrap();
        Self {
            listener,
            path,
            _dir: dir,
        }
    }

    async fn accept(&self) -> Peer {
        Peer::of(self.listener.accept().await.unwrap().0)
    }
}

impl Peer {
    fn of(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
        }
    }

    async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.lines.next_line().await.unwrap().unwrap()).unwrap()
    }

    async fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.writer.write_all(line.as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, id: &Value, result: Value) {
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        self.say(&answer).await;
    }
}

#[tokio::test]
async fn events_come_to_their_call_and_answers_in_any_order() {
    let daemon = Played::new();
    let client = Client::via(&daemon.path, "mcp");
    let play = async {
        let mut peer = daemon.accept().await;
        let (first, second) = (peer.hear().await, peer.hear().await);
        assert_eq!(first["params"]["via"], "mcp");
        assert_eq!(first["params"]["token"], "secret");
        assert_eq!(second["params"].get("token"), None);
        for (id, text) in [(&second["id"], "two"), (&first["id"], "one")] {
            let event = json!({ "kind": "doing", "text": text, "done": 1, "total": 2 });
            let params = json!({ "id": id, "event": event });
            let told = json!({ "jsonrpc": "2.0", "method": "progress", "params": params });
            peer.say(&told).await;
            peer.answer(id, json!({ "is": text })).await;
        }
    };
    let call = |name: &str, token: Option<&str>| {
        let (client, mut call) = (client.clone(), Call::of(name));
        call.token = token.map(Into::into);
        async move {
            let mut told = Vec::new();
            let answer = client.call(&call, |event| told.push(event.text)).await;
            (answer.unwrap(), told)
        }
    };
    let ((), one, two) = tokio::join!(play, call("a", Some("secret")), call("b", None));
    assert_eq!(one, (json!({ "is": "one" }), vec!["one".to_owned()]));
    assert_eq!(two, (json!({ "is": "two" }), vec!["two".to_owned()]));
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_taken_back() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    let task = tokio::spawn(async move { client.call(&Call::of("slow"), |_| {}).await });
    let mut peer = daemon.accept().await;
    let call = peer.hear().await;
    task.abort();
    let cancel = peer.hear().await;
    assert_eq!(cancel["method"], "tools.cancel");
    assert_eq!(cancel["params"]["id"], call["id"]);
}

#[tokio::test]
async fn what_the_daemon_says_is_told_in_its_words() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    let play = async {
        let mut peer = daemon.accept().await;
        for data in [
            json!({ "code": "unconfirmed", "plan_hash": "abc" }),
            json!({ "code": "of-tomorrow" }),
            Value::Null,
        ] {
            let id = peer.hear().await["id"].clone();
            let error = json!({ "code": -32000, "message": "why", "data": data });
            peer.say(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
                .await;
        }
    };
    let calls = async {
        let call = Call::of("destroy");
        let first = client.call(&call, |_| {}).await.unwrap_err();
        assert_eq!(first.code(), Some(Code::Unconfirmed));
        assert_eq!(first.plan_hash(), Some("abc"));
        assert_eq!(first.to_string(), "why");
        let second = client.call(&call, |_| {}).await.unwrap_err();
        assert_eq!(second.code(), Some(Code::Unknown));
        let third = client.call(&call, |_| {}).await.unwrap_err();
        assert!(matches!(third, Error::Protocol(_)), "{third:?}");
    };
    tokio::join!(play, calls);
}

#[tokio::test]
async fn it_connects_again_and_repeats_only_what_changes_nothing() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    let play = async {
        // It goes away in the middle of a call, of a question, and answers the question's second asking.
        let mut peer = daemon.accept().await;
        peer.hear().await;
        drop(peer);
        let mut peer = daemon.accept().await;
        peer.hear().await;
        drop(peer);
        let mut peer = daemon.accept().await;
        let asked = peer.hear().await;
        assert_eq!(asked["method"], "daemon.status");
        peer.answer(&asked["id"], json!({ "pid": 1 })).await;
    };
    let ask = async {
        let gone = client.call(&Call::of("write"), |_| {}).await.unwrap_err();
        assert!(matches!(gone, Error::Gone), "{gone:?}");
        assert_eq!(client.status().await.unwrap()["pid"], 1);
    };
    tokio::join!(play, ask);
}

#[tokio::test]
async fn what_the_daemon_would_break_on_is_not_sent_and_others_go_on() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    let running = client.clone();
    let running = tokio::spawn(async move { running.call(&Call::of("slow"), |_| {}).await });
    let mut peer = daemon.accept().await;
    let slow = peer.hear().await;
    let deep = (0..99).fold(Value::Null, |inner, _| json!([inner]));
    let many = json!(vec![0; 100_000]);
    let long = json!("x".repeat(8 << 20));
    for arguments in [deep, many, long] {
        let call = Call::of("x").with(arguments);
        let error = client.call(&call, |_| {}).await.unwrap_err();
        assert!(matches!(error, Error::TooMuch(_)), "{error:?}");
    }
    // The next that comes is the next that is sent, over the same connection.
    let next = client.clone();
    let next = tokio::spawn(async move { next.call(&Call::of("next"), |_| {}).await });
    let asked = peer.hear().await;
    assert_eq!(asked["params"]["name"], "next");
    peer.answer(&asked["id"], json!(2)).await;
    peer.answer(&slow["id"], json!(1)).await;
    assert_eq!(next.await.unwrap().unwrap(), 2);
    assert_eq!(running.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn who_somebody_is_has_a_connection_of_its_own() {
    let daemon = Played::new();
    let client = Client::via(&daemon.path, "mcp");
    let calling = client.clone();
    let calling = tokio::spawn(async move { calling.call(&Call::of("slow"), |_| {}).await });
    let mut calls = daemon.accept().await;
    let slow = calls.hear().await;
    let play = async {
        let mut aside = daemon.accept().await;
        let asked = aside.hear().await;
        assert_eq!(asked["method"], "access.whoami");
        assert_eq!(asked["params"]["call"]["arguments"], json!({ "a": 1 }));
        assert_eq!(asked["params"]["token"], "secret");
        assert_eq!(asked["params"]["via"], "mcp");
        aside
            .answer(&asked["id"], json!({ "name": "token:a", "role": null }))
            .await;
        let asked = aside.hear().await;
        assert_eq!(asked["method"], "daemon.status");
        aside.answer(&asked["id"], json!({ "pid": 1 })).await;
    };
    let ask = async {
        let arguments = json!({ "a": 1 });
        let who = client.may_call("x", &arguments, Some("secret")).await;
        assert_eq!(who.unwrap().name, "token:a");
        assert_eq!(client.status().await.unwrap()["pid"], 1);
    };
    tokio::join!(play, ask);
    calls.answer(&slow["id"], json!(1)).await;
    assert_eq!(calling.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn nobody_there_is_said_with_what_to_do() {
    let client = Client::new("/nonexistent/api.sock");
    let error = client.status().await.unwrap_err();
    assert!(error.is_away());
    let text = error.to_string();
    assert!(text.contains("systemctl status op-dbusd"), "{text}");
}

#[tokio::test]
async fn garbage_and_floods_end_the_connection_and_all_who_wait_hear_of_it() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    for flood in [false, true] {
        let play = async {
            let mut peer = daemon.accept().await;
            peer.hear().await;
            let sent = match flood {
                false => b"{nonsense}\n".to_vec(),
                true => vec![b'x'; 20 << 20],
            };
            // It may end while this is being written.
            let _ = peer.writer.write_all(&sent).await;
            assert!(
                peer.lines
                    .next_line()
                    .await
                    .is_ok_and(|line| line.is_none())
            );
        };
        let call = Call::of("x");
        let ((), result) = tokio::join!(play, client.call(&call, |_| {}));
        match result.unwrap_err() {
            Error::TooLarge(_) => assert!(flood),
            Error::Protocol(_) => assert!(!flood),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn many_calls_at_once_are_spread_and_bounded() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    let path = daemon.path.clone();
    let (seen, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let serve = tokio::spawn(async move {
        loop {
            let mut peer = daemon.accept().await;
            seen.send(()).unwrap();
            tokio::spawn(async move {
                while let Ok(Some(line)) = peer.lines.next_line().await {
                    let request: Value = serde_json::from_str(&line).unwrap();
                    let echo = request["params"]["arguments"].clone();
                    peer.answer(&request["id"], echo).await;
                }
            });
        }
    });
    let calls: Vec<_> = (0..1000)
        .map(|number| {
            let client = client.clone();
            let call = Call::of("echo").with(json!({ "number": number }));
            tokio::spawn(async move { client.call(&call, |_| {}).await })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap()["number"], number);
    }
    serve.abort();
    let mut count = 0;
    while connections.try_recv().is_ok() {
        count += 1;
    }
    assert!((1..=4).contains(&count), "{count} connections");
    drop(path);
}

#[tokio::test]
async fn a_daemon_that_says_nothing_is_given_up() {
    let daemon = Played::new();
    let client = Client::new(&daemon.path);
    let mut call = Call::of("hangs");
    call.timeout = Some(Duration::from_millis(1));
    let play = async {
        let mut peer = daemon.accept().await;
        let asked = peer.hear().await;
        assert_eq!(asked["params"]["timeout_ms"], 1);
        assert_eq!(peer.hear().await["method"], "tools.cancel");
    };
    let ((), result) = tokio::join!(play, client.call(&call, |_| {}));
    assert!(matches!(result, Err(Error::TimedOut)), "{result:?}");
}
