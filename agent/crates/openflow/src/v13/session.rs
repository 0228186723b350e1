//! Greeting, errors, features.

use super::{ECHO_REPLY, ECHO_REQUEST, VERSION};
use crate::error::SwitchError;
use crate::flow::Features;
use crate::wire::{Input, Malformed, Message, message};

/// The hello element with the bitmap of versions (`OFPHET_VERSIONBITMAP`).
const VERSION_BITMAP: u16 = 1;
/// The type of errors that an experimenter defines (`OFPET_EXPERIMENTER`).
const EXPERIMENTER_ERROR: u16 = 0xffff;

/// The body of a greeting that offers 1.3 and nothing else.
pub(crate) fn hello(out: &mut Vec<u8>) {
    out.extend(VERSION_BITMAP.to_be_bytes());
    out.extend(8_u16.to_be_bytes());
    out.extend((1_u32 << VERSION).to_be_bytes());
}

/// Whether a peer that greets so speaks 1.3: the bitmap decides, without it the highest version.
pub(crate) fn speaks_v13(version: u8, body: &[u8]) -> Result<bool, Malformed> {
    let mut input = Input(body);
    while !input.is_empty() {
        let kind = input.u16()?;
        let length = usize::from(input.u16()?);
        let content = length
            .checked_sub(4)
            .ok_or(Malformed("a hello element is shorter than its header"))?;
        let mut content = Input(input.take(content)?);
        if kind == VERSION_BITMAP {
            return Ok(content.u32()? & 1 << VERSION != 0);
        }
        // The padding to 8 bytes may be left out at the end.
        let padding = length.next_multiple_of(8) - length;
        input.take(padding.min(input.0.len()))?;
    }
    Ok(version >= VERSION)
}

/// Appends the answer to an echo request; whether the message was one.
pub(crate) fn echo(received: Message<'_>, out: &mut Vec<u8>) -> bool {
    let asked = received.kind == ECHO_REQUEST;
    if asked {
        message(out, VERSION, ECHO_REPLY, received.xid, |out| {
            out.extend_from_slice(received.body);
        });
    }
    asked
}

/// What an error message says.
pub(crate) fn error(body: &[u8]) -> Result<SwitchError, Malformed> {
    let mut input = Input(body);
    let (kind, code) = (input.u16()?, input.u16()?);
    let experimenter = match kind {
        EXPERIMENTER_ERROR => Some(input.u32()?),
        _ => None,
    };
    Ok(SwitchError {
        kind,
        code,
        experimenter,
    })
}

/// What a features reply says.
pub(crate) fn features(body: &[u8]) -> Result<Features, Malformed> {
    let mut input = Input(body);
    let datapath = input.u64()?;
    let _buffers = input.u32()?;
    let tables = input.u8()?;
    let _auxiliary_and_padding = input.take(3)?;
    let capabilities = input.u32()?;
    Ok(Features {
        datapath,
        tables,
        capabilities,
    })
}
