//! Entries, and the bytes that their hashes are over.

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The hash of the genesis entry.
pub(crate) const GENESIS_HASH: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// The genesis entry's metadata.
pub(crate) const GENESIS_METADATA: &str = r#"{"deployment":"operation-dbus","version":"1.0"}"#;

/// Something to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// What was done, such as `container_create`.
    pub operation: String,
    /// To what, such as `web-01`.
    pub target: String,
    /// Everything else. Numbers must be exact in IEEE 754 double precision (RFC 7493).
    pub metadata: Value,
}

/// The last entry of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Its id.
    pub id: i64,
    /// Its hash, 64 lower-case hex digits.
    pub hash: String,
}

/// Something that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place, from 0 (genesis), without gaps.
    pub id: i64,
    /// Seconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// What was done.
    pub operation: String,
    /// To what.
    pub target: String,
    /// The hash of the entry before; `None` for the genesis.
    pub previous_hash: Option<String>,
    /// Its own hash.
    pub current_hash: String,
    /// Everything else.
    pub metadata: Value,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = Timestamp::from_second(self.timestamp).map(|time| time.to_string());
        let mut entry = serializer.serialize_struct("Entry", 8)?;
        entry.serialize_field("id", &self.id)?;
        entry.serialize_field("timestamp", &self.timestamp)?;
        entry.serialize_field("time", &time.ok())?;
        entry.serialize_field("operation", &self.operation)?;
        entry.serialize_field("target", &self.target)?;
        entry.serialize_field("previous_hash", &self.previous_hash)?;
        entry.serialize_field("current_hash", &self.current_hash)?;
        entry.serialize_field("metadata", &self.metadata)?;
        entry.end()
    }
}

/// The canonical text of metadata.
pub(crate) fn canonical(metadata: &Value) -> Result<String, Error> {
    let text = serde_json_canonicalizer::to_string(metadata)
        .map_err(|error| Error::Metadata(error.to_string()))?;
    // What is read back must be what was written: numbers beyond a double's precision are refused.
    match serde_json::from_str::<Value>(&text) {
        Ok(read) if serde_json_canonicalizer::to_string(&read).is_ok_and(|again| again == text) => {
            Ok(text)
        }
        _ => Err(Error::Metadata("a number or text does not survive".to_owned())),
    }
}

/// The columns that are hashed.
pub(crate) struct Hashed<'a> {
    pub(crate) id: i64,
    pub(crate) timestamp: i64,
    pub(crate) operation: &'a str,
    pub(crate) target: &'a str,
    /// Canonical already: it is hashed as it stands in the table.
    pub(crate) metadata: &'a str,
    pub(crate) previous_hash: &'a str,
}

impl Hashed<'_> {
    /// The canonical JSON of the object; `buffer` is replaced.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        use std::io::Write;
        buffer.clear();
        // Writing to memory cannot fail; keys stand in the order of RFC 8785 3.2.3.
        let _ = write!(buffer, "{{\"id\":{},\"metadata\":{},\"operation\":", self.id, self.metadata);
        quote(buffer, self.operation);
        buffer.extend_from_slice(b",\"previous_hash\":");
        quote(buffer, self.previous_hash);
        buffer.extend_from_slice(b",\"target\":");
        quote(buffer, self.target);
        let _ = write!(buffer, ",\"timestamp\":{}}}", self.timestamp);
    }

    /// The hash, as 64 lower-case hex digits.
    pub(crate) fn hash(&self, buffer: &mut Vec<u8>) -> [u8; 64] {
        self.write(buffer);
        hex(&Sha256::digest(&buffer))
    }
}

/// A string in canonical JSON (RFC 8785 3.2.2.2).
fn quote(buffer: &mut Vec<u8>, text: &str) {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        buffer.push(b'"');
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(b'"');
    } else {
        // serde_json escapes exactly as the canonical form asks for.
        let _ = serde_json::to_writer(buffer, text);
    }
}

fn hex(digest: &[u8]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'0'; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn the_hashed_bytes_are_the_canonical_object(
            id in 0_i64..1 << 50, timestamp in 0_i64..1 << 40, operation in ".*", target in ".*", text in ".*", number in any::<i32>(),
        ) {
            let metadata = json!({ "z": text, "a": [number, null, true], "nested": { "k": operation } });
            let object = json!({
                "id": id, "timestamp": timestamp, "operation": operation, "target": target,
                "metadata": metadata, "previous_hash": GENESIS_HASH,
            });
            let mut buffer = Vec::new();
            let canonical = canonical(&metadata).unwrap();
            Hashed { id, timestamp, operation: &operation, target: &target, metadata: &canonical, previous_hash: GENESIS_HASH }.write(&mut buffer);
            prop_assert_eq!(buffer, serde_json_canonicalizer::to_vec(&object).unwrap());
        }
    }
}
