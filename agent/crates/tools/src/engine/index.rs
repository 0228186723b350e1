//! The search index, as the daemon keeps it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use search::BuiltIn;

use super::Site;
use crate::builtin::search::{Entries, failed, index};
use crate::call::Cancel;
use crate::error::ToolError;

/// So many entries are left to the next search, which takes them in within a moment: what is not loaded takes no memory.
const LEFT: i64 = 500;

/// How often a long growth tells how far it is.
const TELL: Duration = Duration::from_secs(5);

/// What was done for the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Indexed {
    /// Nothing: it is near enough to the end of the ledger.
    Near,
    /// Entries were taken in.
    Grown {
        /// How many.
        entries: usize,
        /// Why it was made anew, if it was.
        rebuilt: Vec<String>,
    },
}

/// Grows the search index if it is far behind the ledger, until it is done or taken back.
///
/// # Errors
///
/// Where there is no ledger or no place for the index, or files cannot be read or written.
pub fn index_entries(site: &Site, cancel: &Cancel) -> Result<Indexed, ToolError> {
    let ledger = site.ledger()?;
    let source = Entries(&ledger);
    let index = index(site)?;
    let behind = ledger.head()?.id - index.reach().unwrap_or(-1);
    if (0..LEFT).contains(&behind) {
        return Ok(Indexed::Near);
    }
    let mut told = Instant::now();
    let grown = index.grow(&source, &BuiltIn, &mut |progress| {
        if told.elapsed() >= TELL {
            told = Instant::now();
            log::info!(
                "indexing the ledger: {} of {} entries",
                progress.done,
                progress.total
            );
        }
        match cancel.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    let grown = grown.map_err(failed)?;
    Ok(Indexed::Grown {
        entries: grown.taken_in,
        rebuilt: grown.rebuilt,
    })
}
