//! The way back: what is taken back, what is not, and why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use declaration::{ContainerName, Declaration};
use reconcile::{Key, Note, Past, Plugin, observe, roll_back};

use super::past;
use crate::call::Call;
use crate::engine::Host;
use crate::engine::past::{self as asked, Asked, ByCommand};
use crate::engine::place::Place;
use crate::error::ToolError;
use crate::export::Export;

/// The subvolumes that the agent itself needs: they hold what a rollback is made from.
const FOUNDATION: [&str; 9] = [
    "base",
    "@cache",
    "@timing",
    "@vectors",
    "@state",
    "@snapshots",
    "@plugins",
    "@templates",
    "@containers",
];

/// What is gone back from, or to.
pub(super) enum Back {
    /// What a run did.
    Run(Vec<Past>),
    /// Everything: the host as the declaration in a snapshot has it.
    Whole,
}

/// The way back.
pub(super) struct Way {
    /// The run, or the snapshot.
    pub(super) of: String,
    pub(super) back: Back,
    /// The declaration that will hold.
    pub(super) declaration: Declaration,
    /// Its text, if it is another one than now.
    pub(super) text: Option<String>,
    /// The file to write it to, if that is ours to write.
    pub(super) put_back: Option<PathBuf>,
    /// The containers made by command that there will be.
    pub(super) by_command: ByCommand,
    /// What people should know.
    pub(super) notes: Vec<Note>,
    /// What was changed since.
    pub(super) conflicts: Vec<Note>,
    /// The ledger's entries after this one are later than what is taken back.
    after: i64,
    /// The declaration as it is now, with the containers made by command.
    now: Declaration,
    log: ledger::Ledger,
}

/// What of a host is no resource of a plugin.
fn of_host(what: &str, text: impl Into<String>) -> Note {
    Note {
        resource: Key::new("host", what),
        text: text.into(),
    }
}

impl Way {
    /// Finds out what is meant: a run, an entry of one, a snapshot, or the last run.
    pub(super) fn find(call: &Call<'_>, to: Option<&str>) -> Result<Self, ToolError> {
        let log = call.site.ledger()?;
        let to = match to {
            None => past::last_run(&log)?,
            Some(to) => to.to_owned(),
        };
        if asked::is_run(&to) {
            return Self::before(call, log, to);
        }
        let Ok(id) = to.parse::<i64>() else {
            return Self::snapshot(call, log, &to);
        };
        let Some(entry) = log.get(id)? else {
            return Err(ToolError::NotFound(format!(
                "the ledger has no entry {id}; its last one is {}",
                log.head()?.id
            )));
        };
        match past::run_of(&entry) {
            Some(run) => Self::before(call, log, run),
            None => Err(ToolError::Refused(format!(
                "entry {id} ({}) is about nothing that a run changed, so there is nothing to take back",
                entry.operation
            ))),
        }
    }

    fn new(
        call: &Call<'_>,
        log: ledger::Ledger,
        of: String,
        back: Back,
    ) -> Result<Self, ToolError> {
        let declaration = call.site.declaration_if_any()?;
        let host = Host::new(&declaration)?;
        Ok(Self {
            of,
            back,
            declaration: Declaration::clone(&declaration),
            text: None,
            put_back: None,
            by_command: host.by_command,
            notes: Vec::new(),
            conflicts: Vec::new(),
            after: log.head()?.id,
            now: host.declaration,
            log,
        })
    }

    /// The host as it was before a run.
    fn before(call: &Call<'_>, log: ledger::Ledger, run: String) -> Result<Self, ToolError> {
        let (past, after) = past::of_run(&log, &run)?;
        let (stays, past): (Vec<_>, Vec<_>) = past.into_iter().partition(founds);
        let mut way = Self::new(call, log, run, Back::Run(past))?;
        way.after = after;
        if !stays.is_empty() {
            way.notes.push(of_host(
                "storage",
                "the run made this host's storage, which stays: the ledger lies in it",
            ));
        }
        let host = Host::new(&way.declaration)?;
        match Asked::read(&host.paths, &way.of) {
            None => way.notes.push(of_host(
                "declaration",
                "what was declared before this run is not known any more: the declaration stays as it is",
            )),
            Some(asked) => {
                way.take_back_declaration(call, &asked, &host)?;
                way.take_back_containers(&asked)?;
            }
        }
        Ok(way)
    }

    fn take_back_declaration(
        &mut self,
        call: &Call<'_>,
        asked: &Asked,
        host: &Host,
    ) -> Result<(), ToolError> {
        let Some(after) = &asked.after.text else {
            return Ok(());
        };
        let Some(before) = &asked.before.text else {
            self.notes.push(of_host(
                "declaration",
                "nothing had been declared before this run: the declaration stays as it is",
            ));
            return Ok(());
        };
        let now = asked::written(call.site, host);
        if before == after || now == *before {
            return Ok(());
        }
        if now != *after {
            self.conflicts
                .push(of_host("declaration", "it was edited after this run"));
        }
        self.declare(call, before.clone())
    }

    /// Takes another declaration, in its file if that is ours to write.
    fn declare(&mut self, call: &Call<'_>, text: String) -> Result<(), ToolError> {
        let declaration = asked::parse(&text, call.site.base())?;
        if declaration.plugins.btrfs.base != self.declaration.plugins.btrfs.base {
            return Err(ToolError::Refused(
                "the declaration had another base then, and a base is not moved: put the earlier declaration in \
                 place by hand"
                    .to_owned(),
            ));
        }
        match Place::of(call.site) {
            Place::File(path) => {
                self.put_back = Some(path);
                self.text = Some(text);
                self.declaration = declaration;
            }
            Place::Store(path) => self.notes.push(of_host(
                "declaration",
                format!(
                    "{} is in the Nix store and stays. The daemon does not apply it again by itself; to keep the \
                     host as it is now, switch to the earlier configuration (`nixos-rebuild switch --rollback`)",
                    path.display()
                ),
            )),
            Place::Nowhere => self.notes.push(of_host(
                "declaration",
                "it came by standard input, so there is no file to put back",
            )),
        }
        Ok(())
    }

    fn take_back_containers(&mut self, asked: &Asked) -> Result<(), ToolError> {
        let (before, after) = (asked.before.containers()?, asked.after.containers()?);
        let names: BTreeSet<&ContainerName> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (was, then, now) = (before.get(name), after.get(name), self.by_command.get(name));
            if was == then || now == was {
                continue;
            }
            if now != then {
                self.conflicts.push(Note {
                    resource: Key::new("lxc", format!("container:{name}")),
                    text: "it was made anew, changed or removed by command after this run"
                        .to_owned(),
                });
            }
            match was {
                Some(was) => self.by_command.insert(name.clone(), was.clone()),
                None => self.by_command.remove(name),
            };
        }
        Ok(())
    }

    /// The host as a snapshot of `@state` has it declared.
    fn snapshot(call: &Call<'_>, log: ledger::Ledger, name: &str) -> Result<Self, ToolError> {
        let mut way = Self::new(call, log, name.to_owned(), Back::Whole)?;
        let base = way.declaration.plugins.btrfs.base.path.clone();
        let export = read_snapshot(&base, name)?;
        way.by_command = export.by_command()?;
        let declaration = export.declaration(call.site.base())?;
        if declaration != way.declaration {
            let mut text = serde_json::to_string_pretty(&export.declaration).unwrap_or_default();
            text.push('\n');
            way.declare(call, text)?;
            // The host goes there even where the file cannot.
            way.declaration = declaration;
        }
        Ok(way)
    }

    /// Makes a host want what the way back leads to; the resources that are taken back, or all.
    pub(super) fn prepare(
        &mut self,
        host: &mut Host,
        over: bool,
    ) -> Result<Option<BTreeSet<Key>>, ToolError> {
        host.set_by_command(self.by_command.clone())?;
        let Back::Run(past) = &self.back else {
            return Ok(None);
        };
        let plugins = self.plugins(past, &host.declaration);
        let world = observe(&plugins)?;
        let rollback = roll_back(plugins, &world, past, over);
        let keys: Vec<_> = rollback
            .conflicts
            .iter()
            .map(|conflict| conflict.resource.clone())
            .collect();
        let later = past::later(&self.log, self.after, &keys)?;
        for conflict in rollback.conflicts {
            let by = match later.get(&conflict.resource) {
                Some(run) => format!("run {run} changed it"),
                None => "it was changed, by no run of this host".to_owned(),
            };
            self.conflicts.push(Note {
                text: format!(
                    "{by}: this run left it {}, and it is {}",
                    shown(&conflict.left),
                    shown(&conflict.found)
                ),
                resource: conflict.resource,
            });
        }
        host.plugins = rollback.plugins;
        // An undo has to reach what is there now.
        host.declaration = self.now.clone();
        Ok(Some(rollback.resources))
    }

    /// The plugins of what was. What was not declared then is reached as it is declared now, which says where it is.
    fn plugins(&self, past: &[Past], then: &Declaration) -> Vec<Box<dyn Plugin>> {
        let now = &self.now;
        let touched = |name: &str| past.iter().any(|past| past.resource.plugin == name);
        let of_then = plugins::all(then).into_iter().filter(|plugin| {
            let name = plugin.name();
            plugins::has_section(then, name) || (touched(name) && !plugins::has_section(now, name))
        });
        let mut list: Vec<_> = of_then.collect();
        let names: BTreeSet<_> = list.iter().map(|plugin| plugin.name().to_owned()).collect();
        let of_now = plugins::all(now).into_iter().filter(|plugin| {
            !names.contains(plugin.name()) && plugins::has_section(now, plugin.name())
        });
        list.extend(of_now);
        let order: Vec<_> = plugins::all(now)
            .iter()
            .map(|plugin| plugin.name().to_owned())
            .collect();
        list.sort_by_key(|plugin| order.iter().position(|name| name == plugin.name()));
        list
    }
}

/// Whether a run made part of the storage that everything else lies in.
fn founds(past: &Past) -> bool {
    past.resource.plugin == "btrfs"
        && past.before.is_null()
        && FOUNDATION.contains(&past.resource.resource.as_str())
}

fn shown(state: &serde_json::Value) -> String {
    match state {
        serde_json::Value::Null => "not there".to_owned(),
        state => state.to_string(),
    }
}

/// The export that lies in a snapshot of `@state`.
fn read_snapshot(base: &Path, name: &str) -> Result<Export, ToolError> {
    let is_name = !name.is_empty()
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:@+".contains(&byte));
    if !is_name {
        return Err(ToolError::Invalid(format!(
            "`{name}` is neither a run, nor the number of an entry, nor the name of a snapshot"
        )));
    }
    let mut path = base.join("@snapshots");
    for part in [name, "@state", "current-state.json"] {
        path.push(part);
        match path.symlink_metadata() {
            Ok(found) if !found.is_symlink() => {}
            Ok(_) => {
                return Err(ToolError::Refused(format!(
                    "{} is a symbolic link, and none is followed in a snapshot",
                    path.display()
                )));
            }
            Err(_) => {
                return Err(ToolError::NotFound(format!(
                    "there is no run {name}, and no snapshot of that name that holds the state of this host: {} is \
                     not there",
                    path.display()
                )));
            }
        }
    }
    Export::read(&path)
}
