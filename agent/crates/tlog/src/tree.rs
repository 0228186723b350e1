//! A tree that grows: what has to be in memory to add leaves to it.

use tlog_tiles::{Error, Hash, HashReader, node_hash, split_stored_hash_index};

use crate::tile::{HEIGHT, TileId, WIDTH};

/// A Merkle tree (RFC 6962 §2.1) that grows at its right edge.
///
/// It holds the roots of its perfect subtrees, one for each bit of its size, and the tiles at its edge; a leaf costs
/// two hashes on average and `log₂ size` at most. Tiles that have become full are held until [`crate::Tiles::write`]
/// takes them: write after some ten thousand leaves at the latest.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    /// From the largest to the smallest: level and root.
    subtrees: Vec<(u8, Hash)>,
    /// By level of tiles: the hashes of the one that is not full yet.
    edge: Vec<Vec<Hash>>,
    /// Since they were last taken.
    full: Vec<(TileId, Vec<Hash>)>,
}

impl Tree {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree from the tiles at its edge, by level.
    pub(crate) fn from_edge(size: u64, edge: Vec<Vec<Hash>>) -> Self {
        let mut subtrees = Vec::new();
        for (tile_level, hashes) in edge.iter().enumerate().rev() {
            let mut rest = hashes.as_slice();
            for bit in (0..HEIGHT).rev().filter(|bit| hashes.len() >> bit & 1 == 1) {
                let (now, after) = rest.split_at(1 << bit);
                let level = u8::try_from(tile_level)
                    .unwrap_or(u8::MAX)
                    .saturating_mul(HEIGHT)
                    + bit;
                subtrees.push((level, fold(now)));
                rest = after;
            }
        }
        Self {
            size,
            subtrees,
            edge,
            full: Vec::new(),
        }
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root.
    pub fn root(&self) -> Hash {
        // The reader has the roots of all perfect subtrees, which are all that is asked for.
        tlog_tiles::tree_hash(self.size, &Subtrees(&self.subtrees))
            .unwrap_or(tlog_tiles::EMPTY_HASH)
    }

    /// Adds a leaf by its hash ([`crate::leaf_hash`]).
    pub fn append(&mut self, leaf: Hash) {
        let index = self.size;
        let hashes =
            tlog_tiles::stored_hashes_for_record_hash(index, leaf, &Subtrees(&self.subtrees));
        // As in `root`: nothing is asked for that is not there.
        let hashes = hashes.unwrap_or_default();
        for (level, hash) in (0..).zip(&hashes) {
            if level > 0 {
                self.subtrees.pop();
            }
            if level % HEIGHT == 0 {
                self.extend_edge(level / HEIGHT, index >> level, *hash);
            }
        }
        if let Some((level, hash)) = (0..).zip(hashes).last() {
            self.subtrees.push((level, hash));
        }
        self.size += 1;
    }

    fn extend_edge(&mut self, level: u8, index: u64, hash: Hash) {
        let position = usize::from(level);
        if self.edge.len() <= position {
            self.edge.resize_with(position + 1, Vec::new);
        }
        self.edge[position].push(hash);
        if self.edge[position].len() == WIDTH {
            let tile = TileId {
                level,
                index: index >> HEIGHT,
                width: WIDTH,
            };
            self.full
                .push((tile, std::mem::take(&mut self.edge[position])));
        }
    }

    /// Full tiles that were not written yet.
    pub fn unwritten(&self) -> usize {
        self.full.len()
    }

    pub(crate) fn full(&self) -> &[(TileId, Vec<Hash>)] {
        &self.full
    }

    /// Gives up full tiles that were not written: for who wants the root alone.
    pub fn forget_full(&mut self) {
        self.full.clear();
    }

    /// The tiles at the edge, which are not full.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        let tiles = (0_u8..)
            .zip(&self.edge)
            .filter(|(_, hashes)| !hashes.is_empty());
        tiles.map(|(level, hashes)| {
            let index = self.size >> ((u32::from(level) + 1) * u32::from(HEIGHT));
            (
                TileId {
                    level,
                    index,
                    width: hashes.len(),
                },
                hashes.as_slice(),
            )
        })
    }

    /// The hashes of a tile that is not written yet, or is at the edge.
    pub(crate) fn recent(&self, level: u8, index: u64) -> Option<&[Hash]> {
        let full = self
            .full
            .iter()
            .find(|(tile, _)| tile.level == level && tile.index == index);
        let full = full.map(|(_, hashes)| hashes.as_slice());
        full.or_else(|| {
            self.partial()
                .find(|(tile, _)| tile.level == level && tile.index == index)
                .map(|(_, hashes)| hashes)
        })
    }
}

/// The root of a perfect subtree: `hashes` are a power of two.
pub(crate) fn fold(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => tlog_tiles::EMPTY_HASH,
        [hash] => *hash,
        hashes => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(fold(left), fold(right))
        }
    }
}

/// The roots of the perfect subtrees at the edge, by level.
struct Subtrees<'a>(&'a [(u8, Hash)]);

impl HashReader for Subtrees<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let find = |index: &u64| {
            let (wanted, _) = split_stored_hash_index(*index);
            let found = self.0.iter().find(|(level, _)| *level == wanted);
            found.map(|(_, hash)| *hash).ok_or(Error::IndexesNotInTree)
        };
        indexes.iter().map(find).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    /// The tree of RFC 6962 §2.1 as it is defined there: no tiles, no storage.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => tlog_tiles::EMPTY_HASH,
            1 => leaves[0],
            count => {
                let half = count.next_power_of_two() / 2;
                node_hash(
                    by_definition(&leaves[..half]),
                    by_definition(&leaves[half..]),
                )
            }
        }
    }

    #[test]
    fn every_size_has_the_root_of_the_definition() {
        let leaves: Vec<Hash> = (0..1100_u32)
            .map(|number| leaf_hash(&number.to_be_bytes()))
            .collect();
        let mut tree = Tree::new();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "{size}");
            tree.append(*leaf);
        }
        assert_eq!(tree.size(), 1100);
        assert_eq!(tree.unwritten(), 4);
    }

    /// The leaves and roots of the test vectors of certificate-transparency (`merkle_tree_test.cc`).
    #[test]
    fn known_roots() {
        let leaves: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[
                0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d,
                0x6e, 0x6f,
            ],
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::new();
        for (leaf, root) in leaves.into_iter().zip(roots) {
            tree.append(leaf_hash(leaf));
            assert_eq!(hex::encode(tree.root().0), root);
        }
    }
}
