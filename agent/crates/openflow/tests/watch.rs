//! Watching flows, against a real Open vSwitch and against peers that are none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use openflow::{Action, Connection, Error, Flow, FlowMod, FlowWatch, PortNo};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const SOON: Duration = Duration::from_secs(60);
/// Longer than the switch takes to tell of anything.
const WHILE: Duration = Duration::from_millis(300);
/// Hello with the bitmap of 1.3.
const HELLO: [u8; 16] = [4, 0, 0, 16, 0, 0, 0, 9, 0, 1, 0, 8, 0, 0, 0, 16];
/// A reply to the request 2, or of the switch's own accord for 0, without content.
const fn reply(xid: u8) -> [u8; 24] {
    [
        4, 19, 0, 24, 0, 0, 0, xid, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0x4f, 0x4e, 0x46, 0, 0, 0, 7,
        0x4e,
    ]
}

/// Waits for the descriptor to become readable and drains, until there is a change or `limit` is over.
fn changed(watch: &mut FlowWatch, limit: Duration) -> Result<bool, Error> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        let readable = poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&left)).unwrap();
        if readable == 0 {
            return Ok(false);
        }
        if watch.drain()? {
            return Ok(true);
        }
    }
}

fn switch(machine: &lab::Machine) -> lab::Ovs {
    let ovs = machine.ovs();
    let bridge = "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure";
    ovs.vsctl(&bridge.split_whitespace().collect::<Vec<_>>());
    ovs
}

#[test]
fn each_change_by_anybody_is_told() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let mut ovs = switch(&machine);
    let socket = ovs.run_dir().join("br0.mgmt");
    let mut watch = FlowWatch::open(&socket).unwrap();
    assert!(!changed(&mut watch, WHILE).unwrap());

    ovs.ofctl(&["add-flow", "br0", "priority=5,table=3,ip,actions=drop"]);
    assert!(changed(&mut watch, SOON).unwrap());
    assert!(!changed(&mut watch, WHILE).unwrap());
    ovs.ofctl(&["mod-flows", "br0", "table=3,actions=NORMAL"]);
    assert!(changed(&mut watch, SOON).unwrap());
    assert!(!changed(&mut watch, WHILE).unwrap());
    // Reading changes nothing.
    ovs.ofctl(&["dump-flows", "br0"]);
    assert!(!changed(&mut watch, WHILE).unwrap());
    ovs.ofctl(&["del-flows", "br0"]);
    assert!(changed(&mut watch, SOON).unwrap());
    assert!(!changed(&mut watch, WHILE).unwrap());

    // In a bundle, and by its own end.
    let mut connection = Connection::connect(&socket, SOON).unwrap();
    let flow = Flow {
        actions: vec![Action::Output(PortNo::NORMAL)],
        ..Flow::default()
    };
    connection.bundle(&[FlowMod::Add(flow)]).unwrap();
    assert!(changed(&mut watch, SOON).unwrap());
    // Long enough for the one change to be drained before the other comes.
    ovs.ofctl(&["add-flow", "br0", "priority=6,hard_timeout=3,actions=drop"]);
    assert!(changed(&mut watch, SOON).unwrap());
    assert!(changed(&mut watch, SOON).unwrap());
    assert!(!changed(&mut watch, WHILE).unwrap());

    ovs.kill_switch();
    let error = changed(&mut watch, SOON).unwrap_err();
    assert!(matches!(error, Error::PeerGone), "{error}");
}

#[test]
fn many_changes_that_nobody_drains_are_told_all_the_same() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let socket = ovs.run_dir().join("br0.mgmt");
    let mut watch = FlowWatch::open(&socket).unwrap();
    let flow = |priority| {
        FlowMod::Add(Flow {
            priority,
            ..Flow::default()
        })
    };
    let flows: Vec<_> = (1..20_000).map(flow).collect();
    let mut connection = Connection::connect(&socket, SOON).unwrap();
    for part in flows.chunks(2_000) {
        connection.bundle(part).unwrap();
    }
    assert!(changed(&mut watch, SOON).unwrap());
    while changed(&mut watch, WHILE).unwrap() {}
    ovs.ofctl(&["add-flow", "br0", "table=9,actions=drop"]);
    assert!(changed(&mut watch, SOON).unwrap());
}

/// Opens a watch on a peer that agrees to everything, and hands over the peer's end.
fn with_peer(test: impl FnOnce(&mut FlowWatch, UnixStream)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switch");
    let listener = UnixListener::bind(&path).unwrap();
    let peer = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(&HELLO).unwrap();
        let mut question = [0; 48];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(&reply(question[7])).unwrap();
        stream
    });
    let mut watch = FlowWatch::open(&path).unwrap();
    test(&mut watch, peer.join().unwrap());
}

#[test]
fn echo_requests_are_answered_and_chatter_is_no_change() {
    with_peer(|watch, mut peer| {
        assert!(!watch.drain().unwrap());
        peer.write_all(&[4, 2, 0, 10, 0, 0, 0, 77, 1, 2]).unwrap();
        // Port status, a reply without content, and half a message.
        peer.write_all(&[4, 12, 0, 8, 0, 0, 0, 0]).unwrap();
        peer.write_all(&reply(0)).unwrap();
        peer.write_all(&[4, 19, 0]).unwrap();
        assert!(!watch.drain().unwrap());
        let mut answer = [0; 10];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [4, 3, 0, 10, 0, 0, 0, 77, 1, 2]);
        // The other half, with an update of 8 bytes.
        let mut update = reply(0).to_vec();
        update.extend([0, 8, 0, 3, 0, 0, 0, 1]);
        update[3] = 32;
        peer.write_all(&update[3..]).unwrap();
        assert!(watch.drain().unwrap());
        assert!(!watch.drain().unwrap());
    });
}

#[test]
fn garbage_and_errors_end_the_watch() {
    with_peer(|watch, mut peer| {
        peer.write_all(&[4, 19, 0, 7, 0, 0, 0, 0]).unwrap();
        let error = watch.drain().unwrap_err();
        assert!(matches!(error, Error::Garbage(_)), "{error}");
    });
    with_peer(|watch, mut peer| {
        peer.write_all(&[4, 19, 0, 10, 0, 0, 0, 0, 0xff, 0xff])
            .unwrap();
        let error = watch.drain().unwrap_err();
        assert!(matches!(error, Error::Garbage(_)), "{error}");
    });
    with_peer(|watch, mut peer| {
        peer.write_all(&[4, 1, 0, 12, 0, 0, 0, 0, 0, 1, 0, 5])
            .unwrap();
        let error = watch.drain().unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
    });
    with_peer(|watch, peer| {
        drop(peer);
        let error = watch.drain().unwrap_err();
        assert!(matches!(error, Error::PeerGone), "{error}");
    });
    let error = FlowWatch::open("/nonexistent/br0.mgmt").unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}
