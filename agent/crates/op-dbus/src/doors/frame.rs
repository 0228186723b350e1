//! JSON values out of a stream, one after the other, with or without anything between them.

pub(crate) use api::LARGEST;
use api::{DEEPEST, VALUES};

/// The largest message that a service of the host may send: the whole of a large switch's database.
const LARGEST_OF_SERVICE: usize = 128 << 20;

/// What a stream holds that is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// One message does not end.
    #[error("a message has more than {LARGEST} bytes")]
    TooLarge,
    /// Brackets in brackets in brackets.
    #[error("a message nests more than {DEEPEST} deep")]
    TooDeep,
    /// A list without end.
    #[error("a message holds more than {VALUES} values")]
    TooMany,
    /// Neither an object nor an array.
    #[error("a message has to be a JSON object or array")]
    NotJson,
}

/// Finds the ends of objects and arrays in a stream of bytes.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    largest: usize,
    most: usize,
    /// How far it was looked at.
    seen: usize,
    depth: usize,
    values: usize,
    in_text: bool,
    escaped: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self::new(LARGEST, VALUES)
    }
}

impl Frames {
    fn new(largest: usize, most: usize) -> Self {
        Self {
            buffer: Vec::new(),
            largest,
            most,
            seen: 0,
            depth: 0,
            values: 0,
            in_text: false,
            escaped: false,
        }
    }

    /// For what a service of the host says, whose answers may be large.
    pub(crate) fn of_service() -> Self {
        Self::new(LARGEST_OF_SERVICE, usize::MAX)
    }

    /// Takes in what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes are held of a message that is not whole yet.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole message, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.depth == 0 {
            let blank = self.buffer[self.seen..].iter();
            let blank = blank.take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.drain(..self.seen + blank);
            self.seen = 0;
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'{' | b'[') => {}
                Some(_) => return Err(FrameError::NotJson),
            }
        }
        while self.seen < self.buffer.len() {
            let byte = self.buffer[self.seen];
            self.seen += 1;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => {
                    self.depth += 1;
                    self.values += 1;
                    if self.depth > DEEPEST {
                        return Err(FrameError::TooDeep);
                    }
                }
                b',' | b':' => self.values += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let message = self.buffer.drain(..self.seen).collect();
                        (self.seen, self.values) = (0, 0);
                        // What one large message took is not kept for small ones.
                        self.buffer.shrink_to(4096);
                        return Ok(Some(message));
                    }
                }
                _ => {}
            }
            if self.seen > self.largest {
                return Err(FrameError::TooLarge);
            }
            if self.values > self.most {
                return Err(FrameError::TooMany);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunks: &[&[u8]]) -> Result<Vec<String>, FrameError> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for chunk in chunks {
            frames.push(chunk);
            while let Some(message) = frames.next()? {
                found.push(String::from_utf8(message).unwrap());
            }
        }
        Ok(found)
    }

    #[test]
    fn messages_end_where_their_brackets_do() {
        let text = br#"{"a":"}\"{"} [1,[2]]{"b":{}}
            {"c":"\\"}"#;
        let expected = [r#"{"a":"}\"{"}"#, "[1,[2]]", r#"{"b":{}}"#, r#"{"c":"\\"}"#];
        assert_eq!(all(&[text]).unwrap(), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn garbage_is_found_at_once() {
        assert_eq!(all(&[b"GET / HTTP/1.1"]), Err(FrameError::NotJson));
        assert_eq!(all(&[b"{} }"]), Err(FrameError::NotJson));
        assert_eq!(all(&[&[b'['; 200]]), Err(FrameError::TooDeep));
        let large = vec![b'x'; LARGEST + 2];
        assert_eq!(all(&[b"{\"a\":\"", &large]), Err(FrameError::TooLarge));
        let many = format!("[{}0]", "0,".repeat(VALUES));
        assert_eq!(all(&[many.as_bytes()]), Err(FrameError::TooMany));
        assert_eq!(all(&[b"[", &vec![b' '; VALUES], b"]"]).unwrap().len(), 1);
        assert_eq!(all(&[b"   \n "]).unwrap(), Vec::<String>::new());
    }
}
