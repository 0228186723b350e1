//! How often the same thing is mended, and when it is left alone for a while.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use reconcile::{Key, Plan};

/// A resource that is mended more often than this...
const OFTEN: usize = 3;
/// ... within this time is flapping.
const WITHIN: Duration = Duration::from_secs(60);
/// How long a flapping resource, or a failing apply, is left alone at first; it doubles.
const FIRST: Duration = Duration::from_secs(5);
/// The longest that anything is left alone.
const LONGEST: Duration = Duration::from_secs(600);

/// What is known of earlier attempts.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
    resources: BTreeMap<Key, Past>,
}

#[derive(Debug, Default)]
struct Past {
    mended: VecDeque<Instant>,
    /// How many times it was left alone in a row.
    rounds: u32,
    until: Option<Instant>,
}

fn pause(rounds: u32) -> Duration {
    LONGEST.min(FIRST * 2u32.saturating_pow(rounds.min(16)))
}

impl Patience {
    /// An attempt failed; how long to wait before the next.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = pause(self.failures);
        self.failures += 1;
        wait
    }

    /// Everything was found as it should be: what was quiet for long enough is forgotten.
    pub(super) fn rested(&mut self) {
        self.failures = 0;
        let now = Instant::now();
        self.resources.retain(|_, past| {
            let last = past.mended.back();
            past.until.is_some_and(|until| until > now)
                || last.is_some_and(|last| now.duration_since(*last) < LONGEST)
        });
    }

    /// These were mended.
    pub(super) fn mended(&mut self, keys: &[Key]) {
        self.failures = 0;
        let now = Instant::now();
        for key in keys {
            let past = self.resources.entry(key.clone()).or_default();
            past.mended.push_back(now);
            while past
                .mended
                .front()
                .is_some_and(|first| now.duration_since(*first) > WITHIN)
            {
                past.mended.pop_front();
            }
            if past.mended.len() > OFTEN {
                let wait = pause(past.rounds);
                log::warn!(
                    "{key} does not stay mended: it is left alone for {} s",
                    wait.as_secs()
                );
                past.rounds += 1;
                past.until = Some(now + wait);
                past.mended.clear();
            }
        }
    }

    /// The resources of a plan that are left alone now.
    pub(super) fn held_back(&self, plan: &Plan) -> Vec<Key> {
        let now = Instant::now();
        let keys = plan.changes.iter().map(reconcile::Change::key);
        keys.filter(|key| {
            let past = self.resources.get(key);
            past.and_then(|past| past.until)
                .is_some_and(|until| until > now)
        })
        .collect()
    }

    /// When the next of those that are left alone gets its chance.
    pub(super) fn next(&self) -> Option<Duration> {
        let now = Instant::now();
        let left = self.resources.values().filter_map(|past| past.until);
        left.filter(|until| *until > now)
            .map(|until| until.duration_since(now))
            .min()
    }

    /// What is left alone, and for how many seconds more.
    pub(super) fn backed_off(&self) -> BTreeMap<String, u64> {
        let now = Instant::now();
        let left = self.resources.iter().filter_map(|(key, past)| {
            let until = past.until.filter(|until| *until > now)?;
            Some((key.to_string(), until.duration_since(now).as_secs()))
        });
        left.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(key: &Key) -> Plan {
        let change = serde_json::json!({
            "plugin": key.plugin, "resource": key.resource, "verb": "create",
            "before": null, "after": {}, "requires": [],
        });
        Plan {
            changes: vec![serde_json::from_value(change).unwrap()],
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_flaps_is_left_alone_ever_longer() {
        let key = Key::new("lxc", "container:web");
        let mut patience = Patience::default();
        for _ in 0..OFTEN {
            patience.mended(std::slice::from_ref(&key));
        }
        assert!(patience.held_back(&plan(&key)).is_empty());
        patience.mended(std::slice::from_ref(&key));
        assert_eq!(patience.held_back(&plan(&key)), std::slice::from_ref(&key));
        let first = patience.next().unwrap();
        assert!(first <= FIRST);
        for _ in 0..=OFTEN {
            patience.mended(std::slice::from_ref(&key));
        }
        assert!(patience.next().unwrap() > first);
        assert!(patience.backed_off().contains_key("lxc/container:web"));
        let other = Key::new("lxc", "container:db");
        assert!(patience.held_back(&plan(&other)).is_empty());
    }

    #[test]
    fn failures_are_repeated_ever_later_and_forgotten_after_success() {
        let mut patience = Patience::default();
        let waits: Vec<_> = (0..12).map(|_| patience.failed()).collect();
        assert!(waits.is_sorted());
        assert_eq!(waits[0], FIRST);
        assert_eq!(waits[11], LONGEST);
        patience.rested();
        assert_eq!(patience.failed(), FIRST);
    }
}
