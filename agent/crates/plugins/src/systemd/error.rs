//! Why something was not done to a unit.

use reconcile::PluginError;

/// Why systemd, or this program in its place, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The bus, or systemd on it, does not answer or refuses.
    #[error(transparent)]
    Bus(#[from] dbus::Error),
    /// Nobody on the bus is systemd.
    #[error(
        "systemd does not run this machine (nobody on the system bus is org.freedesktop.systemd1)"
    )]
    NoSystemd,
    /// There is no such unit.
    #[error("there is no unit {0}: `systemctl list-unit-files` shows those there are")]
    NotFound(String),
    /// A job ended otherwise than well.
    #[error("{verb} of {unit} ended as `{result}`{detail}: `journalctl --unit {unit}` tells why")]
    Job {
        /// What was to be done.
        verb: &'static str,
        /// The unit.
        unit: String,
        /// systemd's word for how it ended.
        result: String,
        /// What systemd knows besides, in brackets.
        detail: String,
    },
    /// A job took too long; it goes on.
    #[error(
        "{verb} of {unit} is not done after {seconds} s and goes on: `systemctl list-jobs` shows it"
    )]
    Slow {
        /// What was to be done.
        verb: &'static str,
        /// The unit.
        unit: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The unit does not stay active.
    #[error("{unit} was started and is {state} again{detail}")]
    Ended {
        /// The unit.
        unit: String,
        /// Its active state.
        state: String,
        /// Why, as far as systemd tells.
        detail: String,
    },
    /// This program, or the bus that it needs, would be gone.
    #[error("{0}")]
    Protected(String),
    /// Where units are enabled and masked, nothing can be written.
    #[error(
        "{0} cannot be written: the directory of units is read-only. On NixOS units are enabled and masked \
         in the host's configuration (`systemd.services.NAME.wantedBy`, `systemd.services.NAME.enable`); \
         take it out of `plugins.systemd`"
    )]
    ReadOnly(String),
    /// Whoever asked does not want it any more; a job that was begun goes on.
    #[error("it is not waited for any longer")]
    Unwanted,
}

impl UnitError {
    /// The error as a plugin gives it.
    pub fn while_doing(self, doing: impl Into<String>) -> PluginError {
        let remedy = "start it, or take `plugins.systemd` out of the declaration";
        match &self {
            Self::NoSystemd | Self::Bus(dbus::Error::Unreachable(_)) => {
                PluginError::unavailable(self.to_string(), remedy)
            }
            _ => PluginError::failed(doing, self),
        }
    }
}
