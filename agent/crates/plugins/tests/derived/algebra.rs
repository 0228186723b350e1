//! What a plan does and what takes it back, on a service of the test's own.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use reconcile::{Change, Context, Direction, Owner, Plan, PlanError, Plugin, plan};
use serde_json::{Value, json};

use crate::shop::{ITEMS, Shop};

fn carry_out(plugins: &[Box<dyn Plugin>], plan: &Plan, direction: Direction) {
    let context = Context {
        run: "test",
        direction,
        progress: &|_| {},
    };
    let changes: Vec<Change> = match direction {
        Direction::Forward => plan.changes.clone(),
        Direction::Undo => plan.changes.iter().rev().map(Change::inverse).collect(),
    };
    for change in &changes {
        plugins[0].apply(&[change], &context).unwrap();
        // Doing it again does no harm.
        plugins[0].apply(&[change], &context).unwrap();
    }
}

/// A section with some properties of some items, and maybe the mode.
fn section() -> impl Strategy<Value = Value> {
    let item = (
        proptest::option::of(any::<u32>()),
        proptest::option::of(proptest::collection::vec("[a-z ]{0,3}", 0..3)),
    );
    let items = proptest::collection::btree_map(proptest::sample::select(&ITEMS[..]), item, 0..3);
    (items, proptest::option::of("[a-z]{1,5}")).prop_map(|(items, mode)| {
        let mut section = json!({});
        for (name, (price, tags)) in items {
            let mut item = json!({});
            if let Some(price) = price {
                item["Price"] = json!(price);
            }
            if let Some(tags) = tags {
                item["Tags"] = json!(tags);
            }
            section["item"][name] = item;
        }
        if let Some(mode) = mode {
            section["front"] = json!({ "Mode": mode });
        }
        section
    })
}

#[test]
fn apply_then_inverse_is_identity_and_a_second_plan_is_empty() {
    let Some(shop) = Shop::open() else { return };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let result = runner.run(&section(), |section| {
        let before = shop.now();
        let plugins = shop.plugin(&section);
        let first = plan(&plugins).unwrap();
        prop_assert_eq!(shop.now(), before.clone(), "planning changes nothing");
        carry_out(&plugins, &first, Direction::Forward);
        prop_assert!(
            plan(&plugins).unwrap().is_empty(),
            "the second plan is empty"
        );
        for (name, item) in &shop.now().items {
            let declared = &section["item"][name];
            let was = &before.items[name];
            let expected = |key: &str, was: Value| declared.get(key).cloned().unwrap_or(was);
            prop_assert_eq!(json!(item.price), expected("Price", json!(was.price)));
            prop_assert_eq!(json!(item.tags), expected("Tags", json!(was.tags)));
            prop_assert_eq!(item.stock, was.stock);
        }
        carry_out(&plugins, &first, Direction::Undo);
        let after = shop.now();
        prop_assert_eq!((&after.items, &after.mode), (&before.items, &before.mode));
        // What was there is a state of its own: the next case begins from it.
        carry_out(&plugins, &first, Direction::Forward);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn methods_take_it_there_and_back() {
    let Some(shop) = Shop::open() else { return };
    let plugins = shop.plugin(&json!({ "front": { "Mode": "night" } }));
    let first = plan(&plugins).unwrap();
    carry_out(&plugins, &first, Direction::Forward);
    carry_out(&plugins, &first, Direction::Undo);
    assert_eq!(shop.now().log, ["SetMode night", "RestoreMode day"]);
}

#[test]
fn a_look_shows_everything_and_sets_nothing() {
    let Some(mut shop) = Shop::open() else { return };
    let seen = shop.view()[0].observe().unwrap();
    let names: Vec<_> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["front", "item:apple", "item:pear", "item:plum"]);
    assert!(seen.values().all(|seen| seen.owner == Owner::Foreign));
    // Beyond 2^53 a number is its digits (RFC 8259 §6).
    assert_eq!(
        seen["item:plum"].state["Stock"],
        json!(u64::MAX.to_string())
    );
    assert!(shop.now().log.is_empty());
    shop.close();
    let away = shop.view()[0].observe().unwrap_err();
    assert!(
        away.to_string()
            .contains("org.example.Shop1 is not on the bus"),
        "{away}"
    );
}

#[test]
fn what_the_service_refuses_is_said_in_its_words() {
    let Some(shop) = Shop::open() else { return };
    shop.state.lock().unwrap().stubborn = Some("pear".to_owned());
    let plugins = shop.plugin(&json!({ "item": { "pear": { "Price": 7 } } }));
    let first = plan(&plugins).unwrap();
    let context = Context {
        run: "test",
        direction: Direction::Forward,
        progress: &|_| {},
    };
    let error = plugins[0]
        .apply(&[&first.changes[0]], &context)
        .unwrap_err();
    assert!(error.to_string().contains("not this one"), "{error}");
}

#[test]
fn an_interface_that_changed_since_the_review_is_not_written_to() {
    let Some(shop) = Shop::open() else { return };
    let section = json!({ "item": { "pear": { "Price": 7 } } });
    let shown = plan(&shop.plugin(&section)).unwrap();
    let text = std::fs::read_to_string(shop.mapping()).unwrap();
    let digest = text
        .split("Item\" = [\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let other = format!("sha256:{}", "0".repeat(64));
    std::fs::write(shop.mapping(), text.replace(digest, &other)).unwrap();
    let plugins = shop.plugin(&section);
    match plan(&plugins) {
        Err(PlanError::Refused(refusals)) => {
            assert!(
                refusals[0]
                    .reason
                    .contains("no longer the one that was reviewed"),
                "{refusals:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    // A plan that was made before is not carried out either.
    let context = Context {
        run: "test",
        direction: Direction::Forward,
        progress: &|_| {},
    };
    plugins[0]
        .apply(&[&shown.changes[0]], &context)
        .unwrap_err();
    assert!(shop.now().log.is_empty());
}

#[test]
fn objects_are_neither_made_nor_deleted() {
    let Some(shop) = Shop::open() else { return };
    let plugins = shop.plugin(&json!({ "item": { "cherry": { "Price": 7 } } }));
    let refused = plan(&plugins).unwrap_err().to_string();
    assert!(
        refused.contains("no such object: there are `apple`, `pear`, `plum`"),
        "{refused}"
    );
    let plugins = shop.plugin(&json!({}));
    assert!(plan(&plugins).unwrap().is_empty());
}
