//! OpenFlow 1.3 on the wire (ONF TS-006, OpenFlow Switch Specification 1.3.0, §7).

pub(crate) mod action;
pub(crate) mod bundle;
pub(crate) mod counters;
pub(crate) mod flow_mod;
pub(crate) mod flow_monitor;
pub(crate) mod flow_stats;
pub(crate) mod multipart;
pub(crate) mod oxm;
pub(crate) mod session;
#[cfg(test)]
mod tests;

/// The version in each header.
pub(crate) const VERSION: u8 = 4;

/// Types of messages (`ofp_type`).
pub(crate) const HELLO: u8 = 0;
pub(crate) const ERROR: u8 = 1;
pub(crate) const ECHO_REQUEST: u8 = 2;
pub(crate) const ECHO_REPLY: u8 = 3;
pub(crate) const EXPERIMENTER: u8 = 4;
pub(crate) const FEATURES_REQUEST: u8 = 5;
pub(crate) const FEATURES_REPLY: u8 = 6;
pub(crate) const FLOW_MOD: u8 = 14;
pub(crate) const MULTIPART_REQUEST: u8 = 18;
pub(crate) const MULTIPART_REPLY: u8 = 19;
pub(crate) const BARRIER_REQUEST: u8 = 20;
pub(crate) const BARRIER_REPLY: u8 = 21;

/// The experimenter id of the ONF, for its extensions.
pub(crate) const ONF: u32 = 0x4f4e_4600;
