//! plan, apply, confirm, verify.

use reconcile::drift;
use serde_json::json;

use crate::actor::actor;
use crate::change::{Changed, Session};
use crate::cli::{Apply, Cli};
use crate::failure::Failure;
use crate::host::{Host, read_declaration, read_declaration_if_any};
use crate::screen::{Screen, plan_text, table};
use crate::witness::LedgerWitness;

/// What `plan --detailed-exitcode` ends with when there are changes.
const CHANGES: u8 = 4;

pub(super) fn plan(cli: &Cli, screen: &Screen, detailed: bool) -> Result<u8, Failure> {
    let host = Host::new(read_declaration(cli)?)?;
    let plan = reconcile::plan(&host.plugins)?;
    let result = json!({
        "plan_hash": plan.hash(),
        "changes": plan.changes,
        "notes": plan.notes,
        "summary": plan.summary(),
    });
    screen.result(&result, || plan_text(&plan));
    Ok(if detailed && !plan.is_empty() {
        CHANGES
    } else {
        0
    })
}

pub(super) fn apply(cli: &Cli, screen: &Screen, options: &Apply) -> Result<u8, Failure> {
    let session = Session::open(read_declaration(cli)?, screen, "apply")?;
    let changed = session.change(None, options)?;
    let changed = session.settle(changed)?;
    if options.wait && changed.is_awaiting() {
        screen.say(&changed.text());
        let host = Host::new(read_declaration(cli)?)?;
        let changed = changed.wait(&host)?;
        return Ok(report(screen, &changed));
    }
    Ok(report(screen, &changed))
}

/// Prints how a change came out; the exit status.
pub(super) fn report(screen: &Screen, changed: &Changed) -> u8 {
    screen.result(&changed.json(), || changed.text());
    u8::from(!changed.succeeded())
}

pub(super) fn confirm(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let host = Host::new(read_declaration_if_any(cli)?)?;
    let lock = reconcile::RunLock::acquire(&host.paths.lock(), "confirm")?;
    let witness = LedgerWitness::new(&host.paths, screen);
    let confirmed = reconcile::confirm(&host.plugins, &host.paths.journal(), &witness);
    drop(lock);
    let (run, report) = confirmed.map_err(Failure::from).inspect_err(|failure| {
        witness.refused("confirm", "host", &actor(), &failure.to_string());
    })?;
    let result = json!({
        "run": run,
        "outcome": "applied",
        "duration_ms": report.duration_ms,
    });
    screen.result(&result, || format!("Kept (run {run}).\n"));
    Ok(0)
}

pub(super) fn verify(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let host = Host::new(read_declaration(cli)?)?;
    let plan = reconcile::plan(&host.plugins)?;
    let drift = drift(&plan);
    let converged = drift.is_empty();
    let result = json!({ "converged": converged, "drift": drift, "notes": plan.notes });
    screen.result(&result, || {
        if converged {
            return "Converged: the host is in its declared state.\n".to_owned();
        }
        let rows: Vec<_> = drift
            .iter()
            .map(|drift| vec![drift.resource.to_string(), format!("needs {}", drift.verb)])
            .collect();
        table(&["RESOURCE", "DRIFT"], &rows)
    });
    Ok(u8::from(!converged))
}
