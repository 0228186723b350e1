//! Bad weather: services that are away, disks that are full, runs that meet, ledgers that are broken.

#![allow(clippy::unwrap_used)]

mod rig;

use std::process::Stdio;

use lab::run;
use rig::Rig;

#[test]
fn a_base_that_is_not_on_btrfs_is_refused_with_the_ways_out() {
    let Some(rig) = Rig::storage(256) else { return };
    let plain = rig.machine.dir().join("plain");
    std::fs::create_dir(&plain).unwrap();
    run("mount", &["-t", "tmpfs", "none", plain.to_str().unwrap()]);
    std::fs::write(
        &rig.file,
        format!(
            "version: 1\nplugins:\n  btrfs: {{base: {}/base}}\n",
            plain.display()
        ),
    )
    .unwrap();
    let failed = rig.json(&["apply"]).expect(1).json();
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("btrfs") && message.contains("image"),
        "{message}"
    );
    run("umount", &[plain.to_str().unwrap()]);
}

#[test]
fn a_base_in_an_image_is_made_mounted_and_found_again_after_a_reboot() {
    let Some(rig) = Rig::storage(128) else { return };
    let dir = rig.machine.dir().to_owned();
    let base = dir.join("on-image");
    std::fs::write(&rig.file, format!("version: 1\nplugins:\n  btrfs: {{base: {{path: {}, image: {}/disk.img, size: 256MiB}}}}\n", base.display(), dir.display())).unwrap();
    assert_eq!(rig.apply()["outcome"], "applied");
    assert_eq!(
        run("stat", &["-f", "-c", "%T", base.to_str().unwrap()]).trim(),
        "btrfs"
    );
    let entries = rig.ledger(&[]).len();
    // A reboot unmounts.
    run("umount", &[base.to_str().unwrap()]);
    assert_eq!(rig.apply()["outcome"], "unchanged");
    assert_eq!(rig.ledger(&[]).len(), entries);
    run("umount", &[base.to_str().unwrap()]);
}

#[test]
fn an_absent_switch_is_explained_and_nothing_is_changed() {
    let Some(mut rig) = Rig::whole(256) else {
        return;
    };
    rig.declare_house(&[]);
    rig.ovs.as_mut().unwrap().kill_switch();
    rig.ovs.as_mut().unwrap().kill_database();
    let failed = rig.json(&["apply"]).expect(1).json();
    let message = failed["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("openvswitch-switch"), "{failed:#}");
    assert!(!rig.base.exists() || std::fs::read_dir(&rig.base).unwrap().next().is_none());
    rig.ovs.as_mut().unwrap().start_database();
    rig.ovs.as_mut().unwrap().start_switch();
    rig.apply();
    rig.assert_converged();
}

#[test]
fn a_switch_that_dies_in_the_middle_undoes_the_run() {
    let Some(mut rig) = Rig::whole(256) else {
        return;
    };
    rig.declare("");
    rig.apply();
    rig.declare_house(&[]);
    // The database answers, and nobody realises what it is told.
    rig.ovs.as_mut().unwrap().kill_switch();
    let failed = rig.json(&["apply"]).expect(1).json();
    assert_eq!(failed["outcome"], "rolled-back", "{failed:#}");
    assert_eq!(rig.ovs().vsctl(&["--no-wait", "list-br"]).trim(), "");
    assert!(!rig.base.join("@templates/busybox").exists());
    rig.ovs.as_mut().unwrap().start_switch();
    rig.apply();
    rig.assert_converged();
    let endings = rig.ledger(&["--operation", "apply_rolled_back"]);
    assert_eq!(endings.len(), 1);
}

#[test]
fn a_database_that_restarts_is_found_again() {
    let Some(mut rig) = Rig::whole(256) else {
        return;
    };
    rig.declare_house(&[]);
    rig.apply();
    rig.ovs.as_mut().unwrap().kill_database();
    rig.ovs.as_mut().unwrap().start_database();
    rig.assert_converged();
}

#[test]
fn a_foreign_bridge_of_our_name_is_left_alone() {
    let Some(rig) = Rig::whole(256) else { return };
    rig.ovs().vsctl(&[
        "add-br",
        "br0",
        "--",
        "set",
        "bridge",
        "br0",
        "datapath_type=netdev",
    ]);
    rig.declare_house(&[]);
    let before = rig.ovs().vsctl(&["list", "bridge", "br0"]);
    let refused = rig.json(&["apply"]).expect(3).json();
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("ovs/bridge:br0"),
        "{refused:#}"
    );
    assert_eq!(rig.ovs().vsctl(&["list", "bridge", "br0"]), before);
}

#[test]
fn a_full_disk_in_the_middle_leaves_the_machine_as_it_was() {
    let Some(rig) = Rig::with_lxc(128) else {
        return;
    };
    rig.declare("");
    rig.apply();
    let before = run("btrfs", &["subvolume", "list", rig.base.to_str().unwrap()]);
    // Fill it until nothing more goes in, then leave less than a template needs.
    let fill = rig.base.join("fill");
    let mut file = std::fs::File::create(&fill).unwrap();
    let noise: Vec<u8> = (0..1_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    while std::io::Write::write_all(&mut file, &noise)
        .and_then(|()| file.sync_data())
        .is_ok()
    {}
    drop(file);
    rig.declare_house(&[("web-01", 11)]);
    let failed = rig.json(&["apply"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    std::fs::remove_file(&fill).unwrap();
    run("btrfs", &["filesystem", "sync", rig.base.to_str().unwrap()]);
    let names = |list: &str| {
        let mut names: Vec<_> = list
            .lines()
            .filter_map(|line| line.rsplit(' ').next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    let after = run("btrfs", &["subvolume", "list", rig.base.to_str().unwrap()]);
    assert_eq!(names(&after), names(&before));
    assert_eq!(rig.ovs().bridges(), "");
    let applied = rig.apply();
    assert!(
        applied["outcome"] == "applied" || applied["outcome"] == "recovered",
        "{applied:#}"
    );
    rig.assert_converged();
}

#[test]
fn two_applies_at_once_are_one_after_the_other() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let lock = std::fs::File::open(rig.beside(".lock")).unwrap();
    lock.lock().unwrap();
    let refused = rig.json(&["apply"]).expect(3).json();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("process ") && message.contains("apply"),
        "{message}"
    );
    lock.unlock().unwrap();
    rig.assert_converged();
    // Really at once: one of them works, the others are told so, and all is well after.
    let base = rig.base.display().to_string();
    std::fs::write(&rig.file, format!("version: 1\nplugins:\n  btrfs: {{base: {base}, subvolumes: {{\"@x\": {{}}, \"@y\": {{}}}}}}\n")).unwrap();
    let children: Vec<_> = (0..6)
        .map(|_| {
            rig.command(&["apply"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let statuses: Vec<_> = children
        .into_iter()
        .map(|mut child| child.wait().unwrap().code())
        .collect();
    assert!(statuses.contains(&Some(0)), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| matches!(status, Some(0 | 3))),
        "{statuses:?}"
    );
    rig.assert_converged();
}

#[test]
fn a_corrupted_ledger_stops_everything_and_is_not_touched() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let path = rig.base.join("@timing/blockchain.db");
    std::fs::write(
        &path,
        b"this is no database, and was never one, whatever anybody says of it",
    )
    .unwrap();
    let _ = std::fs::remove_file(rig.base.join("@timing/blockchain.db-wal"));
    let base = rig.base.display().to_string();
    std::fs::write(
        &rig.file,
        format!("version: 1\nplugins:\n  btrfs: {{base: {base}, subvolumes: {{\"@x\": {{}}}}}}\n"),
    )
    .unwrap();
    let failed = rig.json(&["apply"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(failed.out.contains("blockchain.db"), "{failed:?}");
    assert!(!rig.base.join("@x").exists());
    assert!(
        std::fs::read(&path)
            .unwrap()
            .starts_with(b"this is no database")
    );
}

#[test]
fn an_edited_ledger_is_found() {
    let Some(rig) = Rig::storage(256) else { return };
    rig.declare("");
    rig.apply();
    let head = rig.json(&["ledger", "verify"]).expect(0).json()["head"]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.json(&["ledger", "verify", "--expect-head", &head])
        .expect(0);
    let path = rig.base.join("@timing/blockchain.db");
    run(
        "python3",
        &[
            "-c",
            "import sqlite3,sys\nd=sqlite3.connect(sys.argv[1])\nd.execute(\"update operations set target='@nothing' where target='@cache'\")\nd.commit()",
            path.to_str().unwrap(),
        ],
    );
    let found = rig.json(&["ledger", "verify"]).expect(1).json();
    assert_eq!(found["valid"], false);
    assert!(found["first_bad"]["id"].is_u64(), "{found:#}");
    rig.json(&["ledger", "show", "1"]).expect(0);
}
