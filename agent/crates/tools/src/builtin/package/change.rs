//! Installing, updating and removing packages, and fetching newer lists.

use std::collections::BTreeMap;

use declaration::PackageName;
use plugins::packagekit::{PackageManager, Request, Step, Verb as StepVerb, Wanted, Watch};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Names, ask, failed, manager, names};
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Install {
    /// The packages, by name.
    #[schemars(length(min = 1, max = 100))]
    packages: Vec<String>,
    /// This version, as the package manager writes it; only for one package.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    version: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Update {
    /// The packages, by name; all that can be updated if none are named.
    #[serde(default)]
    #[schemars(length(max = 100))]
    packages: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}
/// What was changed.
#[derive(Serialize, JsonSchema)]
struct Changed {
    /// The package manager that did it.
    manager: &'static str,
    /// Whether there was something to do.
    outcome: Outcome,
    /// What was done to which packages.
    changes: Vec<Done>,
}

/// Whether there was something to do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// It is done.
    Done,
    /// It was so before.
    Unchanged,
}

/// What was done to a package.
#[derive(Serialize, JsonSchema)]
struct Done {
    /// The package.
    name: String,
    /// `install`, `update` or `remove`.
    action: &'static str,
    /// The version before, where it is known.
    before: Option<String>,
    /// The version after, where it is known.
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Refreshed {
    /// The package manager whose lists were fetched.
    manager: &'static str,
    /// Always `done`: newer lists cannot be told from the same ones.
    outcome: Outcome,
}
pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Packages;
    vec![
        Tool::write(
            domain,
            "package_refresh",
            "Refresh package lists",
            "Fetches newer package lists. Installs nothing.",
            |call, _: Nothing| {
                let manager = manager(call)?;
                let after = json!({ "lists": "fetched anew" });
                Ok(plan(vec![change(manager.name(), Verb::Update, Value::Null, after)]))
            },
            refresh,
        )
.says(&["refresh the package lists", "update the package lists"]),
        Tool::write(
            domain,
            "dbus_packagekit_install_packages",
            "Install packages",
            "Installs packages and what they need; signed ones only. Nothing is removed for them.",
            |call, input: Install| preview(call, &input.request()?),
            |call, input: Install| carry_out(call, &input.request()?),
        )
.says(&["install htop", "install the packages htop and tmux"])
        .for_role(Role::Admin)
        .example(json!({ "packages": ["nginx"] })),
        Tool::destroy(
            domain,
            "dbus_packagekit_remove_packages",
            "Remove packages",
            "Removes packages, and those that cannot be without them: all are in the plan. Their configuration \
             files stay.",
            |call, input: Names| preview(call, &removal(&input)?),
            |call, input: Names| carry_out(call, &removal(&input)?),
        )
.says(&["uninstall htop", "remove package htop"])
        .for_role(Role::Admin)
        .example(json!({ "packages": ["telnet"] })),
        Tool::write(
            domain,
            "package_update",
            "Update packages",
            "Brings packages, or all, to the newest version that the package lists know. Nothing is removed for \
             them.",
            |call, input: Update| preview(call, &Request::Update(names(&input.packages)?)),
            |call, input: Update| carry_out(call, &Request::Update(names(&input.packages)?)),
        )
.says(&["update all packages", "upgrade openssl"])
        .for_role(Role::Admin)
        .example(json!({ "packages": ["nginx"] })),
    ]
}
impl Install {
    fn request(&self) -> Result<Request, ToolError> {
        let names = names(&self.packages)?;
        let version = self
            .version
            .as_ref()
            .map(|version| version.parse())
            .transpose();
        let version = version.map_err(|error| ToolError::Invalid(format!("{error}")))?;
        if version.is_some() && names.len() != 1 {
            return Err(ToolError::Invalid(
                "`version` goes with one package: call this once for each".to_owned(),
            ));
        }
        let wanted = names.into_iter().map(|name| Wanted {
            name,
            version: version.clone(),
        });
        Ok(Request::Install(wanted.collect()))
    }
}

fn removal(input: &Names) -> Result<Request, ToolError> {
    Ok(Request::Remove {
        names: names(&input.packages)?,
        along: Vec::new(),
    })
}
fn refresh(call: &Call<'_>, _: Nothing) -> Result<Refreshed, ToolError> {
    let manager = manager(call)?;
    ask(call, manager.as_ref(), |manager, watch| {
        manager.refresh(watch)
    })?;
    Ok(Refreshed {
        manager: manager.name(),
        outcome: Outcome::Done,
    })
}

/// What a request would do, with the versions that are there now.
fn steps(
    call: &Call<'_>,
    manager: &dyn PackageManager,
    request: &Request,
) -> Result<Vec<Step>, ToolError> {
    let mut steps = ask(call, manager, |manager, watch| {
        manager.simulate(request, watch)
    })?;
    let names: Vec<PackageName> = steps
        .iter()
        .filter_map(|step| step.name.parse().ok())
        .collect();
    let names: Vec<_> = names.iter().collect();
    let there = match names.is_empty() {
        true => BTreeMap::new(),
        false => ask(call, manager, |manager, watch| {
            manager.installed(&names, watch)
        })?,
    };
    for step in &mut steps {
        if let Some(version) = there.get(&step.name) {
            step.before = Some(version.clone());
        }
    }
    steps.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(steps)
}

fn preview(call: &Call<'_>, request: &Request) -> Result<Plan, ToolError> {
    let manager = manager(call)?;
    let steps = steps(call, manager.as_ref(), request)?;
    let state = |version: &Option<String>, is_there: bool| match (is_there, version) {
        (false, _) => json!({ "installed": false }),
        (true, Some(version)) => json!({ "installed": true, "version": version }),
        (true, None) => json!({ "installed": true }),
    };
    let change = |step: &Step| {
        let before = state(&step.before, step.verb != StepVerb::Install);
        let after = state(&step.after, step.verb != StepVerb::Remove);
        change(&step.name, Verb::Update, before, after)
    };
    Ok(plan(steps.iter().map(change).collect()))
}

fn carry_out(call: &Call<'_>, request: &Request) -> Result<Changed, ToolError> {
    let manager = manager(call)?;
    let manager = manager.as_ref();
    let steps = steps(call, manager, request)?;
    if steps.is_empty() {
        return Ok(Changed {
            manager: manager.name(),
            outcome: Outcome::Unchanged,
            changes: Vec::new(),
        });
    }
    call.check()?;
    // The plan that was confirmed names all that goes.
    let request = match request {
        Request::Remove { names, .. } => Request::Remove {
            names: names.clone(),
            along: steps.iter().map(|step| step.name.clone()).collect(),
        },
        other => other.clone(),
    };
    ask(call, manager, |manager, watch| {
        manager.carry_out(&request, watch)
    })?;
    verify(call, manager, &steps)?;
    let done = |step: Step| Done {
        name: step.name,
        action: match step.verb {
            StepVerb::Install => "install",
            StepVerb::Update => "update",
            StepVerb::Remove => "remove",
        },
        before: step.before,
        after: step.after,
    };
    Ok(Changed {
        manager: manager.name(),
        outcome: Outcome::Done,
        changes: steps.into_iter().map(done).collect(),
    })
}

/// Looks whether what was reported as done is so: a package manager may say so although its scripts failed.
fn verify(call: &Call<'_>, manager: &dyn PackageManager, steps: &[Step]) -> Result<(), ToolError> {
    let names: Vec<PackageName> = steps
        .iter()
        .filter_map(|step| step.name.parse().ok())
        .collect();
    let asked: Vec<_> = names.iter().collect();
    let watch = Watch::nobody();
    let there = manager
        .installed(&asked, &watch)
        .map_err(|error| failed(call, error))?;
    let is_known = |step: &&Step| names.iter().any(|name| name.as_str() == step.name);
    let wrong = steps
        .iter()
        .filter(is_known)
        .filter(|step| there.contains_key(&step.name) == (step.verb == StepVerb::Remove));
    let wrong: Vec<_> = wrong.map(|step| step.name.as_str()).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(ToolError::Failed(format!(
            "{} says that it is done, but {} did not change: `journalctl --unit packagekit` or \
             /var/log/apt/term.log may tell why",
            manager.name(),
            wrong.join(", ")
        ))),
    }
}

fn change(resource: &str, verb: Verb, before: Value, after: Value) -> Change {
    Change::new("packagekit", resource, verb, before, after)
}

fn plan(changes: Vec<Change>) -> Plan {
    Plan {
        changes,
        notes: Vec::new(),
    }
}
