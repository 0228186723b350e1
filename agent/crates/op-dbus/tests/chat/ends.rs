//! How connections end, and what is there when their clients come back.

use std::time::{Duration, Instant};

use lab::wait_for;
use serde_json::json;

use super::client::Client;
use super::*;

/// A browser's cookie of a session of root, by a login link.
fn log_in(host: &Host) -> String {
    let made = host.rig.json(&["web", "login", "--role", "viewer"]);
    let url = made.expect(0).json()["url"].as_str().unwrap().to_owned();
    let code = url.split_once('#').unwrap().1;
    let reply = host.web.post(
        "/api/login",
        &origin(host),
        &json!({ "code": code }).to_string(),
    );
    cookies(&reply.expect(200).raw_head)
}

fn cookies(head: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let set = lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let pairs: Vec<_> = set
        .filter_map(|(_, value)| value.split(';').next())
        .collect();
    pairs.join("; ")
}

fn origin(host: &Host) -> String {
    format!("Origin: http://{}\r\n", host.web.address)
}

fn page(host: &Host, cookie: &str) -> Client {
    let origin = format!("http://{}", host.web.address);
    Client::with(&host.web, "", &[("Origin", &origin), ("Cookie", cookie)]).expect("a connection")
}

#[test]
fn a_connection_ends_with_its_session() {
    let Some(rig) = Rig::storage(256) else { return };
    let host = Host::with(rig, "", &["--no-bus", "--access-seconds", "6"]);

    // Who logs out is out at once, in all windows.
    let cookie = log_in(&host);
    let mut windows = [page(&host, &cookie), page(&host, &cookie)];
    assert_eq!(windows[0].of("hello")["user"], "root");
    let headers = format!("Cookie: {cookie}\r\n{}", origin(&host));
    let leave = format!(
        "DELETE /api/session HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
        host.web.address
    );
    let left = host.web.raw(leave.as_bytes());
    assert!((200..300).contains(&left.status), "{left:#?}");
    for window in &mut windows {
        assert_eq!(window.end(), 4401);
    }
    let late = Client::with(
        &host.web,
        "",
        &[
            ("Origin", &format!("http://{}", host.web.address)),
            ("Cookie", &cookie),
        ],
    );
    assert_eq!(late.err(), Some(401));

    // One is renewed until it has outlived its first token, and goes on; then nobody renews it.
    let cookie = log_in(&host);
    let mut kept = page(&host, &cookie);
    kept.of("hello");
    let first = Instant::now();
    let mut last = first;
    let mut cookie = cookie;
    wait_for("the first token is over", Duration::from_secs(60), || {
        // As often as a page would, and not as often as this machine can.
        if last.elapsed() > Duration::from_secs(2) {
            let headers = format!("Cookie: {cookie}\r\n{}", origin(&host));
            let renewed = host.web.post("/api/session", &headers, "").expect(200);
            cookie = cookies(&renewed.raw_head);
            last = Instant::now();
        }
        (first.elapsed() > Duration::from_secs(8)).then_some(())
    });
    kept.send(&json!({ "type": "ping" }));
    kept.of("pong");
    assert_eq!(kept.end(), 4401);
}

#[test]
fn the_end_of_the_server_is_told_to_everybody() {
    let Some(mut host) = Host::plain() else {
        return;
    };
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let mut chat = Client::new(&host.web, &host.admin);
            chat.of("hello");
            chat
        })
        .collect();
    host.web.terminate();
    for mut chat in clients {
        assert_eq!(chat.end(), 1012);
    }
}

#[test]
fn a_restart_keeps_what_was_said() {
    let Some(mut host) = Host::plain() else {
        return;
    };
    let mut chat = Client::new(&host.web, &host.admin);
    let conversation = chat.of("hello")["conversation"].clone();
    chat.send(&json!({ "type": "message", "id": "m1", "content": "show me all containers" }));
    let said = chat.until("an answer", |event| event["type"] == "assistant");
    chat.say("create snapshot before-restart");
    let plan = chat.of("plan");
    let seq = chat.seq;
    host.web.terminate();
    assert_eq!(chat.end(), 1012);

    host.web = start_web(&host.rig, &host.daemon);
    let query = format!("?after=0&conversation={}", conversation.as_str().unwrap());
    let bearer = format!("Bearer {}", host.admin);
    let mut again = Client::with(&host.web, &query, &[("Authorization", &bearer)]).unwrap();
    let hello = again.of("hello");
    assert_eq!(
        (&hello["resumed"], &hello["conversation"]),
        (&json!(true), &conversation)
    );
    assert_eq!(
        again.until("the answer", |event| event["seq"] == said["seq"]),
        said
    );
    // A plan outlives no restart, since what was agreed to has to be what is known.
    let dropped = again.of("approval");
    assert_eq!(
        (&dropped["plan"], &dropped["decision"]),
        (&plan["plan"], &json!("expired"))
    );
    assert!(dropped["seq"].as_u64() > Some(seq));
    again.send(&json!({ "type": "approve", "plan": plan["plan"] }));
    again.of("error");
    // What was said before is not done again, and what is said now is.
    again.send(&json!({ "type": "message", "id": "m1", "content": "show me all containers" }));
    again.send(&json!({ "type": "message", "id": "m2", "content": "show me all containers" }));
    let user = again.until("the message", |event| {
        event["type"] == "user" && event["seq"].as_u64() > Some(seq)
    });
    assert_eq!(user["id"], "m2");
    assert!(
        host.rig
            .ledger(&["--operation", "snapshot_create"])
            .is_empty()
    );
}

#[test]
fn what_others_wrote_is_text_in_every_event() {
    let Some(host) = Host::plain() else { return };
    let evil = "<img src=x onerror=alert(1)>";
    let reason = format!("{evil}<script>alert(2)</script>");
    let made = host
        .rig
        .json(&["snapshot", "create", "odd", "--reason", &reason]);
    made.expect(0);
    let mut chat = Client::new(&host.web, &host.admin);
    chat.of("hello");
    for (sentence, tool) in [
        ("list snapshots", "snapshot_list"),
        ("show snapshot odd", "snapshot_show"),
        ("show the ledger", "ledger_log"),
    ] {
        chat.say(sentence);
        chat.done(tool);
        chat.of("assistant");
    }
    chat.say(&format!("create snapshot {evil}"));
    chat.until("a refusal", |event| {
        ["assistant", "error", "plan"].contains(&event["type"].as_str().unwrap())
    });
    let html = chat.seen.iter().filter_map(|event| event["html"].as_str());
    for html in html {
        assert!(
            !html.contains("<img") && !html.contains("<script"),
            "{html}"
        );
    }
    let told = chat.seen.iter().filter(|event| event["type"] == "tool");
    let told: String = told.map(|event| event["answer"].to_string()).collect();
    assert!(told.contains(evil), "{told}");
}

#[test]
fn what_a_program_wrote_into_the_journal_is_text() {
    let Some(rig) = Rig::storage(256) else { return };
    // What this machine has written itself does not belong to the test.
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/var/log"]);
    let Some(systemd) = rig.machine.systemd() else {
        return;
    };
    let host = Host::of(rig, "");
    // It goes before the machine that it runs on.
    let systemd = systemd;
    let evil = "<img src=x onerror=alert(1)><script>alert(2)</script> [a](javascript:alert(3))";
    let written = systemd.inside(&["systemd-cat", "--identifier", "evil", "echo", evil]);
    assert!(written.status.success(), "{written:?}");
    let words = ["--quiet", "--identifier", "evil", "--output", "cat"];
    wait_for("the line in the journal", Duration::from_secs(30), || {
        let read = lab::output("journalctl", &words).stdout;
        (String::from_utf8_lossy(&read).trim() == evil).then_some(())
    });

    let mut chat = Client::new(&host.web, &host.viewer);
    chat.say("show the journal");
    let told = chat.done("journal_read");
    let rows = told["answer"]["rows"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("no table: {told:#}"));
    assert!(rows.iter().any(|row| row["message"] == evil), "{told:#}");
    chat.of("assistant");
    let html = chat.seen.iter().filter_map(|event| event["html"].as_str());
    for html in html {
        for tag in ["<img", "<script", "<a "] {
            assert!(!html.contains(tag), "{html}");
        }
    }
}
