//! What takes a person, in both eras.

use super::*;

#[test]
fn what_is_lost_for_good_takes_a_person() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, done) = peer();
    let call = |client: &mut Client, name: &str| {
        client.send(
            "tools/call",
            json!({ "name": name, "arguments": here(json!({})) }),
        )
    };
    let mut client = rig.bridge(NAME, &[]);
    let refused = call(&mut client, "Peer-DoIt");
    assert_eq!(client.answer(refused)["error"]["code"], -32602);

    let mut command = rig.command(NAME, &["--allow-write"]);
    let mut client = Client::with(&mut command, json!({ "elicitation": {} }));
    client.value("Peer-DoIt", here(json!({ "dry_run": true })));
    assert_eq!(done.load(Ordering::SeqCst), 0);
    client.value("Peer-DoIt", here(json!({})));
    assert_eq!(done.load(Ordering::SeqCst), 1);
    for (apply, expected) in [(false, 1), (true, 101)] {
        let id = call(&mut client, "Peer-DeleteIt");
        let question = client.note();
        assert_eq!(question["method"], "elicitation/create", "{question}");
        let text = question["params"]["message"].as_str().unwrap();
        assert!(
            text.contains("org.example.Peer.DeleteIt of /peer"),
            "{text}"
        );
        let answer = json!({
            "jsonrpc": "2.0", "id": question["id"],
            "result": { "action": "accept", "content": { "apply": apply } },
        });
        client.line(&answer.to_string());
        assert_eq!(client.answer(id)["result"]["isError"], !apply);
        assert_eq!(done.load(Ordering::SeqCst), expected);
    }
}

#[test]
fn both_eras_garbage_and_the_end_of_the_input() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = Client::silent(&mut rig.command(NAME, &[]));
    client.line("this is no JSON");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let arguments = here(json!({}));
    let params = json!({ "name": "Peer-GetFlags", "arguments": arguments, "_meta": meta });
    let answer = client.ask("tools/call", params);
    assert_eq!(answer["result"]["structuredContent"]["out0"], 6, "{answer}");
    client.line("{\"jsonrpc\": ");
    let hung = json!({ "name": "Peer-GetNothing", "arguments": arguments, "_meta": meta });
    client.send("tools/call", hung);
    assert_eq!(client.end(), 0);
}

/// What a client of the era without sessions says with each request.
fn stateless(capabilities: Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    })
}

#[test]
fn without_a_session_the_call_comes_again_with_the_answer_of_a_person() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, done) = peer();
    let mut client = Client::silent(&mut rig.command(NAME, &["--allow-write"]));
    let can_ask = stateless(json!({ "elicitation": { "form": {} } }));
    let call = |path: &str| json!({ "name": "Peer-DeleteIt", "arguments": { "object_path": path }, "_meta": can_ask });
    let again = |path: &str, state: &Value, answer: Value| {
        let mut params = call(path);
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({ "confirm": answer });
        params
    };
    let yes = || json!({ "action": "accept", "content": { "apply": true } });

    let asked = client.ask("tools/call", call(HERE))["result"].take();
    assert_eq!(asked["resultType"], "input_required", "{asked:#}");
    let question = &asked["inputRequests"]["confirm"];
    assert_eq!(question["method"], "elicitation/create", "{asked:#}");
    let text = question["params"]["message"].as_str().unwrap();
    assert!(
        text.contains("org.example.Peer.DeleteIt of /peer"),
        "{text}"
    );
    let state = asked["requestState"].clone();
    // The answer to this question is none to another, and a state that nobody gave out is none at all.
    for params in [
        again("/other/peer", &state, yes()),
        again(HERE, &json!("x"), yes()),
    ] {
        let refused = client.ask("tools/call", params);
        assert_eq!(refused["error"]["code"], -32602, "{refused:#}");
    }
    assert_eq!(done.load(Ordering::SeqCst), 0);
    let sure = client.ask("tools/call", again(HERE, &state, yes()));
    assert_eq!(sure["result"]["isError"], false, "{sure:#}");
    assert_eq!(done.load(Ordering::SeqCst), 100);
    let twice = client.ask("tools/call", again(HERE, &state, yes()));
    assert_eq!(twice["error"]["code"], -32602, "{twice:#}");

    let asked = client.ask("tools/call", call(HERE))["result"].take();
    let no = json!({ "action": "decline" });
    let refused = client.ask("tools/call", again(HERE, &asked["requestState"], no));
    assert_eq!(refused["result"]["isError"], true, "{refused:#}");
    // A client that cannot ask anybody is refused.
    let mut mute = call(HERE);
    mute["_meta"] = stateless(json!({}));
    let refused = client.ask("tools/call", mute);
    assert_eq!(refused["result"]["isError"], true, "{refused:#}");
    assert_eq!(done.load(Ordering::SeqCst), 100);
}

#[test]
fn a_line_without_end_is_dropped_and_the_next_one_is_read() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut client = rig.bridge(NAME, &[]);
    let before = client.memory();
    let long = "x".repeat(40 << 20);
    client.line(&long);
    client.line(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"{long}\"}}"
    ));
    assert_eq!(client.value("Peer-GetFlags", here(json!({})))["out0"], 6);
    let more = client.memory().saturating_sub(before);
    assert!(more < 20 << 10, "{more} KiB more after two lines of 40 MiB");
    assert_eq!(client.end(), 0);
}

#[test]
fn a_flood_that_nobody_reads_the_answers_of_takes_little_memory() {
    let Some(rig) = Rig::new() else { return };
    let (_peer, _) = peer();
    let mut command = rig.command(NAME, &[]);
    flood::assert_bounded(&mut command, "tools/list");
}
