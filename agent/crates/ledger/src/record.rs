//! The bytes that are hashed: RFC 8785 canonical JSON of what an entry says.

use std::io::Write;

use crate::hash::Hash;

/// What the hash of an entry covers, in its stored form.
///
/// Byte strings instead of text: what a tampered file holds need not be UTF-8.
pub(crate) struct Record<'a> {
    pub(crate) id: i64,
    pub(crate) timestamp: i64,
    pub(crate) operation: &'a [u8],
    pub(crate) target: &'a [u8],
    /// Canonical JSON, spliced in as it is.
    pub(crate) metadata: &'a [u8],
    pub(crate) previous_hash: Option<&'a [u8]>,
}

impl Record<'_> {
    /// The hash; `buffer` is working space, so that hashing many records allocates once.
    pub(crate) fn hash(&self, buffer: &mut Vec<u8>) -> Hash {
        buffer.clear();
        self.write(buffer);
        Hash::of(buffer)
    }

    /// The canonical form.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut canonical = Vec::new();
        self.write(&mut canonical);
        canonical
    }

    /// Writes the canonical form, members sorted by name.
    ///
    /// Two different records never give the same bytes, whatever `metadata` holds: read from the
    /// right, every other member ends and begins at an unescaped quote or a digit.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        write_number(out, self.id);
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(self.metadata);
        out.extend_from_slice(b",\"operation\":");
        write_string(out, self.operation);
        out.extend_from_slice(b",\"previous_hash\":");
        match self.previous_hash {
            Some(hash) => write_string(out, hash),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"target\":");
        write_string(out, self.target);
        out.extend_from_slice(b",\"timestamp\":");
        write_number(out, self.timestamp);
        out.push(b'}');
    }
}

fn write_number(out: &mut Vec<u8>, number: i64) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{number}");
}

/// A JSON string with the escapes of RFC 8785, section 3.2.2.2.
fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    // Looks at every byte without a branch, many at a time.
    let escapes = text
        .iter()
        .fold(false, |any, byte| any | needs_escape(*byte));
    match escapes {
        false => out.extend_from_slice(text),
        true => text.iter().for_each(|byte| write_escaped(out, *byte)),
    }
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        0..0x20 => {
            let _ = write!(out, "\\u{byte:04x}");
        }
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::metadata::{self, tests::object};

    #[test]
    fn a_record_is_written_as_this() {
        let record = Record {
            id: 1,
            timestamp: 1_700_000_000,
            operation: b"container_create",
            target: "w\u{e9}b\n\"1\"\u{1f}".as_bytes(),
            metadata: br#"{"run":"7f3a"}"#,
            previous_hash: Some(&Hash::ZERO.hex()),
        };
        let mut written = Vec::new();
        record.write(&mut written);
        let zeros = "0".repeat(64);
        let expected = format!(
            r#"{{"id":1,"metadata":{{"run":"7f3a"}},"operation":"container_create","previous_hash":"{zeros}","target":"wéb\n\"1\"\u001f","timestamp":1700000000}}"#
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn splicing_gives_what_a_canonical_json_writer_gives(
            id in 0..1_i64 << 53,
            timestamp in -(1_i64 << 53)..1_i64 << 53,
            operation in any::<String>(),
            target in any::<String>(),
            metadata in object(),
            previous in proptest::option::of(any::<String>()),
        ) {
            let text = metadata::canonical(&metadata).unwrap();
            let record = Record {
                id,
                timestamp,
                operation: operation.as_bytes(),
                target: target.as_bytes(),
                metadata: text.as_bytes(),
                previous_hash: previous.as_ref().map(|text| text.as_bytes()),
            };
            let mut written = Vec::new();
            record.write(&mut written);
            let whole = json!({
                "id": id,
                "timestamp": timestamp,
                "operation": operation,
                "target": target,
                "metadata": metadata,
                "previous_hash": previous,
            });
            let expected = serde_json_canonicalizer::to_string(&whole).unwrap();
            prop_assert_eq!(String::from_utf8(written).unwrap(), expected);
        }
    }
}
