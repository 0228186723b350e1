//! Killed at any moment, an uplink's addresses are still somewhere, and the next run puts all right.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use reconcile::{Order, apply, plan, recover};
use serde_json::json;

use crate::fixture::{Nobody, Rig, plugins};
use crate::uplink::{BRIDGES, cable, holdings};

const RUN_DIR: &str = "OVS_CRASH_RUN_DIR";
const WANTED: &str = "OVS_CRASH_BRIDGES";

/// Carries out one declaration in a process that can be killed.
#[test]
#[ignore = "the other tests run it as a process of its own"]
fn victim() {
    let run_dir = PathBuf::from(std::env::var_os(RUN_DIR).unwrap());
    let plugins = plugins(&run_dir, &std::env::var(WANTED).unwrap());
    let order = Order {
        run: "victim".into(),
        actor: json!({}),
        window: None,
        journal: run_dir.join("journal"),
    };
    apply(&plugins, &plan(&plugins).unwrap(), &order, &Nobody).unwrap();
}

#[test]
fn a_move_that_is_killed_is_finished_or_undone() {
    let Some(rig) = Rig::new() else { return };
    cable();
    let before = holdings("eth0");
    let journal = rig.ovs.run_dir().join("journal");
    let mut cut_short = 0;
    for round in 0..40 {
        let wanted = if round % 2 == 0 { BRIDGES } else { "{}" };
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::victim", "--ignored", "--quiet"])
            .env(RUN_DIR, rig.ovs.run_dir())
            .env(WANTED, wanted)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Each time a little later; a whole run takes some 50 ms.
        std::thread::sleep(Duration::from_millis(4 + 2 * (round / 2)));
        victim.kill().unwrap();
        cut_short += u32::from(!victim.wait().unwrap().success());
        let addresses = [holdings("br0"), holdings("eth0")].concat();
        for address in ["192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"] {
            assert!(
                addresses.iter().any(|line| line.contains(address)),
                "{address} is gone in round {round}: {addresses:#?}"
            );
        }
        let plugins = rig.plugins(wanted);
        recover(&plugins, &journal, &Nobody).unwrap();
        rig.apply(wanted);
        let there = if round % 2 == 0 { "br0" } else { "eth0" };
        assert_eq!(holdings(there), before, "round {round}");
    }
    assert!(cut_short > 5, "only {cut_short} of 40 were cut short");
}
