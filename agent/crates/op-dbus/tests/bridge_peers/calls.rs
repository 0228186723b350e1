//! Calls, their answers and signals.

use super::*;

#[test]
fn calls_ask_people_but_start_nobody() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    // NO_AUTO_START is 2, ALLOW_INTERACTIVE_AUTHORIZATION is 4.
    assert_eq!(client.value("Peer-GetFlags", here(json!({})))["out0"], 6);
    let mut client = rig.bridge(
        NAME,
        &["--activate", "--no-interactive", "--path", "/other"],
    );
    assert_eq!(client.value("Peer-GetFlags", json!({}))["out0"], 0);
    let error = client.error("Peer-GetFlags", here(json!({})));
    assert!(
        error.starts_with("refused: /peer is not at or below /other"),
        "{error}"
    );
}

#[test]
fn a_peer_that_hangs_leaves_and_comes_back_hurts_its_calls_alone() {
    let Some(rig) = Rig::new() else { return };
    let (first, _) = peer();
    let mut client = rig.bridge(NAME, &["--timeout", "1s"]);
    let tools = client.tools();
    let hung = client.send(
        "tools/call",
        json!({ "name": "Peer-GetNothing", "arguments": here(json!({})) }),
    );
    // Others are served meanwhile.
    assert!(client.value("Peer-GetFlags", here(json!({})))["out0"].is_u64());
    let hung = client.answer(hung);
    let text = hung["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("timed-out"), "{text}");
    let error = client.error("Peer-GetLost", here(json!({})));
    assert!(error.starts_with("unavailable"), "{error}");
    let error = client.error("Peer-GetFlags", here(json!({})));
    assert!(error.contains("--activate"), "{error}");
    drop(first);
    let (_second, _) = peer();
    assert!(client.value("Peer-GetFlags", here(json!({})))["out0"].is_u64());
    assert_eq!(client.tools(), tools);
    assert_eq!(client.end(), 0);
}

#[test]
fn large_answers_come_in_parts() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let mut answer = client.value("Peer-GetMany", here(json!({ "count": 10_000 })));
    let mut items = answer["out0"].as_array().unwrap().clone();
    while let Some(cursor) = answer["_more"][0]["cursor"].as_str() {
        answer = client.value("more", json!({ "cursor": cursor }));
        assert!(answer.to_string().len() < 60_000);
        items.extend(answer["rest"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(items.len(), 10_000);
    assert_eq!(items[9_999], json!(["item number 9999", 9_999]));
    let error = client.error("more", json!({ "cursor": "rest-x" }));
    assert!(error.starts_with("not-found"), "{error}");

    let error = client.error("Peer-GetBytes", here(json!({ "count": 20 << 20 })));
    assert!(error.starts_with("too-large"), "{error}");
    let bytes = client.value("Peer-GetBytes", here(json!({ "count": 100_000 })));
    assert_eq!(bytes["_more"][0]["total"], 100_000);
}

#[test]
fn signals_are_waited_for_and_subscribed_to() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let uri = "dbus://system/org.example.Peer?signal=org.example.Peer.Said";
    let resources = client.listed("resources/list", "resources");
    assert!(
        resources.iter().any(|resource| resource["uri"] == uri),
        "{resources:?}"
    );
    let answer = client.ask("resources/subscribe", json!({ "uri": uri }));
    assert!(answer.get("error").is_none(), "{answer}");
    client.value("Peer-GetSignal", here(json!({ "text": "hello" })));
    let told = client.note();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    assert_eq!(told["params"]["uri"], uri);
    let read = client.ask("resources/read", json!({ "uri": uri }));
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let read: Value = serde_json::from_str(text).unwrap();
    let expected = json!([{ "object_path": HERE, "arguments": { "text": "hello", "number": 7 } }]);
    assert_eq!(read["signals"], expected);

    // Another connection cannot speak for the service.
    let forger = Bus::system().unwrap();
    let wait = json!({ "interface": NAME, "signal": "Said", "seconds": 2 });
    let id = client.send(
        "tools/call",
        json!({ "name": "wait_signal", "arguments": wait }),
    );
    forger.wait(async {
        let said =
            forger
                .connection()
                .emit_signal(None::<&str>, HERE, NAME, "Said", &("forged", 1_u64));
        said.await.unwrap();
    });
    assert_eq!(
        client.answer(id)["result"]["structuredContent"],
        json!({ "received": false })
    );

    let properties = "dbus://system/org.example.Peer/peer";
    let read = client.ask("resources/read", json!({ "uri": properties }));
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let read: Value = serde_json::from_str(text).unwrap();
    assert_eq!(read["properties"][NAME]["Colour"], "green");
    let nothing = client.ask(
        "resources/read",
        json!({ "uri": "dbus://system/org.example.Other/peer" }),
    );
    assert!(nothing.get("error").is_some(), "{nothing}");
}

#[test]
fn wrong_arguments_are_named_with_their_paths() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let error = client.error("Peer-GetMany", here(json!({ "count": -1, "more": 1 })));
    assert!(error.contains("/count: -1 was given"), "{error}");
    assert!(
        error.contains("/more: there is no such argument"),
        "{error}"
    );
    let error = client.error("Peer-GetMany", json!({ "count": 1 }));
    assert!(error.contains("/object_path: it is missing"), "{error}");
    let error = client.error("get_properties", json!({ "object_path": "/peer/nobody" }));
    assert!(error.contains("/peer/nobody"), "{error}");
}
