//! Thousands of flows.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::fixture::{carry_out, dump, planned, switch};

fn flows(count: u32) -> String {
    let mut text = String::from("{ br0: { flows: [");
    for number in 0..count {
        let address = std::net::Ipv4Addr::from(0x0b00_0000 + number);
        write!(
            text,
            "{{ match: {{ ip_dst: {address} }}, actions: [ {{ output: eth0 }} ] }}, "
        )
        .unwrap();
    }
    text + "] } }"
}

#[test]
fn ten_thousand_flows_cost_ten_times_a_thousand() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = switch(&machine);
    let idle = |count| {
        let flows = flows(count);
        let plan = planned(&ovs, &flows).unwrap();
        carry_out(&ovs, &plan).unwrap();
        assert_eq!(dump(&ovs).len(), 9 + count as usize);
        // The best of three: other tests run beside this one.
        let times = (0..3).map(|_| {
            let start = Instant::now();
            assert!(planned(&ovs, &flows).unwrap().is_empty());
            start.elapsed()
        });
        times.min().unwrap()
    };
    let (few, many) = (idle(1_000), idle(10_000));
    println!("nothing to do: {few:?} for 1,000 flows, {many:?} for 10,000");
    // A quadratic step anywhere would make it a hundred times as much.
    assert!(
        many < 30 * few.max(Duration::from_millis(20)),
        "{few:?} {many:?}"
    );
}
