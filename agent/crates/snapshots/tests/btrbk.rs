//! btrbk keeps the same snapshots, where its classes are ours: hours, days and weeks.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use lab::Machine;
use snapshots::{Class, Known, Policy, schedule};

/// When both look, by no clock: an hour might end in between.
const NOW: &str = "2026-07-15T12:20:00Z";

/// How many periods of each kind are kept, the present one included.
const KEPT: [(Class, usize); 3] = [(Class::Hourly, 6), (Class::Daily, 4), (Class::Weekly, 3)];

/// When a daemon was awake: each hour of the last two days, and some hours of the last weeks.
fn moments(now: Timestamp) -> BTreeSet<Timestamp> {
    let hour = |ago: i64| {
        let then = now - ago.hours();
        Timestamp::from_second(then.as_second() / 3600 * 3600).unwrap()
    };
    (0..48)
        .chain((48..24 * 40).filter(|ago| ago % 5 == 0))
        .map(hour)
        .collect()
}

/// What we keep of them, as the times at which it was made.
fn ours(moments: &BTreeSet<Timestamp>, zone: &TimeZone) -> BTreeSet<Timestamp> {
    let mut keep: BTreeMap<Class, usize> = KEPT.into();
    keep.insert(Class::Quarterly, 0);
    let policy = Policy {
        finest: Some(Class::Hourly),
        keep,
        zone: zone.clone(),
        subvolumes: BTreeSet::from(["@data".to_owned()]),
    };
    let mut known: Vec<Known> = Vec::new();
    for now in moments {
        let plan = schedule(&known, *now, &policy);
        known.extend(plan.make.into_iter().map(|due| Known {
            name: due.name,
            class: due.class,
            created: *now,
            pinned: false,
            subvolumes: policy.subvolumes.clone(),
        }));
        known.retain(|one| !plan.prune.contains(&one.name));
    }
    known.into_iter().map(|one| one.created).collect()
}

#[test]
fn btrbk_keeps_the_same() {
    if !lab::has("btrbk") || !lab::has("faketime") {
        return lab::skip("needs btrbk and faketime");
    }
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let volume = machine.btrfs(256);
    btrfs::create(volume.join("data")).unwrap();
    fs::create_dir(volume.join("snapshots")).unwrap();
    for zone_name in ["UTC", "America/New_York", "Australia/Lord_Howe"] {
        let zone = TimeZone::get(zone_name).unwrap();
        let now: Timestamp = NOW.parse().unwrap();
        let moments = moments(now);
        let mut made = BTreeMap::new();
        for moment in &moments {
            let local = moment.to_zoned(zone.clone());
            let name = format!("data.{}", local.strftime("%Y%m%dT%H%M%S%z"));
            let path = volume.join("snapshots").join(&name);
            btrfs::snapshot(volume.join("data"), &path, true).unwrap();
            made.insert(name, *moment);
        }
        // btrbk counts whole periods back from the present one, which is kept besides.
        let [hours, days, weeks] = KEPT.map(|(_, count)| count - 1);
        let configuration = machine.dir().join("btrbk.conf");
        let text = format!(
            "timestamp_format long-iso\nsnapshot_preserve_min latest\n\
             snapshot_preserve {hours}h {days}d {weeks}w\npreserve_day_of_week monday\nsnapshot_create no\n\
             volume {}\n  snapshot_dir snapshots\n  subvolume data\n",
            volume.display()
        );
        fs::write(&configuration, text).unwrap();
        let said = std::process::Command::new("faketime")
            .arg(format!("@{}", now.as_second()))
            .args([
                "btrbk",
                "-c",
                configuration.to_str().unwrap(),
                "--format",
                "raw",
                "-n",
                "-S",
                "run",
            ])
            .env("TZ", zone_name)
            .output()
            .unwrap();
        let said =
            String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap();
        let theirs: BTreeSet<Timestamp> = said
            .lines()
            .filter(|line| line.contains("action='preserve'") || line.contains("action=''"))
            .filter_map(|line| {
                made.iter()
                    .find(|(name, _)| line.contains(name.as_str()))
                    .map(|(_, moment)| *moment)
            })
            .collect();
        assert!(!theirs.is_empty(), "{said}");
        assert_eq!(ours(&moments, &zone), theirs, "{zone_name}: {said}");
        for name in made.keys() {
            btrfs::delete(volume.join("snapshots").join(name)).unwrap();
        }
    }
}
