//! An index on disk: how it grows, is found damaged, and answers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, OpenOptions};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use jiff::Zoned;
use search::entries::{Answer, EntryError, EntryIndex, Growth, Likeness, Method};
use search::{BuiltIn, EmbedError, Embedder, Embedding, ModelId, embed};
use serde_json::json;
use support::{Chain, record};

const DAY: i64 = 86_400;

fn now() -> Zoned {
    "2026-01-07T12:00:00+00:00[UTC]".parse().unwrap()
}

fn chain() -> Chain {
    let now = now().timestamp().as_second();
    let mut records = Vec::new();
    let mut add = |days: i64, operation: &str, target: &str, arguments| {
        let id = i64::try_from(records.len()).unwrap();
        records.push(record(id, now - days * DAY, operation, target, arguments));
    };
    add(400, "genesis", "system", json!({}));
    add(
        30,
        "container_create",
        "web-01",
        json!({ "template": "debian-12" }),
    );
    add(
        9,
        "container_create",
        "db-01",
        json!({ "template": "alpine" }),
    );
    add(8, "container_destroy", "web-02", json!({}));
    add(7, "systemd_restart_unit", "nginx.service", json!({}));
    add(
        2,
        "package_install",
        "postgresql",
        json!({ "reason": "the shop needs a database" }),
    );
    add(
        1,
        "container_create",
        "web-03",
        json!({ "template": "debian-12" }),
    );
    add(0, "ovs_add_port", "br0", json!({ "port": "web-01" }));
    let mut chain = Chain::new(records);
    chain.records[5].metadata["outcome"] = json!("failed");
    chain.records[5].metadata["error"] = json!("dpkg: no space left on device");
    chain.records[3].metadata["actor"]["name"] = json!("bob");
    chain
}

fn grow(index: &EntryIndex, chain: &Chain) -> Growth {
    index
        .grow(chain, &BuiltIn, &mut |_| ControlFlow::Continue(()))
        .unwrap()
}

fn ask(index: &EntryIndex, chain: &Chain, question: &str) -> Answer {
    index
        .search(chain, &Likeness::by(&[&BuiltIn]), question, &now(), 10)
        .unwrap()
}

fn ids(answer: &Answer) -> Vec<i64> {
    answer.hits.iter().map(|hit| hit.id).collect()
}

#[test]
fn questions_are_answered_and_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let (index, chain) = (EntryIndex::new(dir.path()), chain());
    assert_eq!(grow(&index, &chain).taken_in, 8);
    for (question, expected) in [
        ("containers created last week", vec![2]),
        ("containers created this week", vec![6]),
        ("guests made since monday", vec![6]),
        ("what did bob do", vec![3]),
        ("what happened yesterday?", vec![6]),
        ("web-01", vec![7, 1]),
        ("container_create", vec![6, 2, 1]),
        ("nginx", vec![4]),
        ("what failed", vec![5]),
        ("everything before 2025-12-31", vec![3, 2, 1, 0]),
        ("2025-12-29..2025-12-31", vec![4, 3, 2]),
    ] {
        let answer = ask(&index, &chain, question);
        assert_eq!(ids(&answer), expected, "{question}: {answer:#?}");
    }
    let answer = ask(&index, &chain, "no space on the device in the last 3 days");
    assert_eq!(ids(&answer)[0], 5);
    let why = &answer.hits[0].why;
    assert!(
        why.filters[0].starts_with("time 2026-01-04T12:00"),
        "{why:?}"
    );
    assert!(
        why.words.contains(&"space".to_owned()) && why.words_score.unwrap() > 0.0,
        "{why:?}"
    );
    assert!(why.likeness.unwrap() > 0.2, "{why:?}");
}

#[test]
fn what_finds_nothing_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (index, chain) = (EntryIndex::new(dir.path()), chain());
    grow(&index, &chain);
    let answer = ask(&index, &chain, "containers destroyed by alice");
    assert!(
        answer.notes[0].contains("operation container_destroy"),
        "{answer:#?}"
    );
    let answer = ask(&index, &chain, "in 1999");
    assert!(
        answer.hits.is_empty() && answer.notes[0].contains("from 2024-12-03"),
        "{answer:#?}"
    );
    let answer = ask(&index, &chain, "");
    assert_eq!(ids(&answer), [7, 6, 5, 4, 3, 2, 1, 0]);
    let answer = ask(&index, &chain, "xyzzy");
    assert!(answer.hits.is_empty(), "{answer:#?}");
    let answer = ask(&index, &chain, "qwertz yesterday");
    assert_eq!(ids(&answer), [6], "{answer:#?}");
    assert!(answer.notes[0].contains("qwertz"), "{answer:#?}");
}

#[test]
fn hostile_questions_are_data() {
    let dir = tempfile::tempdir().unwrap();
    let (index, chain) = (EntryIndex::new(dir.path()), chain());
    grow(&index, &chain);
    let long = "web-01 ".repeat(100_000);
    for question in [
        "\"",
        "'",
        "title:x OR *",
        "NEAR(a b, 3)",
        "a AND NOT b",
        "{target}: x",
        "^web",
        "web*",
        "' OR 1=1 --",
        "\0",
        "web\0-01",
        "-- ; DROP TABLE words",
        "\u{202e}web",
        "²³",
        "éè ß ﬁ",
        "🦀",
        "..",
        "../../etc/passwd",
        "since",
        "between and",
        "last",
        "a",
        "-",
        "\"\"\"\"",
        "%s%n",
        long.as_str(),
        "( (( (",
        "x:y:z:*",
        "since 9999-12-31",
        "99999999999999999999 days ago",
        "0000-00-00",
        "-1 days ago",
    ] {
        for method in [Method::Words, Method::Likeness, Method::Fused] {
            let asked = index.search_by(
                method,
                &chain,
                &Likeness::by(&[&BuiltIn]),
                question,
                &now(),
                5,
            );
            assert!(asked.is_ok(), "{question:?}: {asked:?}");
        }
    }
    proptest::proptest!(proptest::prelude::ProptestConfig::with_cases(64), |(question in "\\PC{0,60}")| {
        ask(&index, &chain, &question);
    });
}

#[test]
fn it_grows_with_the_chain_and_goes_on_where_it_was_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    let mut chain = Chain::new(
        (0..2500)
            .map(|id| record(id, id, "file_write", &format!("/srv/{id}"), json!({})))
            .collect(),
    );
    let growth = index
        .grow(&chain, &BuiltIn, &mut |_| ControlFlow::Break(()))
        .unwrap();
    assert!(growth.stopped && growth.taken_in == 1000);
    let mut heard = Vec::new();
    let growth = index
        .grow(&chain, &BuiltIn, &mut |progress| {
            heard.push((progress.done, progress.total));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(heard, [(1000, 1500), (1500, 1500)]);
    assert_eq!((growth.taken_in, growth.rebuilt), (1500, vec![]));
    assert_eq!(grow(&index, &chain), Growth::default());
    chain
        .records
        .push(record(2500, 2500, "container_create", "late", json!({})));
    assert_eq!(grow(&index, &chain).taken_in, 1);
    assert_eq!(ids(&ask(&index, &chain, "container late")), [2500]);
    let status = index.status(&chain).unwrap();
    assert_eq!((status.words, status.head), (2500, 2500));
    assert_eq!(status.vectors, [("built-in-1".to_owned(), 2500)]);
}

#[test]
fn another_chain_makes_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (index, mut chain) = (EntryIndex::new(dir.path()), chain());
    grow(&index, &chain);
    chain.name = "other";
    let growth = grow(&index, &chain);
    assert_eq!(growth.taken_in, 8);
    assert!(
        growth.rebuilt[0].contains("not the one that it was made of"),
        "{growth:?}"
    );
    // Cut short: the last entry that was indexed is gone.
    chain.records.pop();
    assert_eq!(grow(&index, &chain).taken_in, 7);
    assert_eq!(ids(&ask(&index, &chain, "web-01")), [1]);
}

/// A model that turns words around.
struct Other;

impl Embedder for Other {
    fn id(&self) -> ModelId {
        "other-2".parse().unwrap()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        Ok(texts
            .iter()
            .map(|text| embed(&text.chars().rev().collect::<String>()))
            .collect())
    }

    fn batch(&self) -> usize {
        1
    }
}

/// A model that is not there.
struct Broken;

impl Embedder for Broken {
    fn id(&self) -> ModelId {
        "broken-1".parse().unwrap()
    }

    fn embed(&self, _: &[&str]) -> Result<Vec<Embedding>, EmbedError> {
        Err(EmbedError("model.onnx is not there".to_owned()))
    }
}

#[test]
fn a_new_model_is_taken_once_its_vectors_are_complete() {
    let dir = tempfile::tempdir().unwrap();
    let (index, chain) = (EntryIndex::new(dir.path()), chain());
    grow(&index, &chain);
    let likeness: [&dyn Embedder; 2] = [&Other, &BuiltIn];
    let model = |note: bool| {
        let answer = index
            .search(&chain, &Likeness::by(&likeness), "space", &now(), 3)
            .unwrap();
        assert_eq!(!answer.notes.is_empty(), note, "{answer:#?}");
        answer.understood.model.unwrap()
    };
    assert_eq!(model(true), "built-in-1");
    index
        .grow(&chain, &Other, &mut |_| ControlFlow::Break(()))
        .unwrap();
    assert_eq!(model(true), "built-in-1");
    index
        .grow(&chain, &Other, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(model(false), "other-2");
    assert!(
        index
            .grow(&chain, &Broken, &mut |_| ControlFlow::Continue(()))
            .is_err()
    );
    assert_eq!(model(false), "other-2");
    index.forget_others(&chain, &[ModelId::built_in()]).unwrap();
    assert_eq!(model(true), "built-in-1");
    assert!(!dir.path().join("other-2.vectors").exists());
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
}

#[test]
fn damaged_files_are_made_anew() {
    let (good, question) = (chain(), "no space on the device");
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let index = EntryIndex::new(dir.path());
        grow(&index, &good);
        ids(&ask(&index, &good, question))
    };
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 12] = [
        ("no database", |dir| {
            fs::remove_file(dir.join("vector-index.db")).unwrap()
        }),
        ("an empty database", |dir| {
            fs::write(dir.join("vector-index.db"), "").unwrap()
        }),
        ("no database at all", |dir| {
            fs::write(dir.join("vector-index.db"), "x".repeat(9000)).unwrap()
        }),
        ("a cut database", |dir| {
            let file = OpenOptions::new()
                .write(true)
                .open(dir.join("vector-index.db"))
                .unwrap();
            file.set_len(20_000).unwrap();
        }),
        ("a database of somebody else", |dir| {
            fs::remove_file(dir.join("vector-index.db")).unwrap();
            let other = rusqlite::Connection::open(dir.join("vector-index.db")).unwrap();
            other.execute_batch("CREATE TABLE words(a)").unwrap();
        }),
        ("a lost table", |dir| {
            let database = rusqlite::Connection::open(dir.join("vector-index.db")).unwrap();
            database.execute_batch("DROP TABLE entries").unwrap();
        }),
        ("no vectors", |dir| {
            fs::remove_file(dir.join("built-in-1.vectors")).unwrap()
        }),
        ("empty vectors", |dir| {
            fs::write(dir.join("built-in-1.vectors"), "").unwrap()
        }),
        ("a bit of a header", |dir| {
            flip(&dir.join("built-in-1.vectors"), 17)
        }),
        ("a bit of a code", |dir| {
            flip(&dir.join("built-in-1.vectors"), 4096 + 700)
        }),
        ("a bit of a number", |dir| {
            flip(&dir.join("built-in-1.vectors"), 4096 + 1024 * 408 + 2000)
        }),
        ("a directory instead of a seal", |dir| {
            fs::remove_file(dir.join("vector-index.seal")).unwrap();
        }),
    ];
    for (harm, damage) in harms {
        let dir = tempfile::tempdir().unwrap();
        let index = EntryIndex::new(dir.path());
        grow(&index, &good);
        damage(dir.path());
        let growth = grow(&index, &good);
        assert_eq!(
            ids(&ask(&index, &good, question)),
            whole,
            "{harm}: {growth:?}"
        );
        // The same without a growth in between.
        damage(dir.path());
        let before = ask(&index, &good, question);
        assert!(
            ids(&before).iter().all(|id| whole.contains(id)),
            "{harm}: {before:#?}"
        );
        grow(&index, &good);
        assert_eq!(ids(&ask(&index, &good, question)), whole, "{harm}");
    }
}

#[test]
fn no_bit_of_the_database_makes_it_fail() {
    let good = chain();
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    grow(&index, &good);
    let path = dir.path().join("vector-index.db");
    let size = fs::metadata(&path).unwrap().len();
    for at in (0..size).step_by(1499) {
        flip(&path, at);
        grow(&index, &good);
        let answer = ask(&index, &good, "web-01");
        assert_eq!(ids(&answer), [7, 1], "{at}: {answer:#?}");
    }
}

/// Asks again for as long as others hold the index for longer than is waited for them.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, EntryError>) -> T {
    loop {
        match ask() {
            Err(EntryError::Busy { .. }) => {}
            outcome => return outcome.unwrap(),
        }
    }
}

#[test]
fn many_may_grow_and_ask_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let records =
        (0..3000).map(|id| record(id, id, "file_write", &format!("/srv/{id}"), json!({})));
    let chain = Chain::new(records.collect());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let index = EntryIndex::new(dir.path());
                let likeness = Likeness::by(&[&BuiltIn]);
                patiently(|| index.grow(&chain, &BuiltIn, &mut |_| ControlFlow::Continue(())));
                let answer = patiently(|| index.search(&chain, &likeness, "/srv/2999", &now(), 10));
                assert_eq!(ids(&answer), [2999]);
            });
        }
    });
    assert_eq!(
        EntryIndex::new(dir.path()).status(&chain).unwrap().words,
        2999
    );
}

/// Names the directory that a child of the test below indexes into.
const CHILD: &str = "SEARCH_TEST_GROWS_IN";

#[test]
fn a_growth_that_was_killed_goes_on() {
    let records =
        (0..12_000).map(|id| record(id, id, "file_write", &format!("/srv/{id}"), json!({})));
    let chain = Chain::new(records.collect());
    if let Ok(dir) = std::env::var(CHILD) {
        grow(&EntryIndex::new(dir), &chain);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    for least in [0, 2500, 5000, 8000] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_growth_that_was_killed_goes_on"])
            .env(CHILD, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while index.reach().is_none_or(|reach| reach < least) {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it ended before {least}"
            );
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ids(&ask(&index, &chain, &format!("/srv/{least}"))), [least]);
    }
    let growth = grow(&index, &chain);
    assert!(
        growth.rebuilt.is_empty() && growth.taken_in < 4000,
        "{growth:?}"
    );
    assert_eq!(ids(&ask(&index, &chain, "/srv/11999")), [11_999]);
}

#[test]
fn without_the_index_the_entries_themselves_are_looked_through() {
    let chain = chain();
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    let without = |question: &str| {
        let answer = index.search_without(&chain, question, &now(), 5).unwrap();
        ids(&answer)
    };
    let questions = [
        "containers created this week",
        "what failed",
        "web-01",
        "no space on the device",
    ];
    let found = questions.map(without);
    let nowhere = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(nowhere, 0);
    grow(&index, &chain);
    let by_words = |question: &str| {
        let likeness = Likeness::by(&[]);
        let method = Method::Words;
        let answer = index.search_by(method, &chain, &likeness, question, &now(), 5);
        ids(&answer.unwrap())
    };
    for (question, found) in questions.into_iter().zip(found) {
        assert_eq!(found, by_words(question), "{question}");
        assert!(!found.is_empty(), "{question}");
    }
}

#[test]
fn who_holds_the_index_for_long_holds_nobody_up() {
    let chain = chain();
    let dir = tempfile::tempdir().unwrap();
    let index = EntryIndex::new(dir.path());
    grow(&index, &chain);
    let lock = fs::File::open(dir.path().join("vector-index.lock")).unwrap();
    lock.lock().unwrap();
    let likeness = Likeness::by(&[]);
    let busy = index.search(&chain, &likeness, "containers", &now(), 5);
    assert!(matches!(busy, Err(EntryError::Busy { .. })), "{busy:?}");
    drop(lock);
    assert!(
        index
            .search(&chain, &likeness, "containers", &now(), 5)
            .is_ok()
    );
}
