//! Finds messages in a stream (RFC 7047, section 4): JSON objects, with nothing or blanks in between.

use serde_json::Value as Json;

/// How deep arrays and objects may be nested in a message; what clients send has less than ten.
const DEEPEST: u32 = 100;

/// Why a stream is not followed any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than the limit.
    #[error("a message of more than {0} bytes")]
    TooLong(usize),
    /// Arrays in arrays in arrays.
    #[error("a message that is nested deeper than {DEEPEST}")]
    TooDeep,
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
}

/// Bytes that have come and have not been read as messages.
#[derive(Debug)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// How far has been looked.
    seen: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    largest: usize,
}

impl Framer {
    /// Messages of at most `largest` bytes.
    pub(crate) fn new(largest: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            seen: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            largest,
        }
    }

    /// More of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.seen -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if it is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Json>, Malformed> {
        if self.depth == 0 {
            self.skip_blanks()?;
        }
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            self.seen += 1;
            if self.step(byte)? {
                return self.take().map(Some);
            }
        }
        self.check_length()?;
        Ok(None)
    }

    fn check_length(&self) -> Result<(), Malformed> {
        if self.seen - self.start > self.largest {
            return Err(Malformed::TooLong(self.largest));
        }
        Ok(())
    }

    fn skip_blanks(&mut self) -> Result<(), Malformed> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.start += blanks.count();
        self.seen = self.start;
        match self.buffer.get(self.start) {
            None | Some(b'{') => Ok(()),
            Some(_) => Err(Malformed::NotJson("an object was expected".to_owned())),
        }
    }

    /// Whether this byte is the last of the message.
    fn step(&mut self, byte: u8) -> Result<bool, Malformed> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(false);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(Malformed::TooDeep);
                }
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return Ok(self.depth == 0);
            }
            _ => {}
        }
        Ok(false)
    }

    fn take(&mut self) -> Result<Json, Malformed> {
        self.check_length()?;
        let message = &self.buffer[self.start..self.seen];
        let message = serde_json::from_slice(message)
            .map_err(|error| Malformed::NotJson(error.to_string()))?;
        self.start = self.seen;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            // One long message is no reason to hold its room for ever.
            self.buffer.shrink_to(64 << 10);
            (self.start, self.seen) = (0, 0);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(framer: &mut Framer, bytes: &[u8]) -> Result<Vec<Json>, Malformed> {
        framer.push(bytes);
        std::iter::from_fn(|| framer.next().transpose()).collect()
    }

    #[test]
    fn messages_need_no_separator() {
        let mut framer = Framer::new(100);
        let found = read(&mut framer, b" {\"a\":\"}{\\\"\"}{\"b\":[{}]}\n{\"c\":").unwrap();
        assert_eq!(found, [json!({ "a": "}{\"" }), json!({ "b": [{}] })]);
        assert_eq!(read(&mut framer, b"1}").unwrap(), [json!({ "c": 1 })]);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let refused = |bytes: &[u8]| read(&mut Framer::new(50), bytes).unwrap_err();
        assert!(matches!(refused(b"[1]"), Malformed::NotJson(_)));
        assert!(matches!(refused(b"{]"), Malformed::NotJson(_)));
        assert!(matches!(
            refused(b"{\"a\":\"\xff\"}"),
            Malformed::NotJson(_)
        ));
        assert_eq!(refused(&[b'{'; 101]), Malformed::TooDeep);
        assert_eq!(refused(&[b'{', b'"'].repeat(26)), Malformed::TooLong(50));
        assert_eq!(
            refused(b"{\"a\":\"0123456789012345678901234567890123456789012345678901234567890\"}"),
            Malformed::TooLong(50)
        );
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(texts in prop::collection::vec(".{0,20}", 0..6), size in 1usize..9) {
            let messages: Vec<_> = texts.iter().map(|text| json!({ "x": [text] })).collect();
            let bytes: Vec<u8> = messages.iter().flat_map(|message| message.to_string().into_bytes()).collect();
            let mut framer = Framer::new(10_000);
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                found.extend(read(&mut framer, piece).unwrap());
            }
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&mut Framer::new(200), &bytes);
        }
    }
}
