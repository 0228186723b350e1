//! The nearest ten of 100,000 vectors, exactly, beside sqlite-vec asked the same: `cargo bench -p search --bench vectors`;
//! with `-- --million` of 1,000,000 as well, which takes some minutes and 4 GB of disk.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../tests/corpus/ledger.rs"]
mod corpus;

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use search::entries::Vectors;
use search::{Embedding, ModelId, embed};

const NEAREST: usize = 10;
const QUESTIONS: [&str; 10] = [
    "no space left on device",
    "nginx restarts",
    "container with more memory",
    "who changed the DNS server",
    "weekly maintenance of the database",
    "package update of openssl",
    "temporary failure in name resolution",
    "new customer",
    "flow rules of the bridge",
    "ticket 4711",
];

/// How often all questions are asked.
const ROUNDS: usize = 10;

fn main() {
    register();
    let mut counts = vec![100_000];
    if std::env::args().any(|argument| argument == "--million") {
        counts.push(1_000_000);
    }
    println!(
        "the nearest {NEAREST} by cosine, {} questions asked {ROUNDS} times",
        QUESTIONS.len()
    );
    println!(
        "{:>10} {:<22} {:>9} {:>9} {:>10}",
        "vectors", "", "p50", "p99", "p50 ratio"
    );
    for count in counts {
        measure(count);
    }
}

fn measure(count: usize) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let database = Connection::open(dir.path().join("vec.db")).unwrap();
    database
        .execute_batch("PRAGMA synchronous = OFF; CREATE VIRTUAL TABLE v USING vec0(id integer primary key, e float[384] distance_metric=cosine)")
        .unwrap();
    let mut ours = Vectors::create(&dir.path().join("vectors"), &ModelId::built_in()).unwrap();
    fill(count, &database, &mut ours);

    let questions: Vec<Embedding> = QUESTIONS.iter().map(|question| embed(question)).collect();
    for question in &questions {
        let (one, other) = (
            theirs(&database, question),
            ours.nearest(question, NEAREST, 1).unwrap(),
        );
        assert_eq!(one.len(), other.len());
        for ((_, theirs), (_, ours)) in one.iter().zip(&other) {
            assert!((theirs - ours).abs() < 1e-4, "{one:?} {other:?}");
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    let beside = times(&questions, |question| drop(theirs(&database, question)));
    let single = times(&questions, |question| {
        drop(ours.nearest(question, NEAREST, 1).unwrap())
    });
    let all = times(&questions, |question| {
        drop(ours.nearest(question, NEAREST, cores).unwrap())
    });
    for (name, times) in [
        ("sqlite-vec, f32".to_owned(), &beside),
        ("ours, 1 thread".to_owned(), &single),
        (format!("ours, {cores} threads"), &all),
    ] {
        let p50 = times[times.len() / 2];
        let p99 = times[(times.len() * 99).div_ceil(100) - 1];
        let ratio = beside[beside.len() / 2].as_secs_f64() / p50.as_secs_f64();
        println!(
            "{count:>10} {name:<22} {:>9.1?} {:>9.1?} {ratio:>8.1} x",
            p50, p99
        );
    }
}

/// Gives both the embeddings of generated entries.
fn fill(count: usize, database: &Connection, ours: &mut Vectors) {
    let mut dice = corpus::Dice::new(7);
    let records = corpus::generated(count, &corpus::now(), &mut dice);
    let mut insert = database
        .prepare("INSERT INTO v (id, e) VALUES (?, ?)")
        .unwrap();
    for (part, records) in records.chunks(10_000).enumerate() {
        let first = i64::try_from(part * 10_000).unwrap();
        let rows: Vec<_> = (first..)
            .zip(records.iter().map(|record| embed(&record.text())))
            .collect();
        database.execute_batch("BEGIN").unwrap();
        for (id, vector) in &rows {
            insert.execute(params![id, bytes(vector)]).unwrap();
        }
        database.execute_batch("COMMIT").unwrap();
        ours.append(&rows).unwrap();
    }
}

fn bytes(vector: &Embedding) -> Vec<u8> {
    vector
        .as_slice()
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn theirs(database: &Connection, question: &Embedding) -> Vec<(i64, f64)> {
    let mut select = database
        .prepare_cached("SELECT id, distance FROM v WHERE e MATCH ? AND k = ? ORDER BY distance")
        .unwrap();
    let rows = select.query_map(params![bytes(question), NEAREST as i64], |row| {
        Ok((row.get(0)?, 1.0 - row.get::<_, f64>(1)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn times(questions: &[Embedding], ask: impl Fn(&Embedding)) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .flat_map(|_| questions)
        .map(|question| {
            let begun = Instant::now();
            ask(question);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn register() {
    type Entry = unsafe extern "C" fn(
        *mut rusqlite::ffi::sqlite3,
        *mut *mut std::ffi::c_char,
        *const rusqlite::ffi::sqlite3_api_routines,
    ) -> std::ffi::c_int;
    #[allow(unsafe_code)]
    // SAFETY: the function is sqlite-vec's entry point, which has this very type in C; its bindings only leave it out.
    unsafe {
        let entry =
            std::mem::transmute::<*const (), Entry>(sqlite_vec::sqlite3_vec_init as *const ());
        rusqlite::ffi::sqlite3_auto_extension(Some(entry));
    }
}
