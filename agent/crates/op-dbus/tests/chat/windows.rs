//! What touches the management path, changed from the chat: shown with its countdown, kept or taken back.

use lab::plug_in;
use serde_json::{Value, json};

use super::client::Client;
use super::*;

/// A host whose default route leads over a link that a bridge is to have.
fn host() -> Option<Host> {
    let rig = Rig::whole(256)?;
    plug_in();
    Some(Host::of(rig, ""))
}

fn declare_uplink(host: &Host) {
    let text = std::fs::read_to_string(&host.rig.file).unwrap();
    std::fs::write(&host.rig.file, text + &host.rig.uplink()).unwrap();
}

/// Agrees to the plan of the declared state; the window that opens.
fn apply(chat: &mut Client) -> Value {
    chat.say("apply the declared state");
    loop {
        let plan = chat.of("plan");
        chat.send(&json!({ "type": "approve", "plan": plan["plan"] }));
        let applied = chat.done("state_apply");
        if applied["status"] == "done" {
            break;
        }
        // The daemon does by itself what is safe of the declaration: the rest of the plan is shown anew.
        assert_eq!(applied["error"]["code"], "plan-changed", "{applied:#}");
    }
    let window = chat.of("window");
    assert!(window["decision"].is_null(), "{window:#}");
    let left = window["seconds_left"].as_u64().unwrap();
    assert!((1..=60).contains(&left), "{window:#}");
    window
}

#[test]
fn a_window_is_shown_and_confirmed_from_the_chat() {
    let Some(host) = host() else { return };
    let mut chat = Client::new(&host.web, &host.admin);
    chat.of("hello");
    declare_uplink(&host);
    let window = apply(&mut chat);
    // Who comes later sees it too.
    let mut late = Client::new(&host.web, &host.admin);
    assert_eq!(late.of("hello")["window"]["run"], window["run"]);
    chat.send(&json!({ "type": "confirm" }));
    assert_eq!(chat.done("state_confirm")["status"], "done");
    for client in [&mut chat, &mut late] {
        let kept = client.until("the end", |event| {
            event["type"] == "window" && !event["decision"].is_null()
        });
        assert_eq!(
            (&kept["decision"], &kept["run"]),
            (&json!("confirmed"), &window["run"])
        );
    }
    assert_eq!(host.rig.ovs().bridges(), "br0");
    let mut later = Client::new(&host.web, &host.admin);
    assert!(later.of("hello")["window"].is_null());
}

#[test]
fn a_window_that_is_not_kept_is_taken_back() {
    let Some(host) = host() else { return };
    let mut chat = Client::new(&host.web, &host.admin);
    chat.of("hello");
    declare_uplink(&host);
    let window = apply(&mut chat);
    host.rig.json(&["rollback"]).expect(0);
    let over = chat.until("the end", |event| {
        event["type"] == "window" && !event["decision"].is_null()
    });
    assert_eq!(
        (&over["decision"], &over["run"]),
        (&json!("reverted"), &window["run"])
    );
    // The bridge without the uplink is safe: the daemon may have made that by itself.
    let holds = host
        .rig
        .ovs()
        .vsctl(&["--columns=name", "find", "port", "name=eth0"]);
    assert_eq!(holds.trim(), "", "the uplink is still a port");
    chat.say("yes");
    chat.of("assistant");
    assert!(
        chat.seen
            .iter()
            .all(|event| event["tool"] != "state_confirm")
    );
}
