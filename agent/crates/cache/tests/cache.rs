//! The three tiers on a real file system: bounds, crashes, damage, and several at once.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cache::{Bounds, Cache, Key, Kind, Tier};

const DAY: Duration = Duration::from_secs(24 * 3600);
const BOUNDS: Bounds = Bounds {
    disk: 1 << 20,
    memory: 64 << 10,
    age: DAY,
};

fn key(number: usize) -> Key {
    Key::of([number.to_le_bytes()])
}

fn files(directory: &Path, kind: Kind) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join(kind.name())).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn tier(cache: &Cache, number: usize) -> Option<Tier> {
    let found = cache.get(Kind::Embeddings, key(number))?;
    assert_eq!(*found.0, *content(number));
    Some(found.1)
}

fn content(number: usize) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn filled(directory: &Path, count: usize) -> Cache {
    let cache = Cache::new(directory, BOUNDS);
    for number in 0..count {
        cache.put(Kind::Embeddings, key(number), content(number));
    }
    cache
}

#[test]
fn each_tier_answers_in_its_turn() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(directory.path(), BOUNDS);
    let ask = |cache: &Cache| {
        let made = cache.get_or_make(Kind::Queries, key(1), || Ok::<_, ()>(b"made".to_vec()));
        made.unwrap().1
    };
    assert_eq!(ask(&cache), Tier::Source);
    assert_eq!(ask(&cache), Tier::Memory);
    cache.rest();
    assert_eq!(cache.memory_bytes(), 0);
    assert_eq!(ask(&cache), Tier::Disk);
    assert_eq!(ask(&Cache::new(directory.path(), BOUNDS)), Tier::Disk);
    let counts = cache.tally().of(Kind::Queries);
    assert_eq!((counts.memory, counts.disk, counts.misses), (1, 1, 1));
    assert_eq!(counts.hit_rate(), Some(2.0 / 3.0));
    let failed = cache.get_or_make(Kind::Queries, key(2), || Err("no source"));
    assert_eq!(failed.unwrap_err(), "no source");
}

#[test]
fn the_same_content_is_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::new(directory.path(), BOUNDS);
    cache.put(Kind::Blocks, key(1), b"same".to_vec());
    cache.put(Kind::Blocks, key(2), b"same".to_vec());
    assert_eq!(files(directory.path(), Kind::Blocks).len(), 1);
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        disk: 10_000,
        memory: 0,
        ..BOUNDS
    };
    let cache = Cache::new(directory.path(), bounds);
    let put = |number: u8| cache.put(Kind::Blocks, Key::of([[number]]), vec![number; 2000]);
    let has = |number: u8| cache.get(Kind::Blocks, Key::of([[number]])).is_some();
    (0..5).for_each(|number| drop(put(number)));
    assert!(has(0));
    put(5);
    assert!(has(0) && !has(1) && has(2));
    // Nothing may drive out all others.
    cache.put(Kind::Blocks, key(9), vec![0; 9000]);
    assert!(cache.get(Kind::Blocks, key(9)).is_none());
    assert_eq!(files(directory.path(), Kind::Blocks).len(), 5);
}

#[test]
fn what_is_too_old_goes() {
    let directory = tempfile::tempdir().unwrap();
    let cache = filled(directory.path(), 3);
    assert_eq!(cache.clean(DAY).unwrap().entries, 0);
    assert_eq!(cache.clean(Duration::ZERO).unwrap().entries, 3);
    assert_eq!(files(directory.path(), Kind::Embeddings).len(), 0);
}

#[test]
fn clear_takes_one_kind_or_all() {
    let directory = tempfile::tempdir().unwrap();
    let cache = filled(directory.path(), 3);
    cache.put(Kind::Blocks, key(1), b"block".to_vec());
    assert_eq!(cache.clear(Some(Kind::Embeddings)).unwrap().entries, 3);
    assert!(cache.get(Kind::Blocks, key(1)).is_some());
    assert_eq!(cache.clear(None).unwrap().entries, 1);
    assert!(
        cache
            .stock()
            .unwrap()
            .iter()
            .all(|(_, stock)| stock.entries == 0)
    );
}

#[test]
fn a_damaged_file_is_a_miss_and_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), 4));
    let paths = files(directory.path(), Kind::Embeddings);
    let before: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(&paths[0], "x").unwrap();
    fs::write(&paths[1], "").unwrap();
    fs::remove_file(&paths[2]).unwrap();
    let cache = Cache::new(directory.path(), BOUNDS);
    let found = (0..4).filter(|number| tier(&cache, *number).is_some());
    assert_eq!(found.count(), 1);
    (0..4).for_each(|number| drop(cache.put(Kind::Embeddings, key(number), content(number))));
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(fs::read(path).unwrap(), before);
    }
}

#[test]
fn clean_finds_damage_before_anybody_asks() {
    let directory = tempfile::tempdir().unwrap();
    let cache = filled(directory.path(), 3);
    fs::write(&files(directory.path(), Kind::Embeddings)[0], "x").unwrap();
    let place = directory.path().join("embeddings");
    fs::write(place.join("0".repeat(64)), "nobody knows it").unwrap();
    // No process has a number beyond 2^22.
    fs::write(place.join("99999999-1.new"), "left by a crash").unwrap();
    fs::write(
        place.join(format!("{}-1.new", std::process::id())),
        "on its way",
    )
    .unwrap();
    let removed = cache.clean(DAY).unwrap();
    assert_eq!(
        (removed.damaged, removed.orphans, removed.entries),
        (1, 2, 1)
    );
    assert_eq!(files(directory.path(), Kind::Embeddings).len(), 3);
    assert_eq!(cache.clean(DAY).unwrap(), cache::Removed::default());
}

#[test]
fn an_index_with_rows_that_nobody_wrote_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    drop(filled(directory.path(), 3));
    let edit = || {
        let index = rusqlite::Connection::open(directory.path().join("index.db")).unwrap();
        let edited = index.execute("UPDATE entries SET kind = 77, used = 1", []);
        assert_eq!(edited.unwrap(), 3);
    };
    edit();
    // Such a row is too old, and nothing takes it out.
    let cache = filled(directory.path(), 3);
    assert_eq!(tier(&cache, 2), Some(Tier::Memory));
    cache.rest();
    assert_eq!(tier(&cache, 2), Some(Tier::Disk));
    cache.rest();
    edit();
    cache.clean(DAY).unwrap();
    assert_eq!(tier(&cache, 2), None);

    // The bytes of all are kept beside, and follow each change.
    let cache = filled(directory.path(), 11);
    let total = || -> i64 {
        let index = rusqlite::Connection::open(directory.path().join("index.db")).unwrap();
        let select = "SELECT bytes FROM total";
        index.query_row(select, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(total(), 12);
    cache.put(Kind::Embeddings, key(1), b"more".to_vec());
    assert_eq!(total(), 15);
    cache.clear(Some(Kind::Embeddings)).unwrap();
    assert_eq!(total(), 0);
}

#[test]
fn a_damaged_index_is_made_anew() {
    let damages: [fn(&Path); 5] = [
        |index| fs::write(index, "no database at all, and longer than a header is").unwrap(),
        |index| fs::write(index, "").unwrap(),
        |index| fs::remove_file(index).unwrap(),
        |index| {
            let other = rusqlite::Connection::open(index).unwrap();
            other
                .execute_batch("DROP TABLE entries; CREATE TABLE entries (x)")
                .unwrap();
        },
        |index| {
            let size = fs::metadata(index).unwrap().len();
            let mut file = fs::File::options().write(true).open(index).unwrap();
            file.seek(SeekFrom::Start(100)).unwrap();
            file.write_all(&vec![0xa5; usize::try_from(size - 100).unwrap()])
                .unwrap();
        },
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        for open in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let mut cache = filled(directory.path(), 50);
            if !open {
                drop(cache);
                damage(&directory.path().join("index.db"));
                cache = Cache::new(directory.path(), BOUNDS);
            } else {
                cache.rest();
                damage(&directory.path().join("index.db"));
            }
            for entry in 0..50 {
                tier(&cache, entry);
                cache.put(Kind::Embeddings, key(entry), content(entry));
            }
            cache.clean(DAY).unwrap();
            cache.rest();
            for entry in 0..50 {
                assert_eq!(
                    tier(&cache, entry),
                    Some(Tier::Disk),
                    "damage {number}, {open}"
                );
            }
        }
    }
}

#[test]
fn several_at_once_agree() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        disk: 4000,
        memory: 500,
        ..BOUNDS
    };
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let directory = directory.path();
            scope.spawn(move || {
                let cache = Cache::new(directory, bounds);
                for step in 0..200 {
                    let number = (step * 7 + thread * 13) % 60;
                    let made = || Ok::<_, ()>(content(number).repeat(40));
                    let found = cache.get_or_make(Kind::Embeddings, key(number), made);
                    assert_eq!(*found.unwrap().0, *content(number).repeat(40));
                    if step % 50 == thread {
                        cache.clean(DAY).unwrap();
                    }
                }
            });
        }
    });
    let cache = Cache::new(directory.path(), bounds);
    assert_eq!(cache.clean(DAY).unwrap(), cache::Removed::default());
    let bytes: u64 = cache
        .stock()
        .unwrap()
        .iter()
        .map(|(_, stock)| stock.bytes)
        .sum();
    assert!(bytes <= 4000, "{bytes}");
}

#[test]
fn a_directory_that_is_gone_is_passed_by() {
    let cache = Cache::new(Path::new("/nonexistent/cache"), BOUNDS);
    cache.put(Kind::Blocks, key(1), b"kept in memory".to_vec());
    assert_eq!(cache.get(Kind::Blocks, key(1)).unwrap().1, Tier::Memory);
    cache.rest();
    assert!(cache.get(Kind::Blocks, key(1)).is_none());
    assert!(cache.stock().is_err());
}
