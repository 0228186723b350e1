//! Reading flow tables (`OFPMP_FLOW`, ONF TS-006 §7.3.5.2).

use std::time::Duration;

use super::flow_mod::ALL_TABLES;
use super::{action, multipart, oxm};
use crate::flow::{Flow, FlowFilter, FlowStats, PortNo};
use crate::matches::Match;
use crate::wire::{Input, Malformed};

/// The body of a request for flows.
pub(crate) fn request(filter: &FlowFilter) -> Vec<u8> {
    selection(multipart::FLOW, filter)
}

/// The body of a request of that type about the flows that the filter lets through.
pub(crate) fn selection(kind: u16, filter: &FlowFilter) -> Vec<u8> {
    let any = PortNo::ANY.0;
    let mut out = multipart::request(kind);
    out.extend([filter.table.unwrap_or(ALL_TABLES), 0, 0, 0]);
    out.extend(any.to_be_bytes());
    out.extend(any.to_be_bytes());
    out.extend([0; 4]);
    out.extend(filter.cookie.value.to_be_bytes());
    out.extend(filter.cookie.mask.to_be_bytes());
    oxm::write_match(&mut out, &Match::default());
    out
}

/// Reads the flows in one part of an answer.
pub(crate) fn reply(content: &[u8], flows: &mut Vec<FlowStats>) -> Result<(), Malformed> {
    let mut input = Input(content);
    while !input.is_empty() {
        let length = usize::from(input.u16()?);
        let entry = length
            .checked_sub(2)
            .ok_or(Malformed("a flow is shorter than its length"))?;
        flows.push(entry_of(input.take(entry)?)?);
    }
    Ok(())
}

fn entry_of(bytes: &[u8]) -> Result<FlowStats, Malformed> {
    let mut input = Input(bytes);
    let table = input.u8()?;
    let _padding = input.u8()?;
    let (seconds, nanoseconds) = (input.u32()?, input.u32()?);
    let priority = input.u16()?;
    let (idle_timeout, hard_timeout) = (input.u16()?, input.u16()?);
    let _flags_and_padding = input.take(6)?;
    let cookie = input.u64()?;
    let (packets, bytes) = (input.u64()?, input.u64()?);
    let mut flow = Flow {
        table,
        priority,
        cookie,
        matches: oxm::read_match(&mut input)?,
        ..Flow::default()
    };
    action::read_instructions(&mut input, &mut flow)?;
    Ok(FlowStats {
        flow,
        age: Duration::new(u64::from(seconds), nanoseconds),
        idle_timeout,
        hard_timeout,
        packets,
        bytes,
    })
}
