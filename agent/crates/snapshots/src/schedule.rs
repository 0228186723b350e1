//! What is to be made and what may go, as a function of what there is and what time it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::class::Class;
use crate::name::SnapshotName;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The shortest period that has a snapshot of its own; all longer ones have too. `None` makes none by time.
    pub finest: Option<Class>,
    /// How many are kept of each class. A timed class with none is not made.
    pub keep: BTreeMap<Class, usize>,
    /// Whose days and hours count.
    pub zone: TimeZone,
    /// What a new snapshot has.
    pub subvolumes: BTreeSet<String>,
}

/// A snapshot that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: SnapshotName,
    /// Why it was made.
    pub class: Class,
    /// When it was made, by the clock of that time.
    pub created: Timestamp,
    /// It stays until it is unpinned.
    pub pinned: bool,
    /// What it has.
    pub subvolumes: BTreeSet<String>,
}

/// A snapshot that there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its name.
    pub name: SnapshotName,
    /// Its class.
    pub class: Class,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// To be made, the shortest period first.
    pub make: Vec<Due>,
    /// To be removed once all of these are made, by name.
    pub prune: Vec<SnapshotName>,
}

impl Policy {
    /// The timed classes that have snapshots, the shortest period first.
    pub fn timed(&self) -> impl Iterator<Item = Class> + '_ {
        let finest = self.finest;
        Class::TIMED
            .into_iter()
            .filter(move |class| finest.is_some_and(|finest| *class >= finest))
            .filter(|class| self.keeps(*class) > 0)
    }

    fn keeps(&self, class: Class) -> usize {
        self.keep.get(&class).copied().unwrap_or_default()
    }
}

/// What is to be made now, and what may go then.
///
/// Counts are of snapshots, not of time: however long the host slept, and however far the clock was set forward,
/// as many stay. One that is from the future, since the clock was wrong and was set back, neither counts nor goes
/// before its time has come. What is pinned and the last snapshot of each subvolume stay.
pub fn schedule(existing: &[Known], now: Timestamp, policy: &Policy) -> Schedule {
    let make: Vec<Due> = policy
        .timed()
        .filter_map(|class| {
            let name = class.period(now, &policy.zone)?;
            Some(Due { name, class })
        })
        .filter(|due| !existing.iter().any(|known| known.name == due.name))
        .collect();
    let last = last_of_each(existing, now, policy, !make.is_empty());
    let mut prune = Vec::new();
    for class in [Class::Operation].into_iter().chain(Class::TIMED) {
        let made = make.iter().filter(|due| due.class == class).count();
        let mut of_class: Vec<_> = existing
            .iter()
            .filter(|known| known.class == class && !known.pinned && known.created <= now)
            .collect();
        of_class.sort_by(|one, other| (other.created, &other.name).cmp(&(one.created, &one.name)));
        let too_many = of_class
            .into_iter()
            .skip(policy.keeps(class).saturating_sub(made))
            .filter(|known| !last.contains(&known.name));
        prune.extend(too_many.map(|known| known.name.clone()));
    }
    prune.sort();
    Schedule { make, prune }
}

/// The names of the last snapshots of each subvolume.
fn last_of_each(
    existing: &[Known],
    now: Timestamp,
    policy: &Policy,
    makes: bool,
) -> BTreeSet<SnapshotName> {
    let mut last: BTreeMap<&String, (Timestamp, &SnapshotName)> = BTreeMap::new();
    // One from the future may be from a clock that was wrong: it does not stand in for one that is not.
    for known in existing.iter().filter(|known| known.created <= now) {
        for subvolume in &known.subvolumes {
            let this = (known.created, &known.name);
            let newest = last.entry(subvolume).or_insert(this);
            *newest = this.max(*newest);
        }
    }
    if makes {
        last.retain(|subvolume, _| !policy.subvolumes.contains(*subvolume));
    }
    last.into_values().map(|(_, name)| name.clone()).collect()
}

/// When there is something to be made next; `None` if nothing is made by time.
pub fn next(now: Timestamp, policy: &Policy) -> Option<Timestamp> {
    let finest = policy.timed().next()?;
    // Zones change their offset by whole quarters of an hour, so periods begin at one of UTC; minutes anyway.
    let step = match finest {
        Class::Minute => 60,
        _ => 15 * 60,
    };
    let present = finest.period(now, &policy.zone);
    let mut then = Timestamp::from_second(now.as_second().div_euclid(step) * step).ok()?;
    loop {
        then = then.checked_add(SignedDuration::from_secs(step)).ok()?;
        if finest.period(then, &policy.zone) != present {
            return Some(then);
        }
    }
}
