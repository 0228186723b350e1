//! Proofs from tiles, and how others check them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tlog_tiles::{Error, Hash, HashReader, node_hash, split_stored_hash_index};

use crate::MAX_SIZE;
use crate::tile::{HEIGHT, TileError, TileId, Tiles, WIDTH};
use crate::tree::Tree;

/// Tiles that are held, of up to 16 KiB each.
const HELD: usize = 64;

/// Makes proofs from tiles. It holds those that it has read, 1 MiB at most, until it is dropped.
///
/// What it reads is not verified: whoever makes a proof checks it once with [`check_inclusion`] or
/// [`check_consistency`] against a root that is trusted, which costs `log₂ size` hashes.
#[derive(Debug)]
pub struct Prover<'a> {
    tiles: &'a Tiles,
    recent: Option<&'a Tree>,
    held: RefCell<HashMap<(u8, u64), Rc<Nodes>>>,
}

/// All nodes of a tile, by level.
#[derive(Debug)]
struct Nodes(Vec<Vec<Hash>>);

impl Nodes {
    fn new(hashes: Vec<Hash>) -> Self {
        let mut levels = vec![hashes];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let (pairs, _) = below.as_chunks();
            levels.push(
                pairs
                    .iter()
                    .map(|[left, right]| node_hash(*left, *right))
                    .collect(),
            );
        }
        Self(levels)
    }
}

impl<'a> Prover<'a> {
    /// Proofs from tiles alone.
    pub fn new(tiles: &'a Tiles) -> Self {
        Self {
            tiles,
            recent: None,
            held: RefCell::default(),
        }
    }

    /// Proofs from tiles, and from a tree whose newest leaves are not in tiles yet.
    pub fn with_recent(tiles: &'a Tiles, tree: &'a Tree) -> Self {
        Self {
            recent: Some(tree),
            ..Self::new(tiles)
        }
    }

    /// The root that the tree had at a size.
    pub fn root(&self, size: u64) -> Result<Hash, TileError> {
        within("tree of size", size, MAX_SIZE)?;
        self.ask(size, |reader| tlog_tiles::tree_hash(size, reader))
    }

    /// The path from an entry to the root of the tree of a size (RFC 6962 §2.1.1).
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, TileError> {
        within("tree of size", size, MAX_SIZE)?;
        if index >= size {
            return Err(TileError::Outside {
                what: "entry",
                number: index,
                size,
            });
        }
        self.ask(size, |reader| tlog_tiles::prove_record(size, index, reader))
    }

    /// What shows that the tree of the size `old` is the beginning of the one of the size `new` (RFC 6962 §2.1.2).
    /// Nothing is needed if `old` is 0 or the same.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, TileError> {
        within("tree of size", new, MAX_SIZE)?;
        within("tree of size", old, new)?;
        match old {
            0 => Ok(Vec::new()),
            old => self.ask(new, |reader| tlog_tiles::prove_tree(new, old, reader)),
        }
    }

    fn ask<T>(
        &self,
        size: u64,
        question: impl FnOnce(&Reader<'_, 'a>) -> Result<T, Error>,
    ) -> Result<T, TileError> {
        let reader = Reader {
            prover: self,
            size,
            failure: RefCell::default(),
        };
        question(&reader).map_err(|_| {
            let outside = TileError::Outside {
                what: "node",
                number: size,
                size,
            };
            reader.failure.into_inner().unwrap_or(outside)
        })
    }

    fn node(&self, level: u8, index: u64, size: u64) -> Result<Hash, TileError> {
        let (tile_level, inner) = (level / HEIGHT, level % HEIGHT);
        // Positions at the tile's lowest level.
        let first = index << inner;
        let tile = first >> HEIGHT;
        let there = (size >> (u32::from(tile_level) * u32::from(HEIGHT))) - (tile << HEIGHT);
        let width = usize::try_from(there).unwrap_or(WIDTH).min(WIDTH);
        let nodes = self.nodes(TileId {
            level: tile_level,
            index: tile,
            width,
        })?;
        let position = usize::try_from(index - ((tile << HEIGHT) >> inner)).unwrap_or(usize::MAX);
        let hash = nodes
            .0
            .get(usize::from(inner))
            .and_then(|level| level.get(position));
        hash.copied().ok_or(TileError::Outside {
            what: "node",
            number: index,
            size,
        })
    }

    fn nodes(&self, tile: TileId) -> Result<Rc<Nodes>, TileError> {
        let key = (tile.level, tile.index);
        if let Some(nodes) = self
            .held
            .borrow()
            .get(&key)
            .filter(|nodes| nodes.0[0].len() >= tile.width)
        {
            return Ok(Rc::clone(nodes));
        }
        let recent = self
            .recent
            .and_then(|tree| tree.recent(tile.level, tile.index));
        let hashes = match recent.and_then(|hashes| hashes.get(..tile.width)) {
            Some(hashes) => hashes.to_vec(),
            None => self.tiles.read(tile)?,
        };
        let nodes = Rc::new(Nodes::new(hashes));
        let mut held = self.held.borrow_mut();
        if held.len() == HELD {
            held.clear();
        }
        held.insert(key, Rc::clone(&nodes));
        Ok(nodes)
    }
}

/// The nodes of a tree of a size. The library's error cannot say why a tile was not read, so it is kept here.
struct Reader<'p, 'a> {
    prover: &'p Prover<'a>,
    size: u64,
    failure: RefCell<Option<TileError>>,
}

impl HashReader for Reader<'_, '_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let read = |index: &u64| {
            let (level, number) = split_stored_hash_index(*index);
            self.prover.node(level, number, self.size).map_err(|error| {
                *self.failure.borrow_mut() = Some(error);
                Error::IndexesNotInTree
            })
        };
        indexes.iter().map(read).collect()
    }
}

fn within(what: &'static str, number: u64, size: u64) -> Result<(), TileError> {
    match number <= size {
        true => Ok(()),
        false => Err(TileError::Outside { what, number, size }),
    }
}

/// Whether a path shows that the leaf with this hash is at an index of a tree with this size and root.
pub fn check_inclusion(path: &[Hash], index: u64, leaf: Hash, size: u64, root: Hash) -> bool {
    let bounded = size <= MAX_SIZE && path.len() < 64;
    bounded && tlog_tiles::check_record(&path.to_vec(), size, root, index, leaf).is_ok()
}

/// Whether a proof shows that a tree with the size and root `old` is the beginning of the one `new`. The empty tree is
/// the beginning of every tree, and its proof is empty.
pub fn check_consistency(proof: &[Hash], old: (u64, Hash), new: (u64, Hash)) -> bool {
    if new.0 > MAX_SIZE || proof.len() > 63 {
        return false;
    }
    match old.0 {
        0 => proof.is_empty() && old.1 == tlog_tiles::EMPTY_HASH,
        size if size == new.0 => proof.is_empty() && old.1 == new.1,
        size => tlog_tiles::check_tree(&proof.to_vec(), new.0, new.1, size, old.1).is_ok(),
    }
}
