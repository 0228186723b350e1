//! The section `snapshots`: which are made without being asked for, and for how long they are kept.

use crate::builtin::In;
use crate::define::{record, words};
use crate::form::{Rejected, Text};
use crate::names::SubvolumeName;

words! {
    /// When a snapshot is made without being asked for.
    pub enum SnapshotPolicy {
        /// Before each run that changes something.
        PerOperation = "per-operation",
        /// Once a minute, and with it once an hour, a day, a week and a quarter of a year.
        EveryMinute = "every-minute",
        /// Once an hour, and with it once a day, a week and a quarter of a year.
        Hourly = "hourly",
        /// Once a day, and with it once a week and a quarter of a year.
        Daily = "daily",
    }
}

record! {
    /// Snapshots that are made without being asked for. Each period has one of its own, which is made when the period
    /// begins, or later if the host was off or asleep then.
    pub struct Snapshots: Default {
        /// When they are made; never if the list is empty. Of several that go by time the shortest counts.
        policies: Vec<SnapshotPolicy> = Vec::new(),
        /// What they have. `@timing` and `@vectors` go together: either brings the other along.
        subvolumes: Vec<SubvolumeName> = snapshotted(),
        /// How many are kept.
        retention: Retention = Retention::default(),
        /// Whose days and hours count, such as `Europe/Berlin`; those of the host without it.
        time_zone: Option<String> as Option<TimeZoneName> = None,
    }
}

record! {
    /// How many snapshots are kept of each kind, the newest ones. With 0, that kind is not made. Those that are
    /// pinned, those that were made by hand, and the last one of each subvolume are always kept.
    pub struct Retention: Default {
        /// Those before runs.
        operation: u32 as In<0, 10_000> = 5,
        /// Those of minutes.
        minute: u32 as In<0, 10_000> = 5,
        /// Those of hours.
        hourly: u32 as In<0, 10_000> = 5,
        /// Those of days.
        daily: u32 as In<0, 10_000> = 5,
        /// Those of weeks, which begin on Monday.
        weekly: u32 as In<0, 10_000> = 5,
        /// Those of quarters of a year.
        quarterly: u32 as In<0, 10_000> = 5,
    }
}

/// What cannot be made again from the declaration.
fn snapshotted() -> Vec<SubvolumeName> {
    ["@plugins", "@state", "@timing", "@vectors"]
        .into_iter()
        .filter_map(|name| name.parse().ok())
        .collect()
}

/// The name of a time zone of the IANA database.
pub(crate) struct TimeZoneName;

impl Text<String> for TimeZoneName {
    const ACCEPTED: &'static str = "the name of a time zone, such as UTC or Europe/Berlin";
    const PATTERN: &'static str = r"^[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}$";

    fn read(text: &str) -> Result<String, Rejected> {
        let step = |step: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
            (1..=32).contains(&step.len()) && step.bytes().all(allowed)
        };
        match text.split('/').count() <= 3 && text.split('/').all(step) {
            true => Ok(text.to_owned()),
            false => Err(Rejected::default()),
        }
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_names_and_no_paths() {
        let read = |text| <TimeZoneName as Text<String>>::read(text).is_ok();
        for good in [
            "UTC",
            "Europe/Berlin",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+3",
        ] {
            assert!(read(good), "{good}");
        }
        for bad in [
            "",
            "/etc/localtime",
            "../UTC",
            "a//b",
            "a/b/c/d",
            "Europe/Ber lin",
        ] {
            assert!(!read(bad), "{bad}");
        }
    }
}
