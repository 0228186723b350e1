//! Growing the tree with the ledger, and signing its head.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tlog::{Checkpoint, Prover, SignedCheckpoint, SigningKey, TileError, Tiles, Tree, VerifierKey};

use super::published::read_checkpoint;
use super::{Files, ProofError};
use crate::hash::Hash;
use crate::ledger::Ledger;

/// Leaves after which tiles are written on the way, so that memory stays bounded: 16 tiles.
const BATCH: u64 = 4096;
/// Everybody may read a checkpoint.
const MODE: u32 = 0o644;

/// Publishes a ledger: one in all processes, until it is dropped.
///
/// The order is what keeps a checkpoint true: entries are read once they are durable, then the tiles become durable,
/// then the checkpoint does. Killed at any point, the next one goes on from the last checkpoint.
#[derive(Debug)]
pub struct Publisher {
    files: Files,
    key: SigningKey,
    tree: Tree,
    /// The hash of the last entry in the tree.
    last: Option<Hash>,
    checkpoint: Option<SignedCheckpoint>,
    _claim: Claim,
}

/// The right to publish a ledger, which one process has at a time.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Claim {
    /// Takes the right.
    ///
    /// # Errors
    ///
    /// [`ProofError::Busy`] if another one has it.
    pub fn of(ledger: &Ledger) -> Result<Self, ProofError> {
        let lock = prepare(&Files::beside(ledger.path()))?;
        Ok(Self { _lock: lock })
    }
}

impl Publisher {
    /// Goes on from the last checkpoint of a ledger; where tiles are lost, they are made again from its entries.
    ///
    /// # Errors
    ///
    /// [`ProofError::Busy`] while another one is open; the findings if the entries are not those that the checkpoint
    /// was signed over, or it was not signed by this key.
    pub fn open(ledger: &Ledger, key: SigningKey) -> Result<Self, ProofError> {
        Self::open_with(ledger, key, Claim::of(ledger)?)
    }

    /// The same for who has the right already, such as to make the key under it.
    ///
    /// # Errors
    ///
    /// Those of [`Publisher::open`].
    pub fn open_with(ledger: &Ledger, key: SigningKey, claim: Claim) -> Result<Self, ProofError> {
        let files = Files::beside(ledger.path());
        let checkpoint = read_checkpoint(&files.checkpoint())?;
        let mut publisher = Self {
            files,
            key,
            tree: Tree::new(),
            last: None,
            checkpoint: None,
            _claim: claim,
        };
        if let Some(checkpoint) = checkpoint {
            publisher.resume(ledger, checkpoint)?;
        }
        if let Some(cosigned) = read_checkpoint(&publisher.files.cosigned())? {
            publisher.agree(ledger, &cosigned)?;
        }
        Ok(publisher)
    }

    fn resume(&mut self, ledger: &Ledger, checkpoint: SignedCheckpoint) -> Result<(), ProofError> {
        let head = self.own(ledger, &checkpoint, &self.files.checkpoint())?;
        match self.files.tiles().resume(head.size, head.root) {
            Ok(tree) => {
                self.tree = tree;
                self.check_last(ledger)?;
            }
            // What is lost can be made again, if the entries are still those that were signed.
            Err(TileError::Missing { .. } | TileError::Length { .. }) => {
                self.remake(ledger, &head)?;
            }
            Err(error) => return Err(error.into()),
        }
        self.checkpoint = Some(checkpoint);
        Ok(())
    }

    /// The head of a checkpoint that this key signed, and that the ledger still reaches.
    fn own(
        &self,
        ledger: &Ledger,
        signed: &SignedCheckpoint,
        path: &Path,
    ) -> Result<Checkpoint, ProofError> {
        let head = signed.verify(self.key.verifier());
        let head = head.map_err(|source| ProofError::Checkpoint {
            what: path.display().to_string(),
            source,
        })?;
        let (entries, size) = (entries(ledger)?, head.size);
        match entries < size {
            true => Err(ProofError::RolledBack { entries, size }),
            false => Ok(head.clone()),
        }
    }

    /// Whether the head that a witness cosigned is one of this tree. To sign anything else, such as where the
    /// checkpoint and the tiles are gone, would be to fork what the witness saw.
    fn agree(&mut self, ledger: &Ledger, cosigned: &SignedCheckpoint) -> Result<(), ProofError> {
        let head = self.own(ledger, cosigned, &self.files.cosigned())?;
        if self.tree.size() < head.size {
            self.grow(ledger, head.size, Tiles::write)?;
        }
        let tiles = self.files.tiles();
        let root = match self.tree.size() == head.size {
            true => self.tree.root(),
            false => match Prover::with_recent(&tiles, &self.tree).root(head.size) {
                // The tree was made from tiles that do not have it: the next look is at its entries.
                Err(TileError::Missing { .. } | TileError::Length { .. }) => {
                    self.make_whole(ledger)?;
                    Prover::with_recent(&tiles, &self.tree).root(head.size)?
                }
                root => root?,
            },
        };
        match root == head.root {
            true => Ok(()),
            false => Err(ProofError::Root { size: head.size }),
        }
    }

    /// Makes tiles again that were lost or cut off, anywhere below the newest checkpoint; whether there were any.
    ///
    /// # Errors
    ///
    /// Findings: nothing is written if the entries do not make the root that was signed.
    pub fn make_whole(&mut self, ledger: &Ledger) -> Result<bool, ProofError> {
        let Some(signed) = &self.checkpoint else {
            return Ok(false);
        };
        let head = signed.unverified().clone();
        if self.files.tiles().are_whole(head.size)? {
            return Ok(false);
        }
        self.remake(ledger, &head)?;
        Ok(true)
    }

    /// Makes the tree of a head that was signed from the entries, and then the tiles that it lacks.
    fn remake(&mut self, ledger: &Ledger, head: &Checkpoint) -> Result<(), ProofError> {
        self.begin_anew();
        self.grow(ledger, head.size, |_, tree| {
            tree.forget_full();
            Ok(())
        })?;
        if self.tree.root() != head.root {
            return Err(ProofError::Root { size: head.size });
        }
        self.begin_anew();
        self.grow(ledger, head.size, Tiles::mend)?;
        Ok(self.files.tiles().mend(&mut self.tree)?)
    }

    fn begin_anew(&mut self) {
        self.tree = Tree::new();
        self.last = None;
    }

    /// Whether the last entry of the tree is the one that the database has: the whole is verified on demand.
    fn check_last(&mut self, ledger: &Ledger) -> Result<(), ProofError> {
        let size = self.tree.size();
        if size == 0 {
            return Ok(());
        }
        let tiles = self.files.tiles();
        let id = id(size - 1);
        let width = usize::try_from((size - 1) % 256 + 1).unwrap_or(256);
        let published = tiles.read(tlog::TileId {
            level: 0,
            index: (size - 1) / 256,
            width,
        })?;
        let mut found = None;
        ledger.leaves(id, id + 1, |leaf| {
            found = Some(leaf);
            Ok::<_, ProofError>(())
        })?;
        match found {
            Some(leaf) if published.last() == Some(&leaf.hash) => {
                self.last = Some(leaf.current);
                Ok(())
            }
            _ => Err(ProofError::Rewritten { id }),
        }
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.checkpoint.as_ref()
    }

    /// What others check the checkpoints by.
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Takes in the entries that were recorded since, and signs the new head, if there are any. When this returns,
    /// tiles and checkpoint are durable. Returns whether there is a new checkpoint.
    ///
    /// # Errors
    ///
    /// After one, open another publisher: this one may be ahead of what it has written.
    pub fn publish(&mut self, ledger: &Ledger) -> Result<bool, ProofError> {
        let entries = entries(ledger)?;
        let published = self.checkpoint.as_ref();
        let size = published.map_or(0, |signed| signed.unverified().size);
        if entries < size {
            return Err(ProofError::RolledBack { entries, size });
        }
        if entries == size && published.is_some() {
            return Ok(false);
        }
        self.grow(ledger, entries, Tiles::write)?;
        self.files.tiles().write(&mut self.tree)?;
        let origin = self.key.verifier().name().clone();
        let head = Checkpoint::new(origin, self.tree.size(), self.tree.root());
        let path = self.files.checkpoint();
        let signed = head
            .sign(&self.key)
            .map_err(|source| ProofError::Checkpoint {
                what: path.display().to_string(),
                source,
            })?;
        durable::replace(&path, signed.to_string().as_bytes(), MODE)
            .map_err(|source| ProofError::Io { path, source })?;
        self.checkpoint = Some(signed);
        Ok(true)
    }

    /// Takes entries in until the tree has a size; `write` takes full tiles on the way.
    fn grow(
        &mut self,
        ledger: &Ledger,
        size: u64,
        write: impl Fn(&Tiles, &mut Tree) -> Result<(), TileError>,
    ) -> Result<(), ProofError> {
        let tiles = self.files.tiles();
        let (tree, last) = (&mut self.tree, &mut self.last);
        ledger.leaves(id(tree.size()), id(size), |leaf| {
            let due = id(tree.size());
            let follows = leaf.previous == *last || (due == 0 && leaf.previous.is_none());
            if leaf.id != due || !leaf.sound || !follows {
                return Err(ProofError::Broken { id: due });
            }
            tree.append(leaf.hash);
            *last = Some(leaf.current);
            match tree.size() % BATCH {
                0 => write(&tiles, tree).map_err(ProofError::from),
                _ => Ok(()),
            }
        })?;
        match self.tree.size() == size {
            true => Ok(()),
            false => Err(ProofError::Broken {
                id: id(self.tree.size()),
            }),
        }
    }
}

/// Makes the directory of tiles, and takes the right to write there.
fn prepare(files: &Files) -> Result<File, ProofError> {
    let tiles = files.tiles().directory().to_owned();
    let failed = |path: &Path, source: io::Error| ProofError::Io {
        path: path.to_owned(),
        source,
    };
    match DirBuilder::new().mode(0o755).create(&tiles) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(&tiles, error));
        }
        _ => {}
    }
    // The tiles are served from a directory that has the checkpoint in it.
    let link = tiles.join("checkpoint");
    if fs::symlink_metadata(&link).is_err() {
        symlink("../checkpoint", &link).map_err(|error| failed(&link, error))?;
    }
    let lock = File::open(&tiles).map_err(|error| failed(&tiles, error))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        // Whoever had it may have put another directory in its place.
        Ok(()) if !is_at(&lock, &tiles) => Err(ProofError::Busy),
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(ProofError::Busy),
        Err(error) => Err(failed(&tiles, error.into())),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: io::Result<fs::Metadata>| found.ok().map(|it| (it.dev(), it.ino()));
    identity(file.metadata()) == identity(fs::metadata(path))
}

/// How many entries there are, the genesis row among them.
pub(super) fn entries(ledger: &Ledger) -> Result<u64, ProofError> {
    Ok(ledger.head()?.id.unsigned_abs() + 1)
}

pub(super) fn id(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
