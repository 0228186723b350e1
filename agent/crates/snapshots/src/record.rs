//! `snapshot.json`: what a snapshot is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::name::SnapshotName;
use crate::schedule::Known;

/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// What is written down of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of this format: 1.
    pub version: u32,
    /// The snapshot's name, which is that of its directory.
    pub name: SnapshotName,
    /// Why it was made.
    pub class: Class,
    /// When it was made.
    #[serde(with = "time")]
    pub created: Timestamp,
    /// It is not pruned, and has to be unpinned before it can be deleted.
    pub pinned: bool,
    /// What for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it has, by name.
    pub subvolumes: BTreeMap<String, Taken>,
}

/// One subvolume of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// The UUID of the read-only subvolume.
    pub uuid: String,
    /// The UUID of the subvolume that it was made of.
    pub source: String,
    /// The transaction that had last changed that.
    pub generation: u64,
    /// Subvolumes in it, which a snapshot does not have: empty directories stand in their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

impl Record {
    /// As the schedule sees it.
    pub fn known(&self) -> Known {
        Known {
            name: self.name.clone(),
            class: self.class,
            created: self.created,
            pinned: self.pinned,
            subvolumes: self.subvolumes.keys().cloned().collect(),
        }
    }
}

/// Times as RFC 3339 writes them, in UTC.
mod time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
