//! plan, apply, confirm, rollback, verify.

use std::time::{Duration, Instant};

use reconcile::Verb;
use serde_json::{Value, json};
use tools::Options;
use tools::engine::{self, Changed, Ended};

use super::agree::{self, Preview};
use crate::cli::{Apply, Cli};
use crate::failure::Failure;
use crate::line::{Line, site};
use crate::screen::{Screen, plan_text, table};

/// What `plan --detailed-exitcode` ends with when there are changes.
const CHANGES: u8 = 4;
/// How long `apply --wait` waits for another run to end.
const LONGEST: Duration = Duration::from_secs(1200);

pub(super) fn plan(line: &mut Line<'_>, screen: &Screen, detailed: bool) -> Result<u8, Failure> {
    let answer = line.call("state_plan", json!({}), Options::default())?;
    let plan = agree::read(&answer)?;
    screen.result(&answer, || plan_text(&plan));
    Ok(if detailed && !plan.is_empty() {
        CHANGES
    } else {
        0
    })
}

pub(super) fn apply(
    cli: &Cli,
    line: &mut Line<'_>,
    screen: &Screen,
    options: &Apply,
) -> Result<u8, Failure> {
    let arguments = json!({
        "allow_destroy": options.limits.allow_destroy,
        "confirm_s": options.limits.confirm.map(|window| window.as_secs()),
        "unattended": options.wait,
    });
    let mut shown = options.limits.plan.clone();
    if shown.is_none() && (screen.interactive() || options.limits.allow_destroy) {
        shown = Some(agreed(line, screen, &arguments)?);
    }
    // Where nobody can try again, another run is waited for.
    let deadline = options.wait.then(|| Instant::now() + LONGEST);
    let change = |line: &mut Line<'_>, plan, arguments| {
        let options = Options {
            deadline,
            ..agree::bound(plan)
        };
        agree::changed(line.call("state_apply", arguments, options))
    };
    let changed = match change(line, shown, arguments.clone()) {
        // What an interrupted run had left was put in order in between; nobody looked at the plan before it.
        Err(failure)
            if failure.is_other_plan()
                && options.limits.plan.is_none()
                && !screen.interactive() =>
        {
            let shown = agreed(line, screen, &arguments)?;
            change(line, Some(shown), arguments)?
        }
        changed => changed?,
    };
    if changed.outcome != Ended::AwaitingConfirmation {
        return Ok(report(screen, &changed));
    }
    if screen.interactive() {
        return ask_to_keep(line, screen, changed);
    }
    if options.wait {
        screen.say(&text(&changed));
        return wait(cli, screen, changed);
    }
    Ok(report(screen, &changed))
}

/// Shows the plan and asks; the plan's hash if the answer is yes.
fn agreed(line: &mut Line<'_>, screen: &Screen, arguments: &Value) -> Result<String, Failure> {
    let preview = Preview::of(line, "state_apply", arguments)?;
    if screen.interactive() && !preview.plan.is_empty() {
        preview.show(screen);
        if !screen.agrees("Apply these changes?") {
            return Err(Failure::Refused("not applied".to_owned()));
        }
    }
    Ok(preview.hash())
}

/// Prints how a change came out; the exit status.
pub(super) fn report(screen: &Screen, changed: &Changed) -> u8 {
    screen.result(&json!(changed), || text(changed));
    u8::from(changed.error.is_some())
}

pub(super) fn text(changed: &Changed) -> String {
    let count = |verb| {
        let changes = changed.changes.iter();
        changes.filter(|change| change.verb == verb).count()
    };
    let notes: String = changed
        .notes
        .iter()
        .map(|note| format!("note: {}: {}\n", note.resource, note.text))
        .collect();
    let error = changed.error.as_deref().unwrap_or_default();
    let run = &changed.run;
    let end = match changed.outcome {
        Ended::Unchanged => "Nothing to do: the host is in its declared state.\n".to_owned(),
        Ended::Recovered if changed.changes.is_empty() => {
            "Recovered: the host is in its declared state.\n".to_owned()
        }
        Ended::Applied | Ended::Recovered => format!(
            "Applied: {} created, {} updated, {} deleted in {} ms (run {run}).\n",
            count(Verb::Create),
            count(Verb::Update),
            count(Verb::Delete),
            changed.duration_ms,
        ),
        Ended::AwaitingConfirmation => format!(
            "Applied, and undone unless it is confirmed: run `op-dbus confirm` (run {run}).\n"
        ),
        Ended::RolledBack => format!("Failed, and everything was undone (run {run}): {error}\n"),
        Ended::Stuck => format!(
            "Failed (run {run}): {error}\nNot everything could be undone:\n{}\nThe next run tries again.\n",
            changed.undo_errors.clone().unwrap_or_default().join("\n")
        ),
    };
    notes + &end
}

/// Ends a run that waits: the person who is there is asked at once.
pub(super) fn ask_to_keep(
    line: &mut Line<'_>,
    screen: &Screen,
    changed: Changed,
) -> Result<u8, Failure> {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
    let deadline_ms = changed.deadline_ms.unwrap_or_default();
    let left = Duration::from_millis(deadline_ms.saturating_sub(now));
    let question = format!(
        "Keep these changes? They are undone in {} s.",
        left.as_secs()
    );
    let answer = screen.agrees_within(&question, left);
    if answer == Some(true) {
        let settled = line.call("state_confirm", json!({}), Options::default())?;
        let changed = Changed {
            outcome: Ended::Applied,
            duration_ms: settled["duration_ms"].as_u64().unwrap_or_default(),
            deadline_ms: None,
            ..changed
        };
        return Ok(report(screen, &changed));
    }
    let reason = match answer {
        Some(_) => "the answer was no",
        None => "nobody answered in time",
    };
    // Out of time, the guard of the window may have been quicker.
    let this = json!({ "to": changed.run });
    if let Err(failure) = line.call("state_rollback", this, Options::default())
        && (answer.is_some() || failure.status() != 3)
    {
        return Err(failure);
    }
    let changed = Changed {
        outcome: Ended::RolledBack,
        error: Some(reason.to_owned()),
        deadline_ms: None,
        ..changed
    };
    Ok(report(screen, &changed))
}

/// Waits until the window is over. What the host is then says whether the changes were kept.
fn wait(cli: &Cli, screen: &Screen, changed: Changed) -> Result<u8, Failure> {
    let site = site(cli)?;
    engine::await_end(&site.paths()?, &changed.run)?;
    let host = engine::Host::new(&*site.declaration()?)?;
    let plan = reconcile::plan(&host.plugins).map_err(tools::ToolError::from)?;
    let kept = plan.is_empty();
    let changed = Changed {
        outcome: if kept {
            Ended::Applied
        } else {
            Ended::RolledBack
        },
        error: (!kept).then(|| "nobody confirmed it in time".to_owned()),
        deadline_ms: None,
        ..changed
    };
    Ok(report(screen, &changed))
}

/// Keeps the changes of the run that waits.
pub(super) fn confirm(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let answer = line.call("state_confirm", json!({}), Options::default())?;
    let run = answer["run"].as_str().unwrap_or_default();
    screen.result(&answer, || format!("Kept (run {run}).\n"));
    Ok(0)
}

/// Takes the changes of the run that waits back.
pub(super) fn undo(line: &mut Line<'_>, screen: &Screen, run: &str) -> Result<u8, Failure> {
    let answer = line.call("state_rollback", json!({ "to": run }), Options::default())?;
    let run = answer["run"].as_str().unwrap_or_default();
    screen.result(&answer, || format!("Undone (run {run}).\n"));
    Ok(0)
}

pub(super) fn verify(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let answer = line.call("state_verify", json!({}), Options::default())?;
    let converged = answer["converged"] == json!(true);
    screen.result(&answer, || {
        if converged {
            return "Converged: the host is in its declared state.\n".to_owned();
        }
        let drift = answer["drift"].as_array().into_iter().flatten();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rows: Vec<_> = drift
            .map(|drift| {
                vec![
                    word(&drift["resource"]),
                    format!("needs {}", word(&drift["verb"])),
                ]
            })
            .collect();
        table(&["RESOURCE", "DRIFT"], &rows)
    });
    Ok(u8::from(!converged))
}
