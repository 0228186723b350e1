//! Names, origins, paths, sessions and upstream servers.

use super::*;

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
        ("/nothing", 404),
        ("/mcp/nonsense", 404),
        ("/mcp/", 404),
        ("/mcp/../healthz", 404),
        ("/mcpx", 404),
    ] {
        web.get(path, &token).expect(status);
    }
    // Nobody is sent to look for an authorization server, which there is none of.
    let nothing = web
        .get("/.well-known/oauth-protected-resource/mcp", "")
        .expect(404);
    for header in [
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    ] {
        assert!(nothing.head.contains(header), "{nothing:#?}");
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
