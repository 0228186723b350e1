//! What the bridge costs: a call over standard input and output beside the bare call in the same run, and its
//! memory while nothing happens.
//!
//! Needs root and dbus-daemon. Prints one line a figure; asserts nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/mcp_client/mod.rs"]
mod mcp_client;

use std::process::Command;
use std::time::{Duration, Instant};

use dbus::{Bus, Peer};
use mcp_client::Client;
use serde_json::json;
use zbus::interface;

const NAME: &str = "org.example.Peer";
const PEER: Peer<'static> = Peer {
    name: NAME,
    path: "/peer",
    interface: NAME,
};
/// How many calls are timed one after the other, and how many before that are not.
const CALLS: usize = 2000;
const WARM: usize = 200;

struct Made;

#[interface(name = "org.example.Peer")]
impl Made {
    fn get_double(&self, number: u32) -> u32 {
        number * 2
    }

    fn get_many(&self, count: u32) -> Vec<(String, u32)> {
        (0..count)
            .map(|n| (format!("item number {n}"), n))
            .collect()
    }
}

fn timed(mut call: impl FnMut()) -> Vec<Duration> {
    (0..WARM).for_each(|_| call());
    let mut times: Vec<_> = (0..CALLS)
        .map(|_| {
            let begun = Instant::now();
            call();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn report(what: &str, bare: &[Duration], bridged: &[Duration]) {
    let (middle, late) = (CALLS / 2, CALLS * 99 / 100);
    println!(
        "{what}: bare p50 {:?} p99 {:?}; bridge p50 {:?} p99 {:?}; ratio of p50 {:.2} (goal: 3)",
        bare[middle],
        bare[late],
        bridged[middle],
        bridged[late],
        bridged[middle].as_secs_f64() / bare[middle].as_secs_f64(),
    );
}

fn main() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let Some(_daemon) = machine.system_bus() else {
        return;
    };
    let peer = Bus::system().unwrap();
    peer.wait(async {
        peer.connection()
            .object_server()
            .at("/peer", Made)
            .await
            .unwrap();
        peer.connection().request_name(NAME).await.unwrap();
    });
    let bus = Bus::system().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
    command.args(["bridge", "--service", NAME]);
    let mut client = Client::with(&mut command, json!({}));

    std::thread::sleep(Duration::from_secs(1));
    println!(
        "memory after the start: {:.1} MB (goal: 15)",
        client.memory() as f64 / 1000.0
    );

    let bare = timed(|| {
        let _: u32 = bus.call(PEER, "GetDouble", &(21_u32,)).unwrap();
    });
    let bridged = timed(|| {
        client.value("Peer-GetDouble", json!({ "number": 21 }));
    });
    report("small call", &bare, &bridged);
    let bare = timed(|| {
        let _: Vec<(String, u32)> = bus.call(PEER, "GetMany", &(500_u32,)).unwrap();
    });
    let bridged = timed(|| {
        client.value("Peer-GetMany", json!({ "count": 500 }));
    });
    report("500 items", &bare, &bridged);
    println!(
        "memory after the calls: {:.1} MB",
        client.memory() as f64 / 1000.0
    );
}
