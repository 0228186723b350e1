//! What systemd is told: readiness, status, signs of life (sd_notify(3)).

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;

use super::standing::Standing;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd was not told: {error}");
    }
}

/// The doors are open.
pub(super) fn ready(standing: &Standing) {
    let status = standing.sentence();
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The declaration is being read again.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the status whenever it changes, and shows life as often as systemd wants to see it.
pub(super) fn watchdog(standing: Arc<Standing>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut changes = standing.changes();
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        // One clock for all of its life: what happens in between must not put it off.
        let mut clock = every.map(tokio::time::interval);
        loop {
            let pause = async {
                match &mut clock {
                    Some(clock) => drop(clock.tick().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tell(&[NotifyState::Status(&standing.sentence())]);
                }
                () = pause => tell(&[NotifyState::Watchdog]),
            }
        }
    })
}
