//! Errors by name, as callers on the bus tell them apart.

use tools::ToolError;
use zbus::DBusError;

/// `org.opdbus1.Error.…`
#[derive(Debug, DBusError)]
#[zbus(prefix = "org.opdbus1.Error")]
pub(super) enum Error {
    #[zbus(error)]
    Bus(zbus::Error),
    NotFound(String),
    Invalid(String),
    BadDeclaration(String),
    Refused(String),
    Unconfirmed(String),
    PlanChanged(String),
    Unavailable(String),
    Failed(String),
    RolledBack(String),
    Cancelled(String),
    TimedOut(String),
    TooLarge(String),
}

impl From<ToolError> for Error {
    fn from(error: ToolError) -> Self {
        let text = error.to_string();
        match error {
            ToolError::NotFound(_) => Self::NotFound(text),
            ToolError::Invalid(_) => Self::Invalid(text),
            ToolError::Declaration(_) => Self::BadDeclaration(text),
            ToolError::Refused(_) => Self::Refused(text),
            ToolError::Unconfirmed { .. } => Self::Unconfirmed(text),
            ToolError::PlanChanged { .. } => Self::PlanChanged(text),
            ToolError::Unavailable(_) => Self::Unavailable(text),
            ToolError::Failed(_) => Self::Failed(text),
            ToolError::RolledBack(_) => Self::RolledBack(text),
            ToolError::Cancelled => Self::Cancelled(text),
            ToolError::TimedOut => Self::TimedOut(text),
            ToolError::TooLarge(_) => Self::TooLarge(text),
        }
    }
}
