//! Which steps of a plan can go next: one at a time, or as one transaction where the plugin has them.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::Change;
use crate::key::Key;
use crate::plugin::Plugin;

/// How many changes are carried out side by side.
const WIDTH: usize = 4;

/// Steps that go together: one, or a whole transaction of an atomic plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The plugin's place.
    pub(crate) plugin: usize,
    /// Places in the plan, in order.
    pub(crate) steps: Vec<usize>,
}

/// The steps that are left, and what they wait for.
pub(crate) struct Schedule {
    /// For each step the steps that it requires.
    requires: Vec<Vec<usize>>,
    followers: Vec<Vec<usize>>,
    plugin: Vec<usize>,
    missing: Vec<usize>,
    ready: BTreeSet<usize>,
    /// For each atomic plugin the steps that have not been given out.
    pools: BTreeMap<usize, BTreeSet<usize>>,
    done: Vec<bool>,
    running: BTreeMap<usize, usize>,
    left: usize,
}

impl Schedule {
    /// All steps of a plan, none begun. `place` gives the place of a change's plugin.
    pub(crate) fn new(
        plugins: &[Box<dyn Plugin>],
        changes: &[Change],
        place: impl Fn(&Change) -> usize,
    ) -> Self {
        let steps: BTreeMap<Key, usize> = changes
            .iter()
            .enumerate()
            .map(|(step, change)| (change.key(), step))
            .collect();
        let mut schedule = Self {
            requires: Vec::new(),
            followers: vec![Vec::new(); changes.len()],
            plugin: changes.iter().map(place).collect(),
            missing: Vec::new(),
            ready: BTreeSet::new(),
            pools: BTreeMap::new(),
            done: vec![false; changes.len()],
            running: BTreeMap::new(),
            left: changes.len(),
        };
        for (step, change) in changes.iter().enumerate() {
            // A requirement outside the plan is met already.
            let requires: Vec<_> = change
                .requires
                .iter()
                .filter_map(|key| steps.get(key).copied())
                .collect();
            for required in &requires {
                schedule.followers[*required].push(step);
            }
            schedule.missing.push(requires.len());
            let plugin = schedule.plugin[step];
            if plugins[plugin].atomic() {
                schedule.pools.entry(plugin).or_default().insert(step);
            } else if requires.is_empty() {
                schedule.ready.insert(step);
            }
            schedule.requires.push(requires);
        }
        schedule
    }

    /// Whether every step is done.
    pub(crate) fn finished(&self) -> bool {
        self.left == 0
    }

    /// The batches to begin now.
    pub(crate) fn next(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        while self.running.values().sum::<usize>() < WIDTH {
            let Some(step) = self.ready.pop_first() else {
                break;
            };
            batches.push(self.begin(self.plugin[step], vec![step]));
        }
        for plugin in self.pools.keys().copied().collect::<Vec<_>>() {
            if self.running.contains_key(&plugin) {
                continue;
            }
            let steps = self.transaction(plugin);
            let whole = steps.len() == self.pools[&plugin].len();
            // A part of a transaction is only worth it when nothing else can go on.
            if !steps.is_empty() && (whole || self.running.is_empty()) {
                batches.push(self.begin(plugin, steps));
            }
        }
        batches
    }

    /// The most steps of an atomic plugin that need nothing but what is done or goes with them.
    fn transaction(&self, plugin: usize) -> Vec<usize> {
        let mut chosen = BTreeSet::new();
        // The plan's order puts requirements first, so one pass is enough.
        for step in &self.pools[&plugin] {
            let met = |required: &usize| self.done[*required] || chosen.contains(required);
            if self.requires[*step].iter().all(met) {
                chosen.insert(*step);
            }
        }
        chosen.into_iter().collect()
    }

    fn begin(&mut self, plugin: usize, steps: Vec<usize>) -> Batch {
        if let Some(pool) = self.pools.get_mut(&plugin) {
            steps.iter().for_each(|step| {
                pool.remove(step);
            });
        }
        *self.running.entry(plugin).or_default() += 1;
        Batch { plugin, steps }
    }

    /// Marks a batch as done.
    pub(crate) fn done(&mut self, batch: &Batch) {
        if let Some(count) = self.running.get_mut(&batch.plugin) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(&batch.plugin);
            }
        }
        self.left -= batch.steps.len();
        for step in &batch.steps {
            self.done[*step] = true;
            for follower in std::mem::take(&mut self.followers[*step]) {
                self.missing[follower] -= 1;
                if self.missing[follower] == 0 && !self.pools.contains_key(&self.plugin[follower]) {
                    self.ready.insert(follower);
                }
            }
        }
    }
}
