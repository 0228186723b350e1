//! The plugin `btrfs` under the engine on real file systems, with the `btrfs` program as the witness.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use declaration::{Compression, Declaration, Subvolume};
use lab::{Machine, run};
use plugins::{BtrfsPlugin, mark};
use reconcile::{
    Change, Context, Desired, Direction, Key, Observed, Order, Outcome, Plan, PlanError, Plugin,
    PluginError, Record, Verb, Witness,
};
use serde_json::{Value, json};

const ZSTD: Option<Compression> = Some(Compression::Zstd(Some(3)));
const LZO: Option<Compression> = Some(Compression::Lzo);

/// A declaration of nothing but a base and subvolumes.
fn declare(base: &Path, subvolumes: &[(&str, Option<Compression>)]) -> Declaration {
    let mut declaration = Declaration::default();
    let section = &mut declaration.plugins.btrfs;
    section.base.path = base.to_owned();
    section.subvolumes = subvolumes
        .iter()
        .map(|(name, compression)| {
            let subvolume = Subvolume {
                compression: *compression,
                adopt: false,
            };
            (name.parse().unwrap(), subvolume)
        })
        .collect();
    declaration
}

fn adopting(mut declaration: Declaration) -> Declaration {
    for subvolume in declaration.plugins.btrfs.subvolumes.values_mut() {
        subvolume.adopt = true;
    }
    declaration
}

fn with_image(base: &Path, image: &Path, size: &str) -> Declaration {
    let mut declaration = declare(base, &[("@a", ZSTD)]);
    let section = &mut declaration.plugins.btrfs;
    section.base.image = Some(image.to_owned());
    section.base.size = Some(size.parse().unwrap());
    declaration
}

fn plugin(declaration: &Declaration) -> Vec<Box<dyn Plugin>> {
    vec![Box::new(BtrfsPlugin::new(declaration))]
}

fn plan(declaration: &Declaration) -> Result<Plan, PlanError> {
    reconcile::plan(&plugin(declaration))
}

/// `verb resource` of each change, with `!` after those that destroy.
fn steps(plan: &Plan) -> Vec<String> {
    let step = |change: &Change| {
        let warning = if change.destroys { "!" } else { "" };
        format!("{} {}{warning}", change.verb, change.resource)
    };
    plan.changes.iter().map(step).collect()
}

/// A ledger that forgets.
struct Nobody;

impl Witness for Nobody {
    fn hear(
        &self,
        _: &str,
        _: u64,
        _: &Record,
        _: &[Change],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }

    fn settled(&self) -> bool {
        true
    }
}

fn carry_out(machine: &Machine, plugins: &[Box<dyn Plugin>], plan: &Plan) -> Outcome {
    let order = Order {
        run: "r1".to_owned(),
        actor: Value::Null,
        window: None,
        journal: machine.dir().join("journal"),
    };
    reconcile::apply(plugins, plan, &order, &Nobody)
        .unwrap()
        .outcome
}

/// Applies a declaration and checks that nothing is left to do.
fn apply(machine: &Machine, declaration: &Declaration) {
    let plugins = plugin(declaration);
    let plan = reconcile::plan(&plugins).unwrap();
    assert_eq!(carry_out(machine, &plugins, &plan), Outcome::Applied);
    assert_eq!(steps(&crate::plan(declaration).unwrap()), [""; 0]);
}

/// Applies a declaration in a run that fails after all of its changes were made.
fn apply_and_fail(machine: &Machine, declaration: &Declaration) {
    let mut plugins = plugin(declaration);
    plugins.push(Box::new(NeverThere));
    let plan = reconcile::plan(&plugins).unwrap();
    match carry_out(machine, &plugins, &plan) {
        Outcome::RolledBack { undo_errors, .. } => assert_eq!(undo_errors, [""; 0]),
        outcome => panic!("{outcome:?}"),
    }
}

/// A resource that can be made and is never seen: its run fails at the end.
struct NeverThere;

impl Plugin for NeverThere {
    fn name(&self) -> &'static str {
        "never"
    }

    fn desired(&self) -> BTreeMap<String, Desired> {
        BTreeMap::from([("there".to_owned(), Desired::ours(json!({})))])
    }

    fn observe(&self) -> Result<BTreeMap<String, Observed>, PluginError> {
        Ok(BTreeMap::new())
    }

    fn requires(&self, _: &str, _: &Value) -> Vec<Key> {
        Vec::new()
    }

    fn apply(&self, _: &[&Change], _: &Context<'_>) -> Result<(), PluginError> {
        Ok(())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What `btrfs` says of the compression.
fn property(path: &Path) -> String {
    run("btrfs", &["property", "get", text(path), "compression"])
        .trim()
        .trim_start_matches("compression=")
        .to_owned()
}

fn uuid(path: &Path) -> String {
    btrfs::info(path).unwrap().uuid.unwrap().to_string()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn refusal(declaration: &Declaration) -> String {
    match plan(declaration) {
        Err(PlanError::Refused(list)) => list.iter().map(|one| format!("{one:?}\n")).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_standard_subvolumes_are_made_and_the_second_apply_has_nothing_to_do() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(256).join("deep/op-dbus");
    let mut declaration = Declaration::default();
    declaration.plugins.btrfs.base.path = base.clone();
    assert_eq!(declaration.plugins.btrfs.subvolumes.len(), 8);
    apply(&machine, &declaration);

    run("btrfs", &["subvolume", "show", text(&base)]);
    assert_eq!(mode(&base), 0o755);
    for (name, subvolume) in &declaration.plugins.btrfs.subvolumes {
        let path = base.join(name.as_str());
        run("btrfs", &["subvolume", "show", text(&path)]);
        let wanted = subvolume.compression.unwrap().to_string();
        assert_eq!(property(&path), wanted);
        let expected = match name.as_str() {
            "@containers" => 0o711,
            _ => 0o700,
        };
        assert_eq!(mode(&path), expected, "{name}");
    }
    assert_eq!(names(&base).len(), 8);
}

#[test]
fn a_property_that_was_changed_by_hand_is_mended() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let declaration = declare(&base, &[("@a", ZSTD), ("@b", None)]);
    apply(&machine, &declaration);
    let path = base.join("@a");
    run(
        "btrfs",
        &["property", "set", text(&path), "compression", "lzo"],
    );
    run(
        "btrfs",
        &[
            "property",
            "set",
            text(&base.join("@b")),
            "compression",
            "no",
        ],
    );
    let drift = plan(&declaration).unwrap();
    assert_eq!(steps(&drift), ["update @a", "update @b"]);
    assert_eq!(drift.changes[0].before, json!({"compression": "lzo"}));
    assert_eq!(drift.changes[1].before, json!({"compression": "none"}));
    apply(&machine, &declaration);
    assert_eq!(property(&path), "zstd:3");
    assert_eq!(property(&base.join("@b")), "");
}

#[test]
fn a_base_that_is_not_on_btrfs_is_refused_with_the_ways_out() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.dir().join("base");
    let error = plan(&declare(&base, &[])).unwrap_err().to_string();
    for word in ["not on btrfs", "image:", "mkfs.btrfs", "--base DIR"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!base.exists());
}

#[test]
fn what_is_foreign_is_never_touched() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let both = declare(&base, &[("@a", ZSTD), ("@b", ZSTD)]);
    apply(&machine, &both);
    fs::write(base.join("@a/file"), "data").unwrap();

    // Made by hand, snapshot of ours, ours under another name, received copy.
    run("btrfs", &["subvolume", "create", text(&base.join("@mine"))]);
    run(
        "btrfs",
        &[
            "subvolume",
            "snapshot",
            text(&base.join("@a")),
            text(&base.join("@a-backup")),
        ],
    );
    fs::rename(base.join("@b"), base.join("@b.old")).unwrap();
    let (sent, stream) = (base.join("sent"), machine.dir().join("stream"));
    run(
        "btrfs",
        &[
            "subvolume",
            "snapshot",
            "-r",
            text(&base.join("@a")),
            text(&sent),
        ],
    );
    run("btrfs", &["send", "-q", "-f", text(&stream), text(&sent)]);
    fs::rename(&sent, base.join("@sent")).unwrap();
    run("btrfs", &["receive", "-f", text(&stream), text(&base)]);
    fs::rename(&sent, base.join("@received")).unwrap();
    fs::create_dir(base.join("@directory")).unwrap();
    fs::write(base.join("@file"), "").unwrap();
    fs::write(base.join("@file with spaces"), "").unwrap();
    let before = names(&base);

    assert_eq!(
        steps(&plan(&declare(&base, &[("@a", ZSTD)])).unwrap()),
        [""; 0]
    );
    apply(&machine, &declare(&base, &[]));
    let mut after = before.clone();
    after.retain(|name| name != "@a");
    assert_eq!(names(&base), after);
    assert_eq!(
        fs::read_to_string(base.join("@a-backup/file")).unwrap(),
        "data"
    );
}

#[test]
fn a_foreign_subvolume_is_taken_over_only_when_asked() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[]));
    let path = base.join("@a");
    run("btrfs", &["subvolume", "create", text(&path)]);
    fs::write(path.join("file"), "data").unwrap();

    let declaration = declare(&base, &[("@a", ZSTD)]);
    assert!(refusal(&declaration).contains("adopt"));
    assert_eq!(property(&path), "");

    let (uuid_before, mode_before) = (uuid(&path), mode(&path));
    apply_and_fail(&machine, &adopting(declaration.clone()));
    assert_eq!(property(&path), "");
    assert_eq!(mark::read(&path).unwrap(), None);

    apply(&machine, &adopting(declaration.clone()));
    assert_eq!(property(&path), "zstd:3");
    assert_eq!((uuid(&path), mode(&path)), (uuid_before, mode_before));
    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "data");
    // From now on it is ours, asked or not.
    assert_eq!(steps(&plan(&declaration).unwrap()), [""; 0]);
}

#[test]
fn what_is_no_subvolume_cannot_be_taken_over() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[]));
    let path = base.join("@a");
    for kind in ["directory", "file", "symbolic link"] {
        match kind {
            "directory" => fs::create_dir(&path).unwrap(),
            "file" => fs::write(&path, "data").unwrap(),
            _ => symlink("elsewhere", &path).unwrap(),
        }
        let declaration = declare(&base, &[("@a", ZSTD)]);
        assert!(refusal(&declaration).contains("not ours"));
        let reason = refusal(&adopting(declaration));
        assert!(
            reason.contains(kind) && reason.contains("move it away"),
            "{reason}"
        );
        fs::rename(&path, base.join(kind)).unwrap();
    }
    assert_eq!(names(&base), ["directory", "file", "symbolic link"]);
}

#[test]
fn deleting_what_is_not_empty_counts_as_destroying() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(
        &machine,
        &declare(&base, &[("@empty", None), ("@full", None)]),
    );
    let nested = base.join("@full/nested");
    run("btrfs", &["subvolume", "create", text(&nested)]);
    fs::write(nested.join("file"), "data").unwrap();

    let nothing = declare(&base, &[]);
    assert_eq!(
        steps(&plan(&nothing).unwrap()),
        ["delete @empty", "delete @full!"]
    );
    apply(&machine, &nothing);
    assert_eq!(names(&base), [""; 0]);
    run("btrfs", &["filesystem", "sync", text(&base)]);
    assert_eq!(run("btrfs", &["subvolume", "list", text(&base)]), "");
}

#[test]
fn what_was_empty_when_planned_and_is_not_any_more_stays() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[("@a", None)]));
    let plugins = plugin(&declare(&base, &[]));
    let plan = reconcile::plan(&plugins).unwrap();
    fs::write(base.join("@a/file"), "data").unwrap();
    match carry_out(&machine, &plugins, &plan) {
        Outcome::RolledBack { error, undo_errors } => {
            assert!(error.contains("plan again"), "{error}");
            assert_eq!(undo_errors, [""; 0]);
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");
}

#[test]
fn a_failed_run_leaves_everything_as_it_was() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let before = declare(&base, &[("@gone", None), ("@kept", LZO)]);
    apply(&machine, &before);
    let gone = base.join("@gone");
    fs::write(gone.join("file"), "data").unwrap();
    let was = uuid(&gone);

    let after = declare(&base, &[("@kept", ZSTD), ("@new", ZSTD)]);
    assert_eq!(
        steps(&plan(&after).unwrap()),
        ["delete @gone!", "update @kept", "create @new"]
    );
    apply_and_fail(&machine, &after);
    assert_eq!(names(&base), ["@gone", "@kept"]);
    assert_eq!(uuid(&gone), was);
    assert_eq!(fs::read_to_string(gone.join("file")).unwrap(), "data");
    assert_eq!(property(&base.join("@kept")), "lzo");
    assert_eq!(steps(&plan(&before).unwrap()), [""; 0]);
}

#[test]
fn the_base_and_the_ledger_outlive_a_failed_run() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128).join("base");
    let declaration = declare(&base, &[("@a", None), ("@timing", None)]);
    apply_and_fail(&machine, &declaration);
    assert_eq!(names(&base), ["@timing"]);
    assert_eq!(steps(&plan(&declaration).unwrap()), ["create @a"]);
}

fn change(verb: Verb, resource: &str, before: Value, after: Value) -> Change {
    Change {
        plugin: "btrfs".to_owned(),
        resource: resource.to_owned(),
        verb,
        before,
        after,
        requires: Vec::new(),
        adopts: false,
        destroys: true,
        keeps: false,
        disrupts: Vec::new(),
    }
}

fn one(plugin: &BtrfsPlugin, change: &Change, direction: Direction) -> Result<(), PluginError> {
    let context = Context {
        run: "r1",
        direction,
        progress: &|_| (),
    };
    plugin.apply(&[change], &context)
}

#[test]
fn each_change_and_its_undo_can_be_repeated_and_undone_without_having_been_done() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let declaration = declare(&base, &[("@a", LZO)]);
    apply(&machine, &declaration);
    fs::write(base.join("@a/file"), "data").unwrap();
    let plugin = BtrfsPlugin::new(&declaration);
    let (lzo, zstd) = (
        json!({"compression": "lzo"}),
        json!({"compression": "zstd:3"}),
    );
    let changes = [
        change(Verb::Create, "@new", Value::Null, zstd.clone()),
        change(Verb::Update, "@a", lzo.clone(), zstd),
        change(Verb::Delete, "@a", lzo, Value::Null),
        change(Verb::Delete, "@never", Value::Null, Value::Null),
    ];
    let before = plugin.observe().unwrap();
    for change in &changes[..3] {
        let back = change.inverse();
        one(&plugin, &back, Direction::Undo).unwrap();
        assert_eq!(plugin.observe().unwrap(), before);
        one(&plugin, change, Direction::Forward).unwrap();
        assert_ne!(plugin.observe().unwrap(), before, "{change:?}");
        one(&plugin, change, Direction::Forward).unwrap();
        one(&plugin, &back, Direction::Undo).unwrap();
        assert_eq!(plugin.observe().unwrap(), before);
        one(&plugin, &back, Direction::Undo).unwrap();
        assert_eq!(plugin.observe().unwrap(), before);
        assert_eq!(names(&base), ["@a"]);
    }
    one(&plugin, &changes[3], Direction::Forward).unwrap();
    for change in &changes {
        plugin.commit(change, "r1").unwrap();
        plugin.commit(change, "r1").unwrap();
    }
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");
}

#[test]
fn a_delete_is_final_once_it_is_committed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let declaration = declare(&base, &[("@a", None)]);
    apply(&machine, &declaration);
    let plugin = BtrfsPlugin::new(&declaration);
    let delete = change(
        Verb::Delete,
        "@a",
        json!({"compression": null}),
        Value::Null,
    );
    one(&plugin, &delete, Direction::Forward).unwrap();
    assert_eq!(names(&base), [".trash-r1-@a"]);
    plugin.commit(&delete, "r2").unwrap();
    assert_eq!(names(&base), [".trash-r1-@a"]);
    plugin.commit(&delete, "r1").unwrap();
    assert_eq!(names(&base), [""; 0]);
    assert!(one(&plugin, &delete.inverse(), Direction::Undo).is_err());
}

#[test]
fn undoing_a_create_leaves_what_somebody_else_put_there() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let plugin = BtrfsPlugin::new(&declare(&base, &[("@a", None)]));
    run("btrfs", &["subvolume", "create", text(&base.join("@a"))]);
    let create = change(
        Verb::Create,
        "@a",
        Value::Null,
        json!({"compression": null}),
    );
    assert!(one(&plugin, &create, Direction::Forward).is_err());
    one(&plugin, &create.inverse(), Direction::Undo).unwrap();
    assert_eq!(names(&base), ["@a"]);
}

#[test]
fn what_a_crash_left_half_made_is_removed() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    apply(&machine, &declare(&base, &[]));
    let unfinished = base.join(".new-@a");
    let leave = || {
        run("btrfs", &["subvolume", "create", text(&unfinished)]);
    };
    leave();
    let declaration = declare(&base, &[("@a", ZSTD)]);
    apply(&machine, &declaration);
    assert_eq!(names(&base), ["@a"]);

    leave();
    let plugin = BtrfsPlugin::new(&declaration);
    let create = change(
        Verb::Create,
        "@a",
        Value::Null,
        json!({"compression": "zstd:3"}),
    );
    one(&plugin, &create.inverse(), Direction::Undo).unwrap();
    assert_eq!(names(&base), [""; 0]);
}

#[test]
fn a_full_disk_fails_the_run_and_leaves_nothing_behind() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let base = machine.btrfs(128);
    let before = declare(&base, &[("@a", None)]);
    apply(&machine, &before);
    fill(&base.join("@a"));

    let many: Vec<_> = (0..200).map(|n| format!("@many-{n}")).collect();
    let mut wanted: Vec<_> = many.iter().map(|name| (name.as_str(), ZSTD)).collect();
    wanted.push(("@a", None));
    let declaration = declare(&base, &wanted);
    let plugins = plugin(&declaration);
    let plan = reconcile::plan(&plugins).unwrap();
    match carry_out(&machine, &plugins, &plan) {
        Outcome::RolledBack { error, undo_errors } => {
            assert!(error.contains("no space left"), "{error}");
            assert_eq!(undo_errors, [""; 0]);
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(names(&base), ["@a"]);
    assert_eq!(steps(&crate::plan(&before).unwrap()), [""; 0]);
}

/// Fills the metadata with files so small that they lie in it, until not even one more fits.
fn fill(directory: &Path) {
    for n in 0.. {
        if fs::write(directory.join(n.to_string()), [7; 1500]).is_err() {
            return;
        }
    }
}

fn image_paths(machine: &Machine) -> (PathBuf, PathBuf) {
    (
        machine.dir().join("base"),
        machine.dir().join("images/op-dbus.img"),
    )
}

#[test]
fn an_image_is_made_mounted_and_grown() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (base, image) = image_paths(&machine);
    apply(&machine, &with_image(&base, &image, "128MiB"));
    let mounted = || run("findmnt", &["-n", "-o", "FSTYPE", text(&base)]);
    assert_eq!(mounted().trim(), "btrfs");
    assert_eq!(property(&base.join("@a")), "zstd:3");
    fs::write(base.join("@a/file"), "data").unwrap();

    apply(&machine, &with_image(&base, &image, "512MiB"));
    assert_eq!(image.metadata().unwrap().len(), 512 << 20);
    let shown = run("btrfs", &["filesystem", "show", "--mbytes", text(&base)]);
    assert!(shown.contains("size 512.00MiB"), "{shown}");
    assert!(refusal(&with_image(&base, &image, "256MiB")).contains("512 MiB"));

    // As after a reboot.
    run("umount", &[text(&base)]);
    let declaration = with_image(&base, &image, "512MiB");
    let plugin = BtrfsPlugin::new(&declaration);
    assert!(plugin.remount().unwrap());
    assert!(!plugin.remount().unwrap());
    assert_eq!(steps(&plan(&declaration).unwrap()), [""; 0]);
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");

    // The image is whole although the run that would have made it fails, and is used by the next.
    run("umount", &[text(&base)]);
    let smaller = plan(&with_image(&base, &image, "256MiB")).unwrap_err();
    assert!(smaller.to_string().contains("512 MiB"), "{smaller}");
    apply(&machine, &declaration);
    assert_eq!(fs::read_to_string(base.join("@a/file")).unwrap(), "data");
}

#[test]
fn nothing_is_mounted_before_it_was_applied() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (base, image) = image_paths(&machine);
    assert!(
        !BtrfsPlugin::new(&with_image(&base, &image, "128MiB"))
            .remount()
            .unwrap()
    );
    assert!(!BtrfsPlugin::new(&declare(&base, &[])).remount().unwrap());
    assert!(!base.exists() && !image.exists());
}

#[test]
fn a_mount_hides_nothing_and_takes_nobodys_place() {
    let Some(machine) = Machine::new("needs root") else {
        return;
    };
    let (base, image) = image_paths(&machine);
    fs::create_dir(&base).unwrap();
    fs::write(base.join("file"), "data").unwrap();
    let error = plan(&with_image(&base, &image, "128MiB")).unwrap_err();
    assert!(error.to_string().contains("would hide"), "{error}");

    let taken = machine.btrfs(128);
    let error = plan(&with_image(&taken, &image, "128MiB")).unwrap_err();
    assert!(error.to_string().contains("is mounted at"), "{error}");
    assert!(!image.exists());
}
