//! ledger: log, show, verify.

use std::io::Write;
use std::time::Duration;

use jiff::{Span, Timestamp, civil, tz::TimeZone};
use ledger::{Entry, Filter, Ledger};
use serde_json::json;

use crate::cli::{self, Cli};
use crate::failure::Failure;
use crate::host::{Paths, read_declaration_if_any};
use crate::screen::{Screen, table};

/// Time between two looks of `log --follow`.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) fn run(cli: &Cli, screen: &Screen, command: &cli::Ledger) -> Result<u8, Failure> {
    let declaration = read_declaration_if_any(cli)?;
    let paths = Paths {
        base: declaration.plugins.btrfs.base.path,
    };
    let path = paths.ledger();
    if !path.exists() {
        return Err(Failure::Usage(format!(
            "there is no ledger at {}: the first `op-dbus apply` makes it. If the base is elsewhere, \
             name it with --base",
            path.display()
        )));
    }
    let ledger = Ledger::open_read_only(&path)?;
    match command {
        cli::Ledger::Log(log) => list(&ledger, cli, screen, log),
        cli::Ledger::Show { id } => show(&ledger, screen, *id),
        cli::Ledger::Verify { expect_head } => verify(&ledger, screen, expect_head.as_deref()),
    }
}

fn list(ledger: &Ledger, cli: &Cli, screen: &Screen, log: &cli::Log) -> Result<u8, Failure> {
    let mut filter = Filter {
        since: log.since.as_deref().map(time).transpose()?,
        until: log.until.as_deref().map(time).transpose()?,
        operation: log.operation.clone(),
        target: log.target.clone(),
        run: log.run.clone(),
        limit: (log.limit > 0).then_some(log.limit),
        newest_first: true,
        ..Filter::default()
    };
    let mut entries = ledger.query(&filter)?;
    entries.reverse();
    let mut last = entries.last().map_or(-1, |entry| entry.id);
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
    filter.newest_first = false;
    filter.limit = None;
    loop {
        for entry in &entries {
            let line = match cli.json {
                true => format!("{}\n", json!(entry)),
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
            last = entry.id;
        }
        std::thread::sleep(PAUSE);
        filter.after_id = Some(last);
        entries = ledger.query(&filter)?;
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let text = |pointer: &str| {
        let value = entry.metadata.pointer(pointer);
        value
            .and_then(|value| value.as_str())
            .unwrap_or("-")
            .to_owned()
    };
    let time = Timestamp::from_second(entry.timestamp).map(|time| time.to_string());
    vec![
        entry.id.to_string(),
        time.unwrap_or_else(|_| entry.timestamp.to_string()),
        entry.operation.clone(),
        entry.target.clone(),
        text("/outcome"),
        text("/actor/name"),
        text("/run"),
    ]
}

fn show(ledger: &Ledger, screen: &Screen, id: i64) -> Result<u8, Failure> {
    let Some(entry) = ledger.get(id)? else {
        return Err(Failure::Usage(format!(
            "the ledger has no entry {id}; its last one is {}",
            ledger.head()?.id
        )));
    };
    let entry = json!(entry);
    screen.result(&entry, || format!("{entry:#}\n"));
    Ok(0)
}

fn verify(ledger: &Ledger, screen: &Screen, expect_head: Option<&str>) -> Result<u8, Failure> {
    let found = ledger.verify(expect_head)?;
    screen.result(&json!(found), || match &found.first_bad {
        None => format!(
            "Valid: {} entries, head {} {}\n",
            found.entries, found.head.id, found.head.hash
        ),
        Some(bad) => format!("NOT VALID: entry {}: {}\n", bad.id, bad.reason),
    });
    Ok(u8::from(!found.valid))
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
