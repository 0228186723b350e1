//! Plugins as streams: from one host to another, and hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rig;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use lab::{run, text};
use rig::{Ended, Rig};
use serde_json::Value;

const PLUGIN: &str = include_str!("../../plugins/src/derived/builtin/networkmanager/plugin.toml");
const MAPPING: &str =
    include_str!("../../plugins/src/derived/builtin/networkmanager/semantic-mapping.toml");

/// Puts the files of a plugin into a new subvolume.
fn fill(place: &Path, name: &str) {
    btrfs::create(place).unwrap();
    let plugin = PLUGIN.replace("networkmanager", name);
    fs::write(place.join("plugin.toml"), plugin).unwrap();
    fs::write(place.join("semantic-mapping.toml"), MAPPING).unwrap();
    fs::create_dir(place.join("state")).unwrap();
    fs::write(place.join("state/kept"), "what it keeps").unwrap();
}

fn host() -> Option<Rig> {
    let rig = Rig::storage(256)?;
    rig.declare("");
    rig.apply();
    Some(rig)
}

/// Nothing of an import is left.
#[track_caller]
fn assert_clean(rig: &Rig) {
    for directory in ["@snapshots", "@plugins"] {
        let mut names = lab::names(&rig.base.join(directory));
        names.retain(|name| name.starts_with('.'));
        assert_eq!(names, [""; 0], "{directory}");
    }
}

#[test]
fn a_plugin_goes_from_one_host_to_another_and_is_disabled_there() {
    let Some(rig) = host() else {
        return;
    };
    let plugins = rig.base.join("@plugins");
    fill(&plugins.join("links"), "links");
    let stream = rig.machine.dir().join("links.stream");
    let exported = rig
        .json(&["plugin", "export", "links", text(&stream)])
        .expect(0)
        .json();
    let snapshot = PathBuf::from(exported["snapshot"].as_str().unwrap());
    let name = snapshot.file_name().unwrap().to_str().unwrap();
    let day = name.strip_prefix("plugin-links-").unwrap();
    assert!(
        day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()),
        "{name}"
    );
    assert!(btrfs::info(&snapshot).unwrap().read_only);
    // It is as it was: the same snapshot. Another day's content: another one.
    let again = rig.json(&["plugin", "export", "links"]).expect(0).json();
    assert_eq!(again["outcome"], "unchanged", "{again:#}");
    fs::write(plugins.join("links/state/kept"), "more").unwrap();
    let changed = rig.json(&["plugin", "export", "links"]).expect(0).json();
    assert_eq!(
        changed["snapshot"].as_str().unwrap(),
        format!("{}-2", text(&snapshot))
    );

    // The program of btrfs takes the stream too.
    let check = rig.machine.dir().join("btrfs/check");
    fs::create_dir(&check).unwrap();
    run(
        "btrfs",
        &["receive", "-q", "-f", text(&stream), text(&check)],
    );

    // On this host the name is taken; nothing is lost without a word.
    let taken = rig.run(&["plugin", "import", text(&stream)]).expect(3);
    assert!(taken.err.contains("--replace"), "{taken:?}");
    let refused = rig
        .run(&["plugin", "import", "--replace", text(&stream)])
        .expect(3);
    assert!(refused.err.contains("--yes"), "{refused:?}");
    let entry = rig.ledger(&[]).pop().unwrap();
    assert_eq!(entry["metadata"]["outcome"], "refused", "{entry:#}");
    let replaced = rig
        .run(&["--yes", "plugin", "import", "--replace", text(&stream)])
        .expect(0);
    assert!(replaced.out.contains("enables nothing"), "{replaced:?}");
    assert_eq!(
        fs::read_to_string(plugins.join("links/state/kept")).unwrap(),
        "what it keeps"
    );
    assert_clean(&rig);

    // The other host has none of that name.
    btrfs::delete_recursive(plugins.join("links")).unwrap();
    let nothing = rig
        .run(&["--yes", "plugin", "import", "--replace", text(&stream)])
        .expect(2);
    assert!(nothing.err.contains("leave out --replace"), "{nothing:?}");
    let planned = rig
        .run(&["plugin", "import", "--dry-run", text(&stream)])
        .expect(0);
    assert!(planned.out.contains("would create links"), "{planned:?}");
    assert!(!plugins.join("links").exists());
    let bytes = fs::read(&stream).unwrap();
    fs::create_dir_all("/run/op-dbus").unwrap();
    let mut command = rig.command(&["--json", "plugin", "import", "-"]);
    // The daemon's unit may have a /tmp of its own.
    command.env("TMPDIR", "/nonexistent");
    Ended::from(lab::feed(&mut command, &bytes)).expect(0);
    let list = rig.json(&["plugin", "list"]).expect(0).json();
    let plugins = list["plugins"].as_array().unwrap();
    let links = plugins
        .iter()
        .find(|plugin| plugin["name"] == "links")
        .unwrap();
    assert_eq!(
        (&links["enabled"], &links["problem"]),
        (&Value::Bool(false), &Value::Null),
        "{links:#}"
    );
    let entries = rig.ledger(&["--operation", "plugin_import"]);
    assert_eq!(entries.last().unwrap()["metadata"]["outcome"], "done");
    assert_clean(&rig);
}

#[test]
fn a_hostile_plugin_is_refused_whole() {
    if !lab::has("setcap") {
        lab::skip("needs libcap2-bin");
        return;
    }
    let Some(rig) = host() else {
        return;
    };
    let root = rig.machine.dir().join("btrfs");
    type Harm = fn(&Path);
    let cases: [(&str, Harm, &str); 13] = [
        (
            "device",
            |at| drop(run("mknod", &[text(&at.join("x")), "b", "7", "0"])),
            "device node",
        ),
        (
            "fifo",
            |at| drop(run("mkfifo", &[text(&at.join("x"))])),
            "named pipe",
        ),
        (
            "setuid",
            |at| {
                fs::write(at.join("x"), "").unwrap();
                fs::set_permissions(at.join("x"), fs::Permissions::from_mode(0o4755)).unwrap();
            },
            "setuid",
        ),
        (
            "setgid",
            |at| fs::set_permissions(at.join("state"), fs::Permissions::from_mode(0o2755)).unwrap(),
            "setuid or setgid",
        ),
        (
            "capable",
            |at| {
                fs::copy("/bin/true", at.join("x")).unwrap();
                run("setcap", &["cap_net_admin+ep", text(&at.join("x"))]);
            },
            "has capabilities",
        ),
        (
            "foreign",
            |at| drop(run("chown", &["1:1", text(&at.join("state/kept"))])),
            "does not belong to root",
        ),
        (
            "absolute",
            |at| symlink("/etc/shadow", at.join("x")).unwrap(),
            "leaves the plugin",
        ),
        (
            "above",
            |at| symlink("../../../etc", at.join("state/x")).unwrap(),
            "leaves the plugin",
        ),
        (
            "linked",
            |at| {
                fs::rename(at.join("plugin.toml"), at.join("p")).unwrap();
                symlink("p", at.join("plugin.toml")).unwrap();
            },
            "symbolic link",
        ),
        (
            "nameless",
            |at| fs::remove_file(at.join("plugin.toml")).unwrap(),
            "plugin.toml",
        ),
        (
            "wrong",
            |at| fs::write(at.join("semantic-mapping.toml"), "nonsense = [").unwrap(),
            "semantic-mapping.toml",
        ),
        (
            "native",
            |at| {
                let plugin = PLUGIN.replace("networkmanager", "openflow");
                fs::write(at.join("plugin.toml"), plugin).unwrap();
            },
            "openflow",
        ),
        (
            "upward",
            |at| {
                let plugin = PLUGIN.replace("name = \"networkmanager\"", "name = \"../../etc\"");
                fs::write(at.join("plugin.toml"), plugin).unwrap();
            },
            "name",
        ),
    ];
    for (name, harm, error) in cases {
        let (place, kept) = (
            root.join("made"),
            root.join(format!("plugin-{name}-20260101")),
        );
        fill(&place, "harmful");
        harm(&place);
        btrfs::snapshot(&place, &kept, true).unwrap();
        let stream = rig.machine.dir().join("stream");
        run("btrfs", &["send", "-q", "-f", text(&stream), text(&kept)]);
        btrfs::delete_recursive(&place).unwrap();
        btrfs::delete_recursive(&kept).unwrap();
        let ended = rig.run(&["plugin", "import", text(&stream)]);
        assert_ne!(ended.status, 0, "{name}");
        assert!(ended.err.contains(error), "{name}: {ended:?}");
        assert_eq!(
            fs::read_dir(rig.base.join("@plugins")).unwrap().count(),
            0,
            "{name}"
        );
        assert_clean(&rig);
        fs::remove_file(&stream).unwrap();
    }
}

#[test]
fn what_is_no_stream_of_a_whole_plugin_is_refused() {
    let Some(rig) = host() else {
        return;
    };
    let root = rig.machine.dir().join("btrfs");
    fill(&root.join("made"), "links");
    let (one, two) = (root.join("plugin-links-1"), root.join("plugin-links-2"));
    btrfs::snapshot(root.join("made"), &one, true).unwrap();
    btrfs::snapshot(root.join("made"), &two, true).unwrap();
    let at = |name: &str| rig.machine.dir().join(name);
    let (whole, further) = (at("whole"), at("further"));
    run("btrfs", &["send", "-q", "-f", text(&whole), text(&one)]);
    run(
        "btrfs",
        &[
            "send",
            "-q",
            "-f",
            text(&further),
            "-p",
            text(&one),
            text(&two),
        ],
    );
    let bytes = fs::read(&whole).unwrap();
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(at("flipped"), flipped).unwrap();
    fs::write(at("cut"), &bytes[..middle]).unwrap();
    fs::write(at("none"), "#!/bin/sh\n").unwrap();
    fs::write(at("twice"), [bytes.clone(), bytes].concat()).unwrap();
    run("mkfifo", &[text(&at("pipe"))]);
    symlink(&whole, at("link")).unwrap();
    for (file, error) in [
        ("further", "builds on another one"),
        ("flipped", "btrfs receive failed"),
        ("cut", "ends before its end"),
        ("none", "not a btrfs send stream"),
        ("twice", "something follows its end"),
        ("pipe", "is no file"),
        ("link", "cannot read"),
        ("gone", "cannot read"),
    ] {
        let ended = rig.run(&["plugin", "import", text(&at(file))]);
        assert_ne!(ended.status, 0, "{file}");
        assert!(ended.err.contains(error), "{file}: {ended:?}");
        assert_eq!(
            fs::read_dir(rig.base.join("@plugins")).unwrap().count(),
            0,
            "{file}"
        );
        assert_clean(&rig);
    }
    let missing = rig.run(&["plugin", "export", "nowhere"]).expect(2);
    assert!(missing.err.contains("there is no plugin"), "{missing:?}");
    let built_in = rig.run(&["plugin", "export", "networkmanager"]);
    assert!(
        built_in.err.contains("comes with the agent"),
        "{built_in:?}"
    );
}
