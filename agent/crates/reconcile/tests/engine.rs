//! What the engine promises, on a system in memory.

#![allow(clippy::unwrap_used)]

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

#[test]
fn a_plan_puts_requirements_first_and_a_second_one_is_empty() {
    let room = Arc::default();
    let plugins = house(&room);
    let first = plan(&plugins).unwrap();
    let order: Vec<_> = first.changes.iter().map(|c| c.key().to_string()).collect();
    assert_eq!(
        order,
        [
            "ground/foundation",
            "ground/floor",
            "walls/north",
            "walls/south",
            "roof/roof",
            "roof/flag"
        ]
    );
    let desk = Desk::new();
    let report = apply(&plugins, &first, &desk.order(), &Book::default()).unwrap();
    assert_eq!(report.outcome, Outcome::Applied);
    assert!(plan(&plugins).unwrap().is_empty());
    assert!(!desk.journal().exists());
    assert_eq!(room.committed.lock().unwrap().len(), 6);
}

#[test]
fn deletes_go_users_first() {
    let room: Arc<Room> = Arc::default();
    let desk = Desk::new();
    let full = house(&room);
    apply(
        &full,
        &plan(&full).unwrap(),
        &desk.order(),
        &Book::default(),
    )
    .unwrap();
    let empty = vec![
        plugin(&room, "ground", false, &[]),
        plugin(&room, "walls", true, &[]),
        plugin(&room, "roof", false, &[]),
    ];
    let order: Vec<_> = plan(&empty)
        .unwrap()
        .changes
        .iter()
        .map(|c| c.resource.clone())
        .collect();
    assert_eq!(
        order,
        ["flag", "roof", "south", "north", "floor", "foundation"]
    );
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let room: Arc<Room> = Arc::default();
    let desk = Desk::new();
    let full = house(&room);
    apply(
        &full,
        &plan(&full).unwrap(),
        &desk.order(),
        &Book::default(),
    )
    .unwrap();
    let without_walls = vec![
        plugin(
            &room,
            "ground",
            false,
            &[("foundation", 1, &[]), ("floor", 1, &["ground/foundation"])],
        ),
        plugin(&room, "walls", true, &[("north", 1, &["ground/floor"])]),
        plugin(
            &room,
            "roof",
            false,
            &[
                ("roof", 1, &["walls/south", "walls/north"]),
                ("flag", 1, &["roof/roof"]),
            ],
        ),
    ];
    let refusal = plan(&without_walls).unwrap_err().to_string();
    assert!(
        refusal.contains("walls/south: it cannot be deleted while roof/roof uses it"),
        "{refusal}"
    );
}

#[test]
fn cycles_missing_needs_and_refusals_are_all_told_at_once() {
    let room: Arc<Room> = Arc::default();
    room.shelves
        .lock()
        .unwrap()
        .entry("a")
        .or_default()
        .insert("odd".into(), ours(state(1, &[])));
    let plugins = vec![plugin(
        &room,
        "a",
        false,
        &[
            ("hen", 1, &["a/egg"]),
            ("egg", 1, &["a/hen"]),
            ("lost", 1, &["b/nowhere"]),
            ("odd", 666, &[]),
        ],
    )];
    let PlanError::Refused(list) = plan(&plugins).unwrap_err() else {
        panic!("refused");
    };
    let named: BTreeSet<_> = list
        .iter()
        .map(|refusal| refusal.resource.resource.as_str())
        .collect();
    assert_eq!(named, BTreeSet::from(["hen", "egg", "lost", "odd"]));
}

#[test]
fn the_foreign_is_left_alone_until_adopted() {
    let room: Arc<Room> = Arc::default();
    let foreign = Observed {
        state: state(5, &[]),
        owner: Owner::Foreign,
    };
    let mut shelves = room.shelves.lock().unwrap();
    shelves
        .entry("a")
        .or_default()
        .insert("x".into(), foreign.clone());
    shelves.entry("a").or_default().insert("y".into(), foreign);
    drop(shelves);
    let refused = plan(&[plugin(&room, "a", false, &[("x", 5, &[])])]).unwrap_err();
    assert!(refused.to_string().contains("adopt: true"));
    // Not desired and not ours: not seen at all.
    assert!(plan(&[plugin(&room, "a", false, &[])]).unwrap().is_empty());
    let adopted = Desired {
        state: state(5, &[]),
        adopt: true,
    };
    let plugins: Vec<Box<dyn Plugin>> = vec![Box::new(Shelf {
        name: "a",
        atomic: false,
        desired: BTreeMap::from([("x".to_owned(), adopted)]),
        room: Arc::clone(&room),
    })];
    let adopting = plan(&plugins).unwrap();
    assert!(adopting.changes[0].adopts && adopting.changes[0].verb == Verb::Update);
    apply(&plugins, &adopting, &Desk::new().order(), &Book::default()).unwrap();
    assert!(plan(&plugins).unwrap().is_empty());
}

#[test]
fn a_kept_difference_is_a_note_and_no_change() {
    let room: Arc<Room> = Arc::default();
    room.shelves
        .lock()
        .unwrap()
        .entry("a")
        .or_default()
        .insert("x".into(), ours(state(1, &[])));
    let plan = plan(&[plugin(&room, "a", false, &[("x", 7, &[])])]).unwrap();
    assert!(plan.is_empty());
    assert_eq!(plan.notes[0].text, "seven is as good");
}

#[test]
fn the_hash_binds_every_part_of_the_plan() {
    let room: Arc<Room> = Arc::default();
    let one = plan(&house(&room)).unwrap();
    assert_eq!(one.hash(), plan(&house(&room)).unwrap().hash());
    assert!(one.hash().matches(&one.hash().as_str()[..12]));
    assert!(!one.hash().matches(&one.hash().as_str()[..7]));
    let mut other = one.clone();
    other.changes[3].after["value"] = json!(3);
    assert_ne!(one.hash(), other.hash());
    room.shelves
        .lock()
        .unwrap()
        .entry("ground")
        .or_default()
        .insert("foundation".into(), ours(state(9, &[])));
    assert_ne!(one.hash(), plan(&house(&room)).unwrap().hash());
}

#[test]
fn only_takes_what_is_wanted_and_what_that_requires() {
    let room = Arc::default();
    let plan = plan(&house(&room)).unwrap();
    let only = plan.only(&BTreeSet::from(["walls/north".parse().unwrap()]));
    let names: Vec<_> = only.changes.iter().map(|c| c.resource.as_str()).collect();
    assert_eq!(names, ["foundation", "floor", "north"]);
}

#[test]
fn a_failure_undoes_everything_in_reverse_but_what_is_kept() {
    for broken in ["floor", "south", "roof", "flag"] {
        let room: Arc<Room> = Arc::default();
        room.broken.lock().unwrap().insert(broken.to_owned());
        let plugins = house(&room);
        let (desk, book) = (Desk::new(), Book::default());
        // The first attempt at the broken one fails, its inverse works.
        let shelf_broken = Arc::clone(&room);
        let plan = plan(&plugins).unwrap();
        let unbreak = Unbreak {
            inner: &book,
            room: shelf_broken,
        };
        let report = apply(&plugins, &plan, &desk.order(), &unbreak).unwrap();
        let Outcome::RolledBack { error, undo_errors } = report.outcome else {
            panic!("{broken}: {:?}", report.outcome);
        };
        assert!(error.contains("broken"), "{error}");
        assert_eq!(undo_errors, [""; 0]);
        let left: Vec<_> = world(&room)
            .into_values()
            .flat_map(BTreeMap::into_keys)
            .collect();
        assert_eq!(left, ["foundation"], "after {broken} failed");
        assert!(!desk.journal().exists());
    }
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

#[test]
fn what_cannot_be_undone_is_told_and_tried_again() {
    let room: Arc<Room> = Arc::default();
    room.broken.lock().unwrap().insert("roof".to_owned());
    let plugins = house(&room);
    let desk = Desk::new();
    let book = Book::default();
    let report = apply(&plugins, &plan(&plugins).unwrap(), &desk.order(), &book).unwrap();
    assert!(
        matches!(&report.outcome, Outcome::RolledBack { undo_errors, .. } if undo_errors.len() == 1)
    );
    assert!(desk.journal().exists());
    assert!(matches!(
        recover(&plugins, &desk.journal(), &book).unwrap(),
        Recovery::Stuck { .. }
    ));
    room.broken.lock().unwrap().clear();
    assert!(matches!(
        recover(&plugins, &desk.journal(), &book).unwrap(),
        Recovery::RolledBack { .. }
    ));
    assert!(!desk.journal().exists());
    let left: Vec<_> = world(&room)
        .into_values()
        .flat_map(BTreeMap::into_keys)
        .collect();
    assert_eq!(left, ["foundation"]);
}

#[test]
fn a_ledger_that_refuses_stops_the_run_before_the_first_change() {
    let room = Arc::default();
    let plugins = house(&room);
    let book = Book {
        refuses: true,
        ..Book::default()
    };
    let report = apply(
        &plugins,
        &plan(&plugins).unwrap(),
        &Desk::new().order(),
        &book,
    )
    .unwrap();
    assert!(matches!(report.outcome, Outcome::RolledBack { .. }));
    assert!(room.applied.lock().unwrap().is_empty());
}

#[test]
fn a_closed_ledger_keeps_the_journal_until_it_has_heard() {
    let room = Arc::default();
    let plugins = house(&room);
    let desk = Desk::new();
    let book = Book::default();
    *book.closed.lock().unwrap() = true;
    apply(&plugins, &plan(&plugins).unwrap(), &desk.order(), &book).unwrap();
    assert!(desk.journal().exists());
    let later = Book::default();
    assert!(matches!(
        recover(&plugins, &desk.journal(), &later).unwrap(),
        Recovery::Told { .. }
    ));
    assert_eq!(
        *later.records.lock().unwrap(),
        *book.records.lock().unwrap()
    );
    assert!(!desk.journal().exists());
}

#[test]
fn a_crash_at_every_record_is_survived() {
    let mut points = 0;
    for dies_at in 0.. {
        let room: Arc<Room> = Arc::default();
        let plugins = house(&room);
        let desk = Desk::new();
        let book = Book {
            dies_at: Some(dies_at),
            ..Book::default()
        };
        let plan_one = plan(&plugins).unwrap();
        let crashed = catch_unwind(AssertUnwindSafe(|| {
            apply(&plugins, &plan_one, &desk.order(), &book).unwrap();
        }));
        if crashed.is_ok() {
            break;
        }
        points += 1;
        survive(&plugins, &desk);
    }
    assert!(points >= 10, "only {points} records");
}

#[test]
fn a_crash_inside_every_change_is_survived() {
    for dying in ["foundation", "floor", "north", "south", "roof", "flag"] {
        let room: Arc<Room> = Arc::default();
        room.deadly.lock().unwrap().insert(dying.to_owned());
        let plugins = house(&room);
        let desk = Desk::new();
        let first = plan(&plugins).unwrap();
        let crashed = catch_unwind(AssertUnwindSafe(|| {
            apply(&plugins, &first, &desk.order(), &Book::default()).unwrap();
        }));
        assert!(crashed.is_err());
        survive(&plugins, &desk);
    }
}

/// After a crash: recovery, then an apply, then nothing left to do and no journal.
fn survive(plugins: &[Box<dyn Plugin>], desk: &Desk) {
    let book = Book::default();
    recover(plugins, &desk.journal(), &book).unwrap();
    assert!(!desk.journal().exists());
    let half = |boxes: &Boxes| boxes.values().any(|seen| seen.state.get("half").is_some());
    for plugin in plugins.iter().filter(|plugin| plugin.name() != "ground") {
        assert!(
            !half(&plugin.observe().unwrap()),
            "{} is half done",
            plugin.name()
        );
    }
    let next = plan(plugins).unwrap();
    if !next.is_empty() {
        let report = apply(plugins, &next, &desk.order(), &book).unwrap();
        assert_eq!(report.outcome, Outcome::Applied);
    }
    assert!(plan(plugins).unwrap().is_empty());
}

#[test]
fn a_torn_last_line_is_dropped_and_garbage_is_refused() {
    let room = Arc::default();
    let plugins = house(&room);
    let desk = Desk::new();
    let book = Book {
        dies_at: Some(2),
        ..Book::default()
    };
    let first = plan(&plugins).unwrap();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        apply(&plugins, &first, &desk.order(), &book)
    }));
    let text = std::fs::read(desk.journal()).unwrap();
    for cut in 0..text.len() {
        std::fs::write(desk.journal(), &text[..cut]).unwrap();
        recover(&plugins, &desk.journal(), &Book::default()).unwrap();
    }
    let mut bad = text.clone();
    bad[2] = b'#';
    std::fs::write(desk.journal(), &bad).unwrap();
    let error = recover(&plugins, &desk.journal(), &Book::default()).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert_eq!(std::fs::read(desk.journal()).unwrap(), bad);
}

fn windowed(desk: &Desk, window: Duration) -> reconcile::Order {
    reconcile::Order {
        window: Some(window),
        ..desk.order()
    }
}

#[test]
fn a_confirm_window_keeps_or_undoes() {
    let book = Book::default();
    // Confirmed in time.
    let room: Arc<Room> = Arc::default();
    let (plugins, desk) = (house(&room), Desk::new());
    let first = plan(&plugins).unwrap();
    let report = apply(
        &plugins,
        &first,
        &windowed(&desk, Duration::from_secs(60)),
        &book,
    )
    .unwrap();
    assert!(matches!(report.outcome, Outcome::Awaiting { .. }));
    assert!(matches!(
        recover(&plugins, &desk.journal(), &book).unwrap(),
        Recovery::Awaiting { .. }
    ));
    confirm(&plugins, &desk.journal(), &book).unwrap();
    assert!(plan(&plugins).unwrap().is_empty() && !desk.journal().exists());
    assert!(confirm(&plugins, &desk.journal(), &book).is_err());
    // Refused by the person.
    let room: Arc<Room> = Arc::default();
    let plugins = house(&room);
    apply(
        &plugins,
        &plan(&plugins).unwrap(),
        &windowed(&desk, Duration::from_secs(60)),
        &book,
    )
    .unwrap();
    undo(&plugins, &desk.journal(), "not wanted", &book).unwrap();
    assert_eq!(world(&room).len(), 1);
    // Not answered.
    let room: Arc<Room> = Arc::default();
    let plugins = house(&room);
    apply(
        &plugins,
        &plan(&plugins).unwrap(),
        &windowed(&desk, Duration::ZERO),
        &book,
    )
    .unwrap();
    assert!(matches!(
        recover(&plugins, &desk.journal(), &book).unwrap(),
        Recovery::RolledBack { .. }
    ));
    assert_eq!(world(&room).len(), 1);
    let last = book
        .records
        .lock()
        .unwrap()
        .values()
        .filter(|r| {
            matches!(
                r,
                Record::Outcome {
                    ending: Ending::RolledBack,
                    ..
                }
            )
        })
        .count();
    assert_eq!(last, 2);
}

#[test]
fn a_crash_inside_a_windowed_run_undoes_it() {
    let room: Arc<Room> = Arc::default();
    room.deadly.lock().unwrap().insert("roof".to_owned());
    let (plugins, desk) = (house(&room), Desk::new());
    let first = plan(&plugins).unwrap();
    let order = windowed(&desk, Duration::from_secs(60));
    let _ = catch_unwind(AssertUnwindSafe(|| {
        apply(&plugins, &first, &order, &Book::default())
    }));
    assert!(matches!(
        recover(&plugins, &desk.journal(), &Book::default()).unwrap(),
        Recovery::RolledBack { .. }
    ));
    assert_eq!(world(&room).len(), 1);
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
