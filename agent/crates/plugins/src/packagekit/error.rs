//! Why something was not done to a package.

use reconcile::PluginError;

/// Why a package manager did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The bus does not answer, or refuses.
    #[error(transparent)]
    Bus(#[from] dbus::Error),
    /// There is no package manager that could be used.
    #[error("{what}; {fix}")]
    Unavailable {
        /// What is missing.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// A package, or the version of it, is not known.
    #[error(
        "{0} is not in the package lists of this host: correct the name or version, or fetch newer lists \
         (`op-dbus tool call package_refresh`)"
    )]
    NotFound(String),
    /// More would go than was asked for.
    #[error(
        "removing {} would remove {} as well; nothing was removed. Name these too, or leave it installed",
        .asked.join(", "), .others.join(", ")
    )]
    TakesAlong {
        /// What was to be removed.
        asked: Vec<String>,
        /// What else would go.
        others: Vec<String>,
    },
    /// Installing or updating would remove something.
    #[error("this would remove {}; nothing was changed. Remove these first, if they are to go", .0.join(", "))]
    Displaces(Vec<String>),
    /// The package manager ended badly.
    #[error("{manager}: {reason}")]
    Failed {
        /// Its name.
        manager: &'static str,
        /// In its own words.
        reason: String,
    },
    /// It said nothing for too long and was told to stop.
    #[error("{manager} has said nothing for {seconds} s and was told to stop")]
    Silent {
        /// Its name.
        manager: &'static str,
        /// How long.
        seconds: u64,
    },
    /// It went away half-way.
    #[error(
        "PackageKit left the bus before it was done: it crashed or was stopped. What it did is not known; \
             `journalctl --unit packagekit` may tell"
    )]
    Died,
    /// Whoever asked does not want it any more.
    #[error("it was taken back")]
    Unwanted,
}

impl PackageError {
    pub(super) fn unavailable(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Unavailable {
            what: what.into(),
            fix: fix.into(),
        }
    }

    pub(super) fn failed(manager: &'static str, reason: impl Into<String>) -> Self {
        Self::Failed {
            manager,
            reason: reason.into(),
        }
    }

    /// The error as a plugin gives it.
    pub fn while_doing(self, doing: impl Into<String>) -> PluginError {
        match self {
            Self::Unavailable { what, fix } => PluginError::Unavailable { what, fix },
            other => PluginError::failed(doing, other),
        }
    }
}
