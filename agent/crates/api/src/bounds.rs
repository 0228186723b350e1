//! What the daemon takes as one message. It ends a connection that sends more, with all calls on it.

/// The largest message, in bytes.
pub const LARGEST: usize = 8 << 20;
/// How deep a message may nest; `serde_json` stops at 128.
pub const DEEPEST: usize = 100;
/// How many values a message may hold: each takes many times the memory of its text.
pub const VALUES: usize = 100_000;

/// Why a message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Too long a text.
    #[error("a message has at most {0} bytes")]
    Bytes(usize),
    /// Brackets in brackets in brackets.
    #[error("a message nests at most {0} deep")]
    Depth(usize),
    /// A list without end.
    #[error("a message holds at most {0} values")]
    Values(usize),
}

/// Bounds to one message in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes.
    pub bytes: usize,
    /// Levels of brackets.
    pub depth: usize,
    /// Values and keys, about.
    pub values: usize,
}

impl Bounds {
    /// Those of the daemon.
    pub const DAEMON: Self = Self {
        bytes: LARGEST,
        depth: DEEPEST,
        values: VALUES,
    };

    /// Whether a text keeps to them. Only brackets, separators and quotes are looked at, before anything is parsed.
    pub fn check(&self, text: &[u8]) -> Result<(), Excess> {
        if text.len() > self.bytes {
            return Err(Excess::Bytes(self.bytes));
        }
        let (mut depth, mut values) = (0_usize, 0_usize);
        let (mut in_text, mut escaped) = (false, false);
        for byte in text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                _ if in_text => {}
                b'{' | b'[' => {
                    depth += 1;
                    values += 1;
                }
                b',' | b':' => values += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > self.depth {
                return Err(Excess::Depth(self.depth));
            }
            if values > self.values {
                return Err(Excess::Values(self.values));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_seen_before_it_is_parsed() {
        let bounds = Bounds {
            bytes: 100,
            depth: 3,
            values: 10,
        };
        for good in [
            "[[[]]]",
            r#"{"[[[[":"\"]],,,,,,,,,,,"}"#,
            "]]]",
            "",
            "[][][]",
        ] {
            assert_eq!(bounds.check(good.as_bytes()), Ok(()), "{good}");
        }
        for (bad, excess) in [
            ("x".repeat(101), Excess::Bytes(100)),
            ("[[{[".to_owned(), Excess::Depth(3)),
            (format!("[{}0]", "0,".repeat(10)), Excess::Values(10)),
        ] {
            assert_eq!(bounds.check(bad.as_bytes()), Err(excess), "{bad}");
        }
    }
}
