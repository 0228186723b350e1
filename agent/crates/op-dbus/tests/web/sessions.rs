//! Logging in, and what a session is good for.

use super::browser::{Browser, code, socket, upgrade};
use super::*;

#[test]
fn a_link_logs_in_once_and_leaves_one_entry() {
    let Some(host) = Host::new() else { return };
    let code = code(&host, "operator");
    let mut browser = Browser::new(&host.web);
    browser.get("/api/session").expect(401);
    for wrong in [json!({ "code": "x" }), json!({ "code": &code[1..] })] {
        browser.post("/api/login", &wrong).expect(401);
    }
    for odd in [json!({}), json!({ "code": 7 }), json!([])] {
        browser.post("/api/login", &odd).expect(422);
    }
    let entered = browser
        .post("/api/login", &json!({ "code": code }))
        .expect(200);
    let cookies: Vec<_> = entered.head.lines().collect();
    let cookies = cookies.iter().filter(|line| line.starts_with("set-cookie"));
    let cookies: Vec<_> = cookies.collect();
    assert_eq!(cookies.len(), 2, "{entered:#?}");
    for cookie in cookies {
        assert!(
            cookie.contains("httponly") && cookie.contains("samesite=strict"),
            "{cookie}"
        );
    }
    assert!(entered.head.contains("path=/api/session;"));
    // No token is in what scripts of the page can read.
    let tokens: Vec<_> = browser.cookies.values().cloned().collect();
    assert!(
        tokens.iter().all(|token| !entered.body.contains(token)),
        "{entered:#?}"
    );
    let who = browser.get("/api/session").expect(200).json();
    assert_eq!(
        (&who["user"], &who["role"]),
        (&json!("root"), &json!("operator"))
    );
    // It was used up.
    Browser::new(&host.web)
        .post("/api/login", &json!({ "code": code }))
        .expect(401);
    // Less than one has is to be had, and more is not.
    host.rig.run(&["web", "login", "--role", "owner"]).expect(2);

    let entries = host.rig.ledger(&["--operation", "web_login"]);
    assert_eq!(entries.len(), 1, "{entries:#?}");
    let data = &entries[0]["metadata"];
    let actor = json!({ "uid": 0, "name": "root", "door": "web" });
    assert_eq!(data["actor"], actor, "{data}");
    assert_eq!(data["role"], "operator");
    let kept = std::fs::read_to_string(host.rig.base.join("keys/sessions.json")).unwrap();
    let daemon = std::fs::read_to_string(host.rig.machine.dir().join("daemon.log")).unwrap();
    for text in [
        json!(host.rig.ledger(&[])).to_string(),
        host.web.said(),
        daemon,
        kept,
    ] {
        assert!(!text.contains(&code), "{text}");
        assert!(tokens.iter().all(|token| !text.contains(token)), "{text}");
    }
    for name in ["session.key", "sessions.json"] {
        let file = host.rig.base.join("keys").join(name);
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        let others = std::fs::metadata(host.rig.base.join("keys")).unwrap();
        assert!(
            mode & 0o077 == 0 || others.permissions().mode() & 0o077 == 0,
            "{name}: {mode:o}"
        );
    }
}

#[test]
fn a_cookie_that_comes_twice_opens_nothing() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let browser = Browser::logged_in(&host, "viewer");
    let cookie = browser.cookie();
    web.get("/api/session", &cookie).expect(200);
    // Of a neighbour's port, for a longer path: it would come first.
    let other = "Cookie: opdbus_access=x\r\n";
    for headers in [format!("{other}{cookie}"), format!("{cookie}{other}")] {
        let refused = web.get("/api/session", &headers).expect(401);
        assert!(refused.body.contains("came twice"), "{refused:#?}");
        let origin = format!("Origin: http://{}\r\n", web.address);
        assert_eq!(socket(web, &format!("{headers}{origin}")), 401);
    }
    let origin = format!("Origin: http://{}\r\n", web.address);
    let twice = format!("{cookie}{origin}Cookie: opdbus_refresh=x\r\n");
    web.post("/api/session", &twice, "").expect(401);
    web.get("/api/session", &cookie).expect(200);
}

#[test]
fn other_pages_do_nothing_with_the_cookie() {
    let Some(host) = Host::new() else { return };
    let web = &host.web;
    let browser = Browser::logged_in(&host, "admin");
    let cookie = browser.cookie();
    let path = "/api/tools/state_apply";
    host.damage();
    let own = format!("http://{}", web.address);
    for origin in [
        "",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:9999\r\n",
        "Origin: http://localhost:8089\r\n",
        "Origin: https://127.0.0.1:8089\r\n",
        "Origin: https://evil.example\r\n",
        // Declared for programs; the page is another one.
        "Origin: https://chat.example.org\r\n",
        &format!("Origin: {own}\r\nSec-Fetch-Site: cross-site\r\n"),
        &format!("Origin: {own}\r\nSec-Fetch-Site: same-site\r\n"),
    ] {
        web.post(path, &format!("{cookie}{origin}"), "{}")
            .expect(403);
        let refused = socket(web, &format!("{cookie}{origin}"));
        assert_eq!(refused, 403, "{origin}");
        // Nor does one log its visitor in as somebody else.
        if !origin.is_empty() {
            web.post("/api/login", origin, "{\"code\":\"x\"}")
                .expect(403);
        }
    }
    // What a form can send is not taken, even from the page itself.
    let form = format!(
        "POST {path} HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n{cookie}Origin: {own}\r\n\
         Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}",
        web.address
    );
    web.raw(form.as_bytes()).expect(415);
    for site in ["cross-site", "same-site"] {
        let headers = format!("{cookie}Sec-Fetch-Site: {site}\r\n");
        web.get("/api/tools", &headers).expect(403);
    }
    assert!(!host.rig.base.join("@cache").exists());
    // Other pages are not told that they may read, either.
    let other = format!("{cookie}Origin: https://chat.example.org\r\n");
    let read = web.get("/api/session", &other);
    assert!(!read.head.contains("access-control-allow"), "{read:#?}");
    let preflight = format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nOrigin: http://127.0.0.1:9999\r\n\r\n",
        web.address
    );
    web.raw(preflight.as_bytes()).expect(405);

    let good = format!("{cookie}Origin: {own}\r\nSec-Fetch-Site: same-origin\r\n");
    web.post(path, &good, "{}").expect(200);
    assert!(host.rig.base.join("@cache").exists());
    assert_eq!(socket(web, &good), 101);
    assert_eq!(socket(web, &format!("Origin: {own}\r\n")), 401);
    assert_eq!(socket(web, &bearer(&host.viewer)), 101);
}

#[test]
fn a_session_gives_no_more_than_it_was_begun_with() {
    let Some(host) = Host::new() else { return };
    host.damage();
    let mut viewer = Browser::logged_in(&host, "viewer");
    let refused = viewer
        .post("/api/tools/state_apply", &Value::Null)
        .expect(403);
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "refused", "{error}");
    assert!(
        error["message"].to_string().contains("begun as viewer"),
        "{error}"
    );
    assert!(!host.rig.base.join("@cache").exists());
    viewer.get("/api/status").expect(200);

    // A declared token begins a session too, with its own scopes, as long as it is declared.
    let mut owner = Browser::new(&host.web);
    owner
        .post("/api/login", &json!({ "token": "opdbus_wrong" }))
        .expect(401);
    let token = json!({ "token": host.operator });
    owner.post("/api/login", &token).expect(200);
    let who = owner.get("/api/session").expect(200).json();
    assert_eq!(
        (&who["user"], &who["role"]),
        (&json!("token:operator"), &json!("operator"))
    );
    owner
        .post("/api/tools/state_apply", &Value::Null)
        .expect(200);
    let entries = host.rig.ledger(&["--operation", "state_apply"]);
    let of = |name: &str, outcome: &str| {
        entries.iter().any(|entry| {
            let data = &entry["metadata"];
            data["actor"]["name"] == name
                && data["actor"]["door"] == "web"
                && data["outcome"] == outcome
        })
    };
    assert!(
        of("root", "refused") && of("token:operator", "done"),
        "{entries:#?}"
    );
    // Another secret in the file: the session of the old one is over.
    let file = host.rig.machine.dir().join("token-operator");
    std::fs::write(&file, "opdbus_another-secret-of-32-characters-or-more").unwrap();
    owner.get("/api/session").expect(401);
    owner.post("/api/session", &Value::Null).expect(401);
    // What is no session's cannot open one for somebody else.
    let mut python = Browser::new(&host.web);
    python.cookies = viewer.cookies.clone();
    python.cookies.insert(
        "opdbus_access".into(),
        "opdbus_s.AAAA.9999999999.AAAA".into(),
    );
    python.get("/api/session").expect(401);
}

#[test]
fn refresh_tokens_are_used_once_and_a_copy_ends_the_session() {
    let Some(host) = Host::new() else { return };
    let mut browser = Browser::logged_in(&host, "viewer");
    let first = browser.cookies.clone();
    browser.post("/api/session", &Value::Null).expect(200);
    assert_ne!(browser.cookies["opdbus_refresh"], first["opdbus_refresh"]);
    // A second tab was on its way with the same one.
    let mut tab = Browser::new(&host.web);
    tab.cookies = first.clone();
    tab.post("/api/session", &Value::Null).expect(200);
    assert_eq!(
        tab.cookies["opdbus_refresh"],
        browser.cookies["opdbus_refresh"]
    );
    browser.post("/api/session", &Value::Null).expect(200);
    browser.get("/api/session").expect(200);
    // Somebody kept a copy of the first.
    let mut thief = Browser::new(&host.web);
    thief.cookies = first;
    thief.post("/api/session", &Value::Null).expect(401);
    browser.get("/api/session").expect(401);
    browser.post("/api/session", &Value::Null).expect(401);
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    let ended = host.rig.ledger(&["--operation", "web_session_end"]);
    assert_eq!(ended.len(), 1, "{ended:#?}");
}

#[test]
fn logging_out_ends_it_for_all_who_have_a_copy() {
    let Some(host) = Host::new() else { return };
    let mut browser = Browser::logged_in(&host, "viewer");
    let mut copy = Browser::new(&host.web);
    copy.cookies = browser.cookies.clone();
    copy.get("/api/session").expect(200);
    let own = format!("{}Origin: {}\r\n", copy.cookie(), copy.origin);
    let (status, mut stream) = upgrade(&host.web, &own);
    assert_eq!(status, 101);
    browser.delete("/api/session").expect(200);
    assert!(browser.cookies.is_empty());
    // Connections that are there end too.
    std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    copy.get("/api/session").expect(401);
    copy.post("/api/session", &Value::Null).expect(401);
    browser.delete("/api/session").expect(200);
}

#[test]
fn sessions_outlive_both_processes_and_tokens_their_time_only() {
    let Some(mut host) = Host::with(&["--no-bus", "--access-seconds", "4"]) else {
        return;
    };
    let cookies = Browser::logged_in(&host, "viewer").cookies;
    host.daemon.terminate();
    let mut browser = Browser::new(&host.web);
    browser.cookies = cookies.clone();
    browser.get("/api/session").expect(503);
    browser.post("/api/session", &Value::Null).expect(503);
    host.daemon = Daemon::start_with(&host.rig, &["--no-bus", "--access-seconds", "4"], |_| {});
    open_socket(&host.daemon);
    host.web.terminate();
    host.web = Web::start(&host.rig, &host.daemon);
    let mut browser = Browser::new(&host.web);
    browser.cookies = cookies;
    // The access token ends by itself; the page renews the session, and goes on.
    wait_for("the end of the access token", SOON, || {
        // Who asks more often is told to wait.
        std::thread::sleep(Duration::from_millis(100));
        (browser.get("/api/session").status == 401).then_some(())
    });
    browser.post("/api/session", &Value::Null).expect(200);
    let who = browser.get("/api/session").expect(200).json();
    assert_eq!(who["user"], "root");
}
