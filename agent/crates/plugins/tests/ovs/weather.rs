//! A switch or a database that dies, and a datapath that is not there.

use std::time::{Duration, Instant};

use reconcile::{Direction, Outcome, plan};

use crate::fixture::Rig;

#[test]
fn the_kernel_datapath_is_refused_with_the_remedy_where_it_is_not_there() {
    if std::path::Path::new("/sys/module/openvswitch").exists() {
        return lab::skip("this kernel has the Open vSwitch module");
    }
    let Some(rig) = Rig::new() else { return };
    let Outcome::RolledBack { error, undo_errors } = rig.try_apply("{br0: {datapath: system}}")
    else {
        panic!()
    };
    assert!(error.contains("datapath: netdev"), "{error}");
    assert!(undo_errors.is_empty(), "{undo_errors:?}");
    assert_eq!(rig.ovs.bridges(), "");
}

#[test]
fn a_switch_that_is_away_is_explained_in_time() {
    let Some(mut rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev}}");
    rig.ovs.kill_switch();
    rig.ovs.kill_database();
    let error = plan(&rig.plugins("{br0: {datapath: netdev}}"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("systemctl start openvswitch-switch"),
        "{error}"
    );
    rig.ovs.start_database();
    rig.ovs.start_switch();
    rig.apply("{br0: {datapath: netdev}}");
}

#[test]
fn a_switch_that_dies_fails_the_apply_in_time_and_nothing_stays() {
    let Some(mut rig) = Rig::new() else { return };
    rig.apply("{br0: {datapath: netdev}}");
    let before = rig
        .ovs
        .vsctl(&["--columns=name,ports,external_ids", "list", "bridge"]);
    rig.ovs.kill_switch();
    // The database still says that all is well.
    let seen = rig.plan("{br0: {datapath: netdev}}");
    assert_eq!(seen.len(), 1, "{seen:#?}");
    let start = Instant::now();
    let outcome = rig.try_apply("{br0: {datapath: netdev, ports: {int0: {type: internal}}}}");
    let Outcome::RolledBack { error, undo_errors } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        error.contains("systemctl status openvswitch-switch"),
        "{error}"
    );
    assert!(undo_errors.is_empty(), "{undo_errors:?}");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
    let after = rig
        .ovs
        .vsctl(&["--columns=name,ports,external_ids", "list", "bridge"]);
    assert_eq!(after, before);
    // What the dead one has left does not stay when its bridge goes.
    assert!(!rig.link("br0").is_empty());
    rig.carry_out(&rig.plan("{}"), Direction::Undo);
    assert!(rig.link("br0").is_empty());
    rig.ovs.start_switch();
    rig.apply("{br0: {datapath: netdev, ports: {int0: {type: internal}}}}");
}

#[test]
fn a_database_that_restarts_under_way_costs_at_most_a_run() {
    let Some(mut rig) = Rig::new() else { return };
    let one =
        "{br0: {datapath: netdev, addresses: [10.1.0.1/24], ports: {int0: {type: internal}}}}";
    for round in 0..4 {
        let bridges = if round % 2 == 0 { one } else { "{}" };
        let plugins = rig.plugins(bridges);
        let planned = plan(&plugins).unwrap();
        let order = reconcile::Order {
            run: format!("round-{round}"),
            actor: serde_json::json!({}),
            window: None,
            journal: rig.journal(),
        };
        std::thread::scope(|scope| {
            let run = scope
                .spawn(|| reconcile::apply(&plugins, &planned, &order, &crate::fixture::Nobody));
            std::thread::sleep(Duration::from_millis(round * 8));
            rig.ovs.kill_database();
            rig.ovs.start_database();
            run.join().unwrap().unwrap();
        });
        reconcile::recover(&plugins, &rig.journal(), &crate::fixture::Nobody).unwrap();
        rig.apply(bridges);
    }
}
