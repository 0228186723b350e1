//! The door on the system bus, with clients that others wrote: busctl, gdbus and Python's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod interfaces;
mod life;
mod peers;
#[path = "../rig/mod.rs"]
mod rig;

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use lab::{Kept, wait_for};
use rig::Rig;
use rig::bus::{Bus, NAME, NOBODY, PATH, ROOT};
use rig::daemon::Daemon;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

/// A converged host with nothing but a file system, a bus, and a daemon on it.
fn host() -> Option<(Rig, Bus, Daemon)> {
    let rig = Rig::storage(512)?;
    rig.declare("");
    rig.apply();
    let bus = Bus::open(&rig)?;
    let daemon = bus.daemon(&rig);
    Some((rig, bus, daemon))
}

/// The JSON in what `busctl --json=short` printed of a method that answers with one text.
#[track_caller]
fn answer(bus: &Bus, interface: &str, method: &str, values: &[&str]) -> Value {
    let mut all = vec!["--system", "--json=short", "call", NAME, PATH];
    let interface = format!("{NAME}.{interface}");
    all.extend([interface.as_str(), method]);
    all.extend(values);
    let printed = bus.run(ROOT, "busctl", &all).expect(0).json();
    let text = printed["data"][0].as_str().expect("a text");
    serde_json::from_str(text).expect("JSON")
}
