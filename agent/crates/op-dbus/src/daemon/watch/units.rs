//! Units of systemd, by the signals of its manager.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZero;

use tokio::sync::mpsc;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

use crate::daemon::keeper::{Poke, Trigger};

const MANAGER: &str = "org.freedesktop.systemd1";

/// Tells when the state of one of these units changes.
pub(super) async fn run(names: &[String], poke: &Poke) -> io::Result<()> {
    let paths: BTreeSet<String> = names.iter().map(|name| path(name)).collect();
    follow(&paths, poke).await.map_err(io::Error::other)
}

async fn follow(paths: &BTreeSet<String>, poke: &Poke) -> zbus::Result<()> {
    let connection = Connection::system().await?;
    // Without a subscriber the manager sends no signals.
    connection
        .call_method(
            Some(MANAGER),
            "/org/freedesktop/systemd1",
            Some("org.freedesktop.systemd1.Manager"),
            "Subscribe",
            &(),
        )
        .await?;
    let (sender, mut changes) = mpsc::channel::<()>(1);
    let mut tasks = tokio::task::JoinSet::new();
    for path in paths {
        // One rule a unit, so that the bus does not wake us for the others.
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(MANAGER)
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path(path.as_str())
            .build()?;
        let mut stream = MessageStream::for_match_rule(rule, &connection, NonZero::new(8)).await?;
        let sender = sender.clone();
        tasks.spawn(async move {
            while futures_next(&mut stream).await {
                let _ = sender.try_send(());
            }
        });
    }
    drop(sender);
    while changes.recv().await.is_some() {
        poke.send(Trigger::Event("a unit changed"));
    }
    Ok(())
}

/// Waits for the next message; `false` at the end of the stream.
async fn futures_next(stream: &mut MessageStream) -> bool {
    use std::pin::Pin;
    use zbus::export::futures_core::Stream;
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_next(context))
        .await
        .is_some()
}

/// The object path of a unit: what is not a letter or a digit is written as `_` and two hexadecimal digits
/// (sd_bus_path_encode(3)).
fn path(name: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (place, byte) in name.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && place > 0) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    #[test]
    fn unit_names_become_paths_as_systemd_writes_them() {
        assert_eq!(
            super::path("op-dbus-container@web-01.service"),
            "/org/freedesktop/systemd1/unit/op_2ddbus_2dcontainer_40web_2d01_2eservice"
        );
        assert_eq!(
            super::path("9p.mount"),
            "/org/freedesktop/systemd1/unit/_39p_2emount"
        );
    }
}
