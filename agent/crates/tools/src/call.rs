//! One call: who asks, how long it may take, and whom to tell on the way.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::engine::Site;
use crate::error::ToolError;

/// How a call is to be carried out.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Show the plan and change nothing.
    pub dry_run: bool,
    /// The hash of the plan that was shown (or its first 8 or more digits): what destroys needs it, and what
    /// writes is bound by it where it is given.
    pub plan: Option<String>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Where the caller's SSH session comes from: the way there is protected.
    pub ssh_client: Option<IpAddr>,
}

/// Takes a call back; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Flags>);

/// What a caller and a call tell each other.
#[derive(Debug, Default)]
struct Flags {
    cancelled: AtomicBool,
    begun: AtomicBool,
    /// 0 where there is none: the first has 1.
    entry: AtomicI64,
}

impl Cancel {
    /// Asks the call to end as soon as it can without leaving half of something behind.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Release);
    }

    /// Whether that was asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Acquire)
    }

    /// The tool that changes something has begun: from here on it may have done part of it.
    pub(crate) fn begin(&self) {
        self.0.begun.store(true, Ordering::Release);
    }

    /// The ledger tells of the call in this entry.
    pub(crate) fn recorded(&self, entry: Option<i64>) {
        self.0.entry.store(entry.unwrap_or(0), Ordering::Release);
    }

    /// The ledger's entry of the call, once it has one.
    pub fn entry(&self) -> Option<i64> {
        Some(self.0.entry.load(Ordering::Acquire)).filter(|entry| *entry > 0)
    }

    /// Whether a tool that changes something has begun; if not, nothing was done.
    pub fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }
}

/// What kind of thing an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It begins; `total` says how many steps there are.
    Begin,
    /// A step is being done.
    Doing,
    /// Steps are done.
    Done,
    /// A step failed.
    Failed,
    /// Everything is being taken back.
    Undoing,
    /// A step was taken back.
    Undone,
    /// A step could not be taken back.
    NotUndone,
    /// Something that people should know.
    Note,
    /// It is over.
    End,
}

/// What is told while a call goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What it is about.
    pub kind: Kind,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Steps done so far.
    pub done: usize,
    /// Steps in all, 0 where nobody knows.
    pub total: usize,
}

impl Event {
    /// An event without steps.
    pub fn note(text: impl Into<String>) -> Self {
        Self {
            kind: Kind::Note,
            text: text.into(),
            done: 0,
            total: 0,
        }
    }
}

/// A call on its way.
pub struct Call<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The host's declaration and files.
    pub site: &'a Site,
    /// How it is to be carried out.
    pub options: Options,
    /// Set when the caller takes it back.
    pub cancel: Cancel,
    /// Whom to tell.
    pub listener: &'a (dyn Fn(&Event) + Sync),
}

impl Call<'_> {
    /// Whether to go on; to be asked in loops, and between steps that leave nothing half done.
    pub fn check(&self) -> Result<(), ToolError> {
        if self.cancel.is_cancelled() {
            return Err(ToolError::Cancelled);
        }
        match self.options.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(ToolError::TimedOut),
            _ => Ok(()),
        }
    }

    /// Tells something on the way.
    pub fn tell(&self, event: &Event) {
        (self.listener)(event);
    }

    /// Tells people something.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(&Event::note(text));
    }

    /// Tells how far a long job is.
    pub fn progress(&self, text: impl Into<String>, done: usize, total: usize) {
        self.tell(&Event {
            kind: Kind::Doing,
            text: text.into(),
            done,
            total,
        });
    }
}
