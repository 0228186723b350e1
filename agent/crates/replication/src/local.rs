//! The snapshots of this host.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use btrfs::{Info, Uuid};

use crate::error::{Result, failed};
use crate::name::Name;
use crate::wire::LONGEST_MANIFEST;

/// The file that describes a snapshot, beside its subvolumes.
pub const MANIFEST: &str = "snapshot.json";

/// A directory with read-only subvolumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: Name,
    /// When it was made, or the last of its subvolumes, in seconds since 1970-01-01 UTC: a subvolume that was exchanged
    /// out by a restore is older than the snapshot that has it.
    pub taken: u64,
    /// What is in it, by name.
    pub subvolumes: Vec<Subvolume>,
}

/// A read-only subvolume of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// Its name.
    pub name: Name,
    /// Where it is.
    pub path: PathBuf,
    /// What a stream of it says that it is: the UUID of what it was received of, else its own.
    pub identity: Uuid,
    /// What it is a snapshot of.
    pub origin: Option<Uuid>,
    /// The transaction of its last change: greater is newer.
    pub generation: u64,
}

/// The snapshots in a directory, the oldest first. What is none (subvolumes themselves, hidden and odd names, directories
/// without a read-only subvolume) is left out.
pub fn snapshots(directory: &Path) -> Result<Vec<Snapshot>> {
    let mut found = Vec::new();
    for (name, path) in named(directory)? {
        if btrfs::is_subvolume(&path)? {
            continue;
        }
        let made = fs::metadata(&path).and_then(|directory| directory.created());
        let mut taken = made.unwrap_or(UNIX_EPOCH);
        let mut subvolumes = Vec::new();
        for (name, path) in named(&path)? {
            if !btrfs::is_subvolume(&path)? {
                continue;
            }
            let info = btrfs::info(&path)?;
            taken = taken.max(info.created);
            subvolumes.extend(subvolume(name, path, &info));
        }
        subvolumes.sort_by(|a, b| a.name.cmp(&b.name));
        if !subvolumes.is_empty() {
            let snapshot = Snapshot {
                name,
                taken: seconds(taken),
                subvolumes,
            };
            found.push((taken, snapshot));
        }
    }
    // Not by the transaction: a snapshot that was restored from has one of that time.
    found.sort_by_key(|(taken, snapshot)| (*taken, snapshot.name.clone()));
    Ok(found.into_iter().map(|(_, snapshot)| snapshot).collect())
}

fn subvolume(name: Name, path: PathBuf, info: &Info) -> Option<Subvolume> {
    Some(Subvolume {
        name,
        path,
        identity: info.received_uuid.or(info.uuid)?,
        origin: info.parent_uuid,
        generation: info.generation,
    })
    .filter(|_| info.read_only)
}

/// The description beside the subvolumes, if there is one of a bearable length.
pub(crate) fn manifest(snapshot: &Path) -> Option<String> {
    let file = fs::File::open(snapshot.join(MANIFEST)).ok()?;
    let mut text = String::new();
    let most = LONGEST_MANIFEST as u64 + 1;
    file.take(most).read_to_string(&mut text).ok()?;
    (text.len() <= LONGEST_MANIFEST).then_some(text)
}

/// The directories in a directory whose names are names.
pub(crate) fn named(directory: &Path) -> Result<Vec<(Name, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", directory)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", directory))?;
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().into_string().ok();
        if let Some(name) = name.and_then(|name| name.parse().ok())
            && is_directory
        {
            found.push((name, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
