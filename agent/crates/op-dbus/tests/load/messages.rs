//! Messages that are none, batches, and calls taken back.

use super::*;

#[test]
fn what_is_no_message_is_refused_and_ends_the_connection() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let garbage: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", "a JSON object or array"),
        (b"\xff\xfe\x00\x01", "a JSON object or array"),
        (b"42", "a JSON object or array"),
        (&[b'['; 4000], "more than 100 deep"),
        (br#"{"a":{"a":{"a":["#, ""),
    ];
    for (bytes, reason) in garbage {
        let mut stream = daemon.connect().stream;
        stream.write_all(bytes).unwrap();
        if reason.is_empty() {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let words = last_words(&mut stream);
        assert!(words.contains(reason), "{words}");
        assert_eq!(words.contains("-32600"), !reason.is_empty(), "{words}");
    }
    assert_served(&daemon);
}

#[test]
fn what_is_no_request_is_refused_and_the_next_one_is_served() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut line = daemon.connect();
    let mut refused = |text: &str, code: i64| {
        line.stream.write_all(text.as_bytes()).unwrap();
        let answer = line.receive().unwrap();
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
        answer["id"].clone()
    };
    assert_eq!(
        refused(r#"{"jsonrpc": "2.0", "id": 1, ]"#, -32700),
        Value::Null
    );
    assert_eq!(refused("[]", -32600), Value::Null);
    let long = format!("[{}7]", "7,".repeat(100));
    assert_eq!(refused(&long, -32600), Value::Null);
    assert_eq!(refused(r#"{"jsonrpc": "2.0", "id": 2}"#, -32600), 2);
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": [3], "method": "daemon.status"}"#,
            -32600
        ),
        Value::Null
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": "4", "method": "nonesuch"}"#,
            -32601
        ),
        "4"
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": 5, "method": "tools.call", "params": []}"#,
            -32602
        ),
        5
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": 6, "method": "tools.call", "params": {"nom": 1}}"#,
            -32602
        ),
        6
    );
    assert_eq!(
        refused(
            r#"{"jsonrpc": "2.0", "id": 7, "method": "tools.call", "params": {"name": "nonesuch"}}"#,
            -32000
        ),
        7
    );
    let answer = line.call("ledger_show", json!({ "id": 1 }));
    assert_eq!(answer["result"]["id"], 1);
}

#[test]
fn a_batch_gets_one_answer_and_notifications_get_none() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut line = daemon.connect();
    let mut told = call(0, "ledger_show", json!({ "id": 1 }));
    told.as_object_mut().unwrap().remove("id");
    line.send(&json!([
        call(1, "ledger_show", json!({ "id": 2 })),
        told,
        7,
        request(2, "nonesuch", json!({})),
    ]));
    let answers = line.receive().unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 3, "{answers:#}");
    assert_eq!(
        (&answers[0]["id"], &answers[0]["result"]["id"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&answers[1]["id"], &answers[1]["error"]["code"]),
        (&Value::Null, &json!(-32600))
    );
    assert_eq!(
        (&answers[2]["id"], &answers[2]["error"]["code"]),
        (&json!(2), &json!(-32601))
    );
    // The next answer is that of the next request.
    line.send(&told);
    line.send(&json!([told, told]));
    line.send(&json!({ "jsonrpc": "2.0", "method": "nonesuch" }));
    let answer = line.call("ledger_show", json!({ "id": 1 }));
    assert_eq!(answer["result"]["id"], 1);
    line.stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let more = line.stream.read(&mut [0; 1]);
    assert_eq!(more.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn calls_are_taken_back_by_their_id_and_end_in_time() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    observed(&rig, 3);
    let held = lock(&rig);
    let mut line = daemon.connect();
    line.send(&call(7, "state_apply", json!({})));
    line.send(&call(7, "state_apply", json!({})));
    let answer = line.receive().unwrap();
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("still on its way"),
        "{answer}"
    );
    line.send(&request(8, "tools.cancel", json!({ "id": 6 })));
    assert_eq!(line.receive().unwrap()["result"], json!({ "found": false }));
    line.send(&request(9, "tools.cancel", json!({ "id": 7 })));
    let answers = [line.receive().unwrap(), line.receive().unwrap()];
    let (taken, found): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer["id"] == 7);
    assert_eq!(
        taken[0]["error"]["data"]["code"], "cancelled",
        "{answers:#?}"
    );
    assert_eq!(found[0]["result"], json!({ "found": true }));
    // The id may be used again, and a call that has no time has no effect.
    for (id, limit) in [(7, 1), (8, 0), (9, 200)] {
        let begun = Instant::now();
        line.send(&request(
            id,
            "tools.call",
            json!({ "name": "state_apply", "timeout_ms": limit }),
        ));
        let answer = line.receive().unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        assert_eq!(answer["error"]["data"]["code"], "timed-out", "{answer}");
        assert!(begun.elapsed() < SOON);
    }
    drop(held);
    assert!(!rig.base.join("@s0").exists());
    let answer = line.call("state_apply", json!({}));
    assert_eq!(answer["result"]["outcome"], "applied", "{answer}");
    rig.assert_converged();
}
