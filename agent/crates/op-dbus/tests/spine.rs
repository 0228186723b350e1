//! The main job on real btrfs, Open vSwitch and LXC: declare, plan, apply, verify, undo.

#![allow(clippy::unwrap_used)]

mod rig;

use lab::run;
use rig::Rig;
use serde_json::json;

#[test]
fn one_subvolume_goes_from_the_declaration_to_the_ledger() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    let plan = rig.json(&["plan", "--detailed-exitcode"]).expect(4).json();
    // The base and the eight subvolumes.
    assert_eq!(plan["summary"]["create"], 9, "{plan:#}");
    let applied = rig.apply();
    assert_eq!(applied["outcome"], "applied");
    assert_eq!(applied["plan_hash"], plan["plan_hash"]);
    let listed = run("btrfs", &["subvolume", "list", rig.base.to_str().unwrap()]);
    for name in [
        "@cache",
        "@timing",
        "@vectors",
        "@state",
        "@snapshots",
        "@plugins",
        "@templates",
        "@containers",
    ] {
        assert!(listed.contains(name), "{listed}");
    }
    let property = run(
        "btrfs",
        &[
            "property",
            "get",
            rig.base.join("@cache").to_str().unwrap(),
            "compression",
        ],
    );
    assert!(property.contains("zstd"), "{property}");
    rig.json(&["plan", "--detailed-exitcode"]).expect(0);
    rig.assert_converged();

    let entries = rig.ledger(&[]);
    let operations: Vec<_> = entries
        .iter()
        .map(|entry| entry["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations[..2], ["genesis", "apply_begin"]);
    // The run's own record, then that of the call that asked for it.
    assert_eq!(
        operations[operations.len() - 2..],
        ["apply_end", "state_apply"]
    );
    assert_eq!(
        operations
            .iter()
            .filter(|o| **o == "subvolume_create")
            .count(),
        8
    );
    let cache = entries
        .iter()
        .find(|entry| entry["target"] == "@cache")
        .unwrap();
    assert_eq!(cache["metadata"]["actor"]["uid"], 0);
    assert_eq!(cache["metadata"]["actor"]["door"], "cli");
    assert_eq!(cache["metadata"]["run"], applied["run"]);
    assert_eq!(cache["metadata"]["plan_hash"], applied["plan_hash"]);
    assert!(cache["metadata"]["duration_ms"].is_u64());
    // A second apply writes nothing but its heartbeat.
    assert_eq!(rig.ledger(&[]).len(), entries.len());
    assert!(rig.base.join("@state/last-apply.json").exists());
}

#[test]
fn drift_is_seen_and_mended() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let cache = rig.base.join("@cache");
    run(
        "btrfs",
        &[
            "property",
            "set",
            cache.to_str().unwrap(),
            "compression",
            "",
        ],
    );
    let verified = rig.json(&["verify"]).expect(1).json();
    assert_eq!(verified["drift"][0]["resource"], "btrfs/@cache");
    rig.apply();
    rig.assert_converged();
}

#[test]
fn the_plan_that_was_shown_is_the_one_that_runs() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    rig.declare("");
    let text = std::fs::read_to_string(&rig.file).unwrap();
    let base = rig.base.display().to_string();
    std::fs::write(
        &rig.file,
        text.replace(
            &format!("{{base: {base}}}"),
            &format!("{{base: {base}, subvolumes: {{\"@extra\": {{compression: lzo}}}}}}"),
        ),
    )
    .unwrap();
    let hash = rig.json(&["plan"]).expect(0).json()["plan_hash"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.json(&["apply", "--plan", "0000000000000000"]).expect(3);
    // The machine moves: somebody makes it by hand.
    run(
        "btrfs",
        &[
            "subvolume",
            "create",
            rig.base.join("@extra").to_str().unwrap(),
        ],
    );
    rig.json(&["apply", "--plan", &hash]).expect(3);
    run(
        "btrfs",
        &[
            "subvolume",
            "delete",
            rig.base.join("@extra").to_str().unwrap(),
        ],
    );
    rig.json(&["apply", "--plan", &hash[..12]]).expect(0);
    rig.assert_converged();
    let calls = rig.ledger(&["--operation", "state_apply"]);
    let outcomes: Vec<_> = calls
        .iter()
        .map(|entry| entry["metadata"]["outcome"].as_str().unwrap())
        .collect();
    // The first is that of the rig.
    assert_eq!(
        outcomes,
        ["done", "refused", "refused", "done"],
        "{calls:#?}"
    );
}

#[test]
fn what_is_foreign_is_refused_and_data_is_only_destroyed_when_allowed() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    run(
        "btrfs",
        &[
            "subvolume",
            "create",
            rig.base.join("@mine").to_str().unwrap(),
        ],
    );
    std::fs::write(rig.base.join("@mine/file"), "precious").unwrap();
    let base = rig.base.display().to_string();
    let declare = |subvolumes: &str| {
        let text = format!(
            "version: 1\nplugins:\n  btrfs: {{base: {base}, subvolumes: {{{subvolumes}}}}}\n"
        );
        std::fs::write(&rig.file, text).unwrap();
    };
    rig.assert_converged();
    declare("\"@mine\": {}");
    let refused = rig.json(&["apply"]).expect(3).json();
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("adopt: true"),
        "{refused:#}"
    );
    declare("\"@mine\": {adopt: true}");
    rig.apply();
    rig.assert_converged();
    // Now it is ours: leaving it out of the declaration means to delete it, with all that is in it.
    declare("");
    let refused = rig.json(&["apply"]).expect(3).json();
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("--allow-destroy"),
        "{refused:#}"
    );
    assert!(rig.base.join("@mine/file").exists());
    rig.json(&["apply", "--allow-destroy"]).expect(0);
    assert!(!rig.base.join("@mine").exists());
    rig.assert_converged();
}

#[test]
fn a_house_of_bridge_tables_and_containers_stands() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[("web-01", 11), ("db-01", 21)]);
    let applied = rig.apply();
    assert_eq!(applied["outcome"], "applied", "{applied:#}");
    rig.assert_converged();
    // Independent witnesses.
    assert_eq!(
        rig.ovs()
            .vsctl(&["list-ports", "br0"])
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["sock_db-01", "sock_web-01"]
    );
    let flows = rig.ovs().ofctl(&["dump-flows", "br0"]);
    for part in [
        "goto_table:10",
        "goto_table:30",
        "table=20",
        "table=30",
        "nw_dst=10.7.0.11",
    ] {
        assert!(flows.contains(part), "{part}: {flows}");
    }
    assert!(run("ip", &["-4", "addr", "show", "br0"]).contains("10.7.0.1/24"));
    let path = rig.base.join("@containers");
    let state = run(
        "lxc-info",
        &["-P", path.to_str().unwrap(), "-n", "web-01", "-s"],
    );
    assert!(state.contains("RUNNING"), "{state}");
    // One container reaches another through the bridge.
    let ping = rig.exec("web-01", &["ping", "-c", "2", "-W", "5", "10.7.0.21"]);
    assert_eq!(ping.status, 0, "{ping:?}");
    let through = rig.ovs().ofctl(&["dump-flows", "br0", "table=10"]);
    let counted = through
        .lines()
        .any(|line| line.contains("nw_dst=10.7.0.21") && !line.contains("n_packets=0,"));
    assert!(counted, "{through}");
    // A flow that goes missing comes back.
    rig.ovs().ofctl(&["del-flows", "br0", "table=30"]);
    rig.json(&["verify"]).expect(1);
    rig.apply();
    rig.assert_converged();
    // And away again.
    rig.declare_house(&[("web-01", 11)]);
    rig.json(&["apply"]).expect(3);
    rig.json(&["apply", "--allow-destroy"]).expect(0);
    rig.assert_converged();
    assert_eq!(
        rig.ovs().vsctl(&["list-ports", "br0"]).trim(),
        "sock_web-01"
    );
    assert!(!path.join("db-01").exists());
}

#[test]
fn containers_are_made_run_and_removed_by_command() {
    let Some(rig) = Rig::with_lxc(1024) else {
        return;
    };
    rig.declare_house(&[]);
    rig.apply();
    rig.json(&[
        "container",
        "create",
        "web-01",
        "--template",
        "busybox",
        "--network",
        "socket",
        "--address",
        "10.7.0.11/24",
    ])
    .expect(0);
    let list = rig.json(&["container", "list"]).expect(0).json();
    assert_eq!(list["containers"][0]["name"], "web-01");
    assert_eq!(list["containers"][0]["state"]["running"], true);
    assert_eq!(list["containers"][0]["made_by"], "command");
    let query = |what: &str| rig.json(&["query", what]).expect(0).json();
    assert_eq!(query("containers"), query("lxc"));
    // It survives the next apply.
    rig.assert_converged();
    assert_eq!(
        rig.exec("web-01", &["hostname"]).expect(0).out.trim(),
        "web-01"
    );
    let show = || rig.json(&["container", "show", "web-01"]).expect(0).json();
    let uses = &show()["uses"];
    let memory = uses["memory_bytes"].as_u64().unwrap();
    assert!((4096..1 << 30).contains(&memory), "{uses}");
    assert!(uses["cpu_seconds"].as_f64() > Some(0.0), "{uses}");
    assert!(uses["tasks"].as_u64() >= Some(1), "{uses}");
    let shown = rig.run(&["container", "show", "web-01"]).expect(0).out;
    assert!(shown.contains("memory in use"), "{shown}");
    rig.json(&["container", "stop", "web-01"]).expect(0);
    let stopped = show();
    assert_eq!(
        (&stopped["state"]["running"], &stopped["uses"]),
        (&json!(false), &json!(null))
    );
    rig.assert_converged();
    rig.json(&["container", "start", "web-01"]).expect(0);
    // Twice the same is refused, unknown ones are explained, destroying needs a yes.
    rig.json(&["container", "create", "web-01", "--template", "busybox"])
        .expect(3);
    rig.json(&["container", "create", "web-02", "--template", "nonesuch"])
        .expect(2);
    rig.json(&["container", "show", "nobody"]).expect(2);
    rig.json(&["container", "destroy", "web-01"]).expect(3);
    assert!(rig.base.join("@containers/web-01").exists());
    rig.json(&["--yes", "container", "destroy", "web-01"])
        .expect(0);
    assert!(!rig.base.join("@containers/web-01").exists());
    rig.assert_converged();
    let kinds: Vec<_> = rig
        .ledger(&["--target", "web-01"])
        .iter()
        .map(|entry| {
            format!(
                "{} {}",
                entry["operation"].as_str().unwrap(),
                entry["metadata"]["outcome"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            // What a run changed, and then the call that asked for it.
            "container_create done",
            "container_create done",
            "container_update done",
            "container_stop done",
            "container_update done",
            "container_start done",
            "container_create refused",
            "container_destroy refused",
            "container_delete done",
            "container_destroy done",
        ]
    );
}

#[test]
fn query_shows_what_there_is() {
    let Some(rig) = Rig::whole(256) else { return };
    rig.declare_house(&[]);
    rig.json(&["query", "btrfs"]).expect(0);
    rig.apply();
    let all = rig.json(&["query"]).expect(0).json();
    assert_eq!(
        all["plugins"]["ovs"]["bridge:br0"]["owner"], "ours",
        "{all:#}"
    );
    assert_eq!(
        all["plugins"]["btrfs"]["@state"]["state"]["compression"],
        "zstd:1"
    );
    rig.json(&["query", "nonesuch"]).expect(2);
}
