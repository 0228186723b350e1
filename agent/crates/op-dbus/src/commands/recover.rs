//! ledger recover.

use ledger::{Findings, Outcome, Recovery};
use reconcile::RunLock;
use serde_json::{Map, Value, json};
use tlog::VerifierKey;
use tools::engine::{self, Paths, Site};
use tools::{Accounts, Caller, Door, ToolError};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::line::site;
use crate::screen::Screen;

/// How many refusals are shown to people.
const SHOWN: usize = 10;

pub(super) fn run(cli: &Cli, screen: &Screen, key: Option<&str>) -> Result<u8, Failure> {
    let site = site(cli)?;
    let paths = site.paths()?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Refused(
            "this replaces the ledger and needs root".to_owned(),
        ));
    }
    // The daemon would write into the file that is replaced.
    let _alone = site.alone(&paths, "ledger recover")?;
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
    let reach = Reach::of(&site, &paths, key)?;
    let notes = &reach.notes;
    let recovery = Recovery::examine(&path, reach.size).map_err(ToolError::from)?;
    let found = recovery.findings();
    if found.outcome == Outcome::Sound {
        let mut answer = json!(found);
        answer["notes"] = json!(notes);
        screen.result(&answer, || {
            format!(
                "The ledger is sound: there is nothing to recover.\n{}",
                lines(notes)
            )
        });
        return Ok(0);
    }
    if screen.interactive() {
        screen.say(&(text(found) + &lines(notes)));
    }
    if !screen.agrees("Recover it so?") {
        let answer = json!({ "plan": found, "notes": notes, "done": false });
        screen.result(&answer, || {
            format!(
                "{}{}Nothing was done: --yes does it.\n",
                text(found),
                lines(notes)
            )
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

/// How many entries there have been for certain.
struct Reach {
    size: u64,
    /// What was not relied on, and why.
    notes: Vec<String>,
}

impl Reach {
    /// What the checkpoints say that the key of this ledger signed: one that is given, or those that this host has.
    fn of(site: &Site, paths: &Paths, key: Option<&str>) -> Result<Self, Failure> {
        let key = key.map(|text| text.trim().parse::<VerifierKey>());
        let key = key
            .transpose()
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let mut reach = Self {
            size: 0,
            notes: Vec::new(),
        };
        let published = match site.published() {
            Ok(published) => published,
            Err(error) => {
                reach.notes.push(format!(
                    "the checkpoints are not counted on, since one cannot be read: {error}"
                ));
                return Ok(reach);
            }
        };
        for signed in [published.checkpoint(), published.cosigned()]
            .into_iter()
            .flatten()
        {
            let size = signed.unverified().size;
            let is_ours = match &key {
                Some(key) => signed.verify(key).is_ok(),
                None => engine::is_ours(paths, signed)?,
            };
            let note = format!(
                "a checkpoint speaks of {size} entries, but no key that is known here signed it: it is not counted on. \
                 Give the ledger's public key with --key if you kept it (`op-dbus ledger key` printed it)"
            );
            match is_ours {
                true => reach.size = reach.size.max(size),
                false if reach.notes.contains(&note) => {}
                false => reach.notes.push(note),
            }
        }
        Ok(reach)
    }
}

fn lines(notes: &[String]) -> String {
    notes.iter().map(|note| format!("Note: {note}\n")).collect()
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
