//! Changes of a flow table (`ofp_flow_mod`, ONF TS-006 §7.3.4.1).

use super::{FLOW_MOD, VERSION, action, oxm};
use crate::flow::{Cookie, Flow, FlowMod, PortNo};
use crate::matches::Match;
use crate::wire::message;

/// Commands (`ofp_flow_mod_command`).
const ADD: u8 = 0;
const MODIFY_STRICT: u8 = 2;
const DELETE: u8 = 3;
const DELETE_STRICT: u8 = 4;

/// All tables (`OFPTT_ALL`); only to delete from.
pub(crate) const ALL_TABLES: u8 = 0xff;
/// No packet waits for the flow (`OFP_NO_BUFFER`).
const NO_BUFFER: u32 = 0xffff_ffff;

/// Where a change applies.
struct Target<'a> {
    command: u8,
    cookie: u64,
    mask: u64,
    table: u8,
    priority: u16,
    matches: &'a Match,
}

/// Appends a change as a message; whether it fits into one.
pub(crate) fn write(out: &mut Vec<u8>, xid: u32, change: &FlowMod) -> bool {
    message(out, VERSION, FLOW_MOD, xid, |out| match change {
        FlowMod::Add(flow) => {
            target(out, &Target::of(ADD, flow, flow.cookie, 0));
            action::write_instructions(out, flow);
        }
        FlowMod::ModifyStrict(flow, Cookie { value, mask }) => {
            target(out, &Target::of(MODIFY_STRICT, flow, *value, *mask));
            action::write_instructions(out, flow);
        }
        FlowMod::DeleteStrict {
            table,
            priority,
            matches,
            cookie,
        } => target(
            out,
            &Target {
                command: DELETE_STRICT,
                cookie: cookie.value,
                mask: cookie.mask,
                table: *table,
                priority: *priority,
                matches,
            },
        ),
        FlowMod::Delete {
            table,
            matches,
            cookie,
        } => target(
            out,
            &Target {
                command: DELETE,
                cookie: cookie.value,
                mask: cookie.mask,
                table: table.unwrap_or(ALL_TABLES),
                priority: 0,
                matches,
            },
        ),
    })
}

impl<'a> Target<'a> {
    fn of(command: u8, flow: &'a Flow, cookie: u64, mask: u64) -> Self {
        Self {
            command,
            cookie,
            mask,
            table: flow.table,
            priority: flow.priority,
            matches: &flow.matches,
        }
    }
}

/// Appends all of the body but the instructions.
fn target(out: &mut Vec<u8>, target: &Target<'_>) {
    let any = PortNo::ANY.0;
    out.extend(target.cookie.to_be_bytes());
    out.extend(target.mask.to_be_bytes());
    out.extend([target.table, target.command]);
    // Idle and hard timeout: none.
    out.extend([0; 4]);
    out.extend(target.priority.to_be_bytes());
    out.extend(NO_BUFFER.to_be_bytes());
    // To whatever port or group it sends (`OFPG_ANY` is the same number).
    out.extend(any.to_be_bytes());
    out.extend(any.to_be_bytes());
    // Flags and padding.
    out.extend([0; 4]);
    oxm::write_match(out, target.matches);
}
