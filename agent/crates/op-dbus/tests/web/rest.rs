//! REST, its description, figures, files, and limits.

use std::io::{Read, Write};
use std::process::Command;

use super::browser::Browser;
use super::*;

#[test]
fn what_reads_is_the_tool_of_the_same_name() {
    let Some(host) = Host::new() else { return };
    let token = bearer(&host.viewer);
    let get = |path: &str| host.web.get(path, &token);
    let listed = get("/api/tools").expect(200).json();
    let tools = listed["tools"].as_array().unwrap();
    assert!(tools.len() > 50, "{listed}");
    let shown = get("/api/tools/state_plan").expect(200).json();
    assert_eq!(shown["effect"], "read");
    let status = get("/api/status").expect(200).json();
    assert!(status.is_object(), "{status}");
    let plan = get("/api/plan").expect(200).json();
    assert!(plan["plan_hash"].is_string(), "{plan}");
    for name in ["a", "b", "c"] {
        let body = json!({ "arguments": { "name": name, "subvolumes": ["@state"] } });
        let admin = bearer(&host.admin);
        let made = host
            .web
            .post("/api/tools/snapshot_create", &admin, &body.to_string());
        made.expect(200);
    }
    let ledger = get("/api/ledger?limit=2").expect(200).json();
    assert_eq!(ledger["entries"].as_array().unwrap().len(), 2, "{ledger}");
    let before = ledger["next_cursor"].as_str().unwrap();
    let more = get(&format!("/api/ledger?limit=1&before={before}")).expect(200);
    let more = more.json()["entries"][0]["id"].as_i64().unwrap();
    assert!(more < ledger["entries"][1]["id"].as_i64().unwrap());
    let entry = get(&format!("/api/ledger/{more}")).expect(200).json();
    assert_eq!(entry["id"], more, "{entry}");
    get("/api/snapshots").expect(200);
    let found = get("/api/search?q=state%20apply&limit=3")
        .expect(200)
        .json();
    assert!(found["hits"].is_array(), "{found}");

    for (path, status) in [
        ("/api/nothing", 404),
        ("/api", 404),
        ("/api/tools/nothing", 404),
        ("/api/ledger/999999999", 404),
        ("/api/ledger/x", 422),
        ("/api/ledger?limit=x", 422),
        ("/api/ledger?nothing=1", 422),
        ("/api/ledger?access_token=x", 400),
        ("/api/ledger/%ff", 400),
    ] {
        let refused = get(path).expect(status);
        let error = refused.json()["error"].clone();
        assert!(
            error["code"].is_string() && error["message"].is_string(),
            "{path}: {error}"
        );
    }
    let other = host.web.post("/api/plan", &token, "{}").expect(405);
    assert!(other.head.contains("allow: get"), "{other:#?}");
    host.web.get("/api/tools", "").expect(401);
    host.web.get("/healthz", "").expect(200);
}

#[test]
fn long_answers_are_packed_and_those_of_sessions_are_not() {
    let Some(host) = Host::new() else { return };
    let token = bearer(&host.viewer);
    let ask = |path: &str, headers: &str| host.web.get(path, headers).expect(200);
    let plain = ask("/api/tools", &token);
    let packed = ask("/api/tools", &format!("{token}Accept-Encoding: gzip\r\n"));
    for reply in [&plain, &packed] {
        assert!(reply.head.contains("vary: accept-encoding"), "{reply:#?}");
    }
    assert!(
        packed.head.contains("content-encoding: gzip"),
        "{packed:#?}"
    );
    assert!(packed.body.len() < plain.body.len() / 2);
    let session = ask("/api/session", &format!("{token}Accept-Encoding: gzip\r\n"));
    assert!(!session.head.contains("accept-encoding"), "{session:#?}");
}

#[test]
fn the_plan_that_was_seen_is_the_one_that_runs() {
    let Some(host) = Host::new() else { return };
    let token = bearer(&host.admin);
    let post = |path: &str, body: Value| host.web.post(path, &token, &body.to_string());
    host.damage();
    let shown = post("/api/tools/state_apply", json!({ "dry_run": true })).expect(200);
    let hash = shown.json()["plan"]["hash"].as_str().unwrap().to_owned();
    assert!(!host.rig.base.join("@cache").exists());
    post("/api/apply", json!({ "plan": "0".repeat(64) })).expect(409);
    post("/api/apply", json!({})).expect(422);
    let done = post("/api/apply", json!({ "plan": hash }))
        .expect(200)
        .json();
    assert_eq!(done["result"]["outcome"], "applied", "{done}");
    let entry = done["entry"].as_i64().unwrap();
    let shown = host.web.get(&format!("/api/ledger/{entry}"), &token);
    assert_eq!(shown.expect(200).json()["operation"], "state_apply");
    post("/api/apply", json!({ "plan": hash })).expect(409);

    // What loses data takes the plan's hash, which the refusal names.
    let made = json!({ "arguments": { "name": "kept", "subvolumes": ["@state"] } });
    post("/api/tools/snapshot_create", made).expect(200);
    let gone = json!({ "arguments": { "name": "kept" } });
    let refused = post("/api/tools/snapshot_delete", gone).expect(428).json();
    let hash = &refused["error"]["plan_hash"];
    let sure = json!({ "arguments": { "name": "kept" }, "plan": hash });
    post("/api/tools/snapshot_delete", sure.clone()).expect(200);
    post("/api/tools/snapshot_delete", sure).expect(404);
    for (body, status) in [
        (json!({ "arguments": { "name": 7 } }), 422),
        (json!({ "argument": {} }), 422),
        (json!([]), 422),
    ] {
        post("/api/tools/snapshot_create", body).expect(status);
    }
    host.web
        .post("/api/tools/state_plan", &token, "{")
        .expect(400);
    let large = format!("{{\"arguments\":{{\"x\":\"{}\"}}}}", "x".repeat(5 << 20));
    host.web
        .post("/api/tools/state_plan", &token, &large)
        .expect(413);
    let deep = format!("{}{}", "[".repeat(110), "]".repeat(110));
    host.web
        .post("/api/tools/state_plan", &token, &deep)
        .expect(413);
}

/// What a Python program says of a text.
fn checked(imports: &str, script: &str, text: &str) {
    let Some(python) = rig::bus::python(imports) else {
        return lab::skip(&format!("needs python3 with `{imports}`"));
    };
    let mut command = Command::new(python);
    let ended = lab::feed(command.args(["-c", script]), text.as_bytes());
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn the_description_is_valid_and_has_all_tools() {
    let Some(host) = Host::new() else { return };
    let token = bearer(&host.viewer);
    let document = host.web.get("/api/openapi.json", &token).expect(200);
    let parsed = document.json();
    let tools = host.web.get("/api/tools", &token).json();
    for tool in tools["tools"].as_array().unwrap() {
        let path = format!("/api/tools/{}", tool["name"].as_str().unwrap());
        assert!(parsed["paths"][&path]["post"].is_object(), "{path}");
    }
    checked(
        "import openapi_spec_validator",
        "import json, sys, openapi_spec_validator as v; v.validate(json.load(sys.stdin))",
        &parsed.to_string(),
    );
}

#[test]
fn figures_are_open_metrics() {
    let Some(host) = Host::new() else { return };
    let token = bearer(&host.viewer);
    host.web.get("/api/plan", &token).expect(200);
    host.web.get("/metrics", "").expect(401);
    let mut browser = Browser::logged_in(&host, "viewer");
    let figures = browser.get("/metrics").expect(200);
    assert!(figures.head.contains("application/openmetrics-text"));
    for part in [
        "opdbus_web_requests_total{route=\"/api/plan\",method=\"GET\",status=\"200\"} 1\n",
        "opdbus_web_tool_calls_total{tool=\"state_plan\",outcome=\"done\"} 1\n",
        "opdbus_web_sessions 1\n",
        "opdbus_up 1\n",
        "opdbus_ledger_entries ",
        "opdbus_containers{state=\"running\"} 0\n",
        "opdbus_cache_hits_total{kind=\"",
        "opdbus_host_state{state=\"converged\"} ",
    ] {
        assert!(figures.body.contains(part), "{part}\n{}", figures.body);
    }
    checked(
        "import prometheus_client.openmetrics.parser",
        "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
         assert len(list(read(sys.stdin.read()))) > 10",
        &figures.body,
    );
}

#[test]
fn only_the_page_is_served_and_only_as_itself() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    for path in ["/", "/chat.html", "/login.html"] {
        let page = web.get(path, "").expect(200);
        assert!(page.head.contains("content-type: text/html"), "{page:#?}");
        assert!(page.head.contains("script-src 'self'"), "{page:#?}");
        assert!(!page.head.contains("unsafe-inline"), "{page:#?}");
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'; trusted-types 'none'",
            "cross-origin-opener-policy: same-origin",
            "etag: \"",
        ] {
            assert!(page.head.contains(header), "{header}: {page:#?}");
        }
    }
    for path in [
        "/../../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/./chat.html",
        "//etc/passwd",
        "/chat.html/..",
        "/Cargo.toml",
        "/page/chat.html",
        "/.git/config",
    ] {
        let refused = web.get(path, "").expect(404);
        assert!(!refused.body.contains("root:"), "{refused:#?}");
    }
    web.post("/chat.html", "", "").expect(405);
    // By another name of this host it is not known, so that no page elsewhere can resolve its way in.
    let other = web.raw(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    other.expect(421);
}

#[test]
fn too_many_requests_are_told_to_wait() {
    let Some(host) = Host::new() else { return };
    let token = bearer(&host.viewer);
    // All in one go, so that it does not matter how fast this machine is.
    let statuses = |request: String, count: usize| {
        let mut stream = host.web.connect();
        let last = request.replace("keep-alive", "close");
        let all = format!("{}{last}", request.repeat(count - 1));
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(all.as_bytes()));
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        writing.join().unwrap().unwrap();
        let count = |status: u16| answers.matches(&format!("HTTP/1.1 {status} ")).count();
        (count(200) + count(401), count(429))
    };
    let head = format!("Host: {}\r\nConnection: keep-alive\r\n", host.web.address);
    let login = format!(
        "POST /api/login HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{{\"code\":\"x\"}}"
    );
    let (tried, refused) = statuses(login, 40);
    assert!(tried >= 10 && refused > 0, "{tried} {refused}");
    // Who has a right one is not kept out by that.
    Browser::logged_in(&host, "viewer");
    // A code is short. Others need the room that a body takes.
    let long = json!({ "code": "x".repeat(9 << 10) });
    host.web
        .post("/api/login", "", &long.to_string())
        .expect(413);
    let asked = format!("GET /api/session HTTP/1.1\r\n{head}{token}\r\n");
    let (answered, refused) = statuses(asked, 500);
    assert!(answered >= 240 && refused > 0, "{answered} {refused}");
    // Another one is not held up by that.
    host.web
        .get("/api/session", &bearer(&host.operator))
        .expect(200);
}
