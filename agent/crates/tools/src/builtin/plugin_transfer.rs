//! Plugins made from D-Bus services: export and import.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use plugins::derived::foreign::{self, Foreign};
use reconcile::{Change, Key, Note, Plan, Verb};
use replication::{Bounds, Name};
use rustix::fs::{FlockOperation, OFlags, flock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plugin::{Done, find, may_carry_out, refused, state};
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// The stream of a plugin: two small files, and what it keeps.
const BOUNDS: Bounds = Bounds {
    bytes: 256 << 20,
    commands: 200_000,
    time: Duration::from_secs(120),
};
/// The directories in which streams are received; no snapshot's name begins with a dot.
const QUARANTINE: &str = ".import-";
/// Most exports of one plugin on one day.
const MOST: u32 = 1000;

#[derive(Deserialize, JsonSchema)]
struct Export {
    /// The plugin, such as `hostname1`.
    #[schemars(length(min = 1, max = 32))]
    name: String,
}

/// A plugin as it was kept.
#[derive(Serialize, JsonSchema)]
struct Exported {
    /// The plugin.
    name: String,
    /// `done`, or `unchanged` if the plugin is as it was when it was last exported today.
    outcome: &'static str,
    /// The read-only subvolume.
    snapshot: String,
}

#[derive(Deserialize, JsonSchema)]
struct Import {
    /// The absolute path of the file with the stream.
    #[schemars(length(min = 1, max = 4096))]
    path: String,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Plugins;
    vec![
        Tool::write(
            domain,
            "plugin_export",
            "Export a plugin",
            "Makes a read-only snapshot of a plugin in @snapshots, which `btrfs send` and `op-dbus plugin export` write as \
             a stream.",
            |call, input: Export| {
                let planned = planned_export(call, &input)?;
                Ok(planned.plan(&input.name))
            },
            export,
        )
.says(&["export plugin hostname1", "export the plugin hostname1"])
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "name": "hostname1" })),
        Tool::write(
            domain,
            "plugin_import",
            "Import a plugin",
            "Takes in the stream of a plugin. It is received where nobody can reach it, looked at, and put into @plugins, \
             disabled. Refused if there is a plugin of that name.",
            |call, input: Import| preview(call, &input, false),
            |call, input: Import| import(call, &input, false),
        )
.says(&["import a plugin from /tmp/hostname1.stream", "import the plugin stream /tmp/hostname1.stream"])
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "path": "/root/hostname1.stream" })),
        Tool::destroy(
            domain,
            "plugin_replace",
            "Replace a plugin",
            "Takes in the stream of a plugin as plugin_import does, in the place of the plugin of that name, which is lost \
             with all that it keeps. The new one is disabled.",
            |call, input: Import| preview(call, &input, true),
            |call, input: Import| import(call, &input, true),
        )
.says(&["replace the plugin by /tmp/hostname1.stream", "replace the plugin from /tmp/hostname1.stream"])
        .binds()
        .example(json!({ "path": "/root/hostname1.stream" })),
    ]
}

fn failed(error: impl std::fmt::Display) -> ToolError {
    ToolError::Failed(error.to_string())
}

/// What an export would make, or has made already.
struct PlannedExport {
    source: PathBuf,
    place: PathBuf,
    there: bool,
}

impl PlannedExport {
    fn plan(&self, name: &str) -> Plan {
        let place = self.place.display().to_string();
        let change = Change::new(
            "plugins",
            name.to_owned(),
            Verb::Create,
            Value::Null,
            json!({ "snapshot": place }),
        );
        Plan {
            changes: (!self.there).then_some(change).into_iter().collect(),
            notes: Vec::new(),
        }
    }
}

fn planned_export(call: &Call<'_>, input: &Export) -> Result<PlannedExport, ToolError> {
    let entry = find(call, &input.name)?;
    let source = foreign::exportable(&entry).map_err(refused)?.to_owned();
    let snapshots = call.site.paths()?.snapshots();
    if !snapshots.is_dir() {
        return Err(ToolError::Unavailable(format!(
            "{} is not there: `op-dbus apply` makes it",
            snapshots.display()
        )));
    }
    let today = Timestamp::now().to_zoned(TimeZone::system());
    let day = today.strftime("%Y%m%d");
    // What the kernel has put off counts as done, so that what is unchanged is seen to be.
    btrfs::sync(&source).map_err(failed)?;
    let now = btrfs::info(&source).map_err(failed)?;
    for number in 1..=MOST {
        let suffix = match number {
            1 => String::new(),
            number => format!("-{number}"),
        };
        let place = snapshots.join(format!("plugin-{}-{day}{suffix}", entry.name));
        if place.symlink_metadata().is_err() {
            return Ok(PlannedExport {
                source,
                place,
                there: false,
            });
        }
        let of_this = btrfs::info(&place).is_ok_and(|kept| {
            kept.read_only && kept.parent_uuid == now.uuid && now.changed <= kept.generation
        });
        if of_this {
            return Ok(PlannedExport {
                source,
                place,
                there: true,
            });
        }
    }
    Err(ToolError::Failed(format!(
        "{} was exported {MOST} times today: delete some of these snapshots",
        entry.name
    )))
}

fn export(call: &Call<'_>, input: Export) -> Result<Exported, ToolError> {
    let _turn = call.site.turn(call)?;
    let planned = planned_export(call, &input)?;
    may_carry_out(call, &planned.plan(&input.name))?;
    if !planned.there {
        btrfs::snapshot(&planned.source, &planned.place, true).map_err(failed)?;
        btrfs::sync(&planned.place).map_err(failed)?;
    }
    Ok(Exported {
        name: input.name,
        outcome: match planned.there {
            true => "unchanged",
            false => "done",
        },
        snapshot: planned.place.display().to_string(),
    })
}

/// A directory that nobody but root can enter; it goes with all that was received in it.
struct Quarantine {
    path: PathBuf,
    /// Tells those in use from those that a crash has left.
    _lock: File,
}

impl Quarantine {
    fn new(snapshots: &Path) -> Result<Self, ToolError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let io =
            |error| ToolError::failed(&format!("make a place in {}", snapshots.display()), error);
        for entry in fs::read_dir(snapshots).map_err(io)?.flatten() {
            let left = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(QUARANTINE));
            if left
                && let Ok(lock) = File::open(entry.path())
                && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                clear(&entry.path());
            }
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = snapshots.join(format!("{QUARANTINE}{}-{number}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).map_err(io)?;
        let lock = File::open(&path).map_err(io)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| io(errno.into()))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        clear(&self.path);
    }
}

/// Removes a quarantine. What stays is removed by the next import.
fn clear(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if btrfs::is_subvolume(entry.path()).unwrap_or(false)
            && let Err(error) = btrfs::delete_recursive(entry.path())
        {
            log::warn!("{error}");
        }
    }
    if let Err(error) = fs::remove_dir_all(path) {
        log::warn!("cannot remove {}: {error}", path.display());
    }
}

/// Receives the stream of a file, and looks at what it makes.
fn receive(call: &Call<'_>, input: &Import) -> Result<(Quarantine, Foreign, Plan), ToolError> {
    if !rustix::process::geteuid().is_root() {
        return Err(ToolError::Refused(
            "plugins are received with root's rights: run it with sudo, or start the daemon"
                .to_owned(),
        ));
    }
    let path = Path::new(&input.path);
    if !path.is_absolute() {
        return Err(ToolError::Invalid(format!(
            "`{}` is no absolute path",
            input.path.escape_debug()
        )));
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| {
            let private = path.starts_with("/tmp") || path.starts_with("/var/tmp");
            let hint = match private && error.kind() == std::io::ErrorKind::NotFound {
                true => " (the daemon may have a /tmp of its own: put it elsewhere)",
                false => "",
            };
            ToolError::Invalid(format!("cannot read {}: {error}{hint}", path.display()))
        })?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(ToolError::Invalid(format!("{} is no file", path.display())));
    }
    let paths = call.site.paths()?;
    let quarantine = Quarantine::new(&paths.snapshots())?;
    let accept = |subject: &btrfs::stream::Subject| {
        let whole = subject.parent.is_none() && subject.name.parse::<Name>().is_ok();
        match whole {
            true => Ok(()),
            false => Err(replication::Error::Unverified(
                "the stream builds on another one, or has an odd name: only whole plugins are taken in".to_owned(),
            )),
        }
    };
    call.check()?;
    let received = replication::receive(file, &quarantine.path, &BOUNDS, &accept);
    let invalid = |error: &dyn std::fmt::Display| {
        ToolError::Invalid(format!("{} was not taken in: {error}", path.display()))
    };
    let (subject, _) = received.map_err(|error| invalid(&error))?;
    let place = quarantine.path.join(&subject.name);
    let foreign = foreign::inspect(&place).map_err(|error| invalid(&error))?;
    let present = foreign::present(&paths.base, &foreign.name);
    let before = present.as_ref().map(|entry| {
        let enabled = entry.mapping.as_ref().is_ok_and(|mapping| mapping.enabled);
        state(entry.files.as_ref(), enabled)
    });
    let mut after = state(Some(&foreign.files), false);
    after["stream"] = json!(subject.uuid.to_string());
    let verb = match before {
        Some(_) => Verb::Update,
        None => Verb::Create,
    };
    let change = Change::new(
        "plugins",
        foreign.name.to_string(),
        verb,
        before.unwrap_or_default(),
        after,
    );
    let notes = notes(&foreign).into_iter().map(|text| Note {
        resource: Key {
            plugin: "plugins".to_owned(),
            resource: foreign.name.to_string(),
        },
        text,
    });
    let plan = Plan {
        notes: notes.collect(),
        changes: vec![change],
    };
    Ok((quarantine, foreign, plan))
}

fn notes(foreign: &Foreign) -> Vec<String> {
    let name = &foreign.name;
    let mut notes = vec![format!(
        "It enables nothing: {name} is disabled until `op-dbus plugin enable {name}`. Whoever reviewed its mapping did so \
         elsewhere: look at it with `op-dbus plugin show {name}` first"
    )];
    notes.extend(foreign::writes(&foreign.mapping));
    notes
}

fn may_replace(call: &Call<'_>, foreign: &Foreign, replace: bool) -> Result<(), ToolError> {
    let base = call.site.paths()?.base;
    let there = foreign::present(&base, &foreign.name).is_some();
    match (there, replace) {
        (true, false) => Err(ToolError::Refused(format!(
            "there is a plugin `{}` already: --replace puts the new one in its place, and the old one is lost",
            foreign.name
        ))),
        (false, true) => Err(ToolError::NotFound(format!(
            "there is no plugin `{}` to replace: leave out --replace",
            foreign.name
        ))),
        _ => Ok(()),
    }
}

fn preview(call: &Call<'_>, input: &Import, replace: bool) -> Result<Plan, ToolError> {
    let (_quarantine, foreign, plan) = receive(call, input)?;
    may_replace(call, &foreign, replace)?;
    Ok(plan)
}

fn import(call: &Call<'_>, input: &Import, replace: bool) -> Result<Done, ToolError> {
    let _turn = call.site.turn(call)?;
    let (_quarantine, foreign, plan) = receive(call, input)?;
    may_replace(call, &foreign, replace)?;
    may_carry_out(call, &plan)?;
    let base = call.site.paths()?.base;
    let directory = foreign::install(&base, &foreign, replace).map_err(refused)?;
    Ok(Done {
        name: foreign.name.to_string(),
        outcome: "done",
        directory: Some(directory.display().to_string()),
        notes: notes(&foreign),
    })
}
