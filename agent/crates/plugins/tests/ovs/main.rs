//! Bridges, ports and uplinks on a real Open vSwitch with the userspace datapath, with `ovs-vsctl` and `ip`
//! as the witnesses.
#![allow(clippy::unwrap_used)]

mod bridges;
mod crash;
mod fixture;
mod ownership;
mod ports;
mod uplink;
mod weather;
