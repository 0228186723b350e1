//! What can go wrong.

use std::io;

use netlink_packet_core::DecodeError;
use rustix::io::Errno;

/// Why the kernel did not do, or did not tell, what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be opened or used.
    #[error("talk to the kernel about the network (rtnetlink): {0}")]
    Socket(#[from] io::Error),
    /// The kernel said no.
    #[error("{doing}: {source}{}", said(.detail, *.source))]
    Refused {
        /// What it was asked to do.
        doing: String,
        /// The error number.
        source: Errno,
        /// The kernel's own words (extended acknowledgement), if it had any.
        detail: Option<String>,
    },
    /// The kernel's answer could not be read.
    #[error("{doing}: the kernel's answer cannot be read: {reason}")]
    Answer {
        /// What it was asked to do.
        doing: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The network changed under every attempt to list it.
    #[error("{doing}: the network kept changing while it was read; try again when it is quiet")]
    Unsteady {
        /// What was being listed.
        doing: String,
    },
    /// The text cannot be the name of a link.
    #[error(
        "`{0}` cannot be the name of a link: use 1 to 15 bytes without spaces, `/` and `:`, and not `.` or `..`"
    )]
    Name(String),
}

impl Error {
    pub(crate) fn answer(doing: &str, reason: &DecodeError) -> Self {
        Self::Answer {
            doing: doing.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// The kernel's error number, when it refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { source, .. } => Some(*source),
            _ => None,
        }
    }
}

fn said(detail: &Option<String>, errno: Errno) -> String {
    match detail {
        Some(detail) => format!(" ({detail})"),
        None if errno == Errno::PERM => "; it takes root or CAP_NET_ADMIN".to_owned(),
        None => String::new(),
    }
}

/// Turns refusals that mean "it is so already" into success.
pub(crate) fn unless(result: Result<(), Error>, fine: &[Errno]) -> Result<(), Error> {
    match result {
        Err(Error::Refused { source, .. }) if fine.contains(&source) => Ok(()),
        other => other,
    }
}
