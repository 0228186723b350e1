//! The HTTP door: who gets in, what they may, and what rude peers do to others.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use lab::wait_for;
use rig::Rig;
use rig::daemon::Daemon;
use rig::web::{Reply, Web, bearer, make_token};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

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
        let rig = Rig::storage(256)?;
        let (viewer, viewing) = make_token(&rig, "viewer", "mcp:read");
        let (operator, operating) = make_token(&rig, "operator", "mcp:write");
        let (admin, administering) = make_token(&rig, "admin", "mcp:destroy");
        rig.declare("");
        rig.apply();
        let peer = rig.machine.dir().join("peer.py");
        std::fs::write(&peer, include_str!("../../mcp/tests/peers/peer.py")).unwrap();
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
        let daemon = Daemon::start(&rig);
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

#[test]
fn nobody_gets_in_without_a_token_that_is_declared() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();

    let none = web.post("/mcp", "", &list).expect(401);
    let challenge = format!(
        "www-authenticate: bearer resource_metadata=\"http://{}/.well-known/oauth-protected-resource/mcp\", \
         scope=\"mcp:read\"",
        web.address
    );
    assert!(none.head.contains(&challenge), "{none:#?}");
    for wrong in ["x", &host.viewer[1..], &format!("{}a", host.viewer)] {
        let wrong = web.post("/mcp", &bearer(wrong), &list).expect(401);
        assert!(wrong.head.contains("invalid_token"), "{wrong:#?}");
    }
    let twice = bearer(&host.viewer).repeat(2);
    for odd in [
        &twice,
        "Authorization: Basic dTpw\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer a b\r\n",
    ] {
        web.post("/mcp", odd, &list).expect(401);
    }
    // Neither does the token help anywhere but in its header.
    let query = format!("/mcp?access_token={}", host.viewer);
    web.post(&query, "", &list).expect(400);
    web.post(&query, &bearer(&host.viewer), &list).expect(400);

    let listed = web.ask(&host.viewer, "tools/list", json!({})).expect(200);
    let listed = listed.json();
    assert!(listed["result"]["tools"][0]["name"].is_string(), "{listed}");
    // With wrong ones still coming, the right one goes on working.
    let mut limited = false;
    for _ in 0..40 {
        let reply = web.ask("wrong", "tools/list", json!({}));
        assert!(matches!(reply.status, 401 | 429), "{reply:#?}");
        limited |= reply.status == 429;
    }
    assert!(limited);
    web.ask(&host.viewer, "tools/list", json!({})).expect(200);

    // A file that others may read opens nothing any more, at once.
    let file = host.rig.machine.dir().join("token-viewer");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let closed = web.ask(&host.viewer, "tools/list", json!({}));
    assert!(matches!(closed.status, 401 | 429), "{closed:#?}");

    // No secret is in any log, nor in the ledger.
    let ledger = json!(host.rig.ledger(&[])).to_string();
    let daemon = std::fs::read_to_string(host.rig.machine.dir().join("daemon.log")).unwrap();
    for secret in [&host.viewer, &host.operator, &host.admin] {
        for text in [&ledger, &daemon, &web.said()] {
            assert!(!text.contains(secret.as_str()), "{text}");
        }
    }
    assert!(daemon.contains("wrong token"), "{daemon}");
}

#[test]
fn scopes_are_roles_and_what_they_do_is_in_the_ledger() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    host.damage();
    let refused = web.call(&host.viewer, "state_apply", json!({})).expect(403);
    assert!(
        refused
            .head
            .contains("error=\"insufficient_scope\", scope=\"mcp:write\""),
        "{refused:#?}"
    );
    let text = refused.json()["error"]["message"].to_string();
    assert!(text.contains("web.tokens.viewer.scopes"), "{text}");
    assert!(!host.rig.base.join("@cache").exists());

    let read = web
        .call(&host.viewer, "state_status", json!({}))
        .expect(200)
        .json();
    assert_ne!(read["result"]["isError"], true, "{read}");
    let done = web
        .call(&host.operator, "state_apply", json!({}))
        .expect(200)
        .json();
    assert_eq!(
        done["result"]["structuredContent"]["outcome"], "applied",
        "{done}"
    );
    assert!(host.rig.base.join("@cache").exists());
    let low = web
        .call(&host.operator, "container_destroy", json!({ "name": "x" }))
        .expect(403);
    assert!(low.head.contains("scope=\"mcp:destroy\""), "{low:#?}");
    // The admin is let through: that there is no such container is the tool's to say.
    let high = web
        .call(&host.admin, "container_destroy", json!({ "name": "x" }))
        .expect(200);
    assert_eq!(high.json()["result"]["isError"], true, "{high:#?}");

    let entries = host.rig.ledger(&["--operation", "state_apply"]);
    let of = |name: &str, outcome: &str| {
        entries.iter().any(|entry| {
            let data = &entry["metadata"];
            let actor = json!({ "uid": 60_010, "name": name, "door": "mcp" });
            data["actor"] == actor && data["outcome"] == outcome
        })
    };
    assert!(of("token:viewer", "refused"), "{entries:#?}");
    assert!(of("token:operator", "done"), "{entries:#?}");
    let admin = host.rig.ledger(&["--operation", "container_destroy"]);
    assert!(
        admin
            .iter()
            .any(|entry| entry["metadata"]["actor"]["name"] == "token:operator")
    );
}

#[test]
fn tasks_of_a_token_are_its_own_and_done_with_the_scopes_it_has_then() {
    let Some(host) = Host::new() else { return };
    let call = |token: &str, tool: &str, arguments: Value| {
        let call = json!({ "name": tool, "arguments": arguments });
        let call = json!({ "name": "tool_execute", "arguments": call });
        let answer = host.web.ask_at("/mcp/full", token, "tools/call", call);
        let answer = answer.expect(200).json();
        assert!(answer["result"].is_object(), "{answer:#}");
        answer["result"].clone()
    };
    let submit = |token: &str, task: Value| {
        let task = call(token, "task_submit", task);
        assert_ne!(task["isError"], true, "{task:#}");
        task["structuredContent"]["result"]["id"].clone()
    };
    let ended = |token: &str, id: &Value| {
        wait_for("the end of the task", SOON, || {
            let task = call(token, "task_show", json!({ "id": id }));
            Some(task["structuredContent"]["result"].clone())
                .filter(|task| task["finished"].is_i64())
        })
    };
    let run = |name: &str| json!({ "operation": "command_run", "arguments": { "name": name } });

    let read = submit(&host.operator, json!({ "operation": "host_info" }));
    assert_eq!(ended(&host.operator, &read)["state"], "done");
    let hidden = call(&host.viewer, "task_show", json!({ "id": read }));
    assert_eq!(hidden["isError"], true, "{hidden:#}");
    let listed = call(&host.viewer, "task_list", json!({}));
    assert_eq!(listed["structuredContent"]["result"]["tasks"], json!([]));

    let done = submit(&host.admin, run("nothing"));
    assert_eq!(ended(&host.admin, &done)["state"], "done");
    let entry = host.rig.ledger(&["--operation", "command_run"]).pop();
    assert_eq!(
        entry.unwrap()["metadata"]["actor"],
        json!({ "uid": 60_010, "name": "token:admin", "door": "agent" })
    );

    // A token that is gone when its task's turn comes may nothing any more.
    let hang = ["task", "submit", "command_run", "name=hang"];
    host.rig.json(&hang).expect(0);
    let late = submit(&host.admin, run("nothing"));
    host.rig.declare_top(&commands(host.rig.machine.dir()), "");
    std::fs::write(host.rig.machine.dir().join("go"), "").unwrap();
    let late = late.to_string();
    let failed = wait_for("the end of the task", SOON, || {
        let task = host.rig.json(&["task", "show", &late]).expect(0).json();
        Some(task).filter(|task| task["finished"].is_i64())
    });
    assert_eq!(failed["error"]["code"], "refused", "{failed:#}");
    let text = failed["error"]["message"].to_string();
    assert!(text.contains("`admin` is not declared any more"), "{text}");
}

#[test]
fn the_web_server_itself_may_nothing() {
    let Some(host) = Host::new() else { return };
    let script = "import json, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
        s.sendall(sys.argv[2].encode() + b'\\n')\nprint(s.makefile().readline())";
    let Some(python) = rig::bus::python("import socket") else {
        return lab::skip("needs python3");
    };
    let ask = |method: &str, params: Value| -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut command = rig::web::as_web(&python);
        command
            .args(["-c", script])
            .arg(&host.daemon.jsonrpc)
            .arg(request.to_string());
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let call = ask(
        "tools.call",
        json!({ "name": "state_status", "arguments": {}, "via": "mcp" }),
    );
    assert_eq!(call["error"]["data"]["code"], "refused", "{call}");
    let who = ask("access.whoami", json!({}));
    assert_eq!(who["result"]["role"], Value::Null, "{who}");
    let who = ask("access.whoami", json!({ "token": host.operator }));
    assert_eq!(who["result"]["name"], "token:operator");
    assert_eq!(who["result"]["role"], "operator");
    assert_eq!(who["result"]["scopes"], json!(["mcp:write"]));
    for odd in [
        json!({ "token": 7 }),
        json!({ "via": "cli" }),
        json!({ "tokens": "" }),
    ] {
        assert_eq!(ask("access.whoami", odd)["error"]["code"], -32602);
    }
    let wrong = ask(
        "tools.call",
        json!({ "name": "state_status", "token": "secret-of-another" }),
    );
    assert_eq!(wrong["error"]["data"]["code"], "unauthenticated");
    assert!(!wrong.to_string().contains("secret-of-another"));
}

#[test]
fn names_origins_and_paths_are_looked_at_first() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let token = bearer(&host.viewer);
    let with_host = |name: &str| {
        web.raw(
            format!("GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .status
    };
    assert_eq!(with_host("host.example.org"), 200);
    assert_eq!(with_host("evil.example"), 421);
    assert_eq!(
        web.raw(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
            .status,
        400
    );

    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    for origin in ["https://evil.example", "null"] {
        let headers = format!("{token}Origin: {origin}\r\n");
        let refused = web.post("/mcp", &headers, &list).expect(403);
        assert!(
            !refused.head.contains("access-control-allow-origin"),
            "{refused:#?}"
        );
        let preflight = format!(
            "OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n"
        );
        web.raw(preflight.as_bytes()).expect(403);
    }
    let allowed = "OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://chat.example.org\r\n\r\n";
    let allowed = web.raw(allowed.as_bytes()).expect(204);
    assert!(
        allowed
            .head
            .contains("access-control-allow-origin: https://chat.example.org"),
        "{allowed:#?}"
    );

    for (path, status) in [
        ("/", 404),
        ("/mcp/nonsense", 404),
        ("/mcp/", 404),
        ("/mcp/../healthz", 404),
        ("/mcpx", 404),
        ("/.well-known/oauth-protected-resource/other", 404),
    ] {
        web.get(path, &token).expect(status);
    }
    let metadata = web
        .get("/.well-known/oauth-protected-resource/mcp", "")
        .expect(200);
    assert_eq!(
        metadata.json()["resource"],
        format!("http://{}/mcp", web.address)
    );
    for header in [
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    ] {
        assert!(metadata.head.contains(header), "{metadata:#?}");
    }
    web.raw(b"PUT /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect(405);
    web.raw(b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect(405);
}

#[test]
fn sessions_of_one_token_are_nothing_to_another() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let begun = web
        .post("/mcp", &bearer(&host.viewer), &hello.to_string())
        .expect(200);
    assert_eq!(begun.json()["result"]["protocolVersion"], "2025-11-25");
    let session = begun
        .head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    let session = format!("Mcp-Session-Id: {}\r\n", session.unwrap());
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string();
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }).to_string();
    let mine = format!("{}{session}", bearer(&host.viewer));
    web.post("/mcp", &mine, &told).expect(202);
    let listed = web.post("/mcp", &mine, &list).expect(200).json();
    assert!(listed["result"]["tools"].is_array(), "{listed}");
    let other = format!("{}{session}", bearer(&host.operator));
    web.post("/mcp", &other, &list).expect(404);
    // In a session too, each request is its speaker's.
    let call = json!({
        "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "state_apply", "arguments": {} },
    });
    web.post("/mcp", &mine, &call.to_string()).expect(403);
    // They are bounded.
    let mut busy = 0;
    for _ in 0..70 {
        match web
            .post("/mcp", &bearer(&host.viewer), &hello.to_string())
            .status
        {
            200 => {}
            429 => busy += 1,
            other => panic!("{other}"),
        }
    }
    assert!(busy > 0);
    web.post("/mcp", &mine, &list).expect(200);
    web.post("/mcp", &bearer(&host.operator), &hello.to_string())
        .expect(200);
}

#[test]
fn rude_peers_are_bounded_and_others_are_served() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let token = bearer(&host.viewer);
    let head = |length: usize| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n{token}\r\n"
        )
    };
    // Heads that never end, and bodies of which little comes: these wait while the rest happens.
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..20 {
        let mut stream = web.connect();
        stream
            .write_all(b"POST /mcp HTTP/1.1\r\nHost: loc")
            .unwrap();
        slow.push(stream);
        let mut stream = web.connect();
        stream
            .write_all(format!("{}{{", head(100)).as_bytes())
            .unwrap();
        slow.push(stream);
    }
    let large = format!("{}{}", head(5 << 20), "x".repeat(5 << 20));
    web.raw(large.as_bytes()).expect(413);
    let chunked = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nTransfer-Encoding: chunked\r\n{token}\r\n500000\r\n{}\r\n0\r\n\r\n",
        "x".repeat(5 << 20)
    );
    web.raw(chunked.as_bytes()).expect(413);
    let many: String = (0..100)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    assert_eq!(web.get("/healthz", &many).status, 431);
    let long = format!("X-Long: {}\r\n", "y".repeat(64 << 10));
    assert_eq!(web.get("/healthz", &long).status, 431);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        assert!(matches!(web.raw(garbage).status, 0 | 400), "{garbage:?}");
    }
    // The daemon would end the connection that all callers share.
    let deep = format!("{}{}", "[".repeat(110), "]".repeat(110));
    let many = format!("[{}0]", "0,".repeat(100_001));
    for arguments in [deep, many] {
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"state_plan\",\
             \"arguments\":{{\"x\":{arguments}}}}}}}"
        );
        web.post("/mcp", &token, &body).expect(413);
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"jsonrpc\":\"2.0\"}",
        &"[".repeat(10_000),
    ] {
        let reply = web.post("/mcp", &token, body);
        assert!((400..500).contains(&reply.status), "{body:.20}: {reply:#?}");
    }
    // A hundred at once, all of them answered.
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                loop {
                    let reply = web.ask(&host.operator, "tools/list", json!({}));
                    match reply.status {
                        // More than a token may have at once: it is told so, and comes again.
                        429 => std::thread::yield_now(),
                        _ => return drop(reply.expect(200)),
                    }
                }
            });
        }
    });
    // Those that waited are let go, each with the reason that it can be given.
    for mut stream in slow {
        let reply = Reply::read(&mut stream);
        assert!(matches!(reply.status, 0 | 408), "{reply:#?}");
    }
    web.ask(&host.viewer, "tools/list", json!({})).expect(200);
}

#[test]
fn the_daemon_may_go_and_come_back() {
    let Some(mut host) = Host::new() else { return };
    host.web
        .ask(&host.viewer, "tools/list", json!({}))
        .expect(200);
    host.web.get("/healthz", "").expect(200);
    host.daemon.terminate();
    let away = host
        .web
        .call(&host.viewer, "state_status", json!({}))
        .expect(503);
    assert!(away.head.contains("retry-after: 2"), "{away:#?}");
    host.web.get("/healthz", "").expect(503);
    host.daemon = Daemon::start(&host.rig);
    open_socket(&host.daemon);
    let back = host
        .web
        .call(&host.viewer, "state_status", json!({}))
        .expect(200)
        .json();
    assert_ne!(back["result"]["isError"], true, "{back}");
}

#[test]
fn it_ends_when_it_is_told_with_streams_open() {
    let Some(mut host) = Host::new() else { return };
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let begun = host
        .web
        .post("/mcp", &bearer(&host.viewer), &hello.to_string())
        .expect(200);
    let session = begun
        .head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    let listen = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {}\r\n{}\r\n",
        session.unwrap(),
        bearer(&host.viewer)
    );
    let mut stream = host.web.connect();
    stream.write_all(listen.as_bytes()).unwrap();
    let mut first = [0; 15];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    host.web.terminate();
    wait_for("the end of the stream", SOON, || {
        let mut rest = [0; 4096];
        matches!(std::io::Read::read(&mut stream, &mut rest), Ok(0) | Err(_)).then_some(())
    });
}

#[test]
fn only_loopback_is_listened_on_and_tokens_are_made_once() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    for address in ["0.0.0.0:8080", "10.0.0.1:80", "[::]:80", "nonsense"] {
        let refused = rig.run(&["web", "--listen", address]).expect(2);
        assert!(refused.err.contains("127.0.0.1"), "{refused:?}");
    }
    let (secret, _) = make_token(&rig, "laptop", "mcp:read");
    assert!(
        secret.starts_with("opdbus_") && secret.len() == 50,
        "{secret}"
    );
    let file = rig.machine.dir().join("token-laptop");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), secret);
    let again = rig.run(&["web", "token", "laptop", "--file", file.to_str().unwrap()]);
    let again = again.expect(3);
    assert!(again.err.contains("remove it first"), "{again:?}");
    rig.run(&["web", "token", "a b"]).expect(2);
    rig.run(&["web", "token", "x", "--scope", "all"]).expect(2);
}

#[test]
fn upstream_servers_are_served_by_the_daemons_word() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let arguments = json!({ "a": 2, "b": 3 });
    let call = |path, token: &str, name, arguments| {
        let params = json!({ "name": name, "arguments": arguments });
        web.ask_at(path, token, "tools/call", params)
            .expect(200)
            .json()["result"]
            .take()
    };
    let listed = web.ask_at("/mcp/safe", &host.viewer, "tools/list", json!({}));
    let listed = listed.expect(200).json();
    let tools = listed["result"]["tools"].as_array().unwrap();
    let is_there = |name: &str| tools.iter().any(|tool| tool["name"] == name);
    assert!(is_there("sums_add") && !is_there("notes_add"), "{listed:#}");
    // What the daemon is asked for their sake is not for clients.
    assert!(!is_there("upstream_read"), "{listed:#}");

    let sum = call("/mcp/safe", &host.viewer, "sums_add", arguments.clone());
    assert_eq!(sum["structuredContent"]["sum"], 5, "{sum:#}");
    let who = call("/mcp/safe", &host.viewer, "sums_who", json!({}));
    let who: Value = serde_json::from_str(who["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(who["NoNewPrivs"], json!(["1"]), "{who:#}");
    for secret in [&host.viewer, &host.operator, &host.admin] {
        assert!(!who.to_string().contains(secret.as_str()), "{who:#}");
    }

    let add = json!({ "name": "notes_add", "arguments": arguments });
    let refused = call("/mcp/compact", &host.viewer, "tool_execute", add.clone());
    assert_eq!(refused["isError"], true, "{refused:#}");
    let done = call("/mcp/compact", &host.operator, "tool_execute", add);
    assert_ne!(done["isError"], true, "{done:#}");
    let entries = host.rig.ledger(&["--operation", "upstream_write"]);
    let by: Vec<_> = entries
        .iter()
        .map(|entry| &entry["metadata"]["actor"]["name"])
        .collect();
    assert!(by.contains(&&json!("token:operator")), "{entries:#?}");
}
