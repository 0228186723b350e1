//! Trees in files: every proof, every interruption.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tlog::{
    Found, Hash, Prover, TileError, TileId, Tiles, Tree, check_consistency, check_inclusion,
    leaf_hash,
};

fn leaf(number: u64) -> Hash {
    leaf_hash(&number.to_be_bytes())
}

fn tree(size: u64) -> Tree {
    grown(Tree::new(), size)
}

fn grown(mut tree: Tree, size: u64) -> Tree {
    (tree.size()..size).for_each(|number| tree.append(leaf(number)));
    tree
}

fn written(directory: &Path, size: u64) -> (Tiles, Tree) {
    let tiles = Tiles::at(directory);
    let mut tree = tree(size);
    tiles.write(&mut tree).unwrap();
    (tiles, tree)
}

/// All files below a directory, as paths from it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => directories.push(entry.path()),
                false => found.push(entry.path().strip_prefix(directory).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_files_are_those_of_the_specification() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), 70_000);
    let found: Vec<_> = files(directory.path())
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let full = (0..273).map(|number| format!("tile/0/{number:03}"));
    let edge = [
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ];
    let expected: Vec<_> = full.chain(edge.map(str::to_owned)).collect();
    assert_eq!(found, expected);
    let length = |path: &str| fs::metadata(directory.path().join(path)).unwrap().len();
    assert_eq!(
        (length("tile/0/000"), length("tile/0/273.p/112")),
        (8192, 112 * 32)
    );
    let id = TileId {
        level: 0,
        index: 1_234_067,
        width: 256,
    };
    assert_eq!(id.to_string(), "tile/0/x001/x234/067");
}

#[test]
fn every_entry_is_proved_in_every_tree() {
    let directory = tempfile::tempdir().unwrap();
    let (tiles, whole) = written(directory.path(), 700);
    let prover = Prover::new(&tiles);
    let roots: Vec<Hash> = (0..=700).map(|size| tree(size).root()).collect();
    assert_eq!(roots[700], whole.root());
    for size in [1, 2, 3, 255, 256, 257, 511, 512, 513, 700_u64] {
        let root = roots[usize::try_from(size).unwrap()];
        assert_eq!(prover.root(size).unwrap(), root);
        for index in 0..size {
            let path = prover.inclusion(index, size).unwrap();
            assert!(
                check_inclusion(&path, index, leaf(index), size, root),
                "{index} in {size}"
            );
            assert!(!check_inclusion(&path, index, leaf(index + 1), size, root));
            assert!(
                index + 1 == size || !check_inclusion(&path, index + 1, leaf(index), size, root)
            );
        }
        for old in 0..=size {
            let proof = prover.consistency(old, size).unwrap();
            let old = (old, roots[usize::try_from(old).unwrap()]);
            assert!(
                check_consistency(&proof, old, (size, root)),
                "{} before {size}",
                old.0
            );
            assert!(!check_consistency(
                &proof,
                (old.0, Hash([1; 32])),
                (size, root)
            ));
        }
    }
    assert!(matches!(
        prover.inclusion(700, 700),
        Err(TileError::Outside { .. })
    ));
    assert!(matches!(
        prover.consistency(701, 700),
        Err(TileError::Outside { .. })
    ));
    assert!(matches!(
        prover.root(u64::MAX),
        Err(TileError::Outside { .. })
    ));
}

#[test]
fn leaves_that_are_not_in_tiles_yet_are_proved_too() {
    let directory = tempfile::tempdir().unwrap();
    let (tiles, tree) = written(directory.path(), 300);
    let tree = grown(tree, 900);
    let prover = Prover::with_recent(&tiles, &tree);
    for index in [0, 255, 299, 300, 511, 512, 899] {
        let path = prover.inclusion(index, 900).unwrap();
        assert!(
            check_inclusion(&path, index, leaf(index), 900, tree.root()),
            "{index}"
        );
    }
    let without = Prover::new(&tiles).inclusion(899, 900);
    assert!(
        matches!(without, Err(TileError::Missing { .. })),
        "{without:?}"
    );
}

#[test]
fn what_contradicts_is_found_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (tiles, tree) = written(directory.path(), 300);
    let path = directory.path().join("tile/0/000");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut again = crate::tree(300);
    let error = tiles.write(&mut again).unwrap_err();
    assert!(
        matches!(error, TileError::Contradiction { tile } if tile.to_string() == "tile/0/000"),
        "{error}"
    );
    let differences = tiles.differences(&mut again).unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].found, Found::Other);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // The edge alone makes the root, and is what is read to go on.
    assert!(tiles.resume(300, tree.root()).is_ok());
    assert!(matches!(
        tiles.resume(300, Hash([0; 32])),
        Err(TileError::Root { .. })
    ));
    fs::write(directory.path().join("tile/0/001.p/44"), b"short").unwrap();
    assert!(matches!(
        tiles.resume(300, tree.root()),
        Err(TileError::Length { .. })
    ));
    fs::remove_dir_all(directory.path().join("tile/0/001.p")).unwrap();
    assert!(matches!(
        tiles.resume(300, tree.root()),
        Err(TileError::Missing { .. })
    ));
    let edge = tiles.edge_differences(&tree).unwrap();
    assert_eq!(
        edge.iter().map(|it| it.found).collect::<Vec<_>>(),
        [Found::Nothing]
    );
}

#[test]
fn partial_tiles_go_when_the_full_one_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let (tiles, mut tree) = written(directory.path(), 5);
    let old_root = tree.root();
    for size in [6, 100, 255] {
        tree = grown(tree, size);
        tiles.write(&mut tree).unwrap();
    }
    assert_eq!(files(directory.path()).len(), 4);
    tree = grown(tree, 256);
    tiles.write(&mut tree).unwrap();
    let found: Vec<_> = files(directory.path())
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(found, ["tile/0/000", "tile/1/000.p/1"]);
    // A tree of long ago is read from the full tile.
    assert_eq!(tiles.resume(5, old_root).unwrap().root(), old_root);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was killed on its way has written some of its files. Going on from the last checkpoint makes the same
    /// tree as if nothing had happened.
    #[test]
    fn an_interrupted_write_is_made_good(before in 0_u64..1200, more in 1_u64..900, kept in any::<u64>()) {
        let directory = tempfile::tempdir().unwrap();
        let (tiles, tree) = written(directory.path(), before);
        let (root, old) = (tree.root(), files(directory.path()));
        let mut tree = grown(tree, before + more);
        tiles.write(&mut tree).unwrap();
        let new = files(directory.path());
        for (position, path) in new.iter().filter(|path| !old.contains(path)).enumerate() {
            if kept >> (position % 64) & 1 == 0 {
                let path = directory.path().join(path);
                fs::write(path.with_file_name(format!(".{}.new", path.file_name().unwrap().display())), b"half").unwrap();
                fs::remove_file(path).unwrap();
            }
        }
        // The partial tiles of the checkpoint go only once the full one is there.
        for path in old {
            let path = directory.path().join(path);
            let full = path.parent().unwrap().with_extension("");
            if !path.exists() && !full.exists() {
                return Ok(());
            }
        }
        let again = tiles.resume(before, root).unwrap();
        let mut again = grown(again, before + more);
        prop_assert_eq!(again.root(), tree.root());
        tiles.write(&mut again).unwrap();
        prop_assert_eq!(tiles.edge_differences(&crate::tree(before + more)).unwrap(), []);
        prop_assert_eq!(tiles.differences(&mut crate::tree(before + more)).unwrap(), []);
    }

    #[test]
    fn hostile_proofs_prove_nothing(
        path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
        index in any::<u64>(), old in any::<u64>(), size in any::<u64>(),
    ) {
        let path: Vec<Hash> = path.into_iter().map(Hash).collect();
        for size in [size, size >> 20, size >> 50] {
            prop_assert!(!check_inclusion(&path, index, leaf(1), size, leaf(2)));
            for old in [old, old >> 20, old >> 50] {
                prop_assert!(!check_consistency(&path, (old, leaf(1)), (size, leaf(2))));
            }
        }
    }
}

const DOOMED: &str = "TILES_OF_THE_DOOMED";

/// Grows and writes until it is killed, and says each size that is durable.
fn write_until_killed(directory: &Path) -> ! {
    let tiles = Tiles::at(directory);
    let mut tree = Tree::new();
    loop {
        let size = tree.size() + 97;
        tree = grown(tree, size);
        tiles.write(&mut tree).unwrap();
        println!("durable {}", tree.size());
    }
}

#[test]
fn a_killed_writer_is_followed_by_another() {
    if let Some(directory) = std::env::var_os(DOOMED) {
        write_until_killed(Path::new(&directory));
    }
    for round in 1..8 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_killed_writer_is_followed_by_another",
                "--nocapture",
            ])
            .env(DOOMED, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut durable = 0;
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let said = |line: String| {
            line.strip_prefix("durable ")
                .and_then(|size| size.parse::<u64>().ok())
        };
        while durable < 300 * round {
            durable = said(lines.next().unwrap()).unwrap_or(durable);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        durable = lines.filter_map(said).last().unwrap_or(durable);
        let tiles = Tiles::at(directory.path());
        let again = tiles.resume(durable, tree(durable).root()).unwrap();
        let mut again = grown(again, durable + 500);
        tiles.write(&mut again).unwrap();
        assert_eq!(again.root(), tree(durable + 500).root());
        assert_eq!(tiles.differences(&mut tree(durable + 500)).unwrap(), []);
    }
}
