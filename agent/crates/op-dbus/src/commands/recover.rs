//! ledger recover.

use ledger::{Findings, Outcome, Recovery};
use reconcile::RunLock;
use serde_json::{Map, Value, json};
use tools::engine::{Paths, Site};
use tools::{Accounts, Caller, Door, ToolError};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::line::site;
use crate::screen::Screen;

/// How many refusals are shown to people.
const SHOWN: usize = 10;

pub(super) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let site = site(cli)?;
    let paths = site.paths()?;
    alone(&paths)?;
    let _lock = RunLock::acquire(&paths.lock(), "ledger recover").map_err(ToolError::from)?;
    let path = paths.ledger();
    if let Some(archive) = Recovery::resume(&path).map_err(ToolError::from)? {
        let answer = json!({ "outcome": "resumed", "archive": archive });
        screen.result(&answer, || {
            format!(
                "Finished the recovery that was begun before; the damaged file is in {}\n",
                archive.display()
            )
        });
        return Ok(0);
    }
    let reach = reach(&site)?;
    let recovery = Recovery::examine(&path, reach).map_err(ToolError::from)?;
    let found = recovery.findings();
    if found.outcome == Outcome::Sound {
        screen.result(&json!(found), || {
            "The ledger is sound: there is nothing to recover.\n".to_owned()
        });
        return Ok(0);
    }
    if screen.interactive() {
        screen.say(&text(found));
    }
    if !screen.agrees("Recover it so?") {
        screen.result(&json!({ "plan": found, "done": false }), || {
            format!("{}Nothing was done: --yes does it.\n", text(found))
        });
        return Ok(3);
    }
    let done = recovery
        .carry_out(&note(&site))
        .map_err(ToolError::from)?
        .ok_or_else(|| Failure::Usage("there was nothing to recover".to_owned()))?;
    let answer = json!({ "plan": found, "done": true, "archive": done.archive, "head": done.head });
    screen.result(&answer, || {
        format!(
            "Recovered: the ledger ends with entry {} {}\nThe damaged file, what was refused and a report are in {}\n",
            done.head.id,
            done.head.hash,
            done.archive.display()
        )
    });
    Ok(0)
}

/// Fails while the daemon runs: it would write into the file that is replaced.
fn alone(paths: &Paths) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Refused(
            "this replaces the ledger and needs root".to_owned(),
        ));
    }
    match std::os::unix::net::UnixStream::connect(paths.api_socket()) {
        Ok(_) => Err(Failure::Refused(
            "the daemon runs, and writes the ledger: `systemctl stop op-dbusd.service op-dbusd.socket`, then try again"
                .to_owned(),
        )),
        Err(_) => Ok(()),
    }
}

/// How many entries the newest checkpoint speaks of. One that cannot be read says nothing.
fn reach(site: &Site) -> Result<u64, Failure> {
    let Ok(published) = site.published() else {
        return Ok(0);
    };
    let size = |signed: &tlog::SignedCheckpoint| signed.unverified().size;
    let heads = [published.checkpoint(), published.cosigned()];
    Ok(heads.into_iter().flatten().map(size).max().unwrap_or(0))
}

/// Who asked, as every entry says it.
fn note(site: &Site) -> Map<String, Value> {
    let uid = rustix::process::getuid().as_raw();
    let caller = Caller::of_uid(uid, Door::Cli, &site.access(), &Accounts::read());
    let mut note = Map::new();
    note.insert("actor".to_owned(), caller.actor());
    note.insert("outcome".to_owned(), json!("done"));
    note
}

fn text(found: &Findings) -> String {
    let mut text = format!(
        "The ledger is damaged: {}\n{} entries verify and are kept, {} rows are refused, {} entries are missing.\n",
        found.damage.as_deref().unwrap_or_default(),
        found.kept,
        found.refused,
        found.missing
    );
    for refusal in found.refusals.iter().take(SHOWN) {
        let ids = match refusal.last {
            Some(last) => format!("entries {} to {last}", refusal.id),
            None => format!("entry {}", refusal.id),
        };
        text.push_str(&format!("  {ids}: {}\n", refusal.detail));
    }
    text.push_str(match found.outcome {
        Outcome::NewChain => {
            "A new chain is begun: its first entry names the old head, and the entries that are kept follow it. It is \
             another log for witnesses, with a key of its own.\n"
        }
        Outcome::Mended | Outcome::Sound => {
            "Every entry is there: they are written into a new file, and the chain goes on.\n"
        }
    });
    text
}
