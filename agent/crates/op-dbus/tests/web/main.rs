//! The HTTP door: who gets in, what they may, and what rude peers do to others.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod browser;
mod peers;
mod protocol;
mod reload;
mod rest;
#[path = "../rig/mod.rs"]
mod rig;
mod room;
mod sessions;
mod tls;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use lab::wait_for;
use rig::Rig;
use rig::daemon::Daemon;
use rig::web::{Reply, Web, bearer, make_token};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

/// A host with a token for each scope, its daemon and its web server.
struct Host {
    web: Web,
    daemon: Daemon,
    viewer: String,
    operator: String,
    admin: String,
    rig: Rig,
}

impl Host {
    fn new() -> Option<Self> {
        Self::with(&["--no-bus"])
    }

    /// The same with other options for the daemon.
    fn with(options: &[&str]) -> Option<Self> {
        let rig = Rig::storage(256)?;
        let (viewer, viewing) = make_token(&rig, "viewer", "mcp:read");
        let (operator, operating) = make_token(&rig, "operator", "mcp:write");
        let (admin, administering) = make_token(&rig, "admin", "mcp:destroy");
        rig.declare("");
        rig.apply();
        let peer = rig.machine.dir().join("peer.py");
        std::fs::write(&peer, include_str!("../../../mcp/tests/peers/peer.py")).unwrap();
        let peer = peer.display();
        rig.declare_top(
            &format!(
                "{}mcp:\n  upstreams:\n    \
                 sums: {{ command: [/usr/bin/python3, {peer}, good], effect: {{ \"*\": read }} }}\n    \
                 notes: {{ command: [/usr/bin/python3, {peer}, good] }}\nweb:\n  profile: sysadmin\n  hosts: [host.example.org]\n  origins: [\"https://chat.example.org\"]\n  \
                 tokens:\n{viewing}{operating}{administering}",
                commands(rig.machine.dir()),
            ),
            "",
        );
        open(rig.machine.dir());
        let daemon = Daemon::start_with(&rig, options, |_| {});
        open_socket(&daemon);
        let web = Web::start(&rig, &daemon);
        Some(Self {
            web,
            daemon,
            viewer,
            operator,
            admin,
            rig,
        })
    }

    /// Something that changes the host: a subvolume that is declared and gone comes back.
    fn damage(&self) {
        let cache = self.rig.base.join("@cache");
        if cache.exists() {
            lab::run("btrfs", &["subvolume", "delete", cache.to_str().unwrap()]);
        }
    }
}

/// Commands that may be run: one that hangs until the file `go` is there, and one that does nothing.
fn commands(dir: &std::path::Path) -> String {
    let hang = format!("while [ ! -e {}/go ]; do sleep 0.05; done", dir.display());
    format!(
        "reconcile: observe\naccess:\n  commands:\n    nothing: [/bin/true]\n    hang: [/bin/sh, -c, '{hang}']\n"
    )
}

/// The web server's user reads the declaration, which every user may.
fn open(dir: &std::path::Path) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = dir.join("state.yaml");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// As the group `opdbus` would have it.
fn open_socket(daemon: &Daemon) {
    let mode = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&daemon.jsonrpc, mode).unwrap();
}
