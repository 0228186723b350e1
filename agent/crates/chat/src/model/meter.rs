//! How many tokens were used today, by all users together. It outlives a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The name of the file in the state directory.
const FILE: &str = "model-usage.json";

/// Counts tokens against the budget of a day (UTC).
#[derive(Debug)]
pub(super) struct Meter {
    file: Option<PathBuf>,
    limit: Option<u64>,
    used: Mutex<Used>,
}

/// What was used on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    /// The date, as `2026-11-21`.
    day: String,
    tokens: u64,
}

impl Used {
    /// What was used if it is still that day, else nothing.
    fn on(&self, day: &str) -> u64 {
        match self.day == day {
            true => self.tokens,
            false => 0,
        }
    }
}

impl Meter {
    /// A meter that keeps its count in a directory, if there is one.
    pub(super) fn new(state: Option<&Path>, limit: Option<u32>) -> Self {
        let file = state.map(|state| state.join(FILE));
        let read = file.as_ref().and_then(|file| fs::read(file).ok());
        let used = read.and_then(|text| serde_json::from_slice(&text).ok());
        let nothing = Used {
            day: day(Timestamp::now()),
            tokens: 0,
        };
        Self {
            file,
            limit: limit.map(u64::from),
            used: Mutex::new(used.unwrap_or(nothing)),
        }
    }

    /// Takes so many tokens out of the day's budget, before they are used. Whether there were as many.
    pub(super) fn take(&self, tokens: u64, now: Timestamp) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let after = used.on(&day(now)).saturating_add(tokens);
        if self.limit.is_some_and(|limit| after > limit) {
            return false;
        }
        self.set(&mut used, after, now);
        true
    }

    /// Corrects what was taken to what was used.
    pub(super) fn settle(&self, taken: u64, really: u64, now: Timestamp) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let before = used.on(&day(now));
        let after = before.saturating_sub(taken).saturating_add(really);
        self.set(&mut used, after, now);
    }

    fn set(&self, used: &mut Used, tokens: u64, now: Timestamp) {
        *used = Used {
            day: day(now),
            tokens,
        };
        let Some(file) = &self.file else { return };
        let text = serde_json::json!(used).to_string();
        if let Err(error) = durable::replace(file, text.as_bytes(), 0o600) {
            log::warn!(
                "{}: {error}: a restart forgets what was used today",
                file.display()
            );
        }
    }
}

fn day(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_budget_that_a_restart_keeps() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::now();
        let new = || Meter::new(Some(dir.path()), Some(100));
        let meter = new();
        assert!(meter.take(60, now));
        assert!(!meter.take(41, now));
        meter.settle(60, 70, now);
        assert!(!new().take(31, now));
        assert!(new().take(30, now));
        let tomorrow = now + jiff::SignedDuration::from_hours(24);
        assert!(new().take(100, tomorrow));
        // What cannot be read counts as nothing, and is written anew.
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert!(new().take(100, now));
        assert!(Meter::new(None, None).take(u64::MAX, now));
    }
}
