//! The way back from a run: what was there is there again, what others changed since is left alone.

#![allow(clippy::unwrap_used)]

mod shelf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use reconcile::{
    Change, Desired, Observed, Owner, Past, Plan, Plugin, Rollback, Verb, apply, observe, plan,
    roll_back,
};
use serde_json::{Value, json};
use shelf::{Book, Boxes, Desk, Room, Shelf, state};

type Tower = BTreeMap<u8, (u64, Option<u8>)>;

/// Boxes that may stand on a box below them.
fn tower() -> impl Strategy<Value = Tower> {
    prop::collection::btree_map(0..8_u8, (0..5_u64, prop::option::of(0..8_u8)), 0..8).prop_map(
        |mut tower| {
            let names: BTreeSet<u8> = tower.keys().copied().collect();
            for (name, (_, needs)) in &mut tower {
                *needs = needs.filter(|need| need < name && names.contains(need));
            }
            tower
        },
    )
}

fn shelf(room: &Arc<Room>, name: &'static str, tower: &Tower) -> Box<dyn Plugin> {
    let desired = tower.iter().map(|(box_, (value, needs))| {
        let needs: Vec<_> = needs.iter().map(|need| format!("{name}/{need}")).collect();
        let needs: Vec<_> = needs.iter().map(String::as_str).collect();
        (box_.to_string(), Desired::ours(state(*value, &needs)))
    });
    Box::new(Shelf {
        name,
        atomic: name == "b",
        desired: desired.collect(),
        room: Arc::clone(room),
    })
}

fn bare(room: &Arc<Room>) -> Vec<Box<dyn Plugin>> {
    vec![
        shelf(room, "a", &Tower::new()),
        shelf(room, "b", &Tower::new()),
    ]
}

fn world(room: &Room) -> BTreeMap<&'static str, Boxes> {
    let mut shelves = room.shelves.lock().unwrap().clone();
    shelves.retain(|_, boxes| !boxes.is_empty());
    shelves
}

fn go(plugins: &[Box<dyn Plugin>]) -> Plan {
    let way = plan(plugins).unwrap();
    apply(plugins, &way, &Desk::new().order(), &Book::default()).unwrap();
    way
}

fn past(way: &Plan) -> Vec<Past> {
    let step = |change: &Change| Past {
        resource: change.key(),
        before: change.before.clone(),
        after: change.after.clone(),
    };
    way.changes.iter().map(step).collect()
}

/// Goes back, as the engine does it: only what is taken back, and what that needs.
fn back(room: &Arc<Room>, past: &[Past], over: bool) -> (Rollback, Plan) {
    let world = observe(&bare(room)).unwrap();
    let rollback = roll_back(bare(room), &world, past, over);
    let way = plan(&rollback.plugins).unwrap().only(&rollback.resources);
    apply(
        &rollback.plugins,
        &way,
        &Desk::new().order(),
        &Book::default(),
    )
    .unwrap();
    (rollback, way)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Apply, then rollback, is the identity; and so is a rollback of the rollback.
    #[test]
    fn there_and_back_is_nothing(start in tower(), a in tower(), b in tower()) {
        let room: Arc<Room> = Arc::default();
        go(&[shelf(&room, "a", &start), shelf(&room, "b", &Tower::new())]);
        let before = world(&room);
        let forward = go(&[shelf(&room, "a", &a), shelf(&room, "b", &b)]);
        let after = world(&room);
        let (rollback, backward) = back(&room, &past(&forward), false);
        prop_assert!(rollback.conflicts.is_empty());
        prop_assert_eq!(&world(&room), &before);
        let (_, again) = back(&room, &past(&forward), false);
        prop_assert!(again.is_empty());
        back(&room, &past(&backward), false);
        prop_assert_eq!(&world(&room), &after);
    }

    /// What a later run changed is named, and as that run left it; everything else goes back.
    #[test]
    fn later_changes_stay(a in tower(), later in prop::collection::btree_map(0..8_u8, 10..20_u64, 0..4)) {
        let room: Arc<Room> = Arc::default();
        // Nothing stands on anything, so that each box may go by itself.
        let flat: Tower = a.iter().map(|(name, (value, _))| (*name, (*value, None))).collect();
        let forward = go(&[shelf(&room, "a", &flat), shelf(&room, "b", &Tower::new())]);
        let mut then = flat.clone();
        for (name, value) in &later {
            then.insert(*name, (*value, None));
        }
        go(&[shelf(&room, "a", &then), shelf(&room, "b", &Tower::new())]);
        let (rollback, _) = back(&room, &past(&forward), false);
        let named: BTreeSet<String> =
            rollback.conflicts.iter().map(|conflict| conflict.resource.resource.clone()).collect();
        let both: BTreeSet<String> =
            later.keys().filter(|name| flat.contains_key(name)).map(u8::to_string).collect();
        prop_assert_eq!(&named, &both);
        let left: BTreeMap<String, u64> = world(&room)
            .remove("a")
            .unwrap_or_default()
            .into_iter()
            .map(|(name, seen)| (name, seen.state["value"].as_u64().unwrap()))
            .collect();
        let expected: BTreeMap<String, u64> =
            later.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        prop_assert_eq!(left, expected);
        // Asked for, they go too.
        back(&room, &past(&forward), true);
        let left: BTreeSet<String> = world(&room).remove("a").unwrap_or_default().into_keys().collect();
        let expected: BTreeSet<String> =
            later.keys().filter(|name| !flat.contains_key(name)).map(u8::to_string).collect();
        prop_assert_eq!(left, expected);
    }
}

#[test]
fn a_strangers_box_is_left_alone_even_if_asked() {
    let room: Arc<Room> = Arc::default();
    let tower = Tower::from([(1, (1, None))]);
    let forward = go(&[shelf(&room, "a", &tower)]);
    room.shelves.lock().unwrap().get_mut("a").unwrap().insert(
        "1".to_owned(),
        Observed {
            state: state(9, &[]),
            owner: Owner::Foreign,
        },
    );
    let plugins = || vec![shelf(&room, "a", &tower)];
    let world = observe(&plugins()).unwrap();
    let rollback = roll_back(plugins(), &world, &past(&forward), true);
    assert!(rollback.resources.is_empty());
    assert_eq!(rollback.conflicts[0].found, state(9, &[]));
}

#[test]
fn the_place_of_the_record_stays() {
    let room: Arc<Room> = Arc::default();
    let past = [Past {
        resource: "a/foundation".parse().unwrap(),
        before: Value::Null,
        after: state(1, &[]),
    }];
    let plugin = Shelf {
        name: "a",
        atomic: false,
        desired: BTreeMap::from([("foundation".to_owned(), Desired::ours(state(1, &[])))]),
        room: Arc::clone(&room),
    };
    go(&[Box::new(plugin)]);
    let (rollback, way) = back(&room, &past, true);
    assert_eq!(rollback.kept, ["a/foundation".parse().unwrap()]);
    assert!(way.is_empty());
}

#[test]
fn what_others_stand_on_is_not_taken_away() {
    let room: Arc<Room> = Arc::default();
    let first = Tower::from([(1, (1, None))]);
    let forward = go(&[shelf(&room, "a", &first)]);
    let second = Tower::from([(1, (1, None)), (2, (1, Some(1)))]);
    go(&[shelf(&room, "a", &second)]);
    let world = observe(&bare(&room)).unwrap();
    let rollback = roll_back(bare(&room), &world, &past(&forward), false);
    let refused = plan(&rollback.plugins).unwrap_err().to_string();
    assert!(
        refused.contains("a/1: it cannot be deleted while a/2 uses it"),
        "{refused}"
    );
    assert_eq!(json!(Verb::Delete), "delete");
}
