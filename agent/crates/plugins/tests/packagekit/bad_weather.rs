//! A PackageKit that fails, hangs, dies or lies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use plugins::packagekit::{PackageError, Request, Wanted, Watch, find};

use crate::mock::Manner;
use crate::service::{Host, host};

fn install(name: &str) -> Request {
    Request::Install(vec![Wanted {
        name: name.parse().unwrap(),
        version: None,
    }])
}

#[test]
fn an_error_is_told_in_packagekits_words() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    mock.set(|state| state.manner = Manner::Error(46, "No space left in /var/cache."));
    let text = runs.fail("op-app: {}");
    assert!(
        text.contains("No space left in /var/cache. (no-space-on-device)"),
        "{text}"
    );
    mock.set(|state| state.manner = Manner::Error(4711, ""));
    let text = runs.fail("op-app: {}");
    assert!(
        text.contains("no reason was given (error code 4711)"),
        "{text}"
    );
}

#[test]
fn one_that_dies_half_way_is_noticed_at_once() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    mock.set(|state| state.manner = Manner::Dies);
    let begun = Instant::now();
    let text = runs.fail("op-app: {}");
    assert!(text.contains("left the bus before it was done"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_change_that_is_taken_back_is_cancelled_and_one_that_cannot_be_is_left() {
    let Some(Host { mock, .. }) = &host() else {
        return;
    };
    // It is given up 10 s after it was told to end.
    for (manner, patience) in [(Manner::Never, 10), (Manner::Deaf, 60)] {
        mock.set(|state| state.manner = manner);
        let begun = Instant::now();
        let wanted = || begun.elapsed() < Duration::from_millis(300);
        let watch = Watch {
            wanted: &wanted,
            ..Watch::nobody()
        };
        let error = find(None)
            .unwrap()
            .carry_out(&install("op-app"), &watch)
            .unwrap_err();
        assert!(matches!(error, PackageError::Unwanted), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(patience));
        assert!(mock.log().contains(&"Cancel".to_owned()));
    }
}

#[test]
fn ids_that_are_none_or_not_asked_for_are_passed_over() {
    let Some(Host { mock, runs, .. }) = &host() else {
        return;
    };
    mock.set(|state| state.manner = Manner::Hostile);
    runs.apply("op-app: {ensure: latest}");
    assert_eq!(mock.installed("op-app").as_deref(), Some("2"));
    // `op-other` was shown in a version that it does not have, without having been asked for.
    assert_eq!(mock.installed("op-other").as_deref(), Some("1"));
    runs.apply("op-app: {ensure: removed}");
    assert_eq!(mock.installed("op-other").as_deref(), Some("1"));
}

#[test]
fn progress_is_told() {
    let Some(_host) = host() else { return };
    let told = AtomicBool::new(false);
    let watch = Watch {
        progress: &|text, percent| {
            assert_eq!((text, percent), ("install op-app", Some(50)));
            told.store(true, Ordering::Relaxed);
        },
        ..Watch::nobody()
    };
    find(None)
        .unwrap()
        .carry_out(&install("op-app"), &watch)
        .unwrap();
    assert!(told.load(Ordering::Relaxed));
}

#[test]
fn ten_thousand_packages_are_taken_in() {
    let Some(Host { mock, .. }) = &host() else {
        return;
    };
    mock.set(|state| {
        for n in 0..10_000 {
            state
                .installed
                .insert(format!("op-many{n}"), "1".to_owned());
            state
                .available
                .insert(format!("op-many{n}"), vec!["2".to_owned()]);
        }
    });
    let updates = find(None).unwrap().updates(&[], &Watch::nobody()).unwrap();
    assert_eq!(updates.len(), 10_001);
}
