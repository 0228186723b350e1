//! Callers and daemons that go in the middle.

use super::*;

#[test]
fn a_run_whose_caller_dies_is_brought_to_its_end() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    observed(&rig, 300);
    let line = begin(&daemon);
    assert!(!rig.base.join("@s299").exists(), "it is over already");
    drop(line);
    assert_served(&daemon);
    wait_for("the end of the run", RUN, || {
        (endings(&rig, "apply_end").len() == 2).then_some(())
    });
    assert_eq!(
        endings(&rig, "apply_end"),
        [json!("applied"), json!("applied")]
    );
    assert_served(&daemon);
    rig.assert_converged();
}

#[test]
fn a_call_that_waits_ends_with_its_caller() {
    let Some(rig) = Rig::storage(512) else { return };
    let daemon = start(&rig);
    observed(&rig, 3);
    let held = lock(&rig);
    let mut line = daemon.connect();
    line.send(&call(1, "state_apply", json!({})));
    // A batch whose first call waits: none of the others is begun any more.
    let mut other = daemon.connect();
    other.send(&json!([
        call(1, "state_apply", json!({})),
        call(2, "state_apply", json!({}))
    ]));
    // What is still unread when its caller goes is not begun at all: once this is answered, it was taken in.
    for caller in [&mut line, &mut other] {
        caller.request("daemon.status", json!({}));
    }
    assert_served(&daemon);
    drop((line, other));
    wait_for("the end of the calls", SOON, || {
        (endings(&rig, "state_apply").len() == 3).then_some(())
    });
    drop(held);
    assert_served(&daemon);
    let applied = rig.apply();
    assert_eq!(applied["outcome"], "applied", "somebody else did it");
    let (done, failed) = (json!("done"), json!("failed"));
    assert_eq!(
        endings(&rig, "state_apply"),
        [done.clone(), failed.clone(), failed, done]
    );
    rig.assert_converged();
}

#[test]
fn a_killed_daemon_leaves_what_the_next_one_brings_to_its_end() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 300);
    let line = begin(&daemon);
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    drop(line);
    assert!(rig.beside(".journal").exists() && !rig.base.join("@s299").exists());
    declare(&rig, "", 300);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the end of the run", RUN, |host| {
        host["state"] == "converged"
    });
    assert_eq!(endings(&rig, "apply_interrupted"), [json!("interrupted")]);
    rig.assert_converged();
}

#[test]
fn what_a_killed_run_left_is_put_in_order_even_if_nothing_else_is_to_do() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 300);
    let line = begin(&daemon);
    daemon.signal(Signal::KILL);
    daemon.child.wait().unwrap();
    drop(line);
    // As if it had been killed after its last change.
    let journal = std::fs::read(rig.beside(".journal")).unwrap();
    rig.apply();
    std::fs::write(rig.beside(".journal"), journal).unwrap();
    rig.json(&["verify"]).expect(0);
    declare(&rig, "", 300);
    let daemon = Daemon::start(&rig);
    let converged = |host: &Value| host["state"] == "converged";
    daemon.wait_until("peace", RUN, converged);
    rig.assert_converged();
}

#[test]
fn the_daemon_ends_soon_under_load() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 3);
    let held = lock(&rig);
    // One who waits for a run to begin, one who does not read, and many who ask again and again.
    let mut waits = daemon.connect();
    waits.send(&call(1, "state_apply", json!({})));
    let mut silent = daemon.connect();
    stuff(
        &mut silent.stream,
        format!("{}\n", request(1, "tools.list", json!({}))).as_bytes(),
    );
    let ended = AtomicBool::new(false);
    let connected = Barrier::new(51);
    std::thread::scope(|scope| {
        let (ended, connected, socket) = (&ended, &connected, daemon.jsonrpc.clone());
        for _ in 0..50 {
            let socket = socket.clone();
            scope.spawn(move || {
                let mut stream = UnixStream::connect(socket).unwrap();
                connected.wait();
                let message = format!("{}\n", call(1, "state_verify", json!({})));
                let mut answer = [0; 65536];
                while !ended.load(Ordering::Relaxed)
                    && stream.write_all(message.as_bytes()).is_ok()
                    && stream.read(&mut answer).is_ok_and(|count| count > 0)
                {}
            });
        }
        connected.wait();
        assert_served(&daemon);
        let took = daemon.terminate();
        ended.store(true, Ordering::Relaxed);
        println!("ended after {took:?}");
        assert!(took < SOON, "{took:?}");
    });
    drop(held);
    assert!(!daemon.jsonrpc.exists() && !daemon.api.exists());
    assert_ledger_holds(&rig);
    rig.apply();
    rig.assert_converged();
}

#[test]
fn a_run_in_the_middle_of_which_the_daemon_ends_is_put_in_order() {
    let Some(rig) = Rig::storage(512) else { return };
    let mut daemon = start(&rig);
    observed(&rig, 300);
    let _line = begin(&daemon);
    let took = daemon.terminate();
    assert!(took < SOON, "{took:?}");
    assert_ledger_holds(&rig);
    declare(&rig, "", 300);
    let daemon = Daemon::start(&rig);
    daemon.wait_until("the end of the run", RUN, |host| {
        host["state"] == "converged"
    });
    rig.assert_converged();
}
