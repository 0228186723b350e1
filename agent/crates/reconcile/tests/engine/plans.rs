//! What is planned, and in which order.

use super::*;

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
