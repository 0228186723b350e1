//! Changes of flows as they happen (ONF extension 187 for OpenFlow 1.3, in the form that Open vSwitch
//! gives it: matches keep their header).

use super::flow_mod::ALL_TABLES;
use super::{EXPERIMENTER, MULTIPART_REPLY, ONF, multipart, oxm};
use crate::flow::PortNo;
use crate::matches::Match;
use crate::wire::{Input, Malformed, Message};

/// The type of the multipart message (`ONFMP_FLOW_MONITOR`).
const FLOW_MONITOR: u32 = 1870;
/// Types of messages: the switch falls behind and holds back (`ONFT_FLOW_MONITOR_PAUSED`), and goes on
/// (`ONFT_FLOW_MONITOR_RESUMED`).
const PAUSED: u32 = 1871;
const RESUMED: u32 = 1872;

/// What is told: flows that come, go and change (`ONFFMF_ADD`, `ONFFMF_DELETE`, `ONFFMF_MODIFY`),
/// without their actions.
const FLAGS: u16 = 0b1110;
/// The number of the only monitor of a connection.
const MONITOR: u32 = 1;
/// The length of a match without fields, in bytes less the padding.
const EMPTY_MATCH: u16 = 4;

/// The body of a request to tell of all flows (`onf_flow_monitor_request`).
pub(crate) fn request() -> Vec<u8> {
    let mut out = multipart::request(multipart::EXPERIMENTER);
    out.extend(ONF.to_be_bytes());
    out.extend(FLOW_MONITOR.to_be_bytes());
    out.extend(MONITOR.to_be_bytes());
    out.extend(FLAGS.to_be_bytes());
    out.extend(EMPTY_MATCH.to_be_bytes());
    out.extend(PortNo::ANY.0.to_be_bytes());
    out.extend([ALL_TABLES, 0, 0, 0]);
    oxm::write_match(&mut out, &Match::default());
    out
}

/// Whether a message says that a flow has changed. While the switch holds back, it may say so late.
pub(crate) fn tells_of_change(message: Message<'_>) -> Result<bool, Malformed> {
    match message.kind {
        MULTIPART_REPLY => {
            let mut head = Input(message.body);
            if head.u16()? != multipart::EXPERIMENTER {
                return Ok(false);
            }
            let _flags_and_padding = head.take(6)?;
            Ok(is(&mut head, &[FLOW_MONITOR])? && !head.is_empty())
        }
        EXPERIMENTER => is(&mut Input(message.body), &[PAUSED, RESUMED]),
        _ => Ok(false),
    }
}

fn is(input: &mut Input<'_>, kinds: &[u32]) -> Result<bool, Malformed> {
    let (experimenter, kind) = (input.u32()?, input.u32()?);
    Ok(experimenter == ONF && kinds.contains(&kind))
}
