//! The chat at its door: a real daemon, a real web server, and clients of `/ws`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client;
mod days;
mod ends;
#[path = "../../../llm/tests/fake/mod.rs"]
mod fake;
mod mesh;
mod model;
#[path = "../rig/mod.rs"]
mod rig;
mod windows;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use client::Client;
use rig::Rig;
use rig::daemon::Daemon;
use rig::web::{Web, make_token};
use serde_json::{Value, json};

/// A host with a template and a bridge, its daemon and its web server.
struct Host {
    web: Web,
    daemon: Daemon,
    admin: String,
    viewer: String,
    rig: Rig,
}

impl Host {
    fn with_lxc() -> Option<Self> {
        let rig = Rig::with_lxc(1024)?;
        let run_dir = rig.ovs().run_dir().display().to_string();
        let sections = format!(
            "  ovs:\n    run_dir: {run_dir}\n    bridges:\n      br0: {{datapath: netdev, addresses: [10.7.0.1/24]}}\n\
             \x20 openflow:\n    bridges:\n      br0: {{standard_tables: true}}\n\
             \x20 lxc:\n    templates:\n      debian-base: {{recipe: busybox}}\n    containers: {{}}\n"
        );
        Some(Self::of(rig, &sections))
    }

    fn plain() -> Option<Self> {
        Some(Self::of(Rig::storage(256)?, ""))
    }

    fn of(rig: Rig, sections: &str) -> Self {
        Self::with(rig, sections, &["--no-bus"])
    }

    fn with(rig: Rig, sections: &str, options: &[&str]) -> Self {
        Self::declaring(rig, "", sections, options)
    }

    /// The same with keys beside `plugins` and `web`.
    fn declaring(rig: Rig, keys: &str, sections: &str, options: &[&str]) -> Self {
        let (admin, administering) = make_token(&rig, "admin", "mcp:destroy");
        let (viewer, viewing) = make_token(&rig, "viewer", "mcp:read");
        rig.declare(sections);
        rig.apply();
        rig.declare_top(
            &format!("{keys}web:\n  tokens:\n{administering}{viewing}"),
            sections,
        );
        for (path, mode) in [
            (rig.machine.dir().to_owned(), 0o755),
            (rig.file.clone(), 0o644),
        ] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let daemon = Daemon::start_with(&rig, options, |_| {});
        open(&daemon);
        let web = start_web(&rig, &daemon);
        Self {
            web,
            daemon,
            admin,
            viewer,
            rig,
        }
    }
}

/// A web server that keeps its history beside the rig's files.
fn start_web(rig: &Rig, daemon: &Daemon) -> Web {
    let state = rig.machine.dir().join("web-state");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    Web::start_with(rig, daemon, |command| {
        command.arg("--state").arg(&state);
    })
}

fn open(daemon: &Daemon) {
    let mode = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&daemon.jsonrpc, mode).unwrap();
}

#[test]
fn a_container_is_made_found_and_destroyed_by_sentences() {
    let Some(host) = Host::with_lxc() else { return };
    // It is asked below what was made today.
    days::not_around_midnight();
    let mut chat = Client::new(&host.web, &host.admin);
    let mut other = Client::new(&host.web, &host.admin);
    assert_eq!(chat.of("hello")["user"], "token:admin");
    other.send(&json!({ "type": "watch", "topics": ["containers", "topology"] }));

    let made = chat.carry_out(
        "create container web-01 from debian-base with socket networking",
        None,
    );
    assert_eq!(made["status"], "done", "{made:#}");
    let entry = made["entry"].as_i64().expect("its entry");
    let kept = host.rig.ledger(&["--operation", "container_create"]);
    let kept = kept
        .iter()
        .find(|kept| kept["id"] == entry)
        .expect("it in the ledger");
    assert_eq!(kept["metadata"]["actor"]["door"], "web");

    // The other browser saw all of it, and sees the container in both topics.
    other.until("the plan", |event| event["type"] == "plan");
    other.until("it in the topology", |event| {
        event["topic"] == "topology" && event["value"].to_string().contains("container:web-01")
    });

    chat.say("show me all containers");
    let listed = chat.done("container_list");
    assert_eq!(listed["answer"]["rows"][0]["name"], "web-01", "{listed:#}");
    // None was, and the answer says what was looked for; today one was.
    chat.say("what containers were created yesterday?");
    assert_eq!(chat.done("search")["status"], "done");
    chat.say("what containers were created today?");
    let found = chat.done("search");
    assert!(found["answer"].to_string().contains("web-01"), "{found:#}");
    chat.say("status of systemd services");
    chat.done("systemd_list_units");
    // There is no mesh on this host, and still it is known what is wanted.
    let wish = "create debian container named db-01 with netmaker mesh";
    chat.send(&json!({ "type": "message", "id": "db", "content": wish }));
    let asked = chat.until("the wish", |event| {
        event["type"] != "user" && event["in_reply_to"] == "db"
    });
    assert_eq!(
        asked["tools_used"],
        json!(["container_create"]),
        "{asked:#}"
    );

    chat.say("destroy container web-01");
    let plan = chat.until("the plan", |event| {
        event["type"] == "plan" && event["tool"] == "container_destroy"
    });
    assert_eq!(plan["confirm_name"], "web-01");
    chat.send(&json!({ "type": "approve", "plan": plan["plan"] }));
    assert_eq!(chat.of("error")["code"], "wrong-name");
    chat.send(&json!({ "type": "approve", "plan": plan["plan"], "name": "web-01" }));
    let gone = chat.done("container_destroy");
    assert_eq!(gone["status"], "done", "{gone:#}");
    chat.send(&json!({ "type": "approve", "plan": plan["plan"], "name": "web-01" }));
    assert_eq!(chat.of("error")["code"], "decided");
}

#[test]
fn who_comes_back_misses_nothing() {
    let Some(mut host) = Host::plain() else {
        return;
    };
    let mut chat = Client::new(&host.web, &host.admin);
    chat.send(&json!({ "type": "message", "id": "m1", "content": "list containers" }));
    let said = chat.until("an answer", |event| {
        event["in_reply_to"] == "m1" && event["type"] != "tool"
    });
    let (begun, seq) = (
        chat.seen
            .iter()
            .find(|event| event["type"] == "user")
            .unwrap()["seq"]
            .clone(),
        chat.seq,
    );
    drop(chat);
    let mut again = Client::after(&host.web, &host.admin, begun.as_u64().unwrap());
    assert_eq!(again.of("hello")["resumed"], true);
    let missed = again.until("the answer", |event| {
        event["in_reply_to"] == "m1" && event["type"] != "tool"
    });
    assert_eq!(missed, said);
    assert_eq!(again.seq, seq);

    // The daemon goes and comes; the connection stays.
    host.daemon.terminate();
    again.say("list containers");
    again.until("that it is away", |event| {
        event["type"] == "error" || event["status"] == "failed"
    });
    host.daemon = Daemon::start(&host.rig);
    open(&host.daemon);
    again.say("host info");
    let told = again.until("an answer", |event| {
        event["type"] == "tool" && event["status"] == "done"
    });
    assert_eq!(told["tool"], "host_info");
}

#[test]
fn who_may_not_is_told_so() {
    let Some(host) = Host::plain() else { return };
    // A browser without an origin is none; a program has a token.
    assert_eq!(Client::with(&host.web, "", &[]).err(), Some(403));
    let wrong = [("Authorization", "Bearer opdbus_wrong")];
    assert_eq!(Client::with(&host.web, "", &wrong).err(), Some(401));
    let bearer = format!("Bearer {}", host.viewer);
    let foreign = [
        ("Origin", "https://evil.example"),
        ("Cookie", "opdbus_access=x"),
    ];
    assert_eq!(Client::with(&host.web, "", &foreign).err(), Some(403));
    assert_eq!(
        Client::with(&host.web, "?after=x", &[("Authorization", &bearer)]).err(),
        Some(400)
    );
    let mut viewer = Client::new(&host.web, &host.viewer);
    let before = host.rig.ledger(&[]).len();
    viewer.say("set hostname to evil");
    viewer.until("a refusal", |event| {
        event["type"] == "error" || event["type"] == "assistant"
    });
    assert!(
        viewer.seen.iter().all(|event| event["type"] != "plan"),
        "{:#?}",
        viewer.seen
    );
    assert_eq!(host.rig.ledger(&[]).len(), before);
    for wrong in ["{\"type\":\"nothing\"}", "{}", " "] {
        viewer.say(wrong);
        assert_eq!(viewer.of("error")["code"], "invalid");
    }
    for _ in 0..200 {
        viewer.say("{\"type\":\"ping\"}");
    }
    assert_eq!(viewer.of("error")["code"], "rate-limited");
    viewer.say(&"x".repeat(70_000));
    assert_eq!(viewer.end(), 1009);
    // Else it would give its place back in the middle of what follows.
    drop(viewer);
    let come = || Client::with(&host.web, "", &[("Authorization", &bearer)]);
    for _ in 0..20 {
        // Those that are dropped give their place back, each when the server has seen that it is gone.
        lab::wait_for("a place", Duration::from_secs(60), || come().ok());
    }
    let many: Vec<_> = (0..17).map(|_| come()).collect();
    assert_eq!(many.last().unwrap().as_ref().err(), Some(&429));
}

#[test]
fn a_token_that_was_taken_back_ends_its_connections() {
    let Some(host) = Host::plain() else { return };
    let mut viewer = Client::new(&host.web, &host.viewer);
    let mut admin = Client::new(&host.web, &host.admin);
    for client in [&mut viewer, &mut admin] {
        client.of("hello");
        client.send(&json!({ "type": "watch", "topics": ["host"] }));
        client.of("state");
    }
    std::fs::remove_file(host.rig.machine.dir().join("token-viewer")).unwrap();
    // The other one goes on to watch, and what it is told is not told here.
    let end = loop {
        if let Err(code) = viewer.next() {
            break code;
        }
    };
    assert_eq!(end, 4401);
    admin.say("{\"type\":\"ping\"}");
    admin.of("pong");
}
