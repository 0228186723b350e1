//! web deploy, rollback, deployments: versions of the web server side by side.

mod tools;
mod trial;
mod unit;

use std::path::Path;

use anyhow::Context as _;
use deployments::{Candidate, Name, Place, Settled};
use reconcile::LockError;
use serde_json::{Value, json};

use super::agree::{self, Preview};
use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, plan_text, table};

pub(super) fn deploy(cli: &Cli, screen: &Screen, options: &cli::Deploy) -> Result<u8, Failure> {
    let place = place(&options.standing)?;
    not_on_nixos()?;
    let program = match &options.from {
        Some(program) => std::path::absolute(program),
        None => std::env::current_exe(),
    };
    let program = program.context("find the program")?;
    let candidate = Candidate::open(&program).map_err(usage)?;
    let version = trial::version(&candidate)?;
    let name = Name::new(&version, &candidate.sha256).map_err(|error| usage(&error))?;
    let arguments = json!({
        "name": name,
        "version": version,
        "program": program,
        "sha256": candidate.sha256,
        "declaration": std::path::absolute(&cli.file).context("find the declaration")?,
        "directory": place.base(),
        "keep": options.keep,
        "service": options.standing.unit,
        "within_s": options.standing.within.as_secs(),
    });
    let asked = Asked {
        tool: tools::DEPLOY,
        question: "Deploy it?",
        dry_run: options.dry_run,
    };
    carry_out(cli, screen, &asked, arguments)
}

pub(super) fn rollback(cli: &Cli, screen: &Screen, options: &cli::Standing) -> Result<u8, Failure> {
    let place = place(options)?;
    not_on_nixos()?;
    let manifest = place.manifest().map_err(usage)?;
    let current = manifest.settled();
    let to = current.and_then(|current| manifest.before(current));
    let Some(to) = to else {
        return Err(Failure::Usage(match current {
            Some(current) => format!(
                "nothing was deployed before {current} that is still there: `op-dbus web deployments` lists the versions"
            ),
            None => format!("nothing is deployed in {}", place.base().display()),
        }));
    };
    let arguments = json!({
        "name": to,
        "directory": place.base(),
        "service": options.unit,
        "within_s": options.within.as_secs(),
    });
    let asked = Asked {
        tool: tools::ROLLBACK,
        question: "Return to it?",
        dry_run: false,
    };
    carry_out(cli, screen, &asked, arguments)
}

struct Asked<'a> {
    tool: &'a str,
    question: &'a str,
    dry_run: bool,
}

/// Shows the plan, asks where somebody is there to be asked, and does it.
fn carry_out(
    cli: &Cli,
    screen: &Screen,
    asked: &Asked<'_>,
    arguments: Value,
) -> Result<u8, Failure> {
    // In this process: what is deployed is a file that only root may choose, and no door leads here.
    let mut line = Line::with(cli, screen, tools::all())?;
    let preview = Preview::of(&mut line, asked.tool, &arguments)?;
    if asked.dry_run {
        screen.result(&preview.answer, || plan_text(&preview.plan));
        return Ok(0);
    }
    if preview.plan.is_empty() {
        let answer = json!({ "outcome": "unchanged", "name": arguments["name"] });
        screen.result(&answer, || {
            format!("{} serves already\n", text(&arguments["name"]))
        });
        return Ok(0);
    }
    preview.show(screen);
    if !screen.agrees(asked.question) {
        return Err(Failure::Refused(
            "not done; --yes does it without a question".to_owned(),
        ));
    }
    let answer = line.call(asked.tool, arguments, agree::bound(Some(preview.hash())))?;
    screen.result(&answer, || {
        let mut said = format!("{} serves", text(&answer["name"]));
        if let Some(previous) = answer["previous"].as_str() {
            said += &format!("; `op-dbus web rollback` returns to the one before, {previous}");
        }
        said + "\n"
    });
    Ok(0)
}

pub(super) fn list(screen: &Screen, options: &cli::Standing) -> Result<u8, Failure> {
    let place = place(options)?;
    let manifest = place.manifest().map_err(usage)?;
    let answer = serde_json::to_value(&manifest).context("write the answer")?;
    screen.result(&answer, || {
        let rows: Vec<_> = manifest
            .versions
            .iter()
            .rev()
            .map(|version| {
                let is = |name: &Option<Name>| name.as_ref() == Some(&version.name);
                let tried = manifest.trial.as_ref().map(|trial| &trial.to);
                let state = match () {
                    () if tried == Some(&version.name) => "on trial",
                    () if is(&manifest.current) => "serves",
                    () if is(&manifest.previous) => "before",
                    () => "",
                };
                vec![
                    version.name.to_string(),
                    state.to_owned(),
                    version.deployed_at.to_string(),
                    version.deployed_by.clone(),
                ]
            })
            .collect();
        match rows.is_empty() {
            true => format!("nothing is deployed in {}\n", place.base().display()),
            false => table(&["VERSION", "STATE", "DEPLOYED", "BY"], &rows),
        }
    });
    Ok(0)
}

/// Runs before the unit starts, so that an overlay is there, and a switch that was killed is settled.
pub(super) fn mount(screen: &Screen, options: &cli::Standing) -> Result<u8, Failure> {
    let place = place(options)?;
    let mut held = match place.hold("web mount") {
        // Whoever switches starts the unit, and has mounted it.
        Err(deployments::Error::Lock(LockError::Held { .. })) if place.is_up() => return Ok(0),
        held => held.map_err(failed)?,
    };
    match held.settle().map_err(failed)? {
        Some(Settled::Back(name)) => {
            screen.say(&format!("a switch was interrupted: {name} serves again"));
        }
        Some(Settled::On(name)) => screen.say(&format!("a switch was interrupted: {name} stays")),
        None => {}
    }
    held.mount().map_err(failed)?;
    Ok(0)
}

fn place(options: &cli::Standing) -> Result<Place, Failure> {
    Place::new(&options.directory).map_err(usage)
}

/// There the web server is part of the system's generation.
fn not_on_nixos() -> Result<(), Failure> {
    match Path::new("/etc/NIXOS").exists() {
        true => Err(Failure::Usage(
            "the web server of this host is part of its NixOS generation: `nixos-rebuild switch` deploys it, and \
             `nixos-rebuild switch --rollback` goes back"
                .to_owned(),
        )),
        false => Ok(()),
    }
}

fn usage(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}

fn failed(error: deployments::Error) -> Failure {
    Failure::Failed(anyhow::Error::new(error))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
