//! What the engine promises, on a system in memory.

#![allow(clippy::unwrap_used)]

mod failures;
mod plans;
#[path = "../shelf/mod.rs"]
mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use reconcile::{
    Desired, Ending, Observed, Outcome, Owner, Plan, PlanError, Plugin, Record, Recovery, Verb,
    Witness, apply, confirm, plan, recover, undo,
};

use serde_json::json;

use shelf::{Book, Boxes, Desk, Room, Shelf, ours, state};

fn plugin(
    room: &Arc<Room>,
    name: &'static str,
    atomic: bool,
    desired: &[(&str, u64, &[&str])],
) -> Box<dyn Plugin> {
    let desired = desired.iter().map(|(resource, value, needs)| {
        ((*resource).to_owned(), Desired::ours(state(*value, needs)))
    });
    Box::new(Shelf {
        name,
        atomic,
        desired: desired.collect(),
        room: Arc::clone(room),
    })
}

fn world(room: &Room) -> BTreeMap<&'static str, Boxes> {
    let mut shelves = room.shelves.lock().unwrap().clone();
    shelves.retain(|_, boxes| !boxes.is_empty());
    shelves
}

fn house(room: &Arc<Room>) -> Vec<Box<dyn Plugin>> {
    vec![
        plugin(
            room,
            "ground",
            false,
            &[("foundation", 1, &[]), ("floor", 1, &["ground/foundation"])],
        ),
        plugin(
            room,
            "walls",
            true,
            &[
                ("north", 1, &["ground/floor"]),
                ("south", 2, &["walls/north"]),
            ],
        ),
        plugin(
            room,
            "roof",
            false,
            &[
                ("roof", 1, &["walls/south", "walls/north"]),
                ("flag", 1, &["roof/roof"]),
            ],
        ),
    ]
}

/// Mends what was broken once the failure has been recorded, so that undoing it can work.
struct Unbreak<'a> {
    inner: &'a Book,
    room: Arc<Room>,
}

impl Witness for Unbreak<'_> {
    fn hear(
        &self,
        run: &str,
        place: u64,
        record: &Record,
        changes: &[reconcile::Change],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if matches!(record, Record::Failed { .. }) {
            self.room.broken.lock().unwrap().clear();
        }
        self.inner.hear(run, place, record, changes)
    }

    fn settled(&self) -> bool {
        self.inner.settled()
    }
}

/// Resources `0..n` of one plugin, each needing only lower ones, so that there is no cycle.
fn tower(n: usize) -> impl Strategy<Value = BTreeMap<usize, (u64, BTreeSet<usize>)>> {
    prop::collection::btree_map(
        0..n,
        (0_u64..4, prop::collection::btree_set(0..n, 0..3)),
        0..n,
    )
    .prop_map(|mut tower| {
        let names: BTreeSet<_> = tower.keys().copied().collect();
        for (name, (_, needs)) in &mut tower {
            needs.retain(|need| need < name && names.contains(need));
        }
        tower
    })
}

fn shelf_of(
    room: &Arc<Room>,
    name: &'static str,
    tower: &BTreeMap<usize, (u64, BTreeSet<usize>)>,
) -> Box<dyn Plugin> {
    let desired = tower.iter().map(|(box_name, (value, needs))| {
        let needs: Vec<_> = needs.iter().map(|need| format!("{name}/{need}")).collect();
        let needs: Vec<_> = needs.iter().map(String::as_str).collect();
        (box_name.to_string(), Desired::ours(state(*value, &needs)))
    });
    Box::new(Shelf {
        name,
        atomic: name == "b",
        desired: desired.collect(),
        room: Arc::clone(room),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn from_anywhere_to_anywhere_and_back(
        start_a in tower(8), start_b in tower(8), goal_a in tower(8), goal_b in tower(8), accident in 0_usize..12,
    ) {
        let room: Arc<Room> = Arc::default();
        let desk = Desk::new();
        let start = vec![shelf_of(&room, "a", &start_a), shelf_of(&room, "b", &start_b)];
        let go = |plugins: &[Box<dyn Plugin>], plan: &Plan, book: &Book| apply(plugins, plan, &desk.order(), book);
        go(&start, &plan(&start).unwrap(), &Book::default()).unwrap();
        prop_assert!(plan(&start).unwrap().is_empty());
        let before = world(&room);

        // A failure anywhere on the way leaves everything as it was.
        let goal = vec![shelf_of(&room, "a", &goal_a), shelf_of(&room, "b", &goal_b)];
        let way = plan(&goal).unwrap();
        if let Some(change) = way.changes.get(accident) {
            room.broken.lock().unwrap().insert(change.resource.clone());
            let book = Book::default();
            let report = apply(&goal, &way, &desk.order(), &Unbreak { inner: &book, room: Arc::clone(&room) }).unwrap();
            let undone = matches!(&report.outcome, Outcome::RolledBack { undo_errors, .. } if undo_errors.is_empty());
            prop_assert!(undone);
            prop_assert_eq!(&before, &world(&room));
        }

        // Without one it arrives, in an order in which every requirement comes first.
        room.applied.lock().unwrap().clear();
        go(&goal, &way, &Book::default()).unwrap();
        prop_assert!(plan(&goal).unwrap().is_empty());
        let applied = room.applied.lock().unwrap().clone();
        prop_assert_eq!(applied.len(), way.changes.len());
        let at = |key: &str| applied.iter().position(|(_, done)| done == key);
        for change in &way.changes {
            for required in &change.requires {
                prop_assert!(at(&required.to_string()) < at(&change.key().to_string()));
            }
        }
    }

    #[test]
    fn any_journal_is_read_without_harm(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let desk = Desk::new();
        std::fs::write(desk.journal(), &text).unwrap();
        let room: Arc<Room> = Arc::default();
        let _ = recover(&house(&room), &desk.journal(), &Book::default());
        prop_assert!(room.applied.lock().unwrap().is_empty());
    }
}
