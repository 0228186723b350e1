//! Peers that are no proper switch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use openflow::{Connection, Error, FlowFilter, FlowMod, Result};
use proptest::prelude::*;

/// For those that never answer.
const PATIENCE: Duration = Duration::from_millis(300);
/// For those that do, when this machine lets them.
const LONG: Duration = Duration::from_secs(60);
/// Hello with the bitmap of 1.3.
const HELLO: [u8; 16] = [4, 0, 0, 16, 0, 0, 0, 9, 0, 1, 0, 8, 0, 0, 0, 16];

/// Has a peer behave like `peer` towards a client that does `act`.
fn against<T>(
    peer: impl FnOnce(UnixStream) + Send,
    act: impl FnOnce(PathBuf) -> Result<T>,
) -> Result<T> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switch");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| peer(listener.accept().unwrap().0));
        act(path)
    })
}

fn connect(path: PathBuf) -> Result<Connection> {
    Connection::connect(path, LONG)
}

fn connect_impatiently(path: PathBuf) -> Result<Connection> {
    Connection::connect(path, PATIENCE)
}

/// Reads one message and returns it.
fn message(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    stream.read_exact(&mut bytes).unwrap();
    bytes.resize(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 0);
    stream.read_exact(&mut bytes[8..]).unwrap();
    bytes
}

/// Reads until the other side goes.
fn listen(mut stream: UnixStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

#[test]
fn silence_is_waited_for_only_so_long() {
    let start = Instant::now();
    let error = against(listen, connect_impatiently).unwrap_err();
    assert!(matches!(error, Error::TimedOut(PATIENCE)), "{error}");
    assert!(start.elapsed() >= PATIENCE);
    assert!(start.elapsed() < 10 * PATIENCE);
}

#[test]
fn chatter_about_other_things_is_no_answer() {
    let peer = |mut stream: UnixStream| {
        // The client may have given it up by then.
        let _ = stream.write_all(&HELLO);
        message(&mut stream);
        // Port status, whose transaction id is nobody's, for as long as the client is there.
        while stream.write_all(&[4, 12, 0, 8, 0, 0, 0, 0]).is_ok() {
            std::thread::sleep(PATIENCE / 30);
        }
    };
    let error = against(peer, |path| connect_impatiently(path)?.barrier()).unwrap_err();
    assert!(matches!(error, Error::TimedOut(PATIENCE)), "{error}");
}

#[test]
fn a_peer_that_reads_nothing_stops_a_bundle_in_time() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let peer = move |mut stream: UnixStream| {
        let _ = stream.write_all(&HELLO);
        let _ = wait.recv();
    };
    let changes = vec![FlowMod::Add(Default::default()); 50_000];
    let error = against(peer, |path| {
        let outcome = connect_impatiently(path)?.bundle(&changes);
        drop(done);
        outcome
    })
    .unwrap_err();
    assert!(matches!(error, Error::TimedOut(PATIENCE)), "{error}");
}

#[test]
fn a_peer_that_hangs_up_is_told_from_silence() {
    let error = against(drop, connect).unwrap_err();
    assert!(matches!(error, Error::PeerGone), "{error}");
}

#[test]
fn what_a_peer_says_before_it_hangs_up_is_heard() {
    let peer = |mut stream: UnixStream| {
        // Hello failed: no version in common.
        let _ = stream.write_all(&[1, 1, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0]);
    };
    let error = against(peer, connect).unwrap_err();
    assert!(matches!(error, Error::Version), "{error}");
}

#[test]
fn echo_requests_are_answered_while_waiting() {
    let peer = |mut stream: UnixStream| {
        stream.write_all(&HELLO).unwrap();
        message(&mut stream);
        let question = message(&mut stream);
        stream.write_all(&[4, 2, 0, 10, 0, 0, 0, 77, 1, 2]).unwrap();
        assert_eq!(message(&mut stream), [4, 3, 0, 10, 0, 0, 0, 77, 1, 2]);
        // A barrier reply, in two pieces.
        stream.write_all(&[4, 21, 0]).unwrap();
        stream.write_all(&[8]).unwrap();
        stream.write_all(&question[4..8]).unwrap();
    };
    against(peer, |path| connect(path)?.barrier()).unwrap();
}

#[test]
fn an_answer_of_the_wrong_kind_is_refused() {
    let peer = |mut stream: UnixStream| {
        stream.write_all(&HELLO).unwrap();
        message(&mut stream);
        let mut answer = message(&mut stream);
        answer[1] = 6;
        stream.write_all(&answer).unwrap();
        listen(stream);
    };
    let error = against(peer, |path| connect(path)?.barrier()).unwrap_err();
    assert!(matches!(error, Error::Garbage(_)), "{error}");
}

#[test]
fn no_socket_is_named() {
    let error = connect("/nonexistent/br0.mgmt".into()).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(error.to_string().contains("/nonexistent/br0.mgmt"));
}

#[test]
fn a_switch_that_accepts_nobody_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switch");
    let listener = UnixListener::bind(&path).unwrap();
    // Fills the queue, whatever its length is.
    let mut queue = Vec::new();
    let error = loop {
        match Connection::connect(&path, Duration::from_millis(1)) {
            Err(Error::TimedOut(_)) => {
                let stream = rustix::net::socket_with(
                    rustix::net::AddressFamily::UNIX,
                    rustix::net::SocketType::STREAM,
                    rustix::net::SocketFlags::NONBLOCK,
                    None,
                )
                .unwrap();
                let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
                match rustix::net::connect(&stream, &address) {
                    Ok(()) => queue.push(stream),
                    Err(_) => break Connection::connect(&path, PATIENCE).unwrap_err(),
                }
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(error, Error::TimedOut(PATIENCE)), "{error}");
    drop(listener);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), greet in any::<bool>()) {
        let peer = |mut stream: UnixStream| {
            if greet {
                let _ = stream.write_all(&HELLO);
            }
            let _ = stream.write_all(&bytes);
        };
        let outcome = against(peer, |path| {
            connect(path)?.flows(&FlowFilter::default()).map(|_| ())
        });
        prop_assert!(outcome.is_err());
    }
}
