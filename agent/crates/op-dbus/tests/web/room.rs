//! How many bytes of bodies a token may have in the server at once.

use super::*;

/// A beginning that fits, with as much space after it as there is to be.
fn padded(bytes: usize) -> String {
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    let hello = hello.to_string();
    format!("{hello}{}", " ".repeat(bytes - hello.len()))
}

#[test]
fn the_bodies_of_one_token_are_bounded_and_others_are_served() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let token = bearer(&host.viewer);
    web.post("/mcp", &token, &padded(3 << 20)).expect(200);
    // Bodies that never end, each as long as one may be: two of them fill the room.
    let length = 4 << 20;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n{token}\r\n"
    );
    let begun = || {
        let mut stream = web.connect();
        stream.write_all(head.as_bytes()).unwrap();
        // It may be refused while it is still being sent.
        let _ = stream.write_all(&vec![b' '; length - 1]);
        stream
    };
    let mut held = vec![begun()];
    let refused = wait_for("the room to be full", SOON, || {
        // One is refused where an answer before it still holds its body.
        held.push(begun());
        // What comes before that opens sessions, of which there may be too many.
        let reply = web.post("/mcp", &token, &padded(2 << 20));
        Some(reply).filter(|reply| reply.body.contains("8388608 bytes"))
    });
    assert_eq!(refused.status, 429, "{refused:#?}");
    assert!(refused.head.contains("retry-after: 1"), "{refused:#?}");
    let other = bearer(&host.operator);
    web.post("/mcp", &other, &padded(3 << 20)).expect(200);
    drop(held);
    wait_for("room", SOON, || {
        let reply = web.post("/mcp", &token, &padded(3 << 20));
        Some(reply).filter(|reply| !reply.body.contains("8388608 bytes"))
    });
}
