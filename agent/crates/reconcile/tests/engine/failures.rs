//! Failures, crashes and confirm windows.

use super::*;

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
