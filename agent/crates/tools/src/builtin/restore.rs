//! Restore: a host made again from its export.

use std::path::PathBuf;
use std::time::Duration;

use declaration::{ContainersFile, Declaration};
use ledger::Ledger;
use reconcile::{Key, Note, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::caller::Role;
use crate::engine::past::{self, Asked, ByCommand, Declared};
use crate::engine::place::{self, Place};
use crate::engine::restoring::{self, Restoring};
use crate::engine::{Changed, Host, Limits, Session, Site};
use crate::error::ToolError;
use crate::export::{Export, Secret};
use crate::registry::bind;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Restore {
    /// The export, whole.
    document: Map<String, Value>,
    /// The export has to have this `sha256`: finds one that was changed together with its own.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    expect_sha256: Option<String>,
    /// A copy of the old ledger, such as a received `@timing` or its `blockchain.db`: it is verified, and goes on
    /// here.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 4096))]
    ledger: Option<PathBuf>,
    /// Go on although secret files are missing.
    #[serde(default)]
    without_secrets: bool,
    /// Restore onto a host that has something already: what is not in the export goes. Takes the plan's hash.
    #[serde(default)]
    onto_existing: bool,
    /// Undo the changes unless they are confirmed within so many seconds; 0 for no window. Without it, changes
    /// of the management path get 60.
    #[serde(default)]
    #[schemars(range(max = 86400))]
    confirm_s: Option<u64>,
}

/// How a restore came out.
#[derive(Serialize, JsonSchema)]
struct Restored {
    /// The name of the host that was exported.
    host: String,
    /// The `sha256` of the export.
    export: String,
    /// Whether the old ledger goes on here (`taken-over`) or a new one names its head (`begun`).
    ledger: &'static str,
    /// Secret files that are still to be put in place.
    missing_secrets: Vec<Secret>,
    #[serde(flatten)]
    changed: Changed,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::write(
            Domain::State,
            "state_restore",
            "Restore",
            "Makes a host again from its export: declaration, containers, and everything that they ask for. The \
             ledger goes on from the old head. Templates and containers are built anew; their data comes from \
             replicated snapshots, not from an export.",
            |call, input: Restore| {
                let from = From::read(call, &input)?;
                let mut host = Host::new(&from.declaration)?;
                host.set_by_command(from.containers.clone())?;
                let mut plan = reconcile::plan(&host.plugins)?;
                let notes = from.notes(call, &plan)?;
                plan.notes.extend(notes);
                Ok(plan)
            },
            restore,
        )
.says(&["state_restore document={}", "call state_restore"])
        .for_role(Role::Admin)
        .binds()
        .example(json!({ "document": { "format": "op-dbus-export", "version": 1 } })),
    ]
}

/// What is restored from, read and checked.
struct From {
    export: Export,
    declaration: Declaration,
    containers: ByCommand,
    /// The file to write the declaration to; none where the Nix store has it already.
    file: Option<PathBuf>,
    ledger: Option<PathBuf>,
    /// What people should know of the copy of the ledger.
    remark: Option<String>,
    missing: Vec<Secret>,
}

fn note(what: &str, text: impl Into<String>) -> Note {
    Note {
        resource: Key::new("host", what),
        text: text.into(),
    }
}

impl From {
    fn read(call: &Call<'_>, input: &Restore) -> Result<Self, ToolError> {
        let export = Export::from_value(Value::Object(input.document.clone()))
            .map_err(|error| ToolError::Invalid(format!("the export is not taken: {error}")))?;
        if let Some(expected) = &input.expect_sha256
            && *expected != export.sha256
        {
            return Err(ToolError::Refused(format!(
                "this is another export: its sha256 is {}, and {expected} is expected",
                export.sha256
            )));
        }
        let declaration = export.declaration(call.site.base())?;
        let containers = export.by_command()?;
        let file = file(call.site, &declaration)?;
        let ledger = input.ledger.as_deref().map(restoring::database);
        let remark = match &ledger {
            Some(path) => {
                restoring::examine(&Ledger::open_read_only(path)?, export.ledger.as_ref())?
            }
            None => None,
        };
        let secrets = crate::export::secrets_of(&export.declaration).into_iter();
        Ok(Self {
            missing: secrets.filter(|secret| !secret.is_there()).collect(),
            declaration,
            containers,
            file,
            ledger,
            remark,
            export,
        })
    }

    /// What people should know beside the plan.
    fn notes(&self, call: &Call<'_>, plan: &Plan) -> Result<Vec<Note>, ToolError> {
        let export = &self.export;
        let time = export.ledger.as_ref().map_or("", |head| &head.time);
        let mut notes = vec![note(
            "export",
            format!(
                "of {} ({}), {time}, written by {}",
                export.host.name, export.host.system, export.made_by
            ),
        )];
        let goes_on = match (&export.ledger, &self.ledger) {
            (Some(head), Some(_)) => format!("the old ledger goes on after entry {}", head.id),
            (Some(head), None) => {
                format!(
                    "a new ledger begins, and names entry {} of the old one",
                    head.id
                )
            }
            (None, _) => "the host had no ledger when it was exported".to_owned(),
        };
        notes.push(note("ledger", goes_on));
        notes.extend(self.remark.iter().map(|remark| note("ledger", remark)));
        notes.extend(self.missing.iter().map(|secret| {
            let text = format!("{} is missing; {} needs it", secret.path, secret.used_by);
            note("secret", text)
        }));
        let conflicts = self.conflicts(call, plan)?.into_iter();
        notes.extend(conflicts.map(|conflict| Note {
            text: format!("conflict: {}", conflict.text),
            ..conflict
        }));
        Ok(notes)
    }

    /// What this host has already that is not of this export.
    fn conflicts(&self, call: &Call<'_>, plan: &Plan) -> Result<Vec<Note>, ToolError> {
        let mut found = Vec::new();
        if let Some(path) = self.file.as_ref().filter(|path| path.exists()) {
            match call.site.declaration() {
                Ok(own) if *own == self.declaration => {}
                Ok(_) => found.push(note(
                    "declaration",
                    format!("{} has another declaration", path.display()),
                )),
                Err(_) => found.push(note(
                    "declaration",
                    format!("{} has a declaration that is not good", path.display()),
                )),
            }
        }
        let host = Host::new(&self.declaration)?;
        if !host.by_command.is_empty() && host.by_command != self.containers {
            found.push(note(
                "containers",
                "other containers were made by command on this host",
            ));
        }
        if restoring::is_made(&host.paths) && !self.is_own(&host)? {
            found.push(note(
                "ledger",
                "this host has a ledger of its own, which stays and goes on",
            ));
        }
        let deletes = plan
            .changes
            .iter()
            .filter(|change| change.verb == Verb::Delete);
        found.extend(deletes.map(|change| Note {
            resource: change.key(),
            text: "it is on this host and not in the export".to_owned(),
        }));
        Ok(found)
    }

    /// Whether the ledger here is the old one, or has begun with this export.
    fn is_own(&self, host: &Host) -> Result<bool, ToolError> {
        let ledger = Ledger::open_read_only(host.paths.ledger())?;
        if ledger.head()?.id == 0 || self.restored_before(&ledger)? {
            return Ok(true);
        }
        let Some(head) = &self.export.ledger else {
            return Ok(false);
        };
        let entry = ledger.get(head.id)?;
        Ok(entry.is_some_and(|entry| entry.current_hash.to_string() == head.hash))
    }

    fn restored_before(&self, ledger: &Ledger) -> Result<bool, ToolError> {
        let last = restoring::last(ledger)?;
        Ok(last.is_some_and(|metadata| metadata["export"] == json!(self.export.sha256)))
    }

    /// The declaration as it is written.
    fn text(&self) -> String {
        let text = serde_json::to_string_pretty(&self.export.declaration).unwrap_or_default();
        text + "\n"
    }
}

/// The file to write the declaration to. In the Nix store it has to be there already.
fn file(site: &Site, declaration: &Declaration) -> Result<Option<PathBuf>, ToolError> {
    match Place::of(site) {
        Place::File(path) => Ok(Some(path)),
        Place::Nowhere => Err(ToolError::Invalid(
            "a restore writes the declaration: name its file".to_owned(),
        )),
        Place::Store(path) => match *site.declaration()? == *declaration {
            true => Ok(None),
            false => Err(ToolError::Refused(format!(
                "{} is in the Nix store, so this host's configuration makes it, and it is not that of the export. \
                 Build the host from its flake as it was then; or print the declaration with `op-dbus restore \
                 --print-declaration FILE`, give it to `services.operation-dbus.defaultState`, and switch. Then \
                 restore again: that brings the containers that were made by command, and the ledger",
                path.display()
            ))),
        },
    }
}

fn restore(call: &Call<'_>, input: Restore) -> Result<Restored, ToolError> {
    let from = From::read(call, &input)?;
    if !from.missing.is_empty() && !input.without_secrets {
        let lines = from.missing.iter();
        let lines: Vec<_> = lines
            .map(|secret| format!("{} for {}", secret.path, secret.used_by))
            .collect();
        return Err(ToolError::Refused(format!(
            "secret files are missing:\n{}\nPut them in place first, or restore with --without-secrets",
            lines.join("\n")
        )));
    }
    let mut session = Session::open(call, &from.declaration, "restore")?;
    let before = session.host.by_command.clone();
    session.host.set_by_command(from.containers.clone())?;
    let plan = reconcile::plan(&session.host.plugins)?;
    let conflicts = from.conflicts(call, &plan)?;
    if !conflicts.is_empty() {
        consent(call, &input, &plan, &conflicts)?;
    }
    if from.ledger.is_some() && restoring::is_made(&session.host.paths) {
        let own = Ledger::open_read_only(session.host.paths.ledger())?;
        if !from.restored_before(&own)? {
            return Err(ToolError::Refused(
                "this host has a ledger already, and no ledger is replaced by another: restore without --ledger"
                    .to_owned(),
            ));
        }
    }
    let limits = Limits {
        allow_destroy: input.onto_existing,
        confirm: input.confirm_s.map(Duration::from_secs),
        ..Limits::default()
    };
    let changed = carry_out(call, &mut session, &from, before, &limits)?;
    Ok(Restored {
        host: from.export.host.name.clone(),
        export: from.export.sha256.clone(),
        ledger: match from.ledger {
            Some(_) => "taken-over",
            None => "begun",
        },
        missing_secrets: from.missing,
        changed,
    })
}

/// A host that is not empty is changed only by who has seen what that means.
fn consent(
    call: &Call<'_>,
    input: &Restore,
    plan: &Plan,
    conflicts: &[Note],
) -> Result<(), ToolError> {
    if input.onto_existing {
        return bind(call.options.plan.as_deref(), &plan.hash());
    }
    let lines: Vec<_> = conflicts
        .iter()
        .map(|note| format!("{}: {}", note.resource, note.text))
        .collect();
    Err(ToolError::Refused(format!(
        "this host is not empty:\n{}\nTo restore onto it, ask with --onto-existing",
        lines.join("\n")
    )))
}

fn carry_out(
    call: &Call<'_>,
    session: &mut Session<'_>,
    from: &From,
    before: ByCommand,
    limits: &Limits,
) -> Result<Changed, ToolError> {
    let paths = session.host.paths.clone();
    let begun = restoring::is_made(&paths)
        && from.restored_before(&Ledger::open_read_only(paths.ledger())?)?;
    if !begun {
        Restoring {
            id: crate::engine::run_id(),
            export: from.export.sha256.clone(),
            host: from.export.host.name.clone(),
            head: from.export.ledger.clone(),
            containers: json!(ContainersFile::new(from.containers.clone())),
            ledger: from.ledger.clone(),
            actor: call.caller.actor(),
        }
        .begin(&paths)?;
    }
    let text = from.text();
    session.remember(Asked {
        before: Declared::new(call.site.text(), &before),
        after: Declared::new(Some(text.clone()), &from.containers),
    });
    let listed = paths.containers().exists() && before != from.containers;
    let same = call
        .site
        .declaration()
        .is_ok_and(|own| *own == from.declaration);
    let mut replaced = None;
    let done = (|| {
        if listed {
            session.host.save_by_command()?;
        }
        if let Some(path) = from.file.as_ref().filter(|_| !same) {
            replaced = Some(place::replace(path, text.as_bytes())?);
        }
        session.change(None, limits)
    })();
    match done {
        Ok(changed) => {
            restoring::settle(&session.host)?;
            past::converged(call.site, &session.host);
            Ok(changed)
        }
        Err(error) => {
            // The ledger of a restore that failed says so itself, if it was made.
            Restoring::end(&paths);
            if let Some(replaced) = replaced {
                replaced.take_back()?;
            }
            if listed {
                session.host.set_by_command(before)?;
                session.host.save_by_command()?;
            }
            Err(error)
        }
    }
}
