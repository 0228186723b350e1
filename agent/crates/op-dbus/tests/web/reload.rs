//! The declaration read again while the server runs.

use std::os::unix::net::UnixDatagram;

use super::*;

/// What the server tells systemd until `last` is in it.
fn told(socket: &UnixDatagram, last: &str) -> String {
    let mut all = String::new();
    let mut message = [0; 4096];
    while !all.contains(last) {
        let length = socket.recv(&mut message).expect("a word to systemd");
        all.push_str(&String::from_utf8_lossy(&message[..length]));
        all.push('\n');
    }
    all
}

fn tools(web: &Web, token: &str) -> Vec<String> {
    let listed = web.ask_at("/mcp/safe", token, "tools/list", json!({}));
    let listed = listed.expect(200).json();
    let tools = listed["result"]["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_signal_has_upstream_servers_and_names_read_again() {
    let Some(mut host) = Host::new() else { return };
    host.web.terminate();
    let place = host.rig.machine.dir().join("notify.sock");
    let systemd = UnixDatagram::bind(&place).unwrap();
    systemd.set_read_timeout(Some(SOON)).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o666)).unwrap();
    let web = Web::start_with(&host.rig, &host.daemon, |command| {
        command.env("NOTIFY_SOCKET", &place);
    });
    told(&systemd, "READY=1");
    let has = |name: &str| tools(&web, &host.admin).iter().any(|tool| tool == name);
    assert!(has("sums_add") && !has("more_add"));
    let session = |session: &str, method: &str| {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": method, "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            },
        });
        let headers = format!("{}{session}", bearer(&host.viewer));
        web.post("/mcp", &headers, &message.to_string())
    };
    let begun = session("", "initialize").expect(200);
    let id = begun
        .head
        .lines()
        .find(|line| line.starts_with("mcp-session-id:"));
    let id = format!("{}\r\n", id.unwrap());
    session(&id, "ping").expect(200);

    // A bad declaration changes nothing, and the server says so and goes on.
    let good = std::fs::read_to_string(&host.rig.file).unwrap();
    std::fs::write(&host.rig.file, good.replace("sums:", "su ms:")).unwrap();
    web.hang_up();
    let said = told(&systemd, "READY=1");
    let reload = said
        .find("RELOADING=1")
        .expect("the beginning of the reload");
    assert!(said[reload..].contains("MONOTONIC_USEC="), "{said}");
    assert!(said.contains("all stays as it was"), "{said}");
    assert!(has("sums_add"));
    session(&id, "ping").expect(200);

    let now = good
        .replace("    sums:", "    more:")
        .replace("host.example.org", "other.example.org");
    std::fs::write(&host.rig.file, now).unwrap();
    web.hang_up();
    let said = told(&systemd, "READY=1");
    assert!(!said.contains("all stays as it was"), "{said}");
    assert!(has("more_add") && !has("sums_add"));
    let answer = |host: &str| {
        web.raw(
            format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    answer("other.example.org").expect(200);
    answer("host.example.org").expect(421);
    // What a client was shown does not change under it: its session is over, and it begins another.
    session(&id, "ping").expect(404);
    session("", "initialize").expect(200);
}
