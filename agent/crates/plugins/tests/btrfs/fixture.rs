//! Declarations, runs and witnesses for the tests.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use declaration::{Compression, Declaration, Subvolume};
use lab::{Machine, run, text};
use plugins::BtrfsPlugin;
use reconcile::{
    Change, Context, Desired, Key, Observed, Order, Outcome, Plan, PlanError, Plugin, PluginError,
    Record, Witness,
};
use serde_json::{Value, json};

pub(crate) const ZSTD: Option<Compression> = Some(Compression::Zstd(Some(3)));
pub(crate) const LZO: Option<Compression> = Some(Compression::Lzo);

/// A declaration of nothing but a base and subvolumes.
pub(crate) fn declare(base: &Path, subvolumes: &[(&str, Option<Compression>)]) -> Declaration {
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

pub(crate) fn adopting(mut declaration: Declaration) -> Declaration {
    for subvolume in declaration.plugins.btrfs.subvolumes.values_mut() {
        subvolume.adopt = true;
    }
    declaration
}

pub(crate) fn with_image(base: &Path, image: &Path, size: &str) -> Declaration {
    let mut declaration = declare(base, &[("@a", ZSTD)]);
    let section = &mut declaration.plugins.btrfs;
    section.base.image = Some(image.to_owned());
    section.base.size = Some(size.parse().unwrap());
    declaration
}

pub(crate) fn plugin(declaration: &Declaration) -> Vec<Box<dyn Plugin>> {
    vec![Box::new(BtrfsPlugin::new(declaration))]
}

pub(crate) fn plan(declaration: &Declaration) -> Result<Plan, PlanError> {
    reconcile::plan(&plugin(declaration))
}

/// `verb resource` of each change, with `!` after those that destroy.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    let step = |change: &Change| {
        let warning = if change.destroys { "!" } else { "" };
        format!("{} {}{warning}", change.verb, change.resource)
    };
    plan.changes.iter().map(step).collect()
}

/// A ledger that forgets.
pub(crate) struct Nobody;

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

pub(crate) fn carry_out(machine: &Machine, plugins: &[Box<dyn Plugin>], plan: &Plan) -> Outcome {
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
pub(crate) fn apply(machine: &Machine, declaration: &Declaration) {
    let plugins = plugin(declaration);
    let plan = reconcile::plan(&plugins).unwrap();
    assert_eq!(carry_out(machine, &plugins, &plan), Outcome::Applied);
    assert_eq!(steps(&self::plan(declaration).unwrap()), [""; 0]);
}

/// Applies a declaration in a run that fails after all of its changes were made.
pub(crate) fn apply_and_fail(machine: &Machine, declaration: &Declaration) {
    let mut plugins = plugin(declaration);
    plugins.push(Box::new(NeverThere));
    let plan = reconcile::plan(&plugins).unwrap();
    match carry_out(machine, &plugins, &plan) {
        Outcome::RolledBack { undo_errors, .. } => assert_eq!(undo_errors, [""; 0]),
        outcome => panic!("{outcome:?}"),
    }
}

/// A resource that can be made and is never seen: its run fails at the end.
pub(crate) struct NeverThere;

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

/// What `btrfs` says of the compression.
pub(crate) fn property(path: &Path) -> String {
    run("btrfs", &["property", "get", text(path), "compression"])
        .trim()
        .trim_start_matches("compression=")
        .to_owned()
}

pub(crate) fn uuid(path: &Path) -> String {
    btrfs::info(path).unwrap().uuid.unwrap().to_string()
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

pub(crate) fn refusal(declaration: &Declaration) -> String {
    match plan(declaration) {
        Err(PlanError::Refused(list)) => list.iter().map(|one| format!("{one:?}\n")).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Unmounts what is at the path when the test is over, however it ends.
pub(crate) struct Unmount<'a>(pub(crate) &'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        lab::output("umount", &["-l", text(self.0)]);
    }
}
