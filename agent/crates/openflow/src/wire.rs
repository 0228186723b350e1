//! What all versions share: the header of a message, and reading with care.

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) &'static str);

/// The length of a message's header in bytes (`ofp_header`).
pub(crate) const HEADER: usize = 8;

/// A whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) version: u8,
    pub(crate) kind: u8,
    pub(crate) xid: u32,
    /// What follows the header.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message in `bytes` and its length; `None` if it is not all there yet.
    pub(crate) fn first(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(header) = bytes.get(..HEADER) else {
            return Ok(None);
        };
        let mut input = Input(header);
        let (version, kind) = (input.u8()?, input.u8()?);
        let length = usize::from(input.u16()?);
        let xid = input.u32()?;
        if length < HEADER {
            return Err(Malformed("a message is shorter than its header"));
        }
        Ok(bytes.get(HEADER..length).map(|body| {
            let message = Self {
                version,
                kind,
                xid,
                body,
            };
            (message, length)
        }))
    }
}

/// Appends a message; `body` writes what follows the header. Returns whether it fits; if not,
/// nothing is appended.
pub(crate) fn message(
    out: &mut Vec<u8>,
    version: u8,
    kind: u8,
    xid: u32,
    body: impl FnOnce(&mut Vec<u8>),
) -> bool {
    let start = out.len();
    out.extend([version, kind, 0, 0]);
    out.extend(xid.to_be_bytes());
    body(out);
    let fits = set_length(out, start, 2, 0);
    if !fits {
        out.truncate(start);
    }
    fits
}

/// Writes the length of what was appended since `start` into the 16 bits at `start + at`, and then
/// pads it to a multiple of `align` bytes (no padding for 0). Returns whether it fits into 16 bits.
pub(crate) fn set_length(out: &mut Vec<u8>, start: usize, at: usize, align: usize) -> bool {
    let length = out.len() - start;
    if align > 0 {
        out.resize(start + length.next_multiple_of(align), 0);
    }
    let Ok(length) = u16::try_from(length) else {
        return false;
    };
    out[start + at..start + at + 2].copy_from_slice(&length.to_be_bytes());
    true
}

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Malformed("a message ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_once_it_is_whole() {
        let mut bytes = Vec::new();
        assert!(message(&mut bytes, 4, 2, 7, |out| out.extend(b"hello")));
        for end in 0..bytes.len() {
            assert_eq!(Message::first(&bytes[..end]), Ok(None));
        }
        bytes.extend([4, 3]);
        let (first, length) = Message::first(&bytes).unwrap().unwrap();
        assert_eq!((first.version, first.kind, first.xid), (4, 2, 7));
        assert_eq!((first.body, length), (&b"hello"[..], 13));
    }

    #[test]
    fn a_length_below_the_header_is_refused() {
        assert!(Message::first(&[4, 0, 0, 7, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut bytes = vec![1];
        let body = |length| move |out: &mut Vec<u8>| out.resize(out.len() + length, 0);
        let longest = usize::from(u16::MAX) - HEADER;
        assert!(!message(&mut bytes, 4, 2, 7, body(longest + 1)));
        assert_eq!(bytes, [1]);
        assert!(message(&mut bytes, 4, 2, 7, body(longest)));
    }
}
