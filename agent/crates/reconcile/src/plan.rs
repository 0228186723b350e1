//! The pure heart: from what should be and what is to an ordered list of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::change::{Change, Verb};
use crate::key::Key;
use crate::plugin::{Desired, Observed, Owner, Plugin, PluginError, Transition};

/// Everything that a set of plugins sees, in the order of the plugins.
pub type World = Vec<BTreeMap<String, Observed>>;

/// What would be done, in an order in which it can be done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The changes; each comes after all that it requires.
    pub changes: Vec<Change>,
    /// What people should know besides.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// A remark on a resource that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// The resource.
    pub resource: Key,
    /// The remark.
    pub text: String,
}

/// How many changes of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Resources to create.
    pub create: usize,
    /// Resources to update.
    pub update: usize,
    /// Resources to delete.
    pub delete: usize,
}

/// SHA-256 over the canonical JSON (RFC 8785) of a plan's changes, as lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PlanHash(String);

impl PlanHash {
    /// The shortest abbreviation that is accepted, in hex digits.
    pub const SHORTEST: usize = 8;

    /// The hash as hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this hash, or its first [`Self::SHORTEST`] or more digits.
    pub fn matches(&self, text: &str) -> bool {
        text.len() >= Self::SHORTEST && self.0.starts_with(&text.to_ascii_lowercase())
    }
}

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why one resource cannot be brought to its desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The resource.
    pub resource: Key,
    /// Why, and what to do instead.
    pub reason: String,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A plugin could not read the system.
    #[error("{plugin}: {source}")]
    Observe {
        /// The plugin.
        plugin: String,
        /// Its reason.
        source: PluginError,
    },
    /// Some resources must not or cannot be changed; nothing is.
    #[error("{}", refusals(.0))]
    Refused(Vec<Refusal>),
}

fn refusals(list: &[Refusal]) -> String {
    let lines: Vec<_> = list
        .iter()
        .map(|refusal| format!("{}: {}", refusal.resource, refusal.reason))
        .collect();
    lines.join("\n")
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The hash that binds the plan: any other change, order or state gives another one.
    pub fn hash(&self) -> PlanHash {
        // Values with string keys always have a canonical form.
        let bytes = serde_json_canonicalizer::to_vec(&self.changes).unwrap_or_default();
        let digest = Sha256::digest(&bytes);
        PlanHash(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// How many changes of each kind.
    pub fn summary(&self) -> Summary {
        let count = |verb| self.changes.iter().filter(|c| c.verb == verb).count();
        Summary {
            create: count(Verb::Create),
            update: count(Verb::Update),
            delete: count(Verb::Delete),
        }
    }

    /// The changes of `wanted` and all that these require, and nothing else.
    pub fn only(mut self, wanted: &BTreeSet<Key>) -> Self {
        let mut kept = wanted.clone();
        // Requirements come earlier in the list, so one pass from the end finds them all.
        for change in self.changes.iter().rev() {
            if kept.contains(&change.key()) {
                kept.extend(change.requires.iter().cloned());
            }
        }
        self.changes.retain(|change| kept.contains(&change.key()));
        self.notes.retain(|note| kept.contains(&note.resource));
        self
    }

    /// The links among `protected` whose traffic the plan interrupts.
    pub fn disrupts(&self, protected: &BTreeSet<String>) -> BTreeSet<String> {
        self.changes
            .iter()
            .flat_map(|change| &change.disrupts)
            .filter(|link| protected.contains(*link))
            .cloned()
            .collect()
    }
}

/// Reads the system through every plugin, side by side.
pub fn observe(plugins: &[Box<dyn Plugin>]) -> Result<World, PlanError> {
    let seen: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = plugins
            .iter()
            .map(|plugin| scope.spawn(|| plugin.observe()))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    plugins
        .iter()
        .zip(seen)
        .map(|(plugin, seen)| {
            seen.map_err(|source| PlanError::Observe {
                plugin: plugin.name().to_owned(),
                source,
            })
        })
        .collect()
}

/// Reads the system and plans.
pub fn plan(plugins: &[Box<dyn Plugin>]) -> Result<Plan, PlanError> {
    difference(plugins, &observe(plugins)?)
}

/// Plans the way from `world` to what the plugins desire. Pure.
pub fn difference(plugins: &[Box<dyn Plugin>], world: &World) -> Result<Plan, PlanError> {
    let mut draft = Draft::default();
    for (plugin, seen) in plugins.iter().zip(world) {
        draft.plugin(plugin.as_ref(), seen);
    }
    draft.link();
    draft.finish()
}

/// A plan in the making.
#[derive(Default)]
struct Draft {
    changes: BTreeMap<Key, Change>,
    /// What the state after (or, for deletes, before) each change needs.
    needs: BTreeMap<Key, Vec<Key>>,
    /// What the state before each change needed.
    needed: BTreeMap<Key, Vec<Key>>,
    /// What is there and stays as it is, with what it needs.
    unchanged: BTreeMap<Key, Vec<Key>>,
    /// The plugins' places, which decide between changes that could go in either order.
    rank: BTreeMap<String, usize>,
    notes: Vec<Note>,
    refusals: Vec<Refusal>,
}

impl Draft {
    fn plugin(&mut self, plugin: &dyn Plugin, seen: &BTreeMap<String, Observed>) {
        self.rank.insert(plugin.name().to_owned(), self.rank.len());
        let desired = plugin.desired();
        for (resource, want) in &desired {
            self.resource(plugin, resource, want, seen.get(resource));
        }
        let notes = plugin.notes().into_iter().map(|(resource, text)| Note {
            resource: Key::new(plugin.name(), resource),
            text,
        });
        self.notes.extend(notes);
        for (resource, have) in seen {
            if have.owner == Owner::Ours && !desired.contains_key(resource) {
                let key = Key::new(plugin.name(), resource);
                self.change(plugin, key, Some(&have.state), None, false);
            }
        }
    }

    fn resource(
        &mut self,
        plugin: &dyn Plugin,
        resource: &str,
        want: &Desired,
        have: Option<&Observed>,
    ) {
        let key = Key::new(plugin.name(), resource);
        let Some(have) = have else {
            return self.change(plugin, key, None, Some(&want.state), false);
        };
        let foreign = have.owner == Owner::Foreign;
        if foreign && !want.adopt {
            return self.refuse(
                key,
                "it is there already and not ours; nothing of it is touched. \
                 To take it over, write `adopt: true` on it in the declaration"
                    .to_owned(),
            );
        }
        if have.state != want.state {
            match plugin.transition(resource, &have.state, &want.state) {
                Transition::Update => {
                    return self.change(plugin, key, Some(&have.state), Some(&want.state), foreign);
                }
                Transition::Refuse(reason) => return self.refuse(key, reason),
                Transition::Keep { note } => self.notes.extend(note.map(|text| Note {
                    resource: key.clone(),
                    text,
                })),
            }
        }
        if foreign {
            return self.change(plugin, key, Some(&have.state), Some(&have.state), true);
        }
        let needs = plugin.requires(resource, &have.state);
        self.unchanged.insert(key, needs);
    }

    fn refuse(&mut self, resource: Key, reason: String) {
        self.refusals.push(Refusal { resource, reason });
    }

    fn change(
        &mut self,
        plugin: &dyn Plugin,
        key: Key,
        before: Option<&Value>,
        after: Option<&Value>,
        adopts: bool,
    ) {
        let verb = match (before, after) {
            (None, _) => Verb::Create,
            (Some(_), Some(_)) => Verb::Update,
            (Some(_), None) => Verb::Delete,
        };
        let requires = |state: Option<&Value>| {
            state.map_or_else(Vec::new, |state| plugin.requires(&key.resource, state))
        };
        self.needs.insert(key.clone(), requires(after));
        self.needed.insert(key.clone(), requires(before));
        let mut change = Change {
            plugin: key.plugin.clone(),
            resource: key.resource.clone(),
            verb,
            before: before.cloned().unwrap_or(Value::Null),
            after: after.cloned().unwrap_or(Value::Null),
            requires: Vec::new(),
            adopts,
            destroys: false,
            keeps: false,
            disrupts: Vec::new(),
        };
        let effects = plugin.effects(&change);
        change.destroys = effects.destroys;
        change.keeps = effects.keeps;
        change.disrupts = effects.disrupts;
        self.changes.insert(key, change);
    }

    /// Turns what states need into what changes must wait for.
    fn link(&mut self) {
        let mut requires: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
        let mut refusals = Vec::new();
        for (key, needs) in &self.needs {
            for need in needs {
                match self.changes.get(need).map(|change| change.verb) {
                    Some(Verb::Delete) => refusals.push(Refusal {
                        resource: key.clone(),
                        reason: format!("it needs {need}, which would be deleted"),
                    }),
                    Some(_) => {
                        requires
                            .entry(key.clone())
                            .or_default()
                            .insert(need.clone());
                    }
                    None if self.unchanged.contains_key(need) => {}
                    None => refusals.push(Refusal {
                        resource: key.clone(),
                        reason: format!("it needs {need}, which is neither there nor declared"),
                    }),
                }
            }
        }
        let deleted = |key: &Key| {
            self.changes
                .get(key)
                .is_some_and(|change| change.verb == Verb::Delete)
        };
        for (user, needed) in &self.needed {
            for need in needed.iter().filter(|need| deleted(need)) {
                requires
                    .entry(need.clone())
                    .or_default()
                    .insert(user.clone());
            }
        }
        for (user, needs) in &self.unchanged {
            for need in needs.iter().filter(|need| deleted(need)) {
                refusals.push(Refusal {
                    resource: need.clone(),
                    reason: format!("it cannot be deleted while {user} uses it"),
                });
            }
        }
        for (key, list) in requires {
            if let Some(change) = self.changes.get_mut(&key) {
                change.requires = list.into_iter().filter(|other| *other != key).collect();
            }
        }
        self.refusals.append(&mut refusals);
    }

    /// Orders the changes (Kahn): among those that could be next, plugins in their order, then by name.
    fn finish(mut self) -> Result<Plan, PlanError> {
        let mut waiting: BTreeMap<Key, usize> = BTreeMap::new();
        let mut followers: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        let mut ready = BTreeSet::new();
        let rank = |key: &Key| {
            let place = self.rank.get(&key.plugin).copied().unwrap_or(usize::MAX);
            (place, key.clone())
        };
        for (key, change) in &self.changes {
            for required in &change.requires {
                followers
                    .entry(required.clone())
                    .or_default()
                    .push(key.clone());
            }
            if change.requires.is_empty() {
                ready.insert(rank(key));
            } else {
                waiting.insert(key.clone(), change.requires.len());
            }
        }
        let mut order = Vec::with_capacity(self.changes.len());
        while let Some((_, key)) = ready.pop_first() {
            for follower in followers.remove(&key).unwrap_or_default() {
                if let Some(count) = waiting.get_mut(&follower) {
                    *count -= 1;
                    if *count == 0 {
                        waiting.remove(&follower);
                        ready.insert(rank(&follower));
                    }
                }
            }
            order.push(key);
        }
        for key in waiting.keys() {
            let reason = "it depends on itself through others".to_owned();
            self.refusals.push(Refusal {
                resource: key.clone(),
                reason,
            });
        }
        if !self.refusals.is_empty() {
            return Err(PlanError::Refused(self.refusals));
        }
        let changes = order
            .into_iter()
            .filter_map(|key| self.changes.remove(&key))
            .collect();
        Ok(Plan {
            changes,
            notes: self.notes,
        })
    }
}
