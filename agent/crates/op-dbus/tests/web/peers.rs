//! Rude peers, and the ends of daemon and server.

use super::*;

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
    // Who asks more than a token, or an address, may is told so, and comes again.
    let answered = |token: &str| {
        let reply = wait_for("an answer", SOON, || {
            let reply = web.ask(token, "tools/list", json!({}));
            (reply.status != 429).then_some(reply)
        });
        reply.expect(200);
    };
    // A hundred at once, all of them answered.
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| answered(&host.operator));
        }
    });
    // Those that waited are let go, each with the reason that it can be given.
    for mut stream in slow {
        let reply = Reply::read(&mut stream);
        assert!(matches!(reply.status, 0 | 408), "{reply:#?}");
    }
    answered(&host.viewer);
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
