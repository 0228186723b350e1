//! The two tools of this command. They are called through the registry, which writes the ledger, and no door has them.

use std::path::Path;
use std::time::Duration;

use ::tools::{Call, Domain, Role, Tool, ToolError};
use declaration::UnitName;
use deployments::{Candidate, Held, Manifest, Name, Place, Settled, Version};
use jiff::Timestamp;
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::trial;
use super::unit::Unit;

pub(super) const DEPLOY: &str = "web_deploy";
pub(super) const ROLLBACK: &str = "web_rollback";

#[derive(Deserialize, JsonSchema)]
struct Deploy {
    /// What the version is called: its version and the beginning of its SHA-256.
    name: String,
    /// What it says of itself.
    version: String,
    /// The file to copy.
    program: String,
    /// Its SHA-256, in hexadecimal.
    sha256: String,
    /// The declaration that it has to accept.
    declaration: String,
    /// Where versions are kept.
    directory: String,
    /// How many are kept.
    keep: usize,
    /// The unit that serves.
    service: String,
    /// How many seconds it may take until it serves.
    within_s: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Rollback {
    /// The version to return to.
    name: String,
    /// Where versions are kept.
    directory: String,
    /// The unit that serves.
    service: String,
    /// How many seconds it may take until it serves.
    within_s: u64,
}

#[derive(Serialize, JsonSchema)]
struct Served {
    /// `deployed` or `rolled-back`.
    outcome: &'static str,
    /// The version that serves.
    name: String,
    /// The one before.
    previous: Option<String>,
    /// Versions that were too many.
    removed: Vec<String>,
    /// The unit that was started anew.
    restarted: Option<String>,
}

pub(super) fn all() -> Vec<Tool> {
    vec![
        Tool::write(
            Domain::Host,
            DEPLOY,
            "Deploy a version of the web server",
            "Installs a version beside those there are, switches to it, and goes back if it does not serve.",
            |_, input: Deploy| Target::of_deploy(&input)?.plan(&input.name, Some(&input)),
            deploy,
        )
        .for_role(Role::Admin),
        Tool::write(
            Domain::Host,
            ROLLBACK,
            "Return to the version before",
            "Switches to a version that was deployed before, and goes back if it does not serve.",
            |_, input: Rollback| Target::of_rollback(&input)?.plan(&input.name, None),
            rollback,
        )
        .for_role(Role::Admin),
    ]
}

/// What is worked on.
struct Target {
    place: Place,
    unit: Option<Unit>,
    within: Duration,
}

impl Target {
    fn of_deploy(input: &Deploy) -> Result<Self, ToolError> {
        Self::of(&input.directory, &input.service, input.within_s)
    }

    fn of_rollback(input: &Rollback) -> Result<Self, ToolError> {
        Self::of(&input.directory, &input.service, input.within_s)
    }

    fn of(directory: &str, service: &str, within_s: u64) -> Result<Self, ToolError> {
        let service: UnitName = service
            .parse()
            .map_err(|error| ToolError::Invalid(format!("{service}: {error}")))?;
        Ok(Self {
            place: Place::new(directory).map_err(failed)?,
            unit: Unit::find(&service).map_err(said)?,
            within: Duration::from_secs(within_s),
        })
    }

    /// What would change. Nothing, if this version serves and the unit starts it.
    fn plan(&self, name: &str, deploy: Option<&Deploy>) -> Result<Plan, ToolError> {
        let name = parse(name)?;
        let manifest = self.place.manifest().map_err(failed)?;
        let mut changes = Vec::new();
        if let Some(deploy) = deploy
            && manifest.version(&name).is_none()
        {
            let after = json!({ "version": deploy.version, "sha256": deploy.sha256 });
            let resource = format!("version/{name}");
            changes.push(change(resource, Verb::Create, Value::Null, after));
        }
        let serving = self.place.serving().map_err(failed)?;
        let settled = manifest.trial.is_none() && self.place.is_up();
        let serves = settled && serving.as_ref() == Some(&name);
        if !serves || manifest.current.as_ref() != Some(&name) {
            let verb = match serving {
                Some(_) => Verb::Update,
                None => Verb::Create,
            };
            changes.push(change(
                "current".to_owned(),
                verb,
                json!(serving),
                json!(name),
            ));
        }
        if let Some(unit) = &self.unit
            && (!changes.is_empty() || !unit.is_led_to(&self.place))
        {
            let before = json!({ "starts": unit.is_led_to(&self.place).then(|| serving.clone()) });
            let resource = format!("unit/{}", unit.name());
            changes.push(change(
                resource,
                Verb::Update,
                before,
                json!({ "starts": name }),
            ));
        }
        if let Some(deploy) = deploy {
            changes.extend(surplus(&manifest, &name, deploy.keep));
        }
        Ok(Plan {
            changes,
            notes: Vec::new(),
        })
    }

    /// Switches, starts the unit anew, and goes back if it is not well.
    fn switch(&self, call: &Call<'_>, held: &mut Held, to: &Name) -> Result<(), ToolError> {
        call.note(format!("switching to {to}"));
        held.switch(to).map_err(failed)?;
        let Err(why) = self.start(call, to) else {
            return Ok(());
        };
        call.note(format!("going back: {why:#}"));
        let back = held.back().map_err(failed)?;
        let started = self.start_again(back.as_ref());
        let ending = match (&back, &started) {
            (_, Err(error)) => format!("and the one before could not be started again: {error:#}"),
            (Some(back), Ok(())) => format!("{back} serves again"),
            (None, Ok(())) => "nothing is deployed, as before".to_owned(),
        };
        Err(ToolError::Failed(format!(
            "{to} is not well: {why:#}; {ending}"
        )))
    }

    fn start(&self, call: &Call<'_>, version: &Name) -> anyhow::Result<()> {
        let Some(unit) = &self.unit else {
            call.note("no unit serves it here: start it yourself");
            return Ok(());
        };
        unit.lead_to(&self.place)?;
        match unit.active {
            true => {
                call.note(format!("starting {} anew", unit.name()));
                unit.restart(Some(version), self.within)
            }
            false => {
                call.note(format!(
                    "{0} is stopped, and stays so: systemctl start {0}",
                    unit.name()
                ));
                Ok(())
            }
        }
    }

    fn start_again(&self, version: Option<&Name>) -> anyhow::Result<()> {
        let Some(unit) = &self.unit else {
            return Ok(());
        };
        if version.is_none() {
            unit.let_go()?;
        }
        match unit.active {
            true => unit.restart(version, self.within),
            false => Ok(()),
        }
    }

    fn served(&self, outcome: &'static str, held: &Held, removed: Vec<Name>) -> Served {
        let manifest = held.manifest();
        let text = |name: &Option<Name>| name.as_ref().map(Name::to_string);
        let restarted = self.unit.as_ref().filter(|unit| unit.active);
        Served {
            outcome,
            name: text(&manifest.current).unwrap_or_default(),
            previous: text(&manifest.previous),
            removed: removed.iter().map(Name::to_string).collect(),
            restarted: restarted.map(|unit| unit.name().to_owned()),
        }
    }
}

fn deploy(call: &Call<'_>, input: Deploy) -> Result<Served, ToolError> {
    let target = Target::of_deploy(&input)?;
    let name = parse(&input.name)?;
    let by = match &call.caller.on_behalf_of {
        Some(behind) => format!("{behind} as {}", call.caller.name),
        None => call.caller.name.clone(),
    };
    let mut held = hold(call, &target.place, "web deploy")?;
    if held.manifest().version(&name).is_none() {
        add(call, &mut held, &input, &name, &by)?;
    }
    target.switch(call, &mut held, &name)?;
    held.keep(Some(&by)).map_err(failed)?;
    let removed = held.prune(input.keep).map_err(failed)?;
    Ok(target.served("deployed", &held, removed))
}

fn rollback(call: &Call<'_>, input: Rollback) -> Result<Served, ToolError> {
    let target = Target::of_rollback(&input)?;
    let name = parse(&input.name)?;
    let mut held = hold(call, &target.place, "web rollback")?;
    target.switch(call, &mut held, &name)?;
    held.keep(None).map_err(failed)?;
    Ok(target.served("rolled-back", &held, Vec::new()))
}

/// Copies the program in, and has the copy show that it would serve.
fn add(
    call: &Call<'_>,
    held: &mut Held,
    input: &Deploy,
    name: &Name,
    by: &str,
) -> Result<(), ToolError> {
    let candidate = Candidate::open(Path::new(&input.program)).map_err(failed)?;
    if candidate.sha256 != input.sha256 {
        return Err(ToolError::Failed(format!(
            "{} is no longer the program that was looked at: deploy it anew",
            input.program
        )));
    }
    call.note(format!("copying {}", input.program));
    let mut staged = held.stage(&candidate).map_err(failed)?;
    call.note("having it show that it would serve");
    let program = staged.program();
    let schema = trial::schema(&program).map_err(said)?;
    if !trial::accepts(&program, Path::new(&input.declaration)).map_err(said)? {
        call.note(format!(
            "there is no declaration at {}, so that nobody knows whether it would accept it",
            input.declaration
        ));
    }
    staged
        .configure("declaration.schema.json", &schema)
        .map_err(failed)?;
    let about = Version {
        name: name.clone(),
        version: input.version.clone(),
        sha256: candidate.sha256.clone(),
        size: candidate.size,
        files: Default::default(),
        deployed_at: Timestamp::now(),
        deployed_by: by.to_owned(),
        source: input.program.clone(),
    };
    held.add(staged, about).map_err(failed)
}

/// Keeps others out, and ends what a killed process has begun.
fn hold(call: &Call<'_>, place: &Place, command: &str) -> Result<Held, ToolError> {
    let mut held = place.hold(command).map_err(failed)?;
    match held.settle().map_err(failed)? {
        Some(Settled::Back(name)) => {
            call.note(format!("an earlier switch was interrupted: back to {name}"));
        }
        Some(Settled::On(name)) => {
            call.note(format!("an earlier switch was interrupted: {name} stays"));
        }
        None => {}
    }
    Ok(held)
}

/// What goes once this version serves.
fn surplus(manifest: &Manifest, name: &Name, keep: usize) -> Vec<Change> {
    let mut later = manifest.clone();
    let at = later.versions.iter().position(|one| one.name == *name);
    // A new one has no entry yet, and takes a place all the same.
    let keep = match at {
        Some(at) => {
            let version = later.versions.remove(at);
            later.versions.push(version);
            keep
        }
        None => keep.saturating_sub(1),
    };
    later.previous = match at {
        Some(_) => later.before(name).cloned(),
        None => later.versions.last().map(|version| version.name.clone()),
    };
    later.current = Some(name.clone());
    let gone = later.surplus(keep).into_iter();
    gone.map(|name| {
        let before = later.version(&name).map(|version| &version.sha256);
        let resource = format!("version/{name}");
        change(
            resource,
            Verb::Delete,
            json!({ "sha256": before }),
            Value::Null,
        )
    })
    .collect()
}

fn change(resource: String, verb: Verb, before: Value, after: Value) -> Change {
    Change::new("web", resource, verb, before, after)
}

fn parse(name: &str) -> Result<Name, ToolError> {
    name.parse()
        .map_err(|error: deployments::NameError| ToolError::Invalid(error.to_string()))
}

fn failed(error: deployments::Error) -> ToolError {
    match error {
        deployments::Error::Lock(error) => error.into(),
        deployments::Error::BadBase(_) => ToolError::Invalid(error.to_string()),
        other => ToolError::Failed(other.to_string()),
    }
}

fn said(error: anyhow::Error) -> ToolError {
    ToolError::Failed(format!("{error:#}"))
}
