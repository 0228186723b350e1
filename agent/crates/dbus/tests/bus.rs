//! The bus against a private daemon and peers that a test makes up.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use dbus::{Bus, Error, Peer};
use lab::{Machine, SystemBus};
use zbus::interface;
use zbus::object_server::SignalEmitter;

const NAME: &str = "org.example.Peer";
const PEER: Peer<'static> = Peer {
    name: NAME,
    path: "/peer",
    interface: NAME,
};

struct Made;

#[interface(name = "org.example.Peer")]
impl Made {
    fn double(&self, number: u32) -> u32 {
        number * 2
    }

    fn repeat(&self, bytes: u32) -> Vec<u8> {
        vec![0; bytes as usize]
    }

    fn refuse(&self) -> zbus::fdo::Result<()> {
        Err(zbus::fdo::Error::AccessDenied("not for you.".to_owned()))
    }

    async fn hang(&self) {
        std::future::pending::<()>().await;
    }

    /// Says so many numbers, and only then answers.
    async fn count(&self, to: u32, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>) {
        for number in 0..to {
            Self::number(&emitter, number).await.unwrap();
        }
    }

    #[zbus(signal)]
    async fn number(emitter: &SignalEmitter<'_>, number: u32) -> zbus::Result<()>;

    #[zbus(property)]
    fn colour(&self) -> &'static str {
        "green"
    }
}

/// A bus with a peer, and a connection of the test's own; the machine goes last.
fn host() -> Option<(Bus, Bus, SystemBus, Machine)> {
    let machine = Machine::new("needs root")?;
    let daemon = machine.system_bus()?;
    let peer = Bus::system().unwrap();
    peer.wait(async {
        peer.connection()
            .object_server()
            .at("/peer", Made)
            .await
            .unwrap();
        peer.connection().request_name(NAME).await.unwrap();
    });
    Some((Bus::system().unwrap(), peer, daemon, machine))
}

#[test]
fn methods_and_properties_are_reached() {
    let Some((bus, _peer, _daemon, _machine)) = host() else {
        return;
    };
    let answer: u32 = bus.call(PEER, "Double", &(21_u32,)).unwrap();
    assert_eq!(answer, 42);
    let colour = bus.property(PEER, "Colour").unwrap();
    assert_eq!(dbus::json(&colour), "green");
    assert_eq!(bus.properties(PEER).unwrap().len(), 1);
    assert!(bus.offers(NAME).unwrap());
    assert!(!bus.offers("org.example.Nobody").unwrap());
    // An answer of another type than expected is an error and no panic.
    let answer: Result<String, _> = bus.call(PEER, "Double", &(21_u32,));
    assert!(matches!(answer, Err(Error::Call(_))), "{answer:?}");
}

#[test]
fn what_goes_wrong_is_told_apart() {
    let Some((bus, _peer, _daemon, _machine)) = host() else {
        return;
    };
    let error = bus.call::<_, ()>(PEER, "Refuse", &()).unwrap_err();
    assert_eq!(
        error.name(),
        Some("org.freedesktop.DBus.Error.AccessDenied")
    );
    assert_eq!(
        error.to_string(),
        "not for you (org.freedesktop.DBus.Error.AccessDenied)"
    );
    let limit = Duration::from_millis(200);
    let begun = Instant::now();
    let error = bus
        .call_within::<_, ()>(limit, PEER, "Hang", &())
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let repeat = |bytes: u32| bus.call::<_, Vec<u8>>(PEER, "Repeat", &(bytes,));
    assert_eq!(repeat(1 << 20).unwrap().len(), 1 << 20);
    let error = repeat(4 << 20).unwrap_err();
    assert!(matches!(error, Error::TooLarge(_)), "{error}");
    let nobody = Peer {
        name: "org.example.Nobody",
        ..PEER
    };
    let error = bus.call::<_, ()>(nobody, "Refuse", &()).unwrap_err();
    assert!(error.is_unknown_service(), "{error}");
    assert!(
        bus.owner("org.example.Nobody")
            .unwrap_err()
            .is_unknown_service()
    );
}

#[test]
fn signals_are_heard_in_order_however_many_come_before_the_answer() {
    let Some((bus, _peer, _daemon, _machine)) = host() else {
        return;
    };
    let owner = bus.owner(NAME).unwrap();
    let peer = Peer {
        name: &owner,
        ..PEER
    };
    let listener = bus.listen(peer).unwrap();
    let () = bus.call(PEER, "Count", &(5000_u32,)).unwrap();
    for expected in 0..5000_u32 {
        let message = listener.next(Duration::from_secs(5)).unwrap().unwrap();
        let number: u32 = message.body().deserialize().unwrap();
        assert_eq!(number, expected);
    }
    assert!(listener.next(Duration::from_millis(50)).unwrap().is_none());
}

#[test]
fn others_cannot_speak_for_a_peer() {
    let Some((bus, _peer, _daemon, _machine)) = host() else {
        return;
    };
    let owner = bus.owner(NAME).unwrap();
    let listener = bus
        .listen(Peer {
            name: &owner,
            ..PEER
        })
        .unwrap();
    let forger = Bus::system().unwrap();
    forger.wait(async {
        let connection = forger.connection();
        let nobody = None::<&str>;
        connection
            .emit_signal(nobody, "/peer", NAME, "Number", &7_u32)
            .await
            .unwrap();
    });
    assert!(listener.next(Duration::from_millis(300)).unwrap().is_none());
}

#[test]
fn a_peer_that_leaves_is_noticed() {
    let Some((bus, peer, _daemon, _machine)) = host() else {
        return;
    };
    let owner = bus.owner(NAME).unwrap();
    let listener = bus
        .listen(Peer {
            name: &owner,
            ..PEER
        })
        .unwrap();
    drop(peer);
    let result = listener.next(Duration::from_secs(5));
    assert!(matches!(result, Err(Error::Gone(_))), "{result:?}");
}

#[test]
fn without_a_bus_that_is_said() {
    let Some(_machine) = Machine::new("needs root") else {
        return;
    };
    lab::run("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
    let error = Bus::system().err().unwrap();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
}
