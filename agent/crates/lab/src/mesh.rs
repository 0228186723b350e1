//! A WireGuard mesh of two, both in user space on this machine.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Kept, feed, has, run, skip, text, wait_for};

/// The links, and the UDP ports that they listen on.
pub const ENDS: [(&str, &str); 2] = [("nm0", "51820"), ("nm1", "51821")];
/// What each end is asked to send to the other.
const ALLOWED: [&str; 2] = ["10.8.0.1/32", "10.8.0.2/32,2001:db8:8::/64"];

/// Two links that are each other's peers; they say nothing until they are told to.
pub struct Mesh {
    keys: [String; 2],
    programs: [Kept; 2],
}

impl Mesh {
    pub(crate) fn start(dir: &Path) -> Option<Self> {
        if !has("wireguard-go") || !has("wg") {
            skip("wireguard-go or wg is not installed");
            return None;
        }
        // Where the programs listen is a place that all of a machine share, but for this one's mounts.
        let sockets = Path::new("/run/wireguard");
        std::fs::create_dir_all(sockets).expect("the directory of the sockets");
        run("mount", &["-t", "tmpfs", "tmpfs", text(sockets)]);
        let programs = ENDS.map(|(link, _)| {
            let program = Command::new("wireguard-go")
                .args(["--foreground", link])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("wireguard-go");
            Kept(program)
        });
        let keys = ENDS.map(|(link, port)| {
            let socket = sockets.join(format!("{link}.sock"));
            wait_for("wireguard-go listens", Duration::from_secs(60), || {
                std::os::unix::net::UnixStream::connect(&socket).ok()
            });
            let (file, secret) = (dir.join(format!("{link}.key")), run("wg", &["genkey"]));
            std::fs::write(&file, &secret).expect("a key");
            let own = ["set", link, "listen-port", port, "private-key", text(&file)];
            run("wg", &own);
            run("ip", &["link", "set", link, "up"]);
            let public = feed(Command::new("wg").arg("pubkey"), secret.as_bytes()).stdout;
            String::from_utf8(public).expect("text").trim().to_owned()
        });
        let mesh = Self { keys, programs };
        for end in 0..ENDS.len() {
            let (other, port) = (1 - end, ENDS[1 - end].1);
            let endpoint = format!("127.0.0.1:{port}");
            mesh.set(end, &["endpoint", &endpoint, "allowed-ips", ALLOWED[other]]);
        }
        Some(mesh)
    }

    /// The public key of one end, in base64.
    pub fn key(&self, end: usize) -> &str {
        &self.keys[end]
    }

    /// Lets the first end send something every second.
    pub fn speak(&self) {
        self.set(0, &["persistent-keepalive", "1"]);
    }

    /// Ends the program of one end, and with it its link.
    pub fn kill(&mut self, end: usize) {
        self.programs[end].kill();
    }

    fn set(&self, end: usize, what: &[&str]) {
        let peer = ["set", ENDS[end].0, "peer", self.key(1 - end)];
        run("wg", &[&peer, what].concat());
    }
}
