//! AI clients at standard input and output: what they see, what they may, and what a person has to confirm.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "mcp_client/flood.rs"]
mod flood;
mod rig;

use std::fs;
use std::process::Command;
use std::time::Duration;

use lab::wait_for;
use rig::Rig;
use rig::bus::{Who, as_who};
use rig::daemon::Daemon;
use rig::mcp::Client;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const VIOLA: Who = Who {
    uid: 60_002,
    groups: "60000",
};
/// How long the declared command sleeps: so that its process can be told from others.
const NAP: &str = "4242";

/// A host with a daemon.
struct Host {
    rig: Rig,
    daemon: Daemon,
}

impl Host {
    fn new(containers: usize) -> Option<Self> {
        let rig = match containers {
            0 => Rig::storage(256)?,
            _ => Rig::with_lxc(512)?,
        };
        let section = match containers {
            0 => "",
            _ => "  lxc: {templates: {busybox: {recipe: busybox}}, containers: {}}\n",
        };
        viola(&rig);
        rig.declare(section);
        rig.apply();
        for number in 0..containers {
            let arguments = json!({
                "name": format!("c{number}"), "template": "busybox", "network": "none", "stopped": true,
            });
            rig.json(&["tool", "call", "container_create", &arguments.to_string()])
                .expect(0);
        }
        let access = format!(
            "reconcile: observe\naccess:\n  viewer: {{users: [viola]}}\n  commands: {{nap: [/bin/sleep, \"{NAP}\"]}}\n"
        );
        rig.declare_top(&access, section);
        let daemon = Daemon::start(&rig);
        Some(Self { rig, daemon })
    }

    /// `op-dbus mcp` through the daemon.
    fn mcp(&self, options: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_op-dbus"));
        command
            .arg("mcp")
            .arg("--socket")
            .arg(&self.daemon.jsonrpc)
            .args(options);
        command
    }

    fn container(&self, name: &str) -> bool {
        self.rig
            .base
            .join("@containers")
            .join(name)
            .join("rootfs")
            .exists()
    }

    fn entries(&self, operation: &str) -> Vec<Value> {
        self.rig.ledger(&["--operation", operation])
    }
}

/// Makes viola known to this machine.
fn viola(rig: &Rig) {
    for (file, line) in [
        ("passwd", "viola:x:60002:60002::/:/bin/false\n"),
        ("group", "opdbus:x:60000:\n"),
    ] {
        let place = format!("/etc/{file}");
        let text: String = fs::read_to_string(&place)
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with("opdbus:"))
            .map(|line| format!("{line}\n"))
            .collect();
        let own = rig.machine.dir().join(file);
        fs::write(&own, text + line).unwrap();
        lab::run("mount", &["--bind", own.to_str().unwrap(), &place]);
    }
}

fn code(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result:#}");
    result["_meta"]["org.opdbus/error"]["code"]
        .as_str()
        .expect("a code")
}

fn names(list: &Value) -> Vec<&str> {
    let tools = list["result"]["tools"].as_array().expect("tools");
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

/// Whether the declared command runs.
fn naps() -> bool {
    lab::output("pgrep", &["-f", &format!("^/bin/sleep {NAP}$")])
        .status
        .success()
}

#[test]
fn a_client_of_either_era_lists_reads_and_calls() {
    let Some(host) = Host::new(0) else { return };
    let mut old = Client::session(host.mcp(&["--profile", "sysadmin"]), json!({}));
    let mut new = Client::stateless(host.mcp(&["--profile", "sysadmin"]), json!({}));
    let discovered = new.request("server/discover", json!({}));
    assert_eq!(
        discovered["result"]["resultType"], "complete",
        "{discovered:#}"
    );
    for client in [&mut old, &mut new] {
        let list = client.request("tools/list", json!({}));
        assert!(names(&list).contains(&"state_apply") && names(&list).is_sorted());
        let tools = list["result"]["tools"].as_array().unwrap();
        let apply = tools
            .iter()
            .find(|tool| tool["name"] == "state_apply")
            .unwrap();
        assert_eq!(apply["annotations"]["readOnlyHint"], false);
        assert_eq!(apply["annotations"]["destructiveHint"], false);
        assert_eq!(
            apply["inputSchema"]["properties"]["dry_run"]["type"],
            "boolean"
        );

        let status = client.call("state_status", json!({}));
        assert_eq!(status["isError"], false, "{status:#}");
        let text = status["content"][0]["text"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(text).unwrap(),
            status["structuredContent"]
        );

        let plan = client.call("state_apply", json!({ "dry_run": true }));
        assert_eq!(plan["structuredContent"]["changes"], json!([]), "{plan:#}");
        let wrong = client.call("state_apply", json!({ "nope": 1 }));
        assert_eq!(code(&wrong), "invalid");

        let entry = client.request("resources/read", json!({ "uri": "ledger://latest" }));
        let text = entry["result"]["contents"][0]["text"]
            .as_str()
            .expect("an entry");
        assert!(
            serde_json::from_str::<Value>(text).unwrap()["id"].is_number(),
            "{text}"
        );
        let prompt = json!({ "name": "find_why_unit_fails", "arguments": { "unit": "x.service" } });
        let prompt = client.request("prompts/get", prompt);
        let text = &prompt["result"]["messages"][0]["content"]["text"];
        assert!(text.as_str().unwrap().contains("`x.service`"));
        let asked = json!({
            "ref": { "type": "ref/resource", "uri": "state://query/{plugin}" },
            "argument": { "name": "plugin", "value": "bt" },
        });
        let values = client.request("completion/complete", asked);
        assert_eq!(values["result"]["completion"]["values"], json!(["btrfs"]));

        for (method, params) in [
            ("tools/call", json!({ "name": "nope" })),
            ("tools/list", json!({ "cursor": "at-3" })),
            ("prompts/get", json!({ "name": "find_why_unit_fails" })),
        ] {
            assert_eq!(
                client.request(method, params)["error"]["code"],
                -32602,
                "{method}"
            );
        }
    }
    let missing = json!({ "uri": "ledger://no" });
    assert_eq!(
        old.request("resources/read", missing.clone())["error"]["code"],
        -32002
    );
    assert_eq!(
        new.request("resources/read", missing)["error"]["code"],
        -32602
    );
    assert!(new.request("tools/list", json!({}))["result"]["ttlMs"].is_number());
    assert!(old.end().success() && new.end().success());
}

#[test]
fn nonsense_is_survived_and_the_era_is_the_first_requests() {
    let Some(host) = Host::new(0) else { return };
    let mut client = Client::spawn(host.mcp(&["--compact"]));
    client.send_line(b"garbage {{{");
    client.send_line(b"\xff\xfe\x00");
    client.send_line(&vec![b'x'; 20 << 20]);
    client.speak_stateless(json!({}));
    let discovered = client.request("server/discover", json!({}));
    let versions = discovered["result"]["supportedVersions"]
        .as_array()
        .unwrap();
    assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2025-11-25")));
    // Who only looked may still begin a session.
    let about = client.initialize(json!({}));
    assert_eq!(about["protocolVersion"], "2025-11-25");
    let list = client.request("tools/list", json!({}));
    assert_eq!(
        names(&list),
        ["tool_search", "tool_describe", "tool_execute", "tool_batch"]
    );
    let size = list["result"].to_string().len();
    assert!(size < 8000, "the list of compact mode has {size} bytes");
    client.send_line(&vec![b'x'; 20 << 20]);
    let found = client.call(
        "tool_search",
        json!({ "query": "where does the host differ" }),
    );
    assert_eq!(found["isError"], false, "{found:#}");
    assert!(client.end().success());
}

#[test]
fn with_a_session_the_server_asks_a_person() {
    let Some(host) = Host::new(4) else { return };
    let can_ask = json!({ "elicitation": {} });
    let mut client = Client::session(host.mcp(&["--groups", "containers"]), can_ask.clone());
    let no = [
        json!({ "action": "decline" }),
        json!({ "action": "cancel", "content": { "apply": true } }),
        json!({ "action": "accept", "content": { "apply": false } }),
    ];
    for answer in no {
        client.answer = Some(answer);
        let refused = client.call("container_destroy", json!({ "name": "c0" }));
        assert_eq!(code(&refused), "refused");
    }
    let question = client.told.last().unwrap()["params"]["message"]
        .as_str()
        .unwrap();
    assert!(question.contains("delete lxc/container:c0"), "{question}");
    for smuggled in ["plan", "confirm", "apply"] {
        let smuggled = json!({ "name": "c0", smuggled: true });
        assert_eq!(code(&client.call("container_destroy", smuggled)), "invalid");
    }
    client.answer = Some(json!({ "action": "accept", "content": { "apply": true } }));
    let shown = client.call(
        "container_destroy",
        json!({ "name": "c0", "dry_run": true }),
    );
    assert!(
        shown["structuredContent"]["plan_hash"].is_string(),
        "{shown:#}"
    );
    assert!(host.container("c0"));
    let done = client.call("container_destroy", json!({ "name": "c0" }));
    assert_eq!(done["isError"], false, "{done:#}");
    assert!(!host.container("c0"));
    let entry = host.entries("container_destroy").pop().unwrap();
    assert_eq!(entry["metadata"]["outcome"], "done", "{entry:#}");
    assert_eq!(entry["metadata"]["actor"]["door"], "mcp");

    // Compact mode asks the same.
    let mut compact = Client::session(host.mcp(&["--profile", "full"]), can_ask);
    compact.answer = Some(json!({ "action": "decline" }));
    let asked = json!({ "name": "container_destroy", "arguments": { "name": "c1" } });
    assert_eq!(
        code(&compact.call("tool_execute", asked.clone())),
        "refused"
    );
    assert!(host.container("c1"));
    compact.answer = Some(json!({ "action": "accept", "content": { "apply": true } }));
    assert_eq!(compact.call("tool_execute", asked)["isError"], false);
    assert!(!host.container("c1"));

    // Who cannot ask is not waved through.
    for (capabilities, name) in [
        (json!({}), "c2"),
        (json!({ "elicitation": { "url": {} } }), "c3"),
    ] {
        let mut mute = Client::session(host.mcp(&["--profile", "developer"]), capabilities);
        let refused = mute.call("container_destroy", json!({ "name": name }));
        assert_eq!(code(&refused), "unconfirmed");
        assert!(mute.told.is_empty() && host.container(name));
    }
}

#[test]
fn what_destroys_is_no_task_of_a_client_that_cannot_be_asked() {
    let Some(host) = Host::new(0) else { return };
    let mut mute = Client::session(host.mcp(&["--groups", "tasks"]), json!({}));
    let task = json!({
        "operation": "dbus_packagekit_remove_packages", "arguments": { "packages": ["busybox-static"] },
        "plan": "0123456789abcdef",
    });
    let refused = mute.call("task_submit", task);
    assert_eq!(code(&refused), "refused");
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("a person can be asked"), "{text}");
    let tasks = mute.call("task_list", json!({}));
    assert_eq!(tasks["structuredContent"]["tasks"], json!([]), "{tasks:#}");
    let entry = host.entries("task_submit").pop().unwrap();
    assert_eq!(entry["metadata"]["outcome"], "refused", "{entry:#}");
    // What does not destroy is one.
    let task = mute.call("task_submit", json!({ "operation": "host_info" }));
    assert_eq!(task["isError"], false, "{task:#}");
}

#[test]
fn without_a_session_the_call_comes_again_with_the_answer() {
    let Some(host) = Host::new(3) else { return };
    let can_ask = json!({ "elicitation": { "form": {} } });
    let mut client = Client::stateless(host.mcp(&["--groups", "containers"]), can_ask);
    let call = |name: &str| json!({ "name": "container_destroy", "arguments": { "name": name } });
    let again = |name: &str, state: &Value, answer: Value| {
        let mut params = call(name);
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({ "confirm": answer });
        params
    };
    let yes = || json!({ "action": "accept", "content": { "apply": true } });
    let asked = client.request("tools/call", call("c0"))["result"].take();
    assert_eq!(asked["resultType"], "input_required", "{asked:#}");
    let question = &asked["inputRequests"]["confirm"];
    assert_eq!(question["method"], "elicitation/create");
    let state = asked["requestState"].clone();

    // Another call, a changed state, and an answer without a question are none.
    let mut forged = state.as_str().unwrap().to_owned();
    forged.push('x');
    for params in [
        again("c1", &state, yes()),
        again("c0", &json!(forged), yes()),
    ] {
        assert_eq!(
            client.request("tools/call", params)["error"]["code"],
            -32602
        );
    }
    let mut unasked = call("c0");
    unasked["inputResponses"] = json!({ "confirm": yes() });
    let unasked = client.request("tools/call", unasked);
    assert_eq!(unasked["result"]["resultType"], "input_required");
    let mut unanswered = again("c0", &state, yes());
    unanswered["inputResponses"] = json!({});
    let unanswered = client.request("tools/call", unanswered);
    assert_eq!(unanswered["result"]["resultType"], "input_required");
    assert!(host.container("c0") && host.container("c1"));

    let done = client.request("tools/call", again("c0", &state, yes()))["result"].take();
    assert_eq!(done["isError"], false, "{done:#}");
    assert!(!host.container("c0"));
    let twice = client.request("tools/call", again("c0", &state, yes()));
    assert_eq!(twice["error"]["code"], -32602, "{twice:#}");

    let asked = client.request("tools/call", call("c1"))["result"].take();
    let no = again("c1", &asked["requestState"], json!({ "action": "decline" }));
    assert_eq!(code(&client.request("tools/call", no)["result"]), "refused");
    let mut mute = Client::stateless(host.mcp(&["--groups", "containers"]), json!({}));
    let refused = mute.request("tools/call", call("c2"))["result"].take();
    assert_eq!(code(&refused), "unconfirmed");
    assert!(host.container("c1") && host.container("c2"));
}

#[test]
fn who_may_only_look_changes_nothing_and_is_recorded() {
    let Some(host) = Host::new(0) else { return };
    let mut command = as_who(VIOLA, env!("CARGO_BIN_EXE_op-dbus"));
    command
        .arg("mcp")
        .arg("--socket")
        .arg(&host.daemon.jsonrpc)
        .args(["--profile", "sysadmin"]);
    let mut client = Client::session(command, json!({ "elicitation": {} }));
    assert_eq!(client.call("state_status", json!({}))["isError"], false);
    let before = host.entries("state_apply").len();
    let refused = client.call("state_apply", json!({}));
    assert_eq!(code(&refused), "refused");
    let entries = host.entries("state_apply");
    assert_eq!(entries.len(), before + 1);
    let entry = entries.last().unwrap();
    assert_eq!(entry["metadata"]["outcome"], "refused");
    assert_eq!(
        entry["metadata"]["actor"],
        json!({ "uid": VIOLA.uid, "name": "viola", "door": "mcp" })
    );
}

#[test]
fn a_call_can_be_taken_back_and_ends_with_the_client() {
    let Some(host) = Host::new(0) else { return };
    let nap = json!({ "name": "command_run", "arguments": { "name": "nap" } });
    let mut client = Client::session(host.mcp(&["--groups", "commands"]), json!({}));
    let id = client.begin("tools/call", nap.clone());
    wait_for("the command", SOON, || naps().then_some(()));
    client.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id },
    }));
    wait_for("the end of the command", SOON, || (!naps()).then_some(()));
    // What was taken back is not answered; the next one is.
    let list = client.request("tools/list", json!({}));
    assert_eq!(names(&list), ["command_list", "command_run"]);

    client.begin("tools/call", nap);
    wait_for("the command", SOON, || naps().then_some(()));
    assert!(client.end().success());
    wait_for("the end of the command", SOON, || (!naps()).then_some(()));
}

#[test]
fn without_a_daemon_root_is_served_in_the_process() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    let mut command = rig.command(&["mcp", "--profile", "sysadmin"]);
    command.env("JOURNAL_STREAM", "");
    let mut client = Client::session(command, json!({}));
    let params = json!({
        "name": "state_apply", "arguments": {}, "_meta": { "progressToken": "p" },
    });
    let applied = client.request("tools/call", params);
    assert_eq!(applied["result"]["isError"], false, "{applied:#}");
    let progress: Vec<f64> = client
        .told
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| message["params"]["progress"].as_f64().unwrap())
        .collect();
    assert!(
        progress.len() > 1 && progress.is_sorted_by(|one, next| one < next),
        "{progress:?}"
    );
    assert!(client.end().success());
    rig.assert_converged();
}

#[test]
fn objects_of_the_bus_are_resources_whose_names_are_completed() {
    let Some(rig) = Rig::storage(256) else { return };
    let Some(_bus) = rig.machine.system_bus() else {
        return;
    };
    rig.declare("");
    let mut client = Client::stateless(rig.command(&["mcp"]), json!({}));
    let uri = "dbus://system/org.freedesktop.DBus/org/freedesktop/DBus";
    let read = client.request("resources/read", json!({ "uri": uri }));
    let text = read["result"]["contents"][0]["text"].as_str();
    let object: Value = serde_json::from_str(text.unwrap_or_else(|| panic!("{read:#}"))).unwrap();
    let object = &object["objects"][0];
    assert_eq!(object["path"], "/org/freedesktop/DBus", "{read:#}");
    assert!(
        object["interfaces"]
            .as_array()
            .unwrap()
            .contains(&json!("org.freedesktop.DBus"))
    );
    let completed = client.request(
        "completion/complete",
        json!({
            "ref": { "type": "ref/resource", "uri": "dbus://system/{service}/{+path}" },
            "argument": { "name": "service", "value": "org.free" },
        }),
    );
    assert_eq!(
        completed["result"]["completion"]["values"],
        json!(["org.freedesktop.DBus"]),
        "{completed:#}"
    );
    let away = client.request(
        "resources/read",
        json!({ "uri": "dbus://system/org.example.Away/" }),
    );
    assert!(away["error"]["message"].is_string(), "{away:#}");
}

#[test]
fn a_flood_that_nobody_reads_the_answers_of_takes_little_memory() {
    let Some(host) = Host::new(0) else { return };
    flood::assert_bounded(&mut host.mcp(&["--compact"]), "tools/list");
}
