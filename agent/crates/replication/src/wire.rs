//! What the two ends say to each other: lines of JSON, and streams in frames.

use std::io::{BufRead, Read, Write};

use btrfs::Uuid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::name::Name;

/// The version of the protocol; both ends have to have the same.
pub const VERSION: u32 = 1;
/// The longest line: a list of some ten thousand subvolumes.
const LONGEST_LINE: u64 = 4 << 20;
/// The longest frame, in bytes.
pub(crate) const LONGEST_FRAME: usize = 1 << 20;
/// Most subvolumes that one snapshot may have.
pub(crate) const MOST_SUBVOLUMES: usize = 256;
/// The longest description of a snapshot, in bytes.
pub(crate) const LONGEST_MANIFEST: usize = 64 << 10;

/// What the sending end asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// What is there? The first of all.
    Hello { version: u32 },
    /// Take this snapshot: after `Ready`, a stream for each subvolume.
    Receive {
        snapshot: Name,
        /// When it was taken, in seconds since 1970-01-01 UTC.
        taken: u64,
        /// The description beside the subvolumes.
        manifest: Option<String>,
        subvolumes: Vec<Offer>,
    },
    /// Keep so many snapshots, and those that are named.
    Prune { keep: u32, spare: Vec<Name> },
}

/// A stream that will come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) name: Name,
    #[serde(with = "as_text")]
    pub(crate) uuid: Uuid,
    #[serde(with = "as_text_if_any")]
    pub(crate) parent: Option<Uuid>,
}

/// What the far end answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    Here {
        version: u32,
        held: Vec<Held>,
    },
    /// The stream may come.
    Ready,
    /// One subvolume is there and verified, with what was found out about it.
    Received {
        checked: Option<String>,
    },
    /// The whole snapshot is in its place.
    Complete,
    Pruned {
        names: Vec<Name>,
    },
    /// It was not done, and what was begun is gone. The far end has ended.
    Failed {
        text: String,
    },
}

/// A snapshot that the far end holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its name.
    pub name: Name,
    /// When it was taken, in seconds since 1970-01-01 UTC.
    pub taken: u64,
    /// What is in it.
    pub subvolumes: Vec<HeldSubvolume>,
}

/// A subvolume that the far end holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSubvolume {
    /// Its name.
    pub name: Name,
    /// What it was received of.
    #[serde(with = "as_text_if_any")]
    pub received: Option<Uuid>,
    /// It is read-only, and has not been changed since it was received.
    pub intact: bool,
}

mod as_text {
    use super::*;

    pub(super) fn serialize<S: Serializer>(uuid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(uuid)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Uuid, D::Error> {
        let text = String::deserialize(source)?;
        text.parse().map_err(serde::de::Error::custom)
    }

    use std::result::Result;
}

mod as_text_if_any {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        uuid: &Option<Uuid>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        uuid.map(|uuid| uuid.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        source: D,
    ) -> Result<Option<Uuid>, D::Error> {
        let text: Option<String> = Option::deserialize(source)?;
        let uuid = text.map(|text| text.parse()).transpose();
        uuid.map_err(serde::de::Error::custom)
    }

    use std::result::Result;
}

/// Writes one message.
pub(crate) fn say(to: &mut impl Write, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads one message; `None` at the end.
pub(crate) fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<Option<T>> {
    let mut line = Vec::new();
    let read = from.take(LONGEST_LINE + 1).read_until(b'\n', &mut line);
    let length = read.map_err(|error| Error::Gone(error.to_string()))?;
    if length == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(match length as u64 > LONGEST_LINE {
            true => Error::Protocol("a line is longer than 4 MiB".to_owned()),
            false => Error::Gone("it ended in the middle of a line".to_owned()),
        });
    }
    serde_json::from_slice(&line).map(Some).map_err(|_| {
        let beginning: String = String::from_utf8_lossy(&line).chars().take(200).collect();
        Error::Protocol(format!("it said `{}`", beginning.trim_end().escape_debug()))
    })
}

/// Reads the length of the next frame; 0 ends a stream.
pub(crate) fn frame(from: &mut impl Read) -> Result<usize> {
    let mut length = [0; 4];
    from.read_exact(&mut length)
        .map_err(|error| Error::Gone(format!("in the middle of a stream: {error}")))?;
    let length = u32::from_le_bytes(length) as usize;
    match length <= LONGEST_FRAME {
        true => Ok(length),
        false => Err(Error::Protocol("a frame is longer than 1 MiB".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        let uuid: Uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f".parse().unwrap();
        let mut wire = Vec::new();
        let held = Held {
            name: "daily_2026-01-01".parse().unwrap(),
            taken: 7,
            subvolumes: vec![HeldSubvolume {
                name: "@timing".parse().unwrap(),
                received: Some(uuid),
                intact: true,
            }],
        };
        say(&mut wire, &held).unwrap();
        assert_eq!(hear(&mut wire.as_slice()).unwrap(), Some(held));
        assert!(hear::<Held>(&mut [].as_slice()).unwrap().is_none());
        let banner = hear::<Held>(&mut b"Welcome to host\n".as_slice());
        assert!(banner.unwrap_err().to_string().contains("Welcome to host"));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_no_message() {
        let line =
            br#"{"ask":"receive","snapshot":"../x","taken":0,"manifest":null,"subvolumes":[]}
"#;
        assert!(hear::<Request>(&mut line.as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = hear::<Request>(&mut bytes.as_slice());
            let _ = frame(&mut bytes.as_slice());
        }
    }
}
