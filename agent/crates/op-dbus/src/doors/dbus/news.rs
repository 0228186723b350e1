//! Tells the bus what is new: how the host stands, and what the ledger has.

use std::sync::Arc;

use zbus::Connection;
use zbus::object_server::InterfaceRef;

use super::PATH;
use super::interfaces::{Ledger, LedgerSignals, State};
use crate::doors::Hall;

/// The id of the ledger's last entry.
pub(super) fn head(hall: &Hall) -> Option<i64> {
    let ledger = hall.registry.site().ledger().ok()?;
    Some(ledger.head().ok()?.id)
}

/// Tells until the door closes.
pub(super) async fn tell(connection: Connection, hall: Arc<Hall>) {
    let mut last = read_head(&hall).await;
    let mut standing = hall.standing.changes();
    let mut changes = hall.changes();
    loop {
        let told = tokio::select! {
            rung = standing.changed() => match rung {
                Ok(()) => standing_changed(&connection).await,
                Err(_) => return,
            },
            rung = changes.changed() => if rung.is_err() { return } else { Ok(()) },
        };
        let told = match told {
            Ok(()) => entries_added(&connection, &hall, &mut last).await,
            failed => failed,
        };
        if let Err(error) = told {
            log::warn!("the bus was not told what is new: {error}");
        }
    }
}

async fn read_head(hall: &Arc<Hall>) -> Option<i64> {
    let hall = Arc::clone(hall);
    let read = tokio::task::spawn_blocking(move || head(&hall));
    read.await.ok().flatten()
}

async fn standing_changed(connection: &Connection) -> zbus::Result<()> {
    let state: InterfaceRef<State> = connection.object_server().interface(PATH).await?;
    let emitter = state.signal_emitter();
    let it = state.get().await;
    it.status_changed(emitter).await?;
    it.reconcile_changed(emitter).await?;
    it.text_invalidate(emitter).await?;
    it.drift_invalidate(emitter).await
}

async fn entries_added(
    connection: &Connection,
    hall: &Arc<Hall>,
    last: &mut Option<i64>,
) -> zbus::Result<()> {
    let now = read_head(hall).await;
    let Some(now) = now else {
        return Ok(());
    };
    // A ledger that comes into sight is not told entry by entry.
    let first = last.map_or(now, |last| last.saturating_add(1));
    if now < first {
        return Ok(());
    }
    *last = Some(now);
    let ledger: InterfaceRef<Ledger> = connection.object_server().interface(PATH).await?;
    for id in first..=now {
        ledger.entry_added(id).await?;
    }
    ledger
        .get()
        .await
        .head_changed(ledger.signal_emitter())
        .await
}
