//! Bundles: changes that happen together (ONF extension 230 for OpenFlow 1.3; the messages are
//! those of OpenFlow 1.4, §7.3.9, inside of experimenter messages).

use super::{EXPERIMENTER, ONF, VERSION, flow_mod};
use crate::flow::FlowMod;
use crate::wire::{Input, Malformed, message};

/// Types of the extension's messages.
const CONTROL: u32 = 2300;
const ADD_MESSAGE: u32 = 2301;

/// What a control message asks (`onf_bundle_ctrl_type`). An answer has the next number.
pub(crate) const OPEN: u16 = 0;
pub(crate) const CLOSE: u16 = 2;
pub(crate) const COMMIT: u16 = 4;
pub(crate) const DISCARD: u16 = 6;

/// All or none, and in order (`ONF_BF_ATOMIC`, `ONF_BF_ORDERED`).
const FLAGS: u16 = 0b11;

/// Appends a control message.
pub(crate) fn control(out: &mut Vec<u8>, xid: u32, bundle: u32, kind: u16) {
    message(out, VERSION, EXPERIMENTER, xid, |out| {
        head(out, CONTROL, bundle, kind);
    });
}

/// Appends a change for the bundle; whether it fits into a message.
pub(crate) fn add(out: &mut Vec<u8>, xid: u32, bundle: u32, change: &FlowMod) -> bool {
    let start = out.len();
    let mut inner = true;
    let outer = message(out, VERSION, EXPERIMENTER, xid, |out| {
        // In place of the type: padding.
        head(out, ADD_MESSAGE, bundle, 0);
        inner = flow_mod::write(out, xid, change);
    });
    if !inner {
        out.truncate(start);
    }
    inner && outer
}

fn head(out: &mut Vec<u8>, message: u32, bundle: u32, kind: u16) {
    out.extend(ONF.to_be_bytes());
    out.extend(message.to_be_bytes());
    out.extend(bundle.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend(FLAGS.to_be_bytes());
}

/// Whether the body of an experimenter message is the answer to a control message.
pub(crate) fn check_control(body: &[u8]) -> Result<(), Malformed> {
    let mut input = Input(body);
    let (experimenter, message) = (input.u32()?, input.u32()?);
    let _bundle = input.u32()?;
    let kind = input.u16()?;
    if (experimenter, message) == (ONF, CONTROL) && kind & 1 == 1 {
        Ok(())
    } else {
        Err(Malformed("an answer about something else than a bundle"))
    }
}
