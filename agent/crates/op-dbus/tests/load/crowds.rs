//! Many clients, and clients that send much.

use super::*;

#[test]
fn a_thousand_calls_at_once_are_all_answered() {
    let Some(rig) = Rig::storage(512) else { return };
    if !room_for_files() {
        return;
    }
    let daemon = start(&rig);
    ask_at_once(&rig, &daemon, 100, 10);
    ask_at_once(&rig, &daemon, 1000, 1);
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn a_client_that_never_reads_takes_little_memory_and_disturbs_nobody() {
    let Some(rig) = Rig::storage(512) else { return };
    let text = rig.machine.dir().join("text");
    std::fs::write(&text, "\u{1}".repeat(1 << 20)).unwrap();
    let access = format!(
        "reconcile: observe\naccess: {{files: {{read: [{}]}}}}\n",
        rig.machine.dir().display()
    );
    declare(&rig, &access, 0);
    rig.apply();
    let daemon = Daemon::start(&rig);
    let file = json!({ "path": text.to_str().unwrap(), "length": 262_144 });
    let answer = daemon.connect().call("file_read", file.clone());
    assert_eq!(answer["result"]["length"], 262_144, "{answer:.300}");
    let large = [
        request(1, "tools.list", json!({})),
        call(1, "file_read", file),
        call(1, "ledger_log", json!({ "limit": 1000 })),
    ];
    let mut silent = Vec::new();
    for mut message in large {
        let mut line = daemon.connect();
        for id in 0..200 {
            message["id"] = json!(id);
            line.send(&message);
        }
        stuff(&mut line.stream, format!("{message}\n").as_bytes());
        silent.push(line);
        for _ in 0..10 {
            assert_served(&daemon);
        }
        println!(
            "{}: at most {} MiB",
            message["params"]["name"],
            of_process(&daemon, "VmHWM") >> 10
        );
    }
    assert_small(&daemon);
    // Those who begin to read after all get what they asked for.
    for line in &mut silent {
        let answer = line.receive().unwrap();
        assert!(answer["result"].is_object(), "{answer:.300}");
    }
}

#[test]
fn one_message_without_end_is_refused() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut stream = daemon.connect().stream;
    stream
        .write_all(br#"{"jsonrpc": "2.0", "id": 1, "method": ""#)
        .unwrap();
    let block = vec![b'x'; 1 << 20];
    let sent = (0..100)
        .take_while(|_| stream.write_all(&block).is_ok())
        .count();
    assert!((7..20).contains(&sent), "{sent} MiB");
    let words = last_words(&mut stream);
    assert!(
        words.contains("-32600") && words.contains("more than 8388608 bytes"),
        "{words}"
    );
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn a_message_of_millions_of_values_is_refused() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let bombs = [
        format!("[{}0]", "0,".repeat(4_000_000)),
        format!("[{}0]", r#"{"":0},"#.repeat(1_000_000)),
        format!(
            r#"{{"jsonrpc": "2.0", "id": 1, "method": "daemon.status", "params": {{"a": [{}0]}}}}"#,
            "[],".repeat(2_000_000)
        ),
    ];
    for bomb in bombs {
        let mut stream = daemon.connect().stream;
        // It hangs up in the middle.
        let _ = stream.write_all(bomb.as_bytes());
        let words = last_words(&mut stream);
        assert!(
            words.contains("-32600") && words.contains("values"),
            "{words:.300}"
        );
    }
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn a_hundred_megabytes_of_small_messages_are_all_answered() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let count = 100_000;
    let mut line = daemon.connect();
    let mut writer = line.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let nobody = "x".repeat(950);
            for id in 0..count {
                let message = request(id, "tools.cancel", json!({ "id": nobody }));
                writer.write_all(format!("{message}\n").as_bytes()).unwrap();
            }
        });
        let mut waiting: BTreeSet<usize> = (0..count).collect();
        while !waiting.is_empty() {
            let answer = line.receive().unwrap();
            assert_eq!(answer["result"]["found"], false, "{answer}");
            waiting.remove(&usize::try_from(answer["id"].as_u64().unwrap()).unwrap());
            if waiting.len().is_multiple_of(10_000) {
                assert_served(&daemon);
            }
        }
    });
    assert_small(&daemon);
}

#[test]
fn ten_thousand_short_connections_leave_nothing_behind() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    assert_served(&daemon);
    let before = open_files(&daemon);
    for n in 0..10_000 {
        let mut stream = UnixStream::connect(&daemon.jsonrpc).unwrap();
        // Some say nothing, some half of something, some do not wait for the answer.
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"{\"jsonrpc\": \"2.0\", ").unwrap(),
            _ => stream
                .write_all(
                    request(1, "daemon.status", json!({}))
                        .to_string()
                        .as_bytes(),
                )
                .unwrap(),
        }
    }
    // Some watches open only now, each its file and a second one to wait by.
    const WATCHES: usize = 8;
    wait_for("the end of all connections", SOON, || {
        (open_files(&daemon) <= before + WATCHES).then_some(())
    });
    assert_served(&daemon);
    assert_small(&daemon);
}

#[test]
fn who_sends_all_and_then_listens_gets_all_answers() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    let mut line = daemon.connect();
    for id in 0..50 {
        line.send(&call(id, "state_verify", json!({})));
    }
    line.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let words = last_words(&mut line.stream);
    assert_eq!(words.lines().count(), 50);
    for answer in words.lines() {
        let answer: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["result"]["converged"], true, "{answer}");
    }
}
