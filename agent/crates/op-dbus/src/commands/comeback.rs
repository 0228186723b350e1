//! rollback, export, restore: going back, and coming back.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tools::Options;
use tools::engine::{Changed, Ended};
use tools::export::{Export, LARGEST};

use super::agree::{self, Preview};
use super::apply::{ask_to_keep, text, undo};
use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, plan_text};

pub(super) fn rollback(
    line: &mut Line<'_>,
    screen: &Screen,
    options: &cli::Rollback,
) -> Result<u8, Failure> {
    let status: Value = line.read("state_status", json!({}))?;
    // Whoever wants the window's run undone wants it now.
    if let Some(run) = status["awaiting"]["run"].as_str()
        && !options.dry_run
        && options.to.as_deref().is_none_or(|to| to == run)
    {
        return undo(line, screen, run);
    }
    let arguments = json!({
        "to": options.to,
        "over_conflicts": options.over_conflicts,
        "allow_destroy": options.limits.allow_destroy,
        "confirm_s": options.limits.confirm.map(|window| window.as_secs()),
    });
    let asked = Asked {
        tool: "state_rollback",
        question: "Roll this back?",
        dry_run: options.dry_run,
        destroys: options.limits.allow_destroy,
    };
    carry_out(line, screen, &asked, arguments, options.limits.plan.clone())
}

/// What is asked of a tool that changes the host by a plan.
struct Asked<'a> {
    tool: &'a str,
    question: &'a str,
    dry_run: bool,
    /// It is bound to the plan that is shown.
    destroys: bool,
}

/// Shows the plan, asks where somebody is there to be asked, and does it.
fn carry_out(
    line: &mut Line<'_>,
    screen: &Screen,
    asked: &Asked<'_>,
    arguments: Value,
    mut shown: Option<String>,
) -> Result<u8, Failure> {
    let preview = Preview::of(line, asked.tool, &arguments)?;
    if asked.dry_run {
        screen.result(&preview.answer, || plan_text(&preview.plan));
        return Ok(0);
    }
    preview.show(screen);
    if screen.interactive() && !screen.agrees(asked.question) {
        return Err(Failure::Refused("not done".to_owned()));
    }
    if shown.is_none() && (screen.interactive() || asked.destroys) {
        shown = Some(preview.hash());
    }
    let answer = agree::answered(line.call(asked.tool, arguments, agree::bound(shown)))?;
    let changed: Changed = serde_json::from_value(answer.clone()).context("read the answer")?;
    if changed.outcome == Ended::AwaitingConfirmation && screen.interactive() {
        return ask_to_keep(line, screen, changed);
    }
    screen.result(&answer, || text(&changed) + &remarks(&answer));
    Ok(u8::from(changed.error.is_some()))
}

/// What else there is to say of a rollback or a restore.
fn remarks(answer: &Value) -> String {
    let mut text = String::new();
    match answer["declaration"].as_str() {
        Some("put-back") => text.push_str("The declaration is as it was before.\n"),
        Some("held-off") => text.push_str(
            "The declaration still asks for it: the daemon leaves that alone until somebody applies it again.\n",
        ),
        _ => {}
    }
    for secret in answer["missing_secrets"].as_array().into_iter().flatten() {
        let word = |key: &str| secret[key].as_str().unwrap_or_default();
        text.push_str(&format!(
            "Still to be put in place: {} ({})\n",
            word("path"),
            word("used_by")
        ));
    }
    text
}

pub(super) fn export(
    line: &mut Line<'_>,
    screen: &Screen,
    file: Option<&Path>,
) -> Result<u8, Failure> {
    let answer = line.call("state_export", json!({}), Options::default())?;
    let export = Export::from_value(answer).map_err(anyhow::Error::new)?;
    let document = export.text();
    match file.filter(|file| *file != Path::new("-")) {
        None => {
            // A reader that went away, such as `head`, is no failure of ours.
            let _ = std::io::stdout().write_all(document.as_bytes());
        }
        Some(file) => {
            tools::export::replace(file, document.as_bytes())
                .with_context(|| format!("write {}", file.display()))?;
            let secrets = export.secrets.len();
            let shown = json!({
                "file": file,
                "sha256": export.sha256,
                "head": export.ledger,
                "secrets": export.secrets,
            });
            screen.result(&shown, || {
                let mut text = format!(
                    "Exported to {}: sha256 {}.\n",
                    file.display(),
                    export.sha256
                );
                if secrets > 0 {
                    text.push_str("Keep these files too, elsewhere; they are not in it:\n");
                }
                for secret in &export.secrets {
                    text.push_str(&format!("  {}  ({})\n", secret.path, secret.used_by));
                }
                text
            });
        }
    }
    Ok(0)
}

pub(super) fn restore<'a>(
    line: impl FnOnce() -> Result<Line<'a>, Failure>,
    screen: &Screen,
    options: &cli::Restore,
) -> Result<u8, Failure> {
    let export = read(&options.export)?;
    if options.print_declaration {
        let text = format!("{:#}\n", export.declaration);
        let _ = std::io::stdout().write_all(text.as_bytes());
        return Ok(0);
    }
    let ledger = options.ledger.as_ref().map(std::path::absolute);
    let arguments = json!({
        "document": export,
        "expect_sha256": options.expect_sha256,
        "ledger": ledger.transpose().context("find the ledger's copy")?,
        "without_secrets": options.without_secrets,
        "onto_existing": options.onto_existing,
        "confirm_s": options.confirm.map(|window| window.as_secs()),
    });
    let asked = Asked {
        tool: "state_restore",
        question: "Restore this host?",
        dry_run: options.dry_run,
        destroys: options.onto_existing,
    };
    if options.onto_existing && !options.dry_run && !screen.interactive() && !screen.agrees("") {
        return Err(Failure::Refused(
            "what is not in the export goes, and that was not confirmed; --yes confirms it"
                .to_owned(),
        ));
    }
    carry_out(
        &mut line()?,
        screen,
        &asked,
        arguments,
        options.plan.clone(),
    )
}

/// Reads an export, and no more than one may have.
fn read(path: &Path) -> Result<Export, Failure> {
    let reading = || format!("read {}", path.display());
    let mut text = Vec::new();
    let bound = u64::try_from(LARGEST).unwrap_or(u64::MAX) + 1;
    match path == Path::new("-") {
        true => std::io::stdin().take(bound).read_to_end(&mut text),
        false => std::fs::File::open(path)
            .with_context(reading)?
            .take(bound)
            .read_to_end(&mut text),
    }
    .with_context(reading)?;
    let export = Export::parse(&text);
    export.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
