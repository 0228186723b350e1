//! What asker and worker say to each other: a length in four bytes, little-endian, and so many bytes.

use std::io::{self, Read, Write};

/// The longest frame, in bytes.
pub(crate) const LONGEST: usize = 64 << 20;

/// What the first byte of an answer says.
pub(crate) const GOOD: u8 = 0;
/// The rest is an error in words.
pub(crate) const BAD: u8 = 1;

/// Writes a frame of these parts.
pub(crate) fn write(out: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).map_err(|_| too_long())?;
    out.write_all(&length.to_le_bytes())?;
    for part in parts {
        out.write_all(part)?;
    }
    out.flush()
}

/// Reads a frame; none at the end.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| too_long())?;
    if length > LONGEST {
        return Err(too_long());
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message that is too long")
}
