//! The bridge before peers that hang, leave, lie, or say too much.
#![allow(clippy::unwrap_used)]

mod bridge_rig;
mod mcp_client;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bridge_rig::Rig;
use dbus::Bus;
use futures_util::StreamExt;
use mcp_client::Client;
use serde_json::{Value, json};
use zbus::message::{Header, Type};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, MessageStream, Structure, interface};

const NAME: &str = "org.example.Peer";

/// What the peer was asked to do beside looking.
#[derive(Default)]
struct Made {
    done: Arc<AtomicU32>,
}

#[interface(name = "org.example.Peer")]
impl Made {
    /// How the call came.
    fn get_flags(&self, #[zbus(header)] header: Header<'_>) -> u8 {
        header.primary().flags().bits()
    }

    fn get_many(&self, count: u32) -> Vec<(String, u32)> {
        (0..count)
            .map(|n| (format!("item number {n}"), n))
            .collect()
    }

    fn get_bytes(&self, count: u32) -> Vec<u8> {
        vec![7; count as usize]
    }

    async fn get_nothing(&self) {
        std::future::pending::<()>().await;
    }

    async fn get_lost(&self, #[zbus(connection)] connection: &Connection) {
        connection.clone().close().await.unwrap();
    }

    fn do_it(&self) {
        self.done.fetch_add(1, Ordering::SeqCst);
    }

    fn delete_it(&self) {
        self.done.fetch_add(100, Ordering::SeqCst);
    }

    async fn get_signal(&self, text: &str, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        Self::said(&emitter, text, 7).await.unwrap();
    }

    #[zbus(signal)]
    async fn said(emitter: &SignalEmitter<'_>, text: &str, number: u64) -> zbus::Result<()>;

    #[zbus(property)]
    fn colour(&self) -> &'static str {
        "green"
    }
}

/// A peer with objects at `/peer` and `/other/peer`.
fn peer() -> (Bus, Arc<AtomicU32>) {
    let bus = Bus::system().unwrap();
    let done = Arc::new(AtomicU32::new(0));
    bus.wait(async {
        for path in ["/peer", "/other/peer"] {
            let made = Made {
                done: Arc::clone(&done),
            };
            bus.connection()
                .object_server()
                .at(path, made)
                .await
                .unwrap();
        }
        bus.connection().request_name(NAME).await.unwrap();
    });
    (bus, done)
}

/// A peer that answers every call with what `answer` makes of it.
fn raw(answer: fn(&zbus::Message) -> Structure<'static>) -> Bus {
    let bus = Bus::system().unwrap();
    let connection = bus.connection().clone();
    bus.wait(async {
        let mut calls = MessageStream::from(connection.clone());
        connection.request_name(NAME).await.unwrap();
        tokio::spawn(async move {
            while let Some(Ok(call)) = calls.next().await {
                if call.message_type() == Type::MethodCall {
                    connection
                        .reply(&call.header(), &answer(&call))
                        .await
                        .unwrap();
                }
            }
        });
    });
    bus
}

const HERE: &str = "/peer";

fn here(mut arguments: Value) -> Value {
    arguments["object_path"] = HERE.into();
    arguments
}

#[test]
fn calls_ask_people_but_start_nobody() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    // NO_AUTO_START is 2, ALLOW_INTERACTIVE_AUTHORIZATION is 4.
    assert_eq!(client.value("Peer-GetFlags", here(json!({})))["out0"], 6);
    let mut client = rig.bridge(
        NAME,
        &["--activate", "--no-interactive", "--path", "/other"],
    );
    assert_eq!(client.value("Peer-GetFlags", json!({}))["out0"], 0);
    let error = client.error("Peer-GetFlags", here(json!({})));
    assert!(
        error.starts_with("refused: /peer is not at or below /other"),
        "{error}"
    );
}

#[test]
fn a_peer_that_hangs_leaves_and_comes_back_hurts_its_calls_alone() {
    let Some(rig) = Rig::new() else { return };
    let (first, _) = peer();
    let mut client = rig.bridge(NAME, &["--timeout", "1s"]);
    let tools = client.tools();
    let hung = client.send(
        "tools/call",
        json!({ "name": "Peer-GetNothing", "arguments": here(json!({})) }),
    );
    // Others are served meanwhile.
    assert!(client.value("Peer-GetFlags", here(json!({})))["out0"].is_u64());
    let hung = client.answer(hung);
    let text = hung["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("timed-out"), "{text}");
    let error = client.error("Peer-GetLost", here(json!({})));
    assert!(error.starts_with("unavailable"), "{error}");
    let error = client.error("Peer-GetFlags", here(json!({})));
    assert!(error.contains("--activate"), "{error}");
    drop(first);
    let (_second, _) = peer();
    assert!(client.value("Peer-GetFlags", here(json!({})))["out0"].is_u64());
    assert_eq!(client.tools(), tools);
    assert_eq!(client.end(), 0);
}

#[test]
fn large_answers_come_in_parts() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let mut answer = client.value("Peer-GetMany", here(json!({ "count": 10_000 })));
    let mut items = answer["out0"].as_array().unwrap().clone();
    while let Some(cursor) = answer["_more"][0]["cursor"].as_str() {
        answer = client.value("more", json!({ "cursor": cursor }));
        assert!(answer.to_string().len() < 60_000);
        items.extend(answer["rest"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(items.len(), 10_000);
    assert_eq!(items[9_999], json!(["item number 9999", 9_999]));
    let error = client.error("more", json!({ "cursor": "rest-x" }));
    assert!(error.starts_with("not-found"), "{error}");

    let error = client.error("Peer-GetBytes", here(json!({ "count": 20 << 20 })));
    assert!(error.starts_with("too-large"), "{error}");
    let bytes = client.value("Peer-GetBytes", here(json!({ "count": 100_000 })));
    assert_eq!(bytes["_more"][0]["total"], 100_000);
}

#[test]
fn what_is_lost_for_good_takes_a_person() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, done) = peer();
    let call = |client: &mut Client, name: &str| {
        client.send(
            "tools/call",
            json!({ "name": name, "arguments": here(json!({})) }),
        )
    };
    let mut client = rig.bridge(NAME, &[]);
    let refused = call(&mut client, "Peer-DoIt");
    assert_eq!(client.answer(refused)["error"]["code"], -32602);

    let mut command = rig.command(NAME, &["--allow-write"]);
    let mut client = Client::with(&mut command, json!({ "elicitation": {} }));
    client.value("Peer-DoIt", here(json!({ "dry_run": true })));
    assert_eq!(done.load(Ordering::SeqCst), 0);
    client.value("Peer-DoIt", here(json!({})));
    assert_eq!(done.load(Ordering::SeqCst), 1);
    for (apply, expected) in [(false, 1), (true, 101)] {
        let id = call(&mut client, "Peer-DeleteIt");
        let question = client.note();
        assert_eq!(question["method"], "elicitation/create", "{question}");
        let text = question["params"]["message"].as_str().unwrap();
        assert!(
            text.contains("org.example.Peer.DeleteIt of /peer"),
            "{text}"
        );
        let answer = json!({
            "jsonrpc": "2.0", "id": question["id"],
            "result": { "action": "accept", "content": { "apply": apply } },
        });
        client.line(&answer.to_string());
        assert_eq!(client.answer(id)["result"]["isError"], !apply);
        assert_eq!(done.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn signals_are_waited_for_and_subscribed_to() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let uri = "dbus://system/org.example.Peer?signal=org.example.Peer.Said";
    let resources = client.listed("resources/list", "resources");
    assert!(
        resources.iter().any(|resource| resource["uri"] == uri),
        "{resources:?}"
    );
    let answer = client.ask("resources/subscribe", json!({ "uri": uri }));
    assert!(answer.get("error").is_none(), "{answer}");
    client.value("Peer-GetSignal", here(json!({ "text": "hello" })));
    let told = client.note();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    assert_eq!(told["params"]["uri"], uri);
    let read = client.ask("resources/read", json!({ "uri": uri }));
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let read: Value = serde_json::from_str(text).unwrap();
    let expected = json!([{ "object_path": HERE, "arguments": { "text": "hello", "number": 7 } }]);
    assert_eq!(read["signals"], expected);

    // Another connection cannot speak for the service.
    let forger = Bus::system().unwrap();
    let wait = json!({ "interface": NAME, "signal": "Said", "seconds": 2 });
    let id = client.send(
        "tools/call",
        json!({ "name": "wait_signal", "arguments": wait }),
    );
    forger.wait(async {
        let said =
            forger
                .connection()
                .emit_signal(None::<&str>, HERE, NAME, "Said", &("forged", 1_u64));
        said.await.unwrap();
    });
    assert_eq!(
        client.answer(id)["result"]["structuredContent"],
        json!({ "received": false })
    );

    let properties = "dbus://system/org.example.Peer/peer";
    let read = client.ask("resources/read", json!({ "uri": properties }));
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let read: Value = serde_json::from_str(text).unwrap();
    assert_eq!(read["properties"][NAME]["Colour"], "green");
    let nothing = client.ask(
        "resources/read",
        json!({ "uri": "dbus://system/org.example.Other/peer" }),
    );
    assert!(nothing.get("error").is_some(), "{nothing}");
}

#[test]
fn wrong_arguments_are_named_with_their_paths() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let error = client.error("Peer-GetMany", here(json!({ "count": -1, "more": 1 })));
    assert!(error.contains("/count: -1 was given"), "{error}");
    assert!(
        error.contains("/more: there is no such argument"),
        "{error}"
    );
    let error = client.error("Peer-GetMany", json!({ "count": 1 }));
    assert!(error.contains("/object_path: it is missing"), "{error}");
    let error = client.error("get_properties", json!({ "object_path": "/peer/nobody" }));
    assert!(error.contains("/peer/nobody"), "{error}");
}

#[test]
fn both_eras_garbage_and_the_end_of_the_input() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = Client::silent(&mut rig.command(NAME, &[]));
    client.line("this is no JSON");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let arguments = here(json!({}));
    let params = json!({ "name": "Peer-GetFlags", "arguments": arguments, "_meta": meta });
    let answer = client.ask("tools/call", params);
    assert_eq!(answer["result"]["structuredContent"]["out0"], 6, "{answer}");
    client.line("{\"jsonrpc\": ");
    let hung = json!({ "name": "Peer-GetNothing", "arguments": arguments, "_meta": meta });
    client.send("tools/call", hung);
    assert_eq!(client.end(), 0);
}

#[test]
fn a_service_that_does_not_run_is_said_and_not_started() {
    let Some(rig) = Rig::new() else { return };
    let dir = rig.machine.dir();
    let marker = dir.join("started");
    let service = format!(
        "[D-BUS Service]\nName=org.example.Sleeper\nExec=/bin/sh -c \"echo >> {}\"\n",
        marker.display()
    );
    fs::write(dir.join("org.example.Sleeper.service"), service).unwrap();
    let config = dir.join("bus.conf");
    let own = format!("<servicedir>{}</servicedir></busconfig>", dir.display());
    let text = fs::read_to_string(&config)
        .unwrap()
        .replace("</busconfig>", &own);
    // Without the system bus's setuid launcher, a service is started as the bus itself.
    fs::write(&config, text.replace("<type>system</type>", "")).unwrap();
    let bus = [
        "org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
    ];
    lab::run(
        "busctl",
        &[&["--system", "call"], &bus[..], &["ReloadConfig"]].concat(),
    );
    let output = rig.command("org.example.Sleeper", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("org.example.Sleeper") && text.contains("--activate"),
        "{text}"
    );
    assert!(!marker.exists());
    let output = rig
        .command("org.example.Sleeper", &["--activate", "--timeout", "5s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "it takes no name");
    assert!(marker.exists(), "it is started where that is asked for");
    let output = rig.command("not a name", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Each object has a child, which has a child.
const ENDLESS: &str = "<node><interface name='org.example.Peer'><method name='GetIt'>\
    <arg type='u' direction='out'/></method></interface><node name='a'/></node>";

#[test]
fn a_peer_without_end_is_bounded_and_one_that_lies_is_found_out() {
    let Some(rig) = Rig::new() else { return };
    let _peer = raw(|call| match call.header().member().unwrap().as_str() {
        "Introspect" => Structure::from((ENDLESS,)),
        _ => Structure::from(("text, where a number was declared",)),
    });
    let mut client = rig.bridge(NAME, &["--objects", "50"]);
    let error = client.error("Peer-GetIt", json!({ "object_path": "/a" }));
    assert!(error.starts_with("bad-answer"), "{error}");
    let objects = client.value("objects", json!({}));
    assert!(objects["objects"].as_object().unwrap().len() <= 50);
    assert!(objects["left_out"][0].is_string(), "{objects}");
}

#[test]
fn the_properties_of_an_object_without_end_are_read_in_part() {
    let Some(rig) = Rig::new() else { return };
    let _peer = raw(|call| {
        let header = call.header();
        if header.member().unwrap().as_str() == "Introspect" {
            let interface = |n: u32| {
                format!(
                    "<interface name='org.example.Peer{n:03}'>\
                     <property name='Text' type='s' access='read'/></interface>"
                )
            };
            let interfaces: String = (0..100).map(interface).collect();
            let text = format!("<node>{interfaces}<node name='large'/></node>");
            return Structure::from((text,));
        }
        let length = match header.path().unwrap().as_str() {
            "/" => 10,
            _ => 3 << 20,
        };
        let text = zbus::Variant::from("x".repeat(length));
        Structure::from((std::collections::HashMap::from([("Text".to_owned(), text)]),))
    });
    let mut client = rig.bridge(NAME, &["--objects", "2"]);
    for (path, left) in [("/", "36 of 100"), ("/large", "94 of 100")] {
        let read = client.value("get_properties", json!({ "object_path": path }));
        let text = read["left_out"][0].as_str().unwrap();
        assert!(text.starts_with(left), "{text}");
    }
    let one = json!({ "object_path": "/", "interface": "org.example.Peer099" });
    let read = client.value("get_properties", one);
    assert!(read.get("left_out").is_none(), "{read}");
}

#[test]
fn a_peer_with_nothing_to_show_is_no_bridge() {
    let Some(rig) = Rig::new() else { return };
    let _peer = raw(|_| Structure::from(("<node><interface",)));
    let output = rig.command(NAME, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("shows nothing at or below /"), "{text}");
}
