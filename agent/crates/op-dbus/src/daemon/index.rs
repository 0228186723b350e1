//! Keeps the search index near the end of the ledger, when nobody calls.

use std::sync::Arc;
use std::time::Duration;

use tools::Cancel;
use tools::engine::{Indexed, index_entries};

use crate::doors::Hall;

/// How long nothing has to change before the index is grown.
const CALM: Duration = Duration::from_secs(5);

/// Grows the index after changes, once it is calm; at the beginning too, since there may be old entries. Sleeps while
/// nothing changes.
pub(super) async fn keep(hall: Arc<Hall>, cancel: Cancel) {
    let mut changes = hall.changes();
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        while let Ok(Ok(())) = tokio::time::timeout(CALM, changes.changed()).await {}
        let cancel = cancel.clone();
        let grown = hall.ask(move |registry| index_entries(registry.site(), &cancel));
        match grown.await.and_then(|grown| grown) {
            Ok(Indexed::Grown { entries, rebuilt }) => {
                for reason in rebuilt {
                    log::warn!("the search index is made anew: {reason}");
                }
                log::info!("{entries} entries are new in the search index");
            }
            Ok(Indexed::Near) => {}
            // Searches say so themselves, and grow it.
            Err(error) => log::info!("the search index is not grown: {error}"),
        }
    }
}
