//! Counters of ports, tables and flows together (ONF TS-006 §7.3.5.3, §7.3.5.4, §7.3.5.6).

use std::time::Duration;

use super::multipart;
use crate::flow::{FlowTotals, PortNo, PortStats, TableStats, Traffic};
use crate::wire::{Input, Malformed};

/// The body of a request for the counters of all ports.
pub(crate) fn ports_request() -> Vec<u8> {
    let mut out = multipart::request(multipart::PORT_STATS);
    out.extend(PortNo::ANY.0.to_be_bytes());
    out.extend([0; 4]);
    out
}

/// Reads the ports in one part of an answer (`ofp_port_stats`).
pub(crate) fn ports(content: &[u8], ports: &mut Vec<PortStats>) -> Result<(), Malformed> {
    let mut input = Input(content);
    while !input.is_empty() {
        let number = PortNo(input.u32()?);
        let _padding = input.take(4)?;
        let (mut received, mut sent) = (Traffic::default(), Traffic::default());
        for place in [
            &mut received.packets,
            &mut sent.packets,
            &mut received.bytes,
            &mut sent.bytes,
            &mut received.dropped,
            &mut sent.dropped,
            &mut received.errors,
            &mut sent.errors,
        ] {
            *place = counter(&mut input)?;
        }
        let _frame_overrun_and_crc_errors = input.take(24)?;
        let collisions = counter(&mut input)?;
        let (seconds, nanoseconds) = (input.u32()?, input.u32()?);
        ports.push(PortStats {
            number,
            received,
            sent,
            collisions,
            age: Duration::new(u64::from(seconds), nanoseconds),
        });
    }
    Ok(())
}

/// All bits are set where the switch does not count.
fn counter(input: &mut Input<'_>) -> Result<Option<u64>, Malformed> {
    Ok(Some(input.u64()?).filter(|count| *count != u64::MAX))
}

/// Reads the tables in one part of an answer (`ofp_table_stats`).
pub(crate) fn tables(content: &[u8], tables: &mut Vec<TableStats>) -> Result<(), Malformed> {
    let mut input = Input(content);
    while !input.is_empty() {
        let table = input.u8()?;
        let _padding = input.take(3)?;
        tables.push(TableStats {
            table,
            active: input.u32()?,
            lookups: input.u64()?,
            matched: input.u64()?,
        });
    }
    Ok(())
}

/// Reads the answer about flows together (`ofp_aggregate_stats_reply`).
pub(crate) fn totals(content: &[u8], totals: &mut Vec<FlowTotals>) -> Result<(), Malformed> {
    let mut input = Input(content);
    let (packets, bytes) = (input.u64()?, input.u64()?);
    totals.push(FlowTotals {
        flows: input.u32()?,
        packets,
        bytes,
    });
    Ok(())
}
