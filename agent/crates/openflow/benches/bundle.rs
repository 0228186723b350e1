//! 10,000 flows as one bundle: this crate against `ovs-ofctl --bundle add-flows`, on one switch, in turn.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use openflow::{Action, Connection, Cookie, Flow, FlowFilter, FlowMod, Match, PortNo};

const FLOWS: u32 = 10_000;
const ROUNDS: usize = 15;

fn main() {
    let Some(machine) = lab::Machine::new("needs root") else {
        return;
    };
    let ovs = machine.ovs();
    let bridge = "add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure";
    ovs.vsctl(&bridge.split_whitespace().collect::<Vec<_>>());
    let socket = ovs.run_dir().join("br0.mgmt");
    let file = machine.dir().join("flows");
    std::fs::write(&file, text()).expect("flows");
    let file = file.to_str().expect("text");

    let (mut ours, mut theirs, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty(&socket);
        ours.push(timed(|| {
            let mut connection =
                Connection::connect(&socket, Duration::from_secs(10)).expect("connect");
            connection.bundle(&changes()).expect("bundle");
        }));
        reads.push(timed(|| assert_eq!(count(&socket), FLOWS as usize)));
        empty(&socket);
        theirs.push(timed(|| {
            install(&socket, file);
        }));
        assert_eq!(count(&socket), FLOWS as usize);
    }
    let (ours, theirs, reads) = (median(ours), median(theirs), median(reads));
    println!("openflow: {FLOWS} flows installed as one bundle: {ours:.1} ms");
    println!("openflow: the same by ovs-ofctl --bundle add-flows: {theirs:.1} ms");
    println!("openflow: ratio {:.2} (at most 1.2)", ours / theirs);
    println!("openflow: {FLOWS} flows read: {reads:.1} ms");
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

fn changes() -> Vec<FlowMod> {
    (0..FLOWS)
        .map(|number| {
            FlowMod::Add(Flow {
                priority: 100,
                matches: Match {
                    eth_type: Some(0x0800),
                    ipv4_dst: Some(address(number).into()),
                    ..Match::default()
                },
                actions: vec![
                    Action::SetEthDst([2, 0, 0, 0, 0, 1]),
                    Action::Output(PortNo(number % 1000 + 1)),
                ],
                ..Flow::default()
            })
        })
        .collect()
}

fn text() -> String {
    let mut text = String::new();
    for number in 0..FLOWS {
        let (address, port) = (address(number), number % 1000 + 1);
        let flow = format!(
            "priority=100,ip,nw_dst={address},actions=set_field:02:00:00:00:00:01->eth_dst,output:{port}"
        );
        writeln!(text, "{flow}").expect("text");
    }
    text
}

fn empty(socket: &std::path::Path) {
    let mut connection = Connection::connect(socket, Duration::from_secs(10)).expect("connect");
    let all = FlowMod::Delete {
        table: None,
        matches: Match::default(),
        cookie: Cookie::ANY,
    };
    connection.bundle(&[all]).expect("delete");
    assert_eq!(count(socket), 0);
}

fn count(socket: &std::path::Path) -> usize {
    let mut connection = Connection::connect(socket, Duration::from_secs(10)).expect("connect");
    let flows = connection.flows(&FlowFilter::default()).expect("flows");
    flows.len()
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1000.0
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn install(socket: &std::path::Path, file: &str) {
    let socket = format!("unix:{}", socket.display());
    let version = ["-O", "OpenFlow13", "--bundle"];
    lab::run(
        "ovs-ofctl",
        &[&version[..], &["add-flows", &socket, file]].concat(),
    );
}
