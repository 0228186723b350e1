//! What the file system knows of a subvolume.

use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::error::{Error, failed};
use crate::kernel;
use crate::subvolume::open_subvolume;

/// A subvolume's identity: no two subvolumes share it, a snapshot gets its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The sixteen bytes, in the order in which they are written.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// `None` for all zeroes, by which btrfs says that there is none.
    pub(crate) fn from_disk(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

/// In the form of RFC 9562, as `btrfs subvolume show` prints it.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The text is not the form of a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12, not all of them 0")]
pub struct UuidError;

/// Reads what [`Uuid`]'s `Display` writes.
impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let groups: Vec<_> = text.split('-').map(str::len).collect();
        let digits: String = text.split('-').collect();
        if groups != [8, 4, 4, 4, 12] || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(UuidError);
        }
        let number = u128::from_str_radix(&digits, 16).map_err(|_| UuidError)?;
        Self::from_disk(number.to_be_bytes()).ok_or(UuidError)
    }
}

/// A subvolume as the file system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its number within the file system; 5 is the top level.
    pub id: u64,
    /// The subvolume that it lies in; `None` for the top level.
    pub parent_id: Option<u64>,
    /// Its identity. File systems made before Linux 3.6 have none at the top level.
    pub uuid: Option<Uuid>,
    /// The subvolume of which it is a snapshot.
    pub parent_uuid: Option<Uuid>,
    /// The subvolume, on another file system, of which it was received.
    pub received_uuid: Option<Uuid>,
    /// The transaction that last changed it.
    pub generation: u64,
    /// The transaction that last changed its content; a flag or a name is none of that.
    pub changed: u64,
    /// The transaction in which it was completely received; `None` if it was not.
    pub received: Option<u64>,
    /// Nothing in it can be changed.
    pub read_only: bool,
    /// When it was made.
    pub created: SystemTime,
}

/// Describes the subvolume at `path`. Needs no rights beyond reaching it.
pub fn info(path: impl AsRef<Path>) -> crate::Result<Info> {
    let path = path.as_ref();
    let subvolume = open_subvolume(path)?;
    let raw = kernel::subvolume_info(subvolume.as_fd()).map_err(failed("describe", path))?;
    let since_epoch = Duration::from_secs(raw.otime.sec)
        .checked_add(Duration::from_nanos(raw.otime.nsec.into()))
        .unwrap_or_default();
    Ok(Info {
        id: raw.treeid,
        parent_id: (raw.parent_id != 0).then_some(raw.parent_id),
        uuid: Uuid::from_disk(raw.uuid),
        parent_uuid: Uuid::from_disk(raw.parent_uuid),
        received_uuid: Uuid::from_disk(raw.received_uuid),
        generation: raw.generation,
        changed: raw.transids[0],
        received: (raw.transids[3] != 0).then_some(raw.transids[3]),
        read_only: raw.read_only(),
        created: SystemTime::UNIX_EPOCH
            .checked_add(since_epoch)
            .ok_or_else(|| Error::new("describe", path, rustix::io::Errno::OVERFLOW))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_in_five_groups() {
        let uuid = Uuid::from_disk(std::array::from_fn(|place| place as u8)).unwrap();
        assert_eq!(uuid.to_string(), "00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(uuid.to_string().parse(), Ok(uuid));
        assert_eq!(Uuid::from_disk([0; 16]), None);
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "000102030405060708090a0b0c0d0e0f",
            "0001020304-05-0607-0809-0a0b0c0d0e0f",
            "0001020g-0405-0607-0809-0a0b0c0d0e0f",
            "+0010203-0405-0607-0809-0a0b0c0d0e0f",
        ] {
            assert_eq!(bad.parse::<Uuid>(), Err(UuidError), "{bad}");
        }
    }
}
