//! Tiles (C2SP `tlog-tiles`): a tree as files that never change.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tlog_tiles::{HASH_SIZE, Hash};

use crate::MAX_SIZE;
use crate::tree::Tree;

/// Levels of the tree that a tile holds.
pub(crate) const HEIGHT: u8 = 8;

/// Hashes of a full tile.
pub(crate) const WIDTH: usize = 1 << HEIGHT;

/// Tiles are for everybody to read.
const MODE: u32 = 0o644;

/// Tiles cannot be read or written, or contradict something.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A tile that a tree of this size has is not there.
    #[error("the tile {tile} is missing")]
    Missing {
        /// Its path, such as `tile/0/000.p/7`.
        tile: TileId,
    },
    /// A tile has another length than its width makes.
    #[error("the tile {tile} has {found} bytes instead of {expected}")]
    Length {
        /// Which.
        tile: TileId,
        /// Its bytes.
        found: u64,
        /// What they should be.
        expected: usize,
    },
    /// A tile that is there already says something else. It was not overwritten.
    #[error("the tile {tile} on the disk is not what the entries make: it was left as it is")]
    Contradiction {
        /// Which.
        tile: TileId,
    },
    /// The tiles make another root than was expected.
    #[error("the tiles make the root {found} for {size} leaves, not {expected}")]
    Root {
        /// Leaves.
        size: u64,
        /// What the tiles make.
        found: Hash,
        /// What was expected.
        expected: Hash,
    },
    /// A position or size is not in the tree.
    #[error("there is no {what} {number} in a tree of {size} leaves")]
    Outside {
        /// What: an entry, a tree.
        what: &'static str,
        /// The number that was asked for.
        number: u64,
        /// Leaves of the tree.
        size: u64,
    },
}

/// Which tile: `tile/LEVEL/INDEX`, and `.p/WIDTH` if it is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    /// Levels of tiles below it.
    pub level: u8,
    /// Tiles of the same level to the left of it.
    pub index: u64,
    /// Hashes, 1 to 256.
    pub width: usize,
}

impl std::fmt::Display for TileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        groups.reverse();
        write!(f, "tile/{}/{}", self.level, groups.join("/"))?;
        match self.width {
            WIDTH => Ok(()),
            width => write!(f, ".p/{width}"),
        }
    }
}

/// How a tile on the disk differs from what the entries make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub tile: TileId,
    /// What is there.
    pub found: Found,
}

/// What is there instead of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing, and no full tile in its place, or a tile that was cut off. It can be made again.
    Nothing,
    /// Another text: a finding.
    Other,
}

/// What becomes of a tile that has a wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CutOff {
    Refuse,
    Replace,
}

/// A directory of tiles, which any web server can serve as it is. It has one writer.
///
/// The directory is the log's prefix: tiles are at `tile/…` in it.
#[derive(Debug, Clone)]
pub struct Tiles {
    directory: PathBuf,
}

impl Tiles {
    /// The tiles below a directory, which need not be there.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a tile is, or would be.
    pub fn path(&self, tile: TileId) -> PathBuf {
        self.directory.join(tile.to_string())
    }

    /// Writes what a tree has that is not on the disk: full tiles, and the partial ones of its present size. When it
    /// returns, they are durable, and a checkpoint of this size may be published. It may be killed at any point, and
    /// called again for the same or a larger tree.
    ///
    /// # Errors
    /// A tile that is there and says something else is left alone; then nothing is written.
    pub fn write(&self, tree: &mut Tree) -> Result<(), TileError> {
        self.write_tiles(tree, CutOff::Refuse)
    }

    /// The same, and tiles of a wrong length, as a bad disk leaves them, are made anew. For trees whose root is known
    /// to be the one that was signed.
    ///
    /// # Errors
    ///
    /// Those of [`Tiles::write`]; a tile of the right length that says something else is left alone here, too.
    pub fn mend(&self, tree: &mut Tree) -> Result<(), TileError> {
        self.write_tiles(tree, CutOff::Replace)
    }

    /// Whether all full tiles of a tree of a size are there, with the right length. Nothing is read of them.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn are_whole(&self, size: u64) -> Result<bool, TileError> {
        let mut count = size >> HEIGHT;
        for level in 0.. {
            if count == 0 {
                break;
            }
            for index in 0..count {
                let path = self.path(TileId {
                    level,
                    index,
                    width: WIDTH,
                });
                match fs::metadata(&path) {
                    Ok(file) if file.len() == (WIDTH * HASH_SIZE) as u64 => {}
                    Ok(_) => return Ok(false),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                    Err(error) => return Err(failed(&path, error)),
                }
            }
            count >>= HEIGHT;
        }
        Ok(true)
    }

    fn write_tiles(&self, tree: &mut Tree, cut_off: CutOff) -> Result<(), TileError> {
        let mut files = Vec::new();
        let full = tree
            .full()
            .iter()
            .map(|(tile, hashes)| (*tile, hashes.as_slice()));
        for (tile, hashes) in full.chain(tree.partial()) {
            let bytes = concatenated(hashes);
            match self.bytes(tile) {
                Ok(Some(there)) if there == bytes => {}
                Ok(Some(_)) => return Err(TileError::Contradiction { tile }),
                Ok(None) => files.push((self.path(tile), bytes)),
                Err(TileError::Length { .. }) if cut_off == CutOff::Replace => {
                    files.push((self.path(tile), bytes));
                }
                Err(error) => return Err(error),
            }
        }
        for (path, _) in &files {
            let parent = path.parent().unwrap_or(&self.directory);
            durable::create_directories(parent).map_err(|error| failed(parent, error))?;
        }
        let slices: Vec<_> = files
            .iter()
            .map(|(path, bytes)| (path.clone(), bytes.as_slice()))
            .collect();
        durable::replace_all(&slices, MODE).map_err(|error| failed(&self.directory, error))?;
        for (tile, _) in tree.full() {
            self.forget_partial(*tile)?;
        }
        tree.forget_full();
        Ok(())
    }

    /// The tree of a size, to be grown further. The tiles at its edge are read, and have to make this root.
    pub fn resume(&self, size: u64, root: Hash) -> Result<Tree, TileError> {
        if size > MAX_SIZE {
            return Err(TileError::Outside {
                what: "tree of size",
                number: size,
                size: MAX_SIZE,
            });
        }
        let mut edge = Vec::new();
        let mut count = size;
        for level in 0.. {
            if count == 0 {
                break;
            }
            let width = usize::try_from(count % WIDTH as u64).unwrap_or_default();
            let index = count >> HEIGHT;
            let tile = TileId {
                level,
                index,
                width,
            };
            edge.push(if width == 0 {
                Vec::new()
            } else {
                self.read(tile)?
            });
            count = index;
        }
        let tree = Tree::from_edge(size, edge);
        let found = tree.root();
        match found == root {
            true => Ok(tree),
            false => Err(TileError::Root {
                size,
                found,
                expected: root,
            }),
        }
    }

    /// The hashes of a tile. In the place of a partial one, a wider or the full one will do.
    pub fn read(&self, tile: TileId) -> Result<Vec<Hash>, TileError> {
        let full = TileId {
            width: WIDTH,
            ..tile
        };
        for candidate in [tile, full] {
            if let Some(bytes) = self.bytes(candidate)? {
                return Ok(hashes(&bytes[..tile.width * HASH_SIZE]));
            }
        }
        // Between two checkpoints only one of many widths is there.
        for width in tile.width + 1..WIDTH {
            if let Some(bytes) = self.bytes(TileId { width, ..tile })? {
                return Ok(hashes(&bytes[..tile.width * HASH_SIZE]));
            }
        }
        Err(TileError::Missing { tile })
    }

    /// Compares what a tree has not written yet, and its edge, with what is there, and writes nothing. To compare all
    /// tiles, grow a new tree and call this every some ten thousand leaves.
    pub fn differences(&self, tree: &mut Tree) -> Result<Vec<Difference>, TileError> {
        let mut differences = Vec::new();
        let full = tree
            .full()
            .iter()
            .map(|(tile, hashes)| (*tile, hashes.as_slice()));
        for (tile, hashes) in full {
            differences.extend(self.difference(tile, hashes)?);
        }
        tree.forget_full();
        Ok(differences)
    }

    /// The same for the tiles at the edge of a tree, which a checkpoint of its size needs.
    pub fn edge_differences(&self, tree: &Tree) -> Result<Vec<Difference>, TileError> {
        let found = tree
            .partial()
            .map(|(tile, hashes)| self.difference(tile, hashes));
        found.filter_map(Result::transpose).collect()
    }

    fn difference(&self, tile: TileId, expected: &[Hash]) -> Result<Option<Difference>, TileError> {
        let found = match self.read(tile) {
            Ok(there) if there == expected => return Ok(None),
            Ok(_) => Found::Other,
            Err(TileError::Missing { .. } | TileError::Length { .. }) => Found::Nothing,
            Err(other) => return Err(other),
        };
        Ok(Some(Difference { tile, found }))
    }

    /// The bytes of exactly this tile, if it is there.
    fn bytes(&self, tile: TileId) -> Result<Option<Vec<u8>>, TileError> {
        let path = self.path(tile);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| failed(&path, error))?,
        };
        let expected = tile.width * HASH_SIZE;
        let found = file.metadata().map_err(|error| failed(&path, error))?.len();
        if found != expected as u64 {
            return Err(TileError::Length {
                tile,
                found,
                expected,
            });
        }
        let mut bytes = vec![0; expected];
        (&file)
            .read_exact(&mut bytes)
            .map_err(|error| failed(&path, error))?;
        Ok(Some(bytes))
    }

    /// Removes the partial tiles that a full one stands for.
    fn forget_partial(&self, tile: TileId) -> Result<(), TileError> {
        let path = self.path(TileId { width: 1, ..tile });
        let directory = path.parent().unwrap_or(&self.directory);
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(directory, error)),
            _ => Ok(()),
        }
    }
}

fn failed(path: &Path, source: io::Error) -> TileError {
    TileError::Io {
        path: path.to_owned(),
        source,
    }
}

fn concatenated(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| Hash(*bytes))
        .collect()
}
