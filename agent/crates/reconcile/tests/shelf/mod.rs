//! A system of boxes on shelves, in memory: what the engine is tested on.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use reconcile::{
    Change, Context, Desired, Effects, Key, Observed, Order, Owner, Plugin, PluginError, Record,
    Transition, Verb, Witness,
};
use serde_json::{Value, json};

pub type Boxes = BTreeMap<String, Observed>;

/// What the plugins of one test share: the real state of things, and the accidents to come.
#[derive(Default)]
pub struct Room {
    pub shelves: Mutex<BTreeMap<&'static str, Boxes>>,
    /// Resources whose next change fails.
    pub broken: Mutex<BTreeSet<String>>,
    /// Resources at whose next change the process dies, with the change half done.
    pub deadly: Mutex<BTreeSet<String>>,
    /// What was applied, in order.
    pub applied: Mutex<Vec<(Verb, String)>>,
    pub committed: Mutex<Vec<String>>,
}

/// A plugin over one shelf. A state is `{"needs": ["plugin/resource"...], "value": n}`.
pub struct Shelf {
    pub name: &'static str,
    pub atomic: bool,
    pub desired: BTreeMap<String, Desired>,
    pub room: Arc<Room>,
}

pub fn state(value: u64, needs: &[&str]) -> Value {
    json!({ "value": value, "needs": needs })
}

pub fn ours(state: Value) -> Observed {
    Observed {
        state,
        owner: Owner::Ours,
    }
}

impl Shelf {
    fn put(&self, change: &Change, half: bool) {
        let mut shelves = self.room.shelves.lock().unwrap();
        let shelf = shelves.entry(self.name).or_default();
        if half {
            // Something that is neither before nor after.
            shelf.insert(
                change.resource.clone(),
                ours(json!({ "half": true, "needs": [] })),
            );
            return;
        }
        match change.verb {
            Verb::Delete => {
                shelf.remove(&change.resource);
            }
            Verb::Create | Verb::Update => {
                shelf.insert(change.resource.clone(), ours(change.after.clone()));
            }
        }
    }
}

impl Plugin for Shelf {
    fn name(&self) -> &'static str {
        self.name
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        self.desired.clone()
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        let shelves = self.room.shelves.lock().unwrap();
        let mut seen = shelves.get(self.name).cloned().unwrap_or_default();
        seen.retain(|name, seen| seen.owner == Owner::Ours || self.desired.contains_key(name));
        Ok(seen)
    }

    fn requires(&self, _resource: &str, state: &Value) -> Vec<Key> {
        let needs = state["needs"].as_array().into_iter().flatten();
        needs
            .map(|need| need.as_str().unwrap().parse().unwrap())
            .collect()
    }

    fn transition(&self, _resource: &str, before: &Value, after: &Value) -> Transition {
        if after["value"] == json!(666) {
            return Transition::Refuse("the number of the beast".to_owned());
        }
        if after["value"] == json!(7) && before["value"] != json!(7) {
            return Transition::Keep {
                note: Some("seven is as good".to_owned()),
            };
        }
        Transition::Update
    }

    fn effects(&self, change: &Change) -> Effects {
        Effects {
            keeps: change.resource == "foundation",
            ..Effects::default()
        }
    }

    fn atomic(&self) -> bool {
        self.atomic
    }

    fn apply(&self, changes: &[&Change], _context: &Context<'_>) -> Result<(), PluginError> {
        for change in changes {
            if self.room.deadly.lock().unwrap().remove(&change.resource) {
                self.put(change, true);
                panic!("the process dies while it changes {}", change.resource);
            }
            if self.room.broken.lock().unwrap().contains(&change.resource) {
                if !self.atomic {
                    self.put(change, true);
                }
                return Err(PluginError::failed(
                    format!("{} {}", change.verb, change.resource),
                    "broken",
                ));
            }
        }
        for change in changes {
            self.put(change, false);
            let entry = (change.verb, change.key().to_string());
            self.room.applied.lock().unwrap().push(entry);
        }
        Ok(())
    }

    fn commit(&self, change: &Change, _run: &str) -> Result<(), PluginError> {
        self.room
            .committed
            .lock()
            .unwrap()
            .push(change.key().to_string());
        Ok(())
    }
}

/// Keeps each record once, as the ledger must; can die at a given record.
#[derive(Default)]
pub struct Book {
    pub records: Mutex<BTreeMap<(String, u64), Record>>,
    pub dies_at: Option<u64>,
    pub refuses: bool,
    pub closed: Mutex<bool>,
}

impl Witness for Book {
    fn hear(
        &self,
        run: &str,
        place: u64,
        record: &Record,
        _changes: &[Change],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        assert_ne!(
            self.dies_at,
            Some(place),
            "the process dies at record {place}"
        );
        if self.refuses {
            return Err("the disk is full".into());
        }
        self.records
            .lock()
            .unwrap()
            .insert((run.to_owned(), place), record.clone());
        Ok(())
    }

    fn settled(&self) -> bool {
        !*self.closed.lock().unwrap()
    }
}

/// A place for a journal, and run ids.
pub struct Desk {
    pub dir: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    pub fn order(&self) -> Order {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Order {
            run: format!("run-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            actor: json!({ "name": "tester" }),
            window: None,
            journal: self.journal(),
        }
    }
}
