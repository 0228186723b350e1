//! What is learned, found again, and forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use inspector::{
    Checker, Example, Format, Knowledge, KnowledgeError, Lesson, Name, Shape, Taught, sha256,
};
use serde_json::{Value, json};

const NOW: &str = "2026-11-21T14:42:16Z";

fn lesson(values: &[Value]) -> Lesson {
    let taught = |value: &Value| {
        let bytes = value.to_string();
        Taught {
            example: Example {
                source: "/etc/x.json".to_owned(),
                sha256: sha256(bytes.as_bytes()),
                bytes: bytes.len() as u64,
            },
            shape: Shape::of(value),
        }
    };
    Lesson {
        format: Format::Json,
        examples: values.iter().map(taught).collect(),
        rules: None,
        note: None,
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn fresh() -> (tempfile::TempDir, Knowledge) {
    let dir = tempfile::tempdir().unwrap();
    let knowledge = Knowledge::open(&dir.path().join("knowledge.db")).unwrap();
    (dir, knowledge)
}

#[test]
fn what_is_learned_grows_and_what_is_known_is_not_learned_again() {
    let (dir, mut knowledge) = fresh();
    let app = name("app");
    let first = json!({ "name": "a", "port": 1 });
    let second = json!({ "name": "b" });
    assert_eq!(
        knowledge
            .learn(&app, &lesson(std::slice::from_ref(&first)), NOW)
            .unwrap(),
        (1, true)
    );
    assert_eq!(
        knowledge
            .learn(&app, &lesson(std::slice::from_ref(&first)), NOW)
            .unwrap(),
        (1, false)
    );
    assert_eq!(
        knowledge
            .learn(&app, &lesson(&[first.clone(), second]), NOW)
            .unwrap(),
        (2, true)
    );
    drop(knowledge);
    let knowledge = Knowledge::read_only(&dir.path().join("knowledge.db"))
        .unwrap()
        .unwrap();
    let known = knowledge.show(&app, None).unwrap();
    assert_eq!(known.schema["required"], json!(["name"]));
    assert_eq!(known.template, json!({ "name": "" }));
    assert_eq!((known.version, known.examples.len()), (2, 2));
    assert_eq!(
        knowledge.show(&app, Some(1)).unwrap().schema["required"],
        json!(["name", "port"])
    );
    assert!(matches!(
        knowledge.show(&app, Some(9)),
        Err(KnowledgeError::Unknown(_))
    ));
}

#[test]
fn rules_and_notes_stay_until_others_come() {
    let (_dir, mut knowledge) = fresh();
    let app = name("app");
    let mut with_rules = lesson(&[json!({ "port": 1 })]);
    with_rules.rules = Some(json!({ "properties": { "port": { "maximum": 65535 } } }));
    with_rules.note = Some("The service that answers".to_owned());
    knowledge.learn(&app, &with_rules, NOW).unwrap();
    knowledge
        .learn(&app, &lesson(&[json!({ "port": 2 })]), NOW)
        .unwrap();
    let known = knowledge.show(&app, None).unwrap();
    assert_eq!(known.note, "The service that answers");
    let faults: Vec<_> = known
        .schemas()
        .flat_map(|schema| {
            Checker::new(schema)
                .unwrap()
                .faults(&json!({ "port": 70000 }))
                .unwrap()
        })
        .collect();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].place, "/port");
    let mut bad = lesson(&[json!(1)]);
    bad.rules = Some(json!({ "$ref": "#" }));
    assert!(matches!(
        knowledge.learn(&app, &bad, NOW),
        Err(KnowledgeError::Invalid(_))
    ));
}

#[test]
fn words_find_names_notes_and_keys() {
    let (_dir, mut knowledge) = fresh();
    let mut unit = lesson(&[json!({ "Service": { "ExecStart": "/bin/true" } })]);
    unit.note = Some("Units of systemd".to_owned());
    knowledge.learn(&name("unit"), &unit, NOW).unwrap();
    knowledge
        .learn(
            &name("release"),
            &lesson(&[json!({ "VERSION_ID": "13" })]),
            NOW,
        )
        .unwrap();
    let found = |words: &str| -> Vec<String> {
        let hits = knowledge.search(words, 10).unwrap();
        hits.into_iter().map(|hit| hit.name).collect()
    };
    assert_eq!(found("unit"), ["unit"]);
    assert_eq!(found("systemd"), ["unit"]);
    assert_eq!(found("execst"), ["unit"]);
    assert_eq!(found("version"), ["release"]);
    assert_eq!(found(""), ["release", "unit"]);
    for odd in [
        "\"",
        "a OR b",
        "name:*",
        "'; DROP TABLE known",
        "(",
        "^x",
        "-",
    ] {
        found(odd);
    }
}

#[test]
fn what_is_forgotten_is_gone() {
    let (_dir, mut knowledge) = fresh();
    let app = name("app");
    knowledge
        .learn(&app, &lesson(&[json!({ "a": 1 })]), NOW)
        .unwrap();
    knowledge.forget(&app).unwrap();
    assert!(matches!(
        knowledge.show(&app, None),
        Err(KnowledgeError::Unknown(_))
    ));
    assert!(matches!(
        knowledge.forget(&app),
        Err(KnowledgeError::Unknown(_))
    ));
    assert_eq!(knowledge.search("", 10).unwrap(), []);
    assert_eq!(
        knowledge
            .learn(&app, &lesson(&[json!({ "a": 1 })]), NOW)
            .unwrap(),
        (1, true)
    );
}

#[test]
fn no_text_or_number_of_an_example_is_kept() {
    let (_dir, mut knowledge) = fresh();
    let app = name("app");
    let values: Vec<_> = (0..16)
        .map(|port| json!({ "host": "db.internal", "port": 40_000 + port, "tags": [["blue"]], "10": "x1", "a": null }))
        .collect();
    knowledge.learn(&app, &lesson(&values), NOW).unwrap();
    let known = knowledge.show(&app, None).unwrap();
    let told = json!([known.schema, known.template]).to_string();
    for seen in ["db.internal", "40000", "blue", "x1"] {
        assert!(!told.contains(seen), "{told}");
    }
    assert_eq!(known.template["port"], 0);
}

#[test]
fn what_could_not_be_read_back_is_not_kept() {
    let (dir, mut knowledge) = fresh();
    let app = name("app");
    let deep = |levels: usize| (0..levels).fold(json!(1), |below, _| json!({ "a": below }));
    knowledge.learn(&app, &lesson(&[deep(20)]), NOW).unwrap();
    for levels in [32, 63] {
        assert!(matches!(
            knowledge.learn(&app, &lesson(&[deep(levels)]), NOW),
            Err(KnowledgeError::Invalid(_))
        ));
    }
    assert_eq!(knowledge.show(&app, None).unwrap().version, 1);

    let other = rusqlite::Connection::open(dir.path().join("knowledge.db")).unwrap();
    other.execute("UPDATE known SET shape = '{'", []).unwrap();
    assert!(matches!(
        knowledge.show(&app, None),
        Err(KnowledgeError::Damaged { .. })
    ));
    assert_eq!(knowledge.version(&app).unwrap(), (1, NOW.to_owned()));
    knowledge.forget(&app).unwrap();
}

#[test]
fn versions_are_bounded() {
    let (_dir, mut knowledge) = fresh();
    let app = name("app");
    for number in 0..40 {
        let value = json!({ format!("key-{number}"): number });
        knowledge.learn(&app, &lesson(&[value]), NOW).unwrap();
    }
    assert_eq!(knowledge.show(&app, None).unwrap().version, 40);
    assert!(knowledge.show(&app, Some(25)).is_ok());
    assert!(knowledge.show(&app, Some(24)).is_err());
}

#[test]
fn other_files_are_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(
        &text,
        "no database at all, but a text that is long enough".repeat(20),
    )
    .unwrap();
    assert!(Knowledge::open(&text).is_err());
    let other = dir.path().join("other.db");
    let connection = rusqlite::Connection::open(&other).unwrap();
    connection.execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(
        Knowledge::open(&other),
        Err(KnowledgeError::Foreign(_))
    ));
    assert!(matches!(
        Knowledge::read_only(&other),
        Err(KnowledgeError::Foreign(_))
    ));
    assert!(
        Knowledge::read_only(&dir.path().join("none"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn names_are_checked() {
    for good in ["a", "unit-file", "v1.2_x"] {
        assert!(good.parse::<Name>().is_ok(), "{good}");
    }
    for bad in ["", "-a", "a b", "../x", "ä", &"a".repeat(65)] {
        assert!(bad.parse::<Name>().is_err(), "{bad}");
    }
}
