//! Keeps the search index near the end of the ledger, when nobody calls.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tools::Cancel;
use tools::engine::{Indexed, index_entries};

use crate::doors::Hall;

/// How long nothing has to change before the index is grown.
const CALM: Duration = Duration::from_secs(5);
/// How long it is put off at most where changes never end.
const LATEST: Duration = Duration::from_secs(60);

/// Grows the index after changes, once it is calm; at the beginning too, since there may be old entries. Sleeps while
/// nothing changes.
pub(super) async fn keep(hall: Arc<Hall>, cancel: Cancel) {
    let mut changes = hall.changes();
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        until_calm(&mut changes, CALM, LATEST).await;
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

/// Waits until nothing has changed for `calm`, at most until `latest` has passed.
async fn until_calm<T>(changes: &mut watch::Receiver<T>, calm: Duration, latest: Duration) {
    let latest = Instant::now() + latest;
    loop {
        let calm = latest.min(Instant::now() + calm);
        match timeout_at(calm, changes.changed()).await {
            Ok(Ok(())) if Instant::now() < latest => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_without_end_are_not_waited_for() {
        let (sender, mut changes) = watch::channel(0);
        let steady = tokio::spawn(async move {
            loop {
                sender.send_modify(|count| *count += 1);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let hour = Duration::from_secs(3600);
        let waited = until_calm(&mut changes, hour, Duration::from_millis(100));
        tokio::time::timeout(Duration::from_secs(60), waited)
            .await
            .unwrap();
        assert!(!steady.is_finished());
        steady.abort();
    }

    #[tokio::test]
    async fn it_goes_on_when_it_is_calm_or_nothing_will_come() {
        let hour = Duration::from_secs(3600);
        let (sender, mut changes) = watch::channel(0);
        until_calm(&mut changes, Duration::from_millis(10), hour).await;
        drop(sender);
        until_calm(&mut changes, hour, hour).await;
    }
}
