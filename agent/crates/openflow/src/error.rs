//! What can go wrong, in words that say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::reason::reason;
use crate::wire::Malformed;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no socket, or nobody listens on it.
    #[error("cannot reach the switch at {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection failed.
    #[error("the connection to the switch failed: {0}")]
    Io(#[from] io::Error),
    /// The switch closed the connection.
    #[error("the switch closed the connection; see whether ovs-vswitchd still runs")]
    PeerGone,
    /// The switch did not answer in time.
    #[error("the switch did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// What came is not what OpenFlow 1.3 says.
    #[error("the switch sent no proper OpenFlow 1.3: {0}")]
    Garbage(#[from] Malformed),
    /// The switch sent more than can be believed.
    #[error("the switch sent more than {0} MiB in one answer")]
    TooMuch(usize),
    /// The switch does not speak OpenFlow 1.3.
    #[error(
        "the switch does not speak OpenFlow 1.3; allow `OpenFlow13` in the bridge's `protocols`"
    )]
    Version,
    /// The switch refused a request.
    #[error("the switch refused: {0}")]
    Refused(SwitchError),
    /// The switch refused a change, and with it the whole bundle.
    #[error("the switch refused change {index} of the bundle: {error}")]
    Rejected {
        /// Its place in the bundle, from 0.
        index: usize,
        /// The switch's reason.
        error: SwitchError,
    },
    /// A change does not fit into a message, which has at most 65535 bytes.
    #[error("change {index} of the bundle does not fit into an OpenFlow message")]
    TooLong {
        /// Its place in the bundle, from 0.
        index: usize,
    },
}

/// What a switch says when it refuses (ONF TS-006 §7.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchError {
    /// The type.
    pub kind: u16,
    /// The code within the type.
    pub code: u16,
    /// Who defined the code, where the type is 0xffff.
    pub experimenter: Option<u32>,
}

impl SwitchError {
    /// The error in words; `None` for the less common ones.
    pub fn reason(&self) -> Option<&'static str> {
        reason(self)
    }
}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.reason().unwrap_or("error");
        write!(f, "{text} (type {}, code {}", self.kind, self.code)?;
        if let Some(experimenter) = self.experimenter {
            write!(f, ", experimenter {experimenter:#010x}")?;
        }
        f.write_str(")")
    }
}
