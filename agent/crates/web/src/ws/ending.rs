//! How connections end: each within a bounded time, also where the other end takes nothing any more.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};

/// How long the other end may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How often a connection is looked after.
    pub(super) pulse: Duration,
    /// How long a client may be silent: it answers each ping.
    pub(super) silence: Duration,
    /// How long one event may take to be sent.
    pub(super) sending: Duration,
    /// How long the end itself may take, until the client has answered it.
    pub(super) closing: Duration,
    /// The same at the end of the server, which waits for it.
    pub(super) leaving: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            pulse: Duration::from_secs(20),
            silence: Duration::from_secs(65),
            sending: Duration::from_secs(20),
            closing: Duration::from_secs(5),
            leaving: Duration::from_secs(1),
        }
    }
}

/// Why a connection ends (RFC 6455 §7.4.1; codes from 4000 on are ours).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The other end did it.
    Gone,
    OverHere,
    NoText,
    TooLarge,
    TooSlow,
    LoggedOut,
}

impl Why {
    /// The code and the words for the other end, if there is one.
    pub(super) fn told(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Gone => None,
            Self::OverHere => Some((1012, "the server ends: come back in a moment")),
            Self::NoText => Some((1003, "only texts are understood")),
            Self::TooLarge => Some((1009, "a message has at most 64 KiB")),
            Self::TooSlow => Some((1013, "too slow: come back, and nothing is lost")),
            Self::LoggedOut => Some((4401, "the session ended: log in again")),
        }
    }
}

/// Sends one message; why there is an end if the client does not take it.
pub(super) async fn send(
    socket: &mut WebSocket,
    message: Message,
    within: Duration,
) -> Result<(), Why> {
    match tokio::time::timeout(within, socket.send(message)).await {
        Ok(sent) => sent.map_err(|_| Why::Gone),
        Err(_) => Err(Why::TooSlow),
    }
}

/// Tells the other end why, if it still takes that in time, and lets go of it.
pub(super) async fn close(mut socket: WebSocket, why: Why, patience: Patience) {
    let within = match why {
        Why::OverHere => patience.leaving,
        _ => patience.closing,
    };
    let told = async {
        if let Some((code, reason)) = why.told() {
            let reason = reason.into();
            let frame = CloseFrame { code, reason };
            if socket.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
        }
        // What the client still sends is taken and dropped until it has answered: a connection that is closed with
        // something unread is reset, and then what was on its way to the client is lost (RFC 1122 §4.2.2.13).
        while let Some(Ok(_)) = socket.recv().await {}
    };
    // Who takes nothing is not waited for.
    let _ = tokio::time::timeout(within, told).await;
}
