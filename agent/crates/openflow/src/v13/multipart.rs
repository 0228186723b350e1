//! Questions with long answers (ONF TS-006 §7.3.5), and the one about ports (§7.3.5.7).

use crate::flow::{Port, PortNo};
use crate::wire::{Input, Malformed};

/// Types (`ofp_multipart_type`).
pub(crate) const FLOW: u16 = 1;
pub(crate) const AGGREGATE: u16 = 2;
pub(crate) const TABLE: u16 = 3;
pub(crate) const PORT_STATS: u16 = 4;
const PORT_DESC: u16 = 13;
pub(crate) const EXPERIMENTER: u16 = 0xffff;

/// Another part follows (`OFPMPF_REPLY_MORE`).
const MORE: u16 = 1;
/// A port has no link (`OFPPS_LINK_DOWN`).
const LINK_DOWN: u32 = 1;

/// The head of a request.
pub(crate) fn request(kind: u16) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    // Flags and padding.
    out.extend([0; 6]);
    out
}

/// A request for the ports.
pub(crate) fn ports_request() -> Vec<u8> {
    request(PORT_DESC)
}

/// The content of one part of an answer, and whether another follows.
pub(crate) fn part(body: &[u8], kind: [u8; 2]) -> Result<(&[u8], bool), Malformed> {
    let mut input = Input(body);
    if input.array()? != kind {
        return Err(Malformed("an answer about something else"));
    }
    let flags = input.u16()?;
    let _padding = input.take(4)?;
    Ok((input.0, flags & MORE != 0))
}

/// Reads the ports in one part of an answer (`ofp_port`, §7.2.1).
pub(crate) fn ports(content: &[u8], ports: &mut Vec<Port>) -> Result<(), Malformed> {
    let mut input = Input(content);
    while !input.is_empty() {
        let number = PortNo(input.u32()?);
        let _padding = input.take(4)?;
        let mac = input.array()?;
        let _padding = input.take(2)?;
        let name: [u8; 16] = input.array()?;
        let _config = input.u32()?;
        let state = input.u32()?;
        let _features_and_speeds = input.take(24)?;
        let end = name.iter().position(|byte| *byte == 0);
        ports.push(Port {
            number,
            name: String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned(),
            mac,
            link: state & LINK_DOWN == 0,
        });
    }
    Ok(())
}
