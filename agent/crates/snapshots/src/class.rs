//! Kinds of snapshots, and the names that those of a schedule get.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::name::SnapshotName;

/// Why a snapshot was made, which says for how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Somebody asked for it. Never pruned.
    Manual,
    /// The state before a restore. Never pruned.
    Restore,
    /// The state before a run of the engine.
    Operation,
    /// The first of a minute.
    Minute,
    /// The first of an hour.
    Hourly,
    /// The first of a day.
    Daily,
    /// The first of a week, which begins on Monday (ISO 8601).
    Weekly,
    /// The first of a quarter of a year.
    Quarterly,
}

impl Class {
    /// Those that the time makes, the shortest first.
    pub const TIMED: [Self; 5] = [
        Self::Minute,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Quarterly,
    ];

    /// What names of the class begin with; nothing for those that people name.
    pub fn prefix(self) -> Option<&'static str> {
        match self {
            Self::Manual => None,
            Self::Restore => Some("before-restore_"),
            Self::Operation => Some("run_"),
            Self::Minute => Some("minute_"),
            Self::Hourly => Some("hourly_"),
            Self::Daily => Some("daily_"),
            Self::Weekly => Some("weekly_"),
            Self::Quarterly => Some("quarterly_"),
        }
    }

    /// Whether snapshots of the class go when there are more than are to be kept.
    pub fn is_pruned(self) -> bool {
        !matches!(self, Self::Manual | Self::Restore)
    }

    /// The class that names like this one are kept for, if any.
    pub fn claiming(name: &SnapshotName) -> Option<Self> {
        let prefixed = |class: &Self| {
            class
                .prefix()
                .is_some_and(|prefix| name.as_str().starts_with(prefix))
        };
        [Self::Restore, Self::Operation]
            .into_iter()
            .chain(Self::TIMED)
            .find(prefixed)
    }

    /// The name of the period of a timed class that `now` lies in: `hourly_2024-12-31T12:00`, `weekly_2024-W52`.
    ///
    /// Where the clock is set back in autumn an hour comes twice; the second one has its offset from UTC in its
    /// name. `None` for classes that the time does not make.
    pub fn period(self, now: Timestamp, zone: &TimeZone) -> Option<SnapshotName> {
        let local = now.to_zoned(zone.clone());
        let date = local.date();
        let text = match self {
            Self::Minute => local.strftime("%Y-%m-%dT%H:%M").to_string() + &repeated(&local),
            Self::Hourly => local.strftime("%Y-%m-%dT%H:00").to_string() + &repeated(&local),
            Self::Daily => local.strftime("%Y-%m-%d").to_string(),
            Self::Weekly => {
                let week = date.iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Self::Quarterly => format!("{:04}-Q{}", date.year(), (date.month() + 2) / 3),
            Self::Manual | Self::Restore | Self::Operation => return None,
        };
        format!("{}{text}", self.prefix()?).parse().ok()
    }
}

/// The offset, where this time of day comes for the second time.
fn repeated(local: &Zoned) -> String {
    let both = local.time_zone().to_ambiguous_zoned(local.datetime());
    let second = both.is_ambiguous()
        && both
            .earlier()
            .is_ok_and(|earlier| earlier.timestamp() < local.timestamp());
    match second {
        true => local.strftime("%:z").to_string(),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::ToSpan;

    use super::*;

    fn at(time: &str) -> (Timestamp, TimeZone) {
        let zoned: Zoned = time.parse().unwrap();
        (zoned.timestamp(), zoned.time_zone().clone())
    }

    fn name(class: Class, time: &str) -> String {
        let (now, zone) = at(time);
        class.period(now, &zone).unwrap().to_string()
    }

    #[test]
    fn names_are_those_of_the_documents() {
        let time = "2024-12-31T12:34:56+00:00[UTC]";
        assert_eq!(name(Class::Minute, time), "minute_2024-12-31T12:34");
        assert_eq!(name(Class::Hourly, time), "hourly_2024-12-31T12:00");
        assert_eq!(name(Class::Daily, time), "daily_2024-12-31");
        assert_eq!(name(Class::Quarterly, time), "quarterly_2024-Q4");
        assert_eq!(
            name(Class::Weekly, "2024-12-29T23:59:59+00:00[UTC]"),
            "weekly_2024-W52"
        );
        let (now, zone) = at(time);
        assert_eq!(Class::Manual.period(now, &zone), None);
    }

    /// ISO 8601: the week with the year's first Thursday is its first.
    #[test]
    fn weeks_belong_to_the_year_of_their_thursday() {
        let week = |date: &str| name(Class::Weekly, &format!("{date}T00:00:00+00:00[UTC]"));
        assert_eq!(week("2024-12-30"), "weekly_2025-W01");
        assert_eq!(week("2027-01-01"), "weekly_2026-W53");
        assert_eq!(week("2021-01-03"), "weekly_2020-W53");
        assert_eq!(week("2021-01-04"), "weekly_2021-W01");
    }

    #[test]
    fn a_new_year_begins_where_the_zone_says() {
        let (now, _) = at("2024-12-31T23:30:00+00:00[UTC]");
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(
            Class::Daily.period(now, &berlin).unwrap().as_str(),
            "daily_2025-01-01"
        );
        assert_eq!(
            Class::Quarterly.period(now, &berlin).unwrap().as_str(),
            "quarterly_2025-Q1"
        );
    }

    #[test]
    fn the_hour_that_comes_twice_has_two_names() {
        let first = name(Class::Hourly, "2024-10-27T02:10:00+02:00[Europe/Berlin]");
        let second = name(Class::Hourly, "2024-10-27T02:10:00+01:00[Europe/Berlin]");
        assert_eq!(first, "hourly_2024-10-27T02:00");
        assert_eq!(second, "hourly_2024-10-27T02:00+01:00");
    }

    /// No hour goes without a name of its own, whatever the zone does to its clocks.
    #[test]
    fn each_hour_of_a_year_has_its_own_name() {
        for zone in [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "America/Sao_Paulo",
        ] {
            let zone = TimeZone::get(zone).unwrap();
            let mut now: Timestamp = "2018-01-01T00:00:00Z".parse().unwrap();
            let mut names = BTreeSet::new();
            for _ in 0..366 * 24 {
                assert!(names.insert(Class::Hourly.period(now, &zone)), "{now}");
                now += 1.hour();
            }
        }
    }

    #[test]
    fn names_of_a_class_are_claimed_by_it() {
        let (now, zone) = at("2024-12-31T12:34:56+00:00[UTC]");
        for class in Class::TIMED {
            assert_eq!(
                Class::claiming(&class.period(now, &zone).unwrap()),
                Some(class)
            );
        }
        assert_eq!(Class::claiming(&"hourly".parse().unwrap()), None);
        assert_eq!(
            Class::claiming(&"run_x".parse().unwrap()),
            Some(Class::Operation)
        );
    }
}
