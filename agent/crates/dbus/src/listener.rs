//! Hearing what a peer says.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream};

use crate::bus::Peer;
use crate::error::Error;

/// How many signals may wait to be heard; a package manager lists tens of thousands of packages at once.
const WAITING: usize = 1 << 18;

/// Hears the signals of one object until it is dropped.
///
/// A task takes them in at once, so that many of them do not hold up answers on the same connection.
pub struct Listener {
    peer: String,
    heard: Receiver<Message>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listener {
    pub(crate) async fn start(
        connection: &Connection,
        runtime: &Handle,
        peer: Peer<'_>,
    ) -> Result<Self, Error> {
        let mut signals = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(peer.name)
            .path(peer.path);
        if !peer.interface.is_empty() {
            signals = signals.interface(peer.interface);
        }
        let end = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, peer.name);
        let (sender, heard) = sync_channel(WAITING);
        let mut tasks = Vec::new();
        for rule in [signals.build()?, end.build()?] {
            let stream = MessageStream::for_match_rule(
                rule.into_owned(),
                connection,
                NonZeroUsize::new(1024),
            )
            .await?;
            tasks.push(runtime.spawn(take_in(stream, sender.clone())));
        }
        Ok(Self {
            peer: peer.name.to_owned(),
            heard,
            tasks,
        })
    }

    /// The next signal; `None` if there is none within `limit`.
    ///
    /// To wait for longer, call it again after having asked whether the signal is still wanted.
    pub fn next(&self, limit: Duration) -> Result<Option<Message>, Error> {
        match self.heard.recv_timeout(limit) {
            Ok(message) if is_end(&message, &self.peer) => Err(Error::Gone(self.peer.clone())),
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) if self.tasks.iter().any(JoinHandle::is_finished) => {
                Err(Error::Flooded(self.peer.clone()))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Gone("the bus".to_owned())),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn take_in(mut stream: MessageStream, sender: SyncSender<Message>) {
    while let Some(Ok(message)) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await
    {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(message)
        {
            return;
        }
    }
}

/// Whether the message says that the peer has left the bus.
fn is_end(message: &Message, peer: &str) -> bool {
    let header = message.header();
    let from_bus = header
        .sender()
        .is_some_and(|sender| sender.as_str() == "org.freedesktop.DBus");
    if !from_bus
        || header
            .member()
            .is_none_or(|member| member != "NameOwnerChanged")
    {
        return false;
    }
    let body = message.body();
    let change = body.deserialize::<(&str, &str, &str)>();
    change.is_ok_and(|(name, _, owner)| name == peer && owner.is_empty())
}
