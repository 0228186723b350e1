//! The outline of a send stream, read while it passes by: whose it is, what it builds on, whether it is whole.
//!
//! The format is that of `fs/btrfs/send.h` in Linux: a magic, a version, then commands, each a header (length, number,
//! CRC-32C) and attributes (type, length, value), all little-endian. The checksums are the receiver's to check.

use crate::info::Uuid;

/// `BTRFS_SEND_STREAM_MAGIC` with its null byte, and the version.
const HEAD: usize = 13 + 4;
const MAGIC: &[u8; 13] = b"btrfs-stream\0";
/// Versions whose framing is known; 2 is that of Linux 6.0.
const VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;
/// `struct btrfs_cmd_header`.
const COMMAND: usize = 4 + 2 + 4;
/// Longer than the kernel's longest command (`BTRFS_SEND_BUF_SIZE_V1`, and 128 KiB of data in version 2).
const LONGEST: u32 = 1 << 20;
/// Commands that are looked into have a few attributes only; a path has at most 4 KiB.
const LONGEST_READ: u32 = 16 << 10;

const SUBVOL: u16 = 1;
const SNAPSHOT: u16 = 2;
const END: u16 = 21;
const UPDATE_EXTENT: u16 = 22;
/// The last number of version 2, `BTRFS_SEND_C_ENCODED_WRITE`.
const LAST: u16 = 25;

const A_UUID: u16 = 1;
const A_SIZE: u16 = 4;
const A_PATH: u16 = 15;
const A_CLONE_UUID: u16 = 20;

/// What a stream makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name that the subvolume gets, as the sender wrote it.
    pub name: String,
    /// The subvolume that was sent.
    pub uuid: Uuid,
    /// What it builds on; `None` if it is whole by itself.
    pub parent: Option<Uuid>,
}

/// Why a stream is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// It does not begin as a stream does.
    #[error("this is not a btrfs send stream")]
    NotAStream,
    /// It is of a version with another framing.
    #[error("this is a send stream of version {0}; versions 1 and 2 are understood")]
    Version(u32),
    /// The commands do not follow each other as they must.
    #[error("the send stream is damaged: {0}")]
    Damaged(&'static str),
    /// It is cut off.
    #[error("the send stream ends before its end")]
    Truncated,
}

#[derive(Debug)]
enum Place {
    Head,
    Header,
    /// In a command that is looked into: its number, and how long it is.
    Body(u16, usize),
    /// In a command that is not: so many bytes are left.
    Skip(usize),
    Ended,
}

/// Reads the outline of a stream. Takes memory for one short command, whatever comes.
#[derive(Debug)]
pub struct Outline {
    place: Place,
    held: Vec<u8>,
    subject: Option<Subject>,
    data: u64,
    commands: u64,
}

impl Default for Outline {
    fn default() -> Self {
        Self {
            place: Place::Head,
            held: Vec::new(),
            subject: None,
            data: 0,
            commands: 0,
        }
    }
}

impl Outline {
    /// What the stream makes, once that has passed.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Bytes of data that a stream with [`crate::Content::Lengths`] stands for.
    pub fn data(&self) -> u64 {
        self.data
    }

    /// How many commands have passed.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// Looks at the next piece of the stream.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), StreamError> {
        while !piece.is_empty() {
            let wanted = match self.place {
                Place::Head => HEAD,
                Place::Header => COMMAND,
                Place::Body(_, length) => length,
                Place::Skip(left) => {
                    let passed = left.min(piece.len());
                    piece = &piece[passed..];
                    self.place = match left - passed {
                        0 => Place::Header,
                        left => Place::Skip(left),
                    };
                    continue;
                }
                Place::Ended => return Err(StreamError::Damaged("something follows its end")),
            };
            let taken = (wanted - self.held.len()).min(piece.len());
            self.held.extend_from_slice(&piece[..taken]);
            piece = &piece[taken..];
            if self.held.len() == wanted {
                let held = std::mem::take(&mut self.held);
                self.place = self.step(&held)?;
                self.held = held;
                self.held.clear();
            }
        }
        Ok(())
    }

    /// Whether the end has passed.
    pub fn finish(&self) -> Result<(), StreamError> {
        match self.place {
            Place::Ended => Ok(()),
            Place::Head if !MAGIC.starts_with(&self.held) && !self.held.starts_with(MAGIC) => {
                Err(StreamError::NotAStream)
            }
            _ => Err(StreamError::Truncated),
        }
    }

    /// Takes in a whole head, header or command.
    fn step(&mut self, bytes: &[u8]) -> Result<Place, StreamError> {
        match self.place {
            Place::Head => {
                if !bytes.starts_with(MAGIC) {
                    return Err(StreamError::NotAStream);
                }
                let version = u32_at(bytes, MAGIC.len());
                match VERSIONS.contains(&version) {
                    true => Ok(Place::Header),
                    false => Err(StreamError::Version(version)),
                }
            }
            Place::Header => self.header(u32_at(bytes, 0), u16_at(bytes, 4)),
            Place::Body(number, _) => {
                self.command(number, bytes)?;
                Ok(Place::Header)
            }
            Place::Skip(_) | Place::Ended => Ok(Place::Ended),
        }
    }

    fn header(&mut self, length: u32, number: u16) -> Result<Place, StreamError> {
        if length > LONGEST {
            return Err(StreamError::Damaged("a command is too long"));
        }
        if number == 0 || number > LAST {
            return Err(StreamError::Damaged("a command is unknown"));
        }
        self.commands += 1;
        let makes = matches!(number, SUBVOL | SNAPSHOT);
        if makes != self.subject.is_none() {
            return Err(StreamError::Damaged(match makes {
                true => "it makes a second subvolume",
                false => "it makes no subvolume",
            }));
        }
        let looked_into = makes || number == UPDATE_EXTENT;
        match (number, length) {
            (END, 0) => Ok(Place::Ended),
            (END, _) => Err(StreamError::Damaged("its end is odd")),
            (_, 0) => Ok(Place::Header),
            (_, length) if looked_into && length > LONGEST_READ => {
                Err(StreamError::Damaged("a command is too long"))
            }
            (number, length) if looked_into => Ok(Place::Body(number, length as usize)),
            (_, length) => Ok(Place::Skip(length as usize)),
        }
    }

    fn command(&mut self, number: u16, body: &[u8]) -> Result<(), StreamError> {
        match number {
            UPDATE_EXTENT => {
                let size = attribute(body, A_SIZE)
                    .and_then(|value| value.try_into().ok())
                    .map(u64::from_le_bytes)
                    .ok_or(StreamError::Damaged("an extent has no size"))?;
                self.data = self.data.saturating_add(size);
            }
            _ => {
                let name = attribute(body, A_PATH)
                    .and_then(|name| std::str::from_utf8(name).ok())
                    .ok_or(StreamError::Damaged("its subvolume has no name"))?;
                let nameless = StreamError::Damaged("its subvolume has no UUID");
                let parent = uuid(body, A_CLONE_UUID);
                if (number == SNAPSHOT) != parent.is_some() {
                    return Err(StreamError::Damaged("it does not say what it builds on"));
                }
                self.subject = Some(Subject {
                    name: name.to_owned(),
                    uuid: uuid(body, A_UUID).ok_or(nameless)?,
                    parent,
                });
            }
        }
        Ok(())
    }
}

fn uuid(body: &[u8], kind: u16) -> Option<Uuid> {
    Uuid::from_disk(attribute(body, kind)?.try_into().ok()?)
}

/// The value of the first attribute of a kind.
fn attribute(mut body: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = body.split_at_checked(4)?;
        let (value, rest) = rest.split_at_checked(u16_at(head, 2).into())?;
        if u16_at(head, 0) == kind {
            return Some(value);
        }
        body = rest;
    }
}

/// Callers have counted the bytes.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command(number: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(number.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    fn attributes(pairs: &[(u16, &[u8])]) -> Vec<u8> {
        let one = |(kind, value): &(u16, &[u8])| {
            let length = u16::try_from(value.len()).unwrap();
            [&kind.to_le_bytes(), &length.to_le_bytes(), *value].concat()
        };
        pairs.iter().flat_map(one).collect()
    }

    fn stream(commands: &[Vec<u8>]) -> Vec<u8> {
        [MAGIC.as_slice(), &[1, 0, 0, 0], &commands.concat()].concat()
    }

    fn subvolume() -> Vec<u8> {
        command(
            SUBVOL,
            &attributes(&[(A_PATH, b"@timing"), (A_UUID, &[7; 16])]),
        )
    }

    #[test]
    fn a_whole_stream_is_outlined_in_pieces_of_any_size() {
        let extent = attributes(&[(A_PATH, b"f"), (A_SIZE, &4096_u64.to_le_bytes())]);
        let bytes = stream(&[
            subvolume(),
            command(15, &[1; 3000]),
            command(UPDATE_EXTENT, &extent),
            command(END, &[]),
        ]);
        for size in [1, 7, 4096] {
            let mut outline = Outline::default();
            for piece in bytes.chunks(size) {
                outline.feed(piece).unwrap();
            }
            outline.finish().unwrap();
            let subject = outline.subject().unwrap();
            assert_eq!((subject.name.as_str(), subject.parent), ("@timing", None));
            assert_eq!((outline.data(), outline.commands()), (4096, 4));
        }
    }

    #[test]
    fn what_is_no_whole_stream_is_told() {
        let of = |bytes: &[u8]| {
            let mut outline = Outline::default();
            outline.feed(bytes).and_then(|()| outline.finish())
        };
        let damaged = |bytes: &[u8]| matches!(of(bytes), Err(StreamError::Damaged(_)));
        let end = command(END, &[]);
        assert_eq!(of(b"#!/bin/sh\necho hello\n"), Err(StreamError::NotAStream));
        assert_eq!(of(b"short"), Err(StreamError::NotAStream));
        assert_eq!(of(b""), Err(StreamError::Truncated));
        assert_eq!(of(b"btrfs"), Err(StreamError::Truncated));
        assert_eq!(of(&stream(&[subvolume()])), Err(StreamError::Truncated));
        let mut later = stream(&[subvolume()]);
        later[13] = 9;
        assert_eq!(of(&later), Err(StreamError::Version(9)));
        assert!(damaged(&stream(std::slice::from_ref(&end))));
        assert!(damaged(&stream(&[subvolume(), subvolume(), end.clone()])));
        assert!(damaged(&stream(&[subvolume(), end.clone(), end.clone()])));
        assert!(damaged(&stream(&[subvolume(), command(900, &[]), end])));
        let nameless = command(SUBVOL, &attributes(&[(A_UUID, &[7; 16])]));
        assert!(damaged(&stream(&[nameless])));
        let orphan = attributes(&[(A_PATH, b"@a"), (A_UUID, &[7; 16])]);
        assert!(damaged(&stream(&[command(SNAPSHOT, &orphan)])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 1_usize..40) {
            let mut outline = Outline::default();
            let whole = stream(&[subvolume(), bytes]);
            for piece in whole.chunks(cut) {
                if outline.feed(piece).is_err() {
                    break;
                }
            }
            let _ = outline.finish();
        }
    }
}
