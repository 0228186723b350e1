//! The schedule as a function: whatever there is and whatever the clock does, the rules hold.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use proptest::prelude::*;
use snapshots::{Class, Known, Policy, next, schedule};

const KEPT: [Class; 6] = [
    Class::Operation,
    Class::Minute,
    Class::Hourly,
    Class::Daily,
    Class::Weekly,
    Class::Quarterly,
];

fn policy(finest: Class, zone: &str) -> Policy {
    Policy {
        finest: Some(finest),
        keep: KEPT.into_iter().map(|class| (class, 5)).collect(),
        zone: TimeZone::get(zone).unwrap(),
        subvolumes: BTreeSet::from(["@state".to_owned(), "@timing".to_owned()]),
    }
}

/// Does what the schedule says.
fn carry_out(existing: &mut Vec<Known>, now: Timestamp, policy: &Policy) {
    let plan = schedule(existing, now, policy);
    for due in plan.make {
        existing.push(Known {
            name: due.name,
            class: due.class,
            created: now,
            pinned: false,
            subvolumes: policy.subvolumes.clone(),
        });
    }
    existing.retain(|known| !plan.prune.contains(&known.name));
}

fn names(existing: &[Known], class: Class) -> Vec<String> {
    let of_class = existing.iter().filter(|known| known.class == class);
    of_class.map(|known| known.name.to_string()).collect()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// As a daemon does it that is always awake.
fn run(existing: &mut Vec<Known>, from: &str, to: &str, policy: &Policy) {
    let mut now = time(from);
    while now < time(to) {
        carry_out(existing, now, policy);
        now = next(now, policy).unwrap();
    }
}

#[test]
fn an_hourly_year_leaves_five_of_each() {
    let policy = policy(Class::Hourly, "UTC");
    let mut existing = Vec::new();
    run(
        &mut existing,
        "2023-06-01T00:00:00Z",
        "2025-01-01T12:30:00Z",
        &policy,
    );
    assert_eq!(
        names(&existing, Class::Hourly),
        ["08", "09", "10", "11", "12"].map(|hour| format!("hourly_2025-01-01T{hour}:00"))
    );
    assert_eq!(
        names(&existing, Class::Daily),
        [
            "2024-12-28",
            "2024-12-29",
            "2024-12-30",
            "2024-12-31",
            "2025-01-01"
        ]
        .map(|day| format!("daily_{day}"))
    );
    assert_eq!(
        names(&existing, Class::Weekly),
        ["2024-W49", "2024-W50", "2024-W51", "2024-W52", "2025-W01"]
            .map(|week| format!("weekly_{week}"))
    );
    assert_eq!(
        names(&existing, Class::Quarterly),
        ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4", "2025-Q1"]
            .map(|quarter| format!("quarterly_{quarter}"))
    );
}

#[test]
fn a_daily_policy_makes_no_hourly_ones() {
    let policy = policy(Class::Daily, "Europe/Berlin");
    let mut existing = Vec::new();
    carry_out(&mut existing, time("2024-12-31T12:00:00Z"), &policy);
    let classes: Vec<_> = existing.iter().map(|known| known.class).collect();
    assert_eq!(classes, [Class::Daily, Class::Weekly, Class::Quarterly]);
}

#[test]
fn what_was_missed_in_sleep_is_made_once() {
    let policy = policy(Class::Hourly, "UTC");
    let mut existing = Vec::new();
    run(
        &mut existing,
        "2024-05-01T00:00:00Z",
        "2024-05-01T06:00:00Z",
        &policy,
    );
    let awake = time("2024-05-20T09:41:00Z");
    let plan = schedule(&existing, awake, &policy);
    let made: Vec<_> = plan.make.iter().map(|due| due.name.to_string()).collect();
    assert_eq!(
        made,
        [
            "hourly_2024-05-20T09:00",
            "daily_2024-05-20",
            "weekly_2024-W21"
        ]
    );
    // As many stay as before, however old they are.
    carry_out(&mut existing, awake, &policy);
    assert_eq!(names(&existing, Class::Hourly).len(), 5);
    assert!(schedule(&existing, awake, &policy).make.is_empty());
}

#[test]
fn the_days_of_the_clock_change_have_23_and_25_hours() {
    let policy = policy(Class::Hourly, "Europe/Berlin");
    let hours = |from: &str, to: &str| {
        let (mut now, mut count) = (time(from), 0);
        while now < time(to) {
            now = next(now, &policy).unwrap();
            count += 1;
        }
        count
    };
    assert_eq!(hours("2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"), 23);
    assert_eq!(hours("2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"), 25);
    let mut existing = Vec::new();
    run(
        &mut existing,
        "2024-10-26T22:00:00Z",
        "2024-10-27T02:30:00Z",
        &policy,
    );
    assert_eq!(
        names(&existing, Class::Hourly),
        ["00:00", "01:00", "02:00", "02:00+01:00", "03:00"]
            .map(|hour| format!("hourly_2024-10-27T{hour}"))
    );
}

#[test]
fn a_clock_that_was_a_year_ahead_takes_nothing_with_it() {
    let policy = policy(Class::Hourly, "UTC");
    let mut existing = Vec::new();
    run(
        &mut existing,
        "2024-05-01T00:00:00Z",
        "2024-05-03T00:30:00Z",
        &policy,
    );
    let good = existing.clone();
    // Ahead: one of each goes for the one that is made, no more.
    carry_out(&mut existing, time("2025-05-03T00:40:00Z"), &policy);
    let lost = good
        .iter()
        .filter(|known| !existing.contains(known))
        .count();
    assert_eq!(lost, 1, "the oldest hourly one");
    // Back: what is made stays, though there are some that look newer.
    let back = time("2024-05-03T01:10:00Z");
    carry_out(&mut existing, back, &policy);
    assert!(names(&existing, Class::Hourly).contains(&"hourly_2024-05-03T01:00".to_owned()));
    carry_out(&mut existing, back, &policy);
    assert!(names(&existing, Class::Hourly).contains(&"hourly_2024-05-03T01:00".to_owned()));
    assert!(names(&existing, Class::Hourly).contains(&"hourly_2025-05-03T00:00".to_owned()));
}

#[test]
fn a_class_of_which_none_is_kept_is_not_made() {
    let mut policy = policy(Class::Hourly, "UTC");
    policy.keep.insert(Class::Weekly, 0);
    policy.keep.insert(Class::Hourly, 0);
    let plan = schedule(&[], time("2024-05-01T00:00:00Z"), &policy);
    let classes: Vec<_> = plan.make.iter().map(|due| due.class).collect();
    assert_eq!(classes, [Class::Daily, Class::Quarterly]);
    assert_eq!(
        next(time("2024-05-01T00:00:00Z"), &policy),
        Some(time("2024-05-02T00:00:00Z"))
    );
    policy.finest = None;
    assert_eq!(next(time("2024-05-01T00:00:00Z"), &policy), None);
}

#[test]
fn the_last_one_of_each_subvolume_stays() {
    let mut policy = policy(Class::Hourly, "UTC");
    let known = |name: &str, hours: i64, subvolume: &str| Known {
        name: name.parse().unwrap(),
        class: Class::Operation,
        created: time("2024-05-01T00:00:00Z") + hours.hours(),
        pinned: false,
        subvolumes: BTreeSet::from([subvolume.to_owned()]),
    };
    policy.keep.insert(Class::Operation, 1);
    policy.finest = None;
    let existing = [
        known("run_a", 0, "@state"),
        known("run_b", 1, "@web"),
        known("run_c", 2, "@timing"),
        known("run_d", 3, "@timing"),
    ];
    let plan = schedule(&existing, time("2024-06-01T00:00:00Z"), &policy);
    assert_eq!(plan.prune, ["run_c".parse().unwrap()]);
    // One that is made now is the last of what it has.
    policy.finest = Some(Class::Daily);
    let plan = schedule(&existing, time("2024-06-01T00:00:00Z"), &policy);
    assert_eq!(
        plan.prune,
        ["run_a".parse().unwrap(), "run_c".parse().unwrap()]
    );
}

fn zones() -> impl Strategy<Value = TimeZone> {
    prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    ])
    .prop_map(|zone| TimeZone::get(zone).unwrap())
}

fn any_known() -> impl Strategy<Value = Known> {
    let subvolumes = prop::sample::subsequence(vec!["@state", "@timing", "@web"], 1..=3);
    let class = prop::sample::select(vec![
        Class::Manual,
        Class::Restore,
        Class::Operation,
        Class::Minute,
        Class::Hourly,
        Class::Daily,
        Class::Weekly,
        Class::Quarterly,
    ]);
    (
        0..200_000_i64,
        class,
        prop::bool::weighted(0.1),
        subvolumes,
        zones(),
    )
        .prop_map(|(minutes, class, pinned, subvolumes, zone)| {
            let created = time("2024-01-01T00:00:00Z") + minutes.minutes();
            let name = class.period(created, &zone);
            Known {
                name: name.unwrap_or_else(|| format!("m-{minutes}").parse().unwrap()),
                class,
                created,
                pinned,
                subvolumes: subvolumes.into_iter().map(str::to_owned).collect(),
            }
        })
}

prop_compose! {
    fn any_policy()(
        finest in prop::option::of(prop::sample::select(Class::TIMED.to_vec())),
        keep in prop::collection::vec(0_usize..7, KEPT.len()),
        zone in zones(),
    ) -> Policy {
        Policy {
            finest,
            keep: KEPT.into_iter().zip(keep).collect(),
            zone,
            subvolumes: BTreeSet::from(["@state".to_owned(), "@timing".to_owned()]),
        }
    }
}

fn unique(known: Vec<Known>) -> Vec<Known> {
    let by_name: BTreeMap<_, _> = known
        .into_iter()
        .map(|one| (one.name.clone(), one))
        .collect();
    by_name.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_rules_hold(
        existing in prop::collection::vec(any_known(), 0..60).prop_map(unique),
        minutes in 0..200_000_i64,
        policy in any_policy(),
    ) {
        let now = time("2024-01-01T00:00:00Z") + minutes.minutes();
        let plan = schedule(&existing, now, &policy);
        for known in &existing {
            if known.pinned || !known.class.is_pruned() || known.created > now {
                prop_assert!(!plan.prune.contains(&known.name), "{known:?}");
            }
        }
        for due in &plan.make {
            prop_assert!(!plan.prune.contains(&due.name));
            prop_assert!(!existing.iter().any(|known| known.name == due.name));
        }
        let had: BTreeSet<_> = existing.iter().flat_map(|known| &known.subvolumes).cloned().collect();
        let mut after = existing.clone();
        carry_out(&mut after, now, &policy);
        let has: BTreeSet<_> = after.iter().flat_map(|known| &known.subvolumes).cloned().collect();
        prop_assert!(had.is_subset(&has), "the last one of a subvolume went");
        // Three subvolumes can each hold on to one more than is kept.
        for class in KEPT {
            let count = after.iter()
                .filter(|known| known.class == class && !known.pinned && known.created <= now)
                .count();
            prop_assert!(count <= policy.keep[&class] + 3, "{count} of {class:?}");
        }
        // Nothing is left to do, and nothing changes its mind.
        let again = schedule(&after, now, &policy);
        prop_assert!(again.make.is_empty());
        prop_assert!(again.prune.is_empty(), "{again:?}");
        if let Some(then) = next(now, &policy) {
            prop_assert!(then > now);
            // Under another zone it may have been made before.
            let name = policy.timed().next().unwrap().period(then, &policy.zone).unwrap();
            let due = schedule(&after, then, &policy).make;
            let there = after.iter().any(|known| known.name == name);
            prop_assert!(there || due.iter().any(|due| due.name == name));
        }
    }

    /// However the clock is set, the newest snapshot by the order of making is there.
    #[test]
    fn a_clock_that_jumps_loses_nothing_new(
        steps in prop::collection::vec(-100_000..100_000_i64, 1..60),
        policy in any_policy(),
    ) {
        let mut now = time("2024-01-01T00:00:00Z");
        let mut existing = Vec::new();
        for minutes in steps {
            now += Span::new().minutes(minutes);
            let due = schedule(&existing, now, &policy).make;
            carry_out(&mut existing, now, &policy);
            for due in due {
                prop_assert!(existing.iter().any(|known| known.name == due.name));
            }
            // A second look finds nothing to do.
            let again = schedule(&existing, now, &policy);
            prop_assert!(again.make.is_empty() && again.prune.is_empty());
        }
    }
}
