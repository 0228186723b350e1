//! The search index, as the daemon keeps it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use search::{BuiltIn, Embedder};

use super::Site;
use crate::builtin::search::{Entries, failed, index, lacking};
use crate::call::Cancel;
use crate::error::ToolError;

/// So many entries are left to the next search, which takes them in within a moment: what is not loaded takes no memory.
const LEFT: i64 = 500;

/// With a model a search takes in fewer, since each takes some milliseconds.
const LEFT_TO_MODEL: i64 = 100;

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
    let model = site.model().unwrap_or_else(|error| {
        log::info!("the search does without the declared model: {error}");
        None
    });
    let behind = match model.as_deref() {
        Some(model) => lacking(&index, &source, model)?,
        None => ledger.head()?.id - index.reach().unwrap_or(-1),
    };
    let left = match model {
        Some(_) => LEFT_TO_MODEL,
        None => LEFT,
    };
    if (0..left).contains(&behind) {
        return Ok(Indexed::Near);
    }
    let embedder = model.as_deref().unwrap_or(&BuiltIn);
    let mut told = Instant::now();
    let grown = index.grow(&source, embedder, &mut |progress| {
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
    if !grown.stopped {
        index
            .forget_others(&source, &[embedder.id(), BuiltIn.id()])
            .map_err(failed)?;
    }
    Ok(Indexed::Grown {
        entries: grown.taken_in,
        rebuilt: grown.rebuilt,
    })
}
