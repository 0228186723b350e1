//! ledger: log, show; the proofs and the recovery have files of their own.

use std::io::Write;
use std::time::Duration;

use jiff::{Span, Timestamp, civil, tz::TimeZone};
use serde_json::{Value, json};
use tools::Options;

use super::{proof, recover};
use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

/// Time between two looks of `log --follow`.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) fn run(
    cli: &Cli,
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Ledger,
) -> Result<u8, Failure> {
    match command {
        cli::Ledger::Log(log) => list(line, cli, screen, log),
        cli::Ledger::Show { id } => {
            let entry: Value = line.read("ledger_show", json!({ "id": id }))?;
            screen.result(&entry, || format!("{entry:#}\n"));
            Ok(0)
        }
        cli::Ledger::Verify(options) => proof::verify(line, screen, options),
        cli::Ledger::Prove(options) => proof::prove(line, screen, options),
        cli::Ledger::VerifyProof(options) => proof::verify_proof(screen, options),
        cli::Ledger::Consistency(options) => proof::consistency(line, screen, options),
        cli::Ledger::Checkpoint { new_origin: true } => proof::new_origin(line, screen),
        cli::Ledger::Checkpoint { new_origin: false } => proof::checkpoint(cli, line, screen),
        cli::Ledger::Key => proof::key_of(cli, line, screen),
        cli::Ledger::Recover { key } => recover::run(cli, screen, key.as_deref()),
    }
}

fn list(line: &mut Line<'_>, cli: &Cli, screen: &Screen, log: &cli::Log) -> Result<u8, Failure> {
    let mut arguments = json!({
        "since": log.since.as_deref().map(time).transpose()?,
        "until": log.until.as_deref().map(time).transpose()?,
        "operation": log.operation,
        "target": log.target,
        "run": log.run,
    });
    let mut entries = newest(line, &arguments, log.limit)?;
    entries.reverse();
    if !log.follow {
        screen.result(&json!({ "entries": entries }), || {
            let rows: Vec<_> = entries.iter().map(row).collect();
            table(
                &["ID", "TIME", "OPERATION", "TARGET", "OUTCOME", "BY", "RUN"],
                &rows,
            )
        });
        return Ok(0);
    }
    arguments["after"] = json!(-1);
    arguments["limit"] = json!(1000);
    loop {
        for entry in &entries {
            let line = match cli.json {
                true => format!("{entry}\n"),
                false => format!("{}\n", row(entry).join("  ")),
            };
            let mut out = std::io::stdout();
            if out
                .write_all(line.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
            {
                return Ok(0);
            }
            arguments["after"] = entry["id"].clone();
        }
        std::thread::sleep(PAUSE);
        let mut answer = line.call("ledger_log", arguments.clone(), Options::default())?;
        entries = match answer["entries"].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
    }
}

/// The last `limit` entries, the newest first; all for 0.
fn newest(line: &mut Line<'_>, arguments: &Value, limit: usize) -> Result<Vec<Value>, Failure> {
    let mut arguments = arguments.clone();
    let mut all = Vec::new();
    loop {
        let left = match limit {
            0 => 1000,
            limit => (limit - all.len()).min(1000),
        };
        arguments["limit"] = json!(left);
        let mut answer = line.call("ledger_log", arguments.clone(), Options::default())?;
        if let Value::Array(mut entries) = answer["entries"].take() {
            all.append(&mut entries);
        }
        match answer.get("next_cursor") {
            Some(cursor) if !cursor.is_null() && (limit == 0 || all.len() < limit) => {
                arguments["cursor"] = cursor.clone();
            }
            _ => return Ok(all),
        }
    }
}

fn row(entry: &Value) -> Vec<String> {
    let text = |pointer: &str| {
        let value = entry.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or("-").to_owned()
    };
    vec![
        entry["id"].to_string(),
        text("/time"),
        text("/operation"),
        text("/target"),
        text("/metadata/outcome"),
        text("/metadata/actor/name"),
        text("/metadata/run"),
    ]
}

/// A time as people write it, in seconds since 1970-01-01 UTC.
fn time(text: &str) -> Result<i64, Failure> {
    let text = text.trim().trim_end_matches(" ago");
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_second());
    }
    if let Ok(date) = text.parse::<civil::Date>() {
        let start = date.to_zoned(TimeZone::system());
        return Ok(start.map_err(anyhow::Error::new)?.timestamp().as_second());
    }
    if let Ok(span) = text.parse::<Span>() {
        let now = Timestamp::now().to_zoned(TimeZone::system());
        return Ok(now
            .checked_sub(span)
            .map_err(anyhow::Error::new)?
            .timestamp()
            .as_second());
    }
    Err(Failure::Usage(format!(
        "`{text}` is not a time: write 2026-01-31, 2026-01-31T12:00:00Z, or 2h or 3d for so long ago"
    )))
}
