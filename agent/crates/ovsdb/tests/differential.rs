//! What our server answers, against `ovsdb-server`: transactions of a corpus, and random ones.
#![allow(clippy::unwrap_used)]

mod pair;

use pair::{Ours, Real, Two};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};

/// `(name, schema, transactions)`; see `corpus/README.md`.
const CORPUS: &[(&str, &str, &str)] = &[
    (
        "types",
        include_str!("corpus/types.ovsschema"),
        include_str!("corpus/types.jsonl"),
    ),
    (
        "references",
        include_str!("corpus/references.ovsschema"),
        include_str!("corpus/references.jsonl"),
    ),
    (
        "rules",
        include_str!("corpus/rules.ovsschema"),
        include_str!("corpus/rules.jsonl"),
    ),
];

/// Leaves out what depends on the clock, and which of two rows is called the first: an order of hashes.
fn comparable(mut answers: Vec<Json>) -> Vec<Json> {
    for answer in &mut answers {
        for result in answer["result"].as_array_mut().into_iter().flatten() {
            if let Some(Json::String(details)) = result.get_mut("details") {
                for end in ["\"wait\" timed out after ", "  First row, with UUID "] {
                    if let Some(place) = details.find(end) {
                        details.truncate(place);
                    }
                }
            }
        }
    }
    answers
}

#[test]
fn the_corpus_is_answered_alike() {
    let mut count = 0;
    let mut differ = Vec::new();
    for (name, schema, transactions) in CORPUS {
        let (real, ours) = (Real::start(schema), Ours::start(schema));
        let mut two = Two::connect(&real.socket(), &ours.socket());
        let database = serde_json::from_str::<Json>(schema).unwrap()["name"].clone();
        let (theirs, mine) = two.call("get_schema", &json!([database]));
        assert_eq!(mine, theirs, "{name}");
        for line in transactions.lines().filter(|line| line.starts_with('[')) {
            count += 1;
            let operations: Json =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut params = vec![database.clone()];
            params.extend(operations.as_array().unwrap().iter().cloned());
            let (theirs, mine) = two.call("transact", &Json::from(params));
            let (theirs, mine) = (comparable(theirs), comparable(mine));
            if theirs != mine {
                differ.push(format!(
                    "{name}: {line}\n real {}\n ours {}\n",
                    json!(theirs),
                    json!(mine)
                ));
            }
        }
    }
    println!("{count} transactions, {} differ", differ.len());
    assert!(differ.is_empty(), "{}", differ.concat());
    assert!(count >= 150, "{count}");
}

/// A random operation on the rows of `T` and `U`, most of which make sense.
fn operation() -> impl Strategy<Value = Json> {
    // Large enough for products that are too large. The real server refuses i64::MAX times one, too.
    let number = || prop_oneof![4 => -3i64..4, 1 => Just(1i64 << 40), 1 => Just(-1i64 << 40)];
    let word = || prop::sample::select(vec!["", "a", "b", "c", "é"]);
    let numbers = || prop::collection::vec(-2i64..4, 0..4).prop_map(|set| json!(["set", set]));
    let pairs =
        || prop::collection::vec((word(), word()), 0..3).prop_map(|pairs| json!(["map", pairs]));
    let value = move || {
        prop_oneof![
            (-3i64..4).prop_map(|number| json!(number)),
            word().prop_map(|word| json!(word)),
            any::<bool>().prop_map(|truth| json!(truth)),
            // The real server writes 1.0 as 1, also where it quotes a request.
            (-8i32..8).prop_map(|number| match number % 4 {
                0 => json!(number / 4),
                _ => json!(f64::from(number) / 4.0),
            }),
            numbers(),
            pairs(),
        ]
    };
    // A column with a value that fits it, mostly.
    let entry = move || {
        prop_oneof![
            3 => (prop::sample::select(vec!["i", "imin", "imax", "ei"]), number().prop_map(|number| json!(number))),
            3 => (prop::sample::select(vec!["s", "en", "sl", "eph"]), word().prop_map(|word| json!(word))),
            3 => (prop::sample::select(vec!["si", "oi", "s1", "ir", "sr"]), numbers()),
            2 => (Just("m"), pairs()),
            1 => (prop::sample::select(vec!["i", "r", "b", "os", "mi", "me", "rr", "im"]), value()),
        ]
    };
    let row = move || {
        prop::collection::vec(entry(), 0..4).prop_map(|row| {
            json!(
                row.into_iter()
                    .collect::<std::collections::BTreeMap<_, _>>()
            )
        })
    };
    let function = || {
        prop::sample::select(vec![
            "==", "!=", "<", "<=", ">", ">=", "includes", "excludes",
        ])
    };
    let condition = move || {
        let clause = (entry(), function())
            .prop_map(|((column, value), function)| json!([column, function, value]));
        prop::collection::vec(clause, 0..2).prop_map(Json::from)
    };
    let mutator = || {
        prop::sample::select(vec![
            "+=", "-=", "*=", "/=", "%=", "insert", "delete", "insert",
        ])
    };
    let mutation = move || {
        (entry(), mutator()).prop_map(|((column, value), mutator)| json!([column, mutator, value]))
    };
    let on = |op: &'static str| move |rows: Json| json!({ "op": op, "table": "T", "where": rows });
    prop_oneof![
        4 => row().prop_map(|row| json!({ "op": "insert", "table": "T", "row": row })),
        2 => (condition(), row()).prop_map(|(rows, row)| json!({ "op": "update", "table": "T", "where": rows, "row": row })),
        3 => (condition(), prop::collection::vec(mutation(), 1..3))
            .prop_map(|(rows, mutations)| json!({ "op": "mutate", "table": "T", "where": rows, "mutations": mutations })),
        1 => condition().prop_map(on("delete")),
        2 => condition().prop_map(|rows| json!({ "op": "select", "table": "T", "where": rows,
            "columns": ["i", "s", "en", "si", "oi", "s1", "ir", "sr", "m", "r", "mi", "me", "imin", "imax", "ei", "sl"] })),
        1 => (condition(), prop::collection::vec(row(), 0..2), any::<bool>()).prop_map(|(rows, expected, equal)| {
            let until = if equal { "==" } else { "!=" };
            json!({ "op": "wait", "table": "T", "where": rows, "columns": ["s"], "until": until, "rows": expected, "timeout": 0 })
        }),
    ]
}

/// Which of several wrong columns, or of several rows that are missing, is told of is an order of hashes.
fn first_of_several(mut answers: Vec<Json>, operations: &[Json]) -> Vec<Json> {
    let answer = answers.last_mut().unwrap();
    let results = answer["result"].as_array_mut().unwrap();
    if let Some(last) = results.last_mut()
        && last["error"] == "referential integrity violation"
    {
        *last = last["error"].take();
    }
    for (operation, result) in operations.iter().zip(results) {
        let rows = std::iter::once(&operation["row"])
            .chain(operation["rows"].as_array().into_iter().flatten());
        let several = rows
            .into_iter()
            .any(|row| row.as_object().is_some_and(|row| row.len() > 1));
        if several && result.get("error").is_some() {
            *result = json!("refused");
        }
    }
    answers
}

/// Runs random transactions on an empty database of both servers, which tell monitors of them.
fn compare(schema: &str, cases: u32, operation: impl Strategy<Value = Json>, conditions: &Json) {
    let (real, ours) = (Real::start(schema), Ours::start(schema));
    let parsed: Json = serde_json::from_str(schema).unwrap();
    let clear = parsed["tables"].as_object().unwrap().keys();
    let clear = clear.map(|table| json!({ "op": "delete", "table": table, "where": [] }));
    let clear: Json = std::iter::once(parsed["name"].clone())
        .chain(clear)
        .collect();
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    // The same cases each time, so that a failure can be looked into.
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let transactions = prop::collection::vec(prop::collection::vec(operation, 1..5), 1..8);
    let outcome = runner.run(&transactions, |transactions| {
        let mut two = Two::connect(&real.socket(), &ours.socket());
        two.call("transact", &clear);
        let all = conditions.as_object().unwrap().keys();
        let all: Json = all
            .map(|table| (table.clone(), json!({})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        two.call("monitor", &json!([parsed["name"], "all", all]));
        two.call("monitor_cond", &json!([parsed["name"], "some", conditions]));
        for operations in transactions {
            let mut params = vec![parsed["name"].clone()];
            params.extend(operations.iter().cloned());
            let (theirs, mine) = two.call("transact", &Json::from(params));
            let (theirs, mine) = (comparable(theirs), comparable(mine));
            prop_assert_eq!(
                first_of_several(mine, &operations),
                first_of_several(theirs, &operations)
            );
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn random_transactions_are_answered_alike() {
    let some = json!({ "T": { "columns": ["s", "si", "m", "oi"], "where": [["i", ">", 0], ["s", "==", "a"]] } });
    compare(CORPUS[0].1, 1000, operation(), &some);
}

/// Operations on rows that refer to each other, by the names of a transaction and by the order of insertion.
fn reference() -> impl Strategy<Value = Json> {
    let row = || {
        prop_oneof![
            3 => prop::sample::select(vec!["a", "b", "c"]).prop_map(|name| json!(["named-uuid", name])),
            3 => (0..6usize).prop_map(|n| json!(["uuid", format!("${n}")])),
        ]
    };
    let rows = move || prop::collection::vec(row(), 0..3).prop_map(|rows| json!(["set", rows]));
    let name = || prop::sample::select(vec!["x", "y", "z"]);
    let filled = move || {
        (0..5usize, rows(), row(), name()).prop_map(|(kind, rows, row, name)| match kind {
            0 => ("Root", json!({ "name": name, "kids": rows })),
            1 => (
                "Root",
                json!({ "name": name, "weak": rows, "map": ["map", [[name, row]]] }),
            ),
            2 => ("Kid", json!({ "name": name, "kids": rows })),
            3 => ("Kid", json!({ "name": name, "friend": row })),
            _ => ("Peer", json!({ "name": name, "kid": row })),
        })
    };
    let label = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        4 => (filled(), label).prop_map(|((table, row), label)| {
            json!({ "op": "insert", "table": table, "row": row, "uuid-name": label })
        }),
        2 => (filled(), name()).prop_map(|((table, row), name)| {
            json!({ "op": "update", "table": table, "row": row, "where": [["name", "==", name]] })
        }),
        2 => (prop::sample::select(vec!["kids", "weak"]), any::<bool>(), rows()).prop_map(|(column, insert, rows)| {
            let mutator = if insert { "insert" } else { "delete" };
            json!({ "op": "mutate", "table": "Root", "where": [], "mutations": [[column, mutator, rows]] })
        }),
        2 => (prop::sample::select(vec!["Root", "Kid", "Peer"]), name()).prop_map(|(table, name)| {
            json!({ "op": "delete", "table": table, "where": [["name", "==", name]] })
        }),
        2 => prop::sample::select(vec!["Root", "Kid", "Peer"]).prop_map(|table| {
            let columns = match table {
                "Root" => json!(["name", "kids", "weak", "map"]),
                "Kid" => json!(["name", "kids", "friend"]),
                _ => json!(["name", "kid"]),
            };
            json!({ "op": "select", "table": table, "where": [], "columns": columns })
        }),
    ]
}

#[test]
fn random_references_are_kept_alike() {
    let some = json!({
        "Root": { "columns": ["kids", "map"], "where": [["name", "==", "x"]] },
        "Kid": { "where": [["name", "!=", "y"]] },
        "Peer": { "columns": ["name"], "select": { "modify": false } },
    });
    compare(CORPUS[1].1, 1500, reference(), &some);
}
