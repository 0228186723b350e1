//! Why something on the bus did not work.

use std::time::Duration;

use zbus::DBusError;

/// Why the bus, or a peer on it, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no bus to talk to.
    #[error("the system bus cannot be reached: {0}")]
    Unreachable(zbus::Error),
    /// The user has no session bus.
    #[error("the session bus cannot be reached: {0}. It is there where the user is logged in")]
    NoSession(zbus::Error),
    /// The runtime of the connection could not be started.
    #[error("cannot start a thread for the bus: {0}")]
    Thread(#[from] std::io::Error),
    /// The peer, or the bus in its place, answered with an error.
    #[error("{} ({name})", .text.trim_end_matches('.'))]
    Refused {
        /// The error's name, such as `org.freedesktop.DBus.Error.AccessDenied`.
        name: String,
        /// What the peer says.
        text: String,
    },
    /// The call could not be made, or its answer could not be read.
    #[error("{0}")]
    Call(zbus::Error),
    /// The peer took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The peer's answer is larger than so many bytes.
    #[error("the answer has more than {0} bytes, which is the most that is taken in")]
    TooLarge(usize),
    /// The peer left the bus before it was done.
    #[error("{0} left the bus before it was done: it crashed or was stopped")]
    Gone(String),
    /// The peer said more than can be taken in.
    #[error("{0} sent more signals than can be taken in")]
    Flooded(String),
}

impl Error {
    /// The name of the error that the peer answered with.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Refused { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether nobody has the name that was called, and nobody can be started to take it.
    pub fn is_unknown_service(&self) -> bool {
        self.name().is_some_and(|name| {
            let standard = name.strip_prefix("org.freedesktop.DBus.Error.");
            standard.is_some_and(|name| {
                matches!(name, "ServiceUnknown" | "NameHasNoOwner") || name.starts_with("Spawn.")
            })
        }) || matches!(self.name(), Some(name) if name == "org.freedesktop.systemd1.NoSuchUnit")
    }
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, text, _) => Self::Refused {
                name: name.to_string(),
                text: text.unwrap_or_else(|| "no reason was given".to_owned()),
            },
            zbus::Error::FDO(standard) => match *standard {
                zbus::fdo::Error::ZBus(error) => Self::Call(error),
                error => Self::Refused {
                    name: error.name().to_string(),
                    text: error
                        .description()
                        .unwrap_or("no reason was given")
                        .to_owned(),
                },
            },
            error => Self::Call(error),
        }
    }
}
