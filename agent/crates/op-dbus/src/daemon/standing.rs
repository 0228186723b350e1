//! How the host stands, for everybody who asks the daemon.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

/// What the daemon last found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It has not looked yet.
    Starting,
    /// The host is in its declared state.
    Converged,
    /// It is not, and that is only reported.
    Drifted,
    /// Some of it is left alone: it would destroy data or touch the management path, or changes back and
    /// forth.
    Held,
    /// A run waits to be confirmed.
    Awaiting,
    /// The last attempt failed; the next comes later.
    Failing,
    /// There is no good declaration.
    Undeclared,
}

/// Everything there is to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// In a word.
    pub(crate) state: State,
    /// In a sentence.
    pub(crate) text: String,
    /// The resources that are not as they should be.
    pub(crate) drift: Vec<String>,
    /// Resources that are left alone for so many seconds more, since they do not stay mended.
    pub(crate) backed_off: BTreeMap<String, u64>,
    /// `enforce` or `observe`.
    pub(crate) reconcile: String,
    /// When it was found, in milliseconds since 1970-01-01 UTC.
    pub(crate) time_ms: i64,
    /// How many times drift was mended since the daemon started.
    pub(crate) mended: u64,
    /// What witnesses of the ledger have against it, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) alarms: BTreeMap<String, String>,
}

/// The last report, and a bell for those who wait for the next.
pub(crate) struct Standing {
    report: Mutex<Report>,
    bell: watch::Sender<u64>,
}

impl Standing {
    pub(super) fn new() -> Self {
        let report = Report {
            state: State::Starting,
            text: "has not looked yet".to_owned(),
            drift: Vec::new(),
            backed_off: BTreeMap::new(),
            reconcile: "enforce".to_owned(),
            time_ms: 0,
            mended: 0,
            alarms: BTreeMap::new(),
        };
        Self {
            report: Mutex::new(report),
            bell: watch::channel(0).0,
        }
    }

    /// The last report.
    pub(crate) fn report(&self) -> Report {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.clone()
    }

    /// The last report, for `systemctl status`.
    pub(super) fn sentence(&self) -> String {
        let report = self.report();
        match report.alarms.values().next() {
            Some(alarm) => format!("ALARM: {alarm}"),
            None => report.text,
        }
    }

    /// Keeps what a witness has against the ledger, or that it has nothing against it.
    pub(super) fn set_alarm(&self, witness: &str, alarm: Option<String>) {
        let mut last = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match &alarm {
            Some(text) => last.alarms.insert(witness.to_owned(), text.clone()),
            None => last.alarms.remove(witness),
        };
        drop(last);
        if before != alarm {
            self.bell.send_modify(|count| *count += 1);
        }
    }

    /// Keeps a report, and rings if it says something new. Alarms stay as they are.
    pub(super) fn set(&self, mut report: Report) {
        let mut last = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.alarms.clone_from(&last.alarms);
        // What counts up or down by itself is no news.
        let news = Report {
            time_ms: last.time_ms,
            mended: last.mended,
            backed_off: last.backed_off.clone(),
            ..report.clone()
        } != *last;
        *last = report;
        drop(last);
        if news {
            self.bell.send_modify(|count| *count += 1);
        }
    }

    /// Tells of each new report.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
}
