//! The bridge before peers that hang, leave, lie, or say too much.
#![allow(clippy::unwrap_used)]

#[path = "../bridge_rig/mod.rs"]
mod bridge_rig;
mod calls;
#[path = "../mcp_client/mod.rs"]
mod mcp_client;
mod people;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bridge_rig::Rig;
use dbus::Bus;
use futures_util::StreamExt;
use mcp_client::Client;
use mcp_client::flood;
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
