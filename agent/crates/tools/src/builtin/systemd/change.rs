//! Changing units: jobs, and the files that enable and mask them.

use declaration::UnitName;
use plugins::systemd::{Action, Manager, UnitError};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{failed, unit};
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct One {
    /// The unit, with its suffix, such as `nginx.service`.
    #[schemars(length(min = 1, max = 255))]
    unit: String,
}

#[derive(Deserialize, JsonSchema)]
struct File {
    /// The unit, with its suffix, such as `nginx.service`.
    #[schemars(length(min = 1, max = 255))]
    unit: String,
    /// Only until the machine is started again.
    #[serde(default)]
    runtime: bool,
}

/// Whether there was something to do.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// It is done.
    Done,
    /// It was so before.
    Unchanged,
}

/// A unit's states, in systemd's words.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct States {
    /// `active`, `inactive`, `failed` and so on.
    active_state: String,
    /// The state in the words of its type, such as `running`.
    sub_state: String,
}

/// What a job did.
#[derive(Serialize, JsonSchema)]
struct Run {
    /// The unit.
    unit: String,
    /// Whether there was something to do.
    outcome: Outcome,
    /// Its states before.
    before: States,
    /// Its states after the job.
    after: States,
}

/// What was done to a unit's files.
#[derive(Serialize, JsonSchema)]
struct Files {
    /// The unit.
    unit: String,
    /// Whether there was something to do.
    outcome: Outcome,
    /// Files that were written or removed.
    changes: Vec<FileChange>,
    /// Whether its file is now `enabled`, `disabled`, `masked` and so on; null without a file.
    unit_file_state: Option<String>,
}

/// A file that was written or removed.
#[derive(Serialize, JsonSchema)]
struct FileChange {
    /// `symlink` or `unlink`.
    change: String,
    /// The file.
    file: String,
    /// Where a link leads.
    destination: String,
}

/// What is done to a unit's files.
#[derive(Clone, Copy)]
enum Filing {
    Enable,
    Disable,
    Mask,
    Unmask,
}

pub(super) fn tools() -> Vec<Tool> {
    let job = |name, title, description, action| {
        Tool::write(
            Domain::Systemd,
            name,
            title,
            description,
            move |call, input: One| preview_job(call, &input, action),
            move |call, input: One| run_job(call, &input, action),
        )
        // A unit may be a shell of root's, or the network that everybody came by.
        .for_role(Role::Admin)
        .example(json!({ "unit": "nginx.service" }))
    };
    let file = |name, title, description, filing| {
        Tool::write(
            Domain::Systemd,
            name,
            title,
            description,
            move |call, input: File| preview_file(call, &input, filing),
            move |call, input: File| run_file(call, &input, filing),
        )
        // A unit may be a shell of root's, or the network that everybody came by.
        .for_role(Role::Admin)
        .example(json!({ "unit": "nginx.service" }))
    };
    vec![
        job(
            "systemd_start_unit",
            "Start a unit",
            "Starts a unit and waits until it has started. A caller who stops waiting does not stop the job.",
            Action::Start,
        )
.says(&["start nginx.service", "start the service nginx"]),
        job(
            "systemd_stop_unit",
            "Stop a unit",
            "Stops a unit and waits until it has stopped. The bus and this agent are not stopped.",
            Action::Stop,
        )
.says(&["stop nginx.service", "stop the service nginx"]),
        job(
            "systemd_restart_unit",
            "Restart a unit",
            "Stops a unit if it is active, starts it, and waits until it has started.",
            Action::Restart,
        )
.says(&["restart nginx.service", "restart the service nginx"]),
        job(
            "systemd_reload_unit",
            "Reload a unit",
            "Has a unit read its configuration again, if it can, and waits until it has.",
            Action::Reload,
        )
.says(&["reload nginx.service", "reload the configuration of the service nginx"]),
        file(
            "systemd_enable_unit",
            "Enable a unit",
            "Has a unit started with the machine, or with what its [Install] section names. Does not start it.",
            Filing::Enable,
        )
.says(&["enable nginx.service", "enable the service nginx at boot"]),
        file(
            "systemd_disable_unit",
            "Disable a unit",
            "Has a unit no longer started with the machine. Does not stop it.",
            Filing::Disable,
        )
.says(&["disable nginx.service", "disable the service nginx"]),
        file(
            "systemd_mask_unit",
            "Mask a unit",
            "Keeps a unit from being started by anything. Does not stop it.",
            Filing::Mask,
        )
.says(&["mask nginx.service", "mask the unit nginx"]),
        file(
            "systemd_unmask_unit",
            "Unmask a unit",
            "Lets a masked unit be started again. Does not start it.",
            Filing::Unmask,
        )
.says(&["unmask nginx.service", "unmask the unit nginx"]),
    ]
}

fn states(manager: &Manager, unit: &UnitName) -> Result<States, UnitError> {
    let found = manager.by_names(&[unit.as_str()])?.into_iter().next();
    match found {
        Some(found) if found.load != "not-found" => Ok(States {
            active_state: found.active,
            sub_state: found.sub,
        }),
        _ => Err(UnitError::NotFound(unit.to_string())),
    }
}

/// Whether a unit is as a job would make it.
fn is_so(action: Action, states: &States) -> bool {
    match action {
        Action::Start => matches!(
            states.active_state.as_str(),
            "active" | "reloading" | "refreshing"
        ),
        Action::Stop => matches!(states.active_state.as_str(), "inactive" | "failed"),
        Action::Restart | Action::Reload => false,
    }
}

fn preview_job(call: &Call<'_>, input: &One, action: Action) -> Result<Plan, ToolError> {
    let name = unit(&input.unit)?;
    let look = || {
        plugins::systemd::permit(action, name.as_str())?;
        states(&Manager::connect()?, &name)
    };
    let before = look().map_err(|error| failed(call, error))?;
    if is_so(action, &before) {
        return Ok(Plan::default());
    }
    let state = match action {
        Action::Stop => "inactive",
        Action::Start | Action::Restart | Action::Reload => "active",
    };
    Ok(plan(change(
        "systemd",
        name.as_str(),
        json!(before),
        json!({ "active_state": state, "job": action.word() }),
    )))
}

fn run_job(call: &Call<'_>, input: &One, action: Action) -> Result<Run, ToolError> {
    let name = unit(&input.unit)?;
    let run = || {
        let manager = Manager::connect()?;
        let before = states(&manager, &name)?;
        if is_so(action, &before) {
            return Ok(Run {
                unit: name.to_string(),
                outcome: Outcome::Unchanged,
                after: before.clone(),
                before,
            });
        }
        call.note(format!("{} {name}", action.word()));
        manager.run(action, name.as_str(), &|| call.check().is_ok())?;
        Ok(Run {
            unit: name.to_string(),
            outcome: Outcome::Done,
            before,
            after: states(&manager, &name)?,
        })
    };
    run().map_err(|error| failed(call, error))
}

/// The state that a unit's file will have.
fn will_be(filing: Filing, state: Option<&str>, runtime: bool) -> Option<&'static str> {
    let wanted = match (filing, runtime) {
        (Filing::Enable, false) => "enabled",
        (Filing::Enable, true) => "enabled-runtime",
        (Filing::Mask, false) => "masked",
        (Filing::Mask, true) => "masked-runtime",
        (Filing::Disable, _) => {
            // A unit that is linked, or enabled by others (`systemctl is-enabled`), has links too.
            let begins = ["enabled", "linked", "alias", "indirect"];
            return state
                .is_some_and(|state| begins.iter().any(|begin| state.starts_with(begin)))
                .then_some("disabled");
        }
        (Filing::Unmask, _) => {
            return state
                .is_some_and(|state| state.starts_with("masked"))
                .then_some("unmasked");
        }
    };
    (state != Some(wanted)).then_some(wanted)
}

fn preview_file(call: &Call<'_>, input: &File, filing: Filing) -> Result<Plan, ToolError> {
    let name = unit(&input.unit)?;
    let look = || {
        if matches!(filing, Filing::Mask) {
            plugins::systemd::permit_mask(name.as_str())?;
        }
        Manager::connect()?.file_state(name.as_str())
    };
    let before = look().map_err(|error| failed(call, error))?;
    Ok(match will_be(filing, before.as_deref(), input.runtime) {
        Some(after) => plan(change(
            "systemd",
            name.as_str(),
            json!({ "unit_file_state": before }),
            json!({ "unit_file_state": after }),
        )),
        None => Plan::default(),
    })
}

fn run_file(call: &Call<'_>, input: &File, filing: Filing) -> Result<Files, ToolError> {
    let name = unit(&input.unit)?;
    let run = || {
        let manager = Manager::connect()?;
        let unit = name.as_str();
        let runtime = input.runtime;
        let changes = match filing {
            Filing::Enable => manager.enable(unit, runtime)?,
            Filing::Disable => manager.disable(unit, runtime)?,
            Filing::Mask => manager.mask(unit, runtime)?,
            Filing::Unmask => manager.unmask(unit, runtime)?,
        };
        let change = |change: plugins::systemd::FileChange| FileChange {
            change: change.kind,
            file: change.file,
            destination: change.destination,
        };
        Ok(Files {
            unit: unit.to_owned(),
            outcome: match changes.is_empty() {
                true => Outcome::Unchanged,
                false => Outcome::Done,
            },
            changes: changes.into_iter().map(change).collect(),
            unit_file_state: manager.file_state(unit)?,
        })
    };
    run().map_err(|error| failed(call, error))
}

/// A change of something that is there and stays there.
fn change(plugin: &str, resource: &str, before: Value, after: Value) -> Change {
    Change::new(plugin, resource, Verb::Update, before, after)
}

fn plan(change: Change) -> Plan {
    Plan {
        changes: vec![change],
        notes: Vec::new(),
    }
}
