//! Sends snapshots to the targets that are declared with `every`. Without one there is no timer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use declaration::TargetName;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{AbortHandle, spawn, spawn_blocking};
use tools::replication::{Standing, standings};
use tools::{Caller, Cancel, Door, Options, Registry, Role};

/// How long after a failure it is tried again at the latest.
const RETRY: Duration = Duration::from_secs(15 * 60);
/// The least time between two attempts, whatever came of the first.
const PAUSE: Duration = Duration::from_secs(30);

/// The timer, and the transfer that it started.
pub(super) struct Schedule {
    task: AbortHandle,
    cancel: Cancel,
}

impl Schedule {
    /// Starts it. `looks` rings after each look of the keeper, which looks when the declaration has changed.
    pub(super) fn start(registry: Arc<Registry>, looks: watch::Receiver<u64>) -> Self {
        let cancel = Cancel::default();
        let task = spawn(keep(registry, looks, cancel.clone())).abort_handle();
        Self { task, cancel }
    }

    /// Ends both; what a far end has of a snapshot that is not whole, it removes.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
        self.task.abort();
    }
}

async fn keep(registry: Arc<Registry>, mut looks: watch::Receiver<u64>, cancel: Cancel) {
    let mut tried: BTreeMap<TargetName, Instant> = BTreeMap::new();
    loop {
        let next = match next(&registry, &tried) {
            None => match looks.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Some(next) => next,
        };
        let (wait, target) = next;
        if wait.is_zero() {
            tried.insert(target.clone(), Instant::now());
            let (registry, cancel) = (Arc::clone(&registry), cancel.clone());
            let sent = spawn_blocking(move || send(&registry, &target, &cancel));
            let _ = sent.await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = looks.changed() => if changed.is_err() { return },
        }
    }
}

/// The target whose turn is next, and how long it is until then.
fn next(
    registry: &Registry,
    tried: &BTreeMap<TargetName, Instant>,
) -> Option<(Duration, TargetName)> {
    let declaration = registry.site().declaration().ok()?;
    let scheduled = || {
        let targets = declaration.replication.targets.iter();
        targets.filter_map(|(name, target)| Some((name, target.every?)))
    };
    scheduled().next()?;
    let standings = standings(&registry.site().paths().ok()?);
    let now = Timestamp::now();
    let wait = |(name, every): (&TargetName, Duration)| {
        let pause = tried
            .get(name)
            .map(|at| PAUSE.saturating_sub(at.elapsed()))
            .unwrap_or_default();
        let wait = until(now, every, standings.get(name.as_str()));
        (wait.max(pause), name.clone())
    };
    scheduled().map(wait).min()
}

/// How long it is until a target's turn. A last time in the future is that of a clock that was wrong.
fn until(now: Timestamp, every: Duration, last: Option<&Standing>) -> Duration {
    let Some(last) = last else {
        return Duration::ZERO;
    };
    let every = match last.error {
        Some(_) => every.min(RETRY),
        None => every,
    };
    let Ok(time) = last.time.parse::<Timestamp>() else {
        return Duration::ZERO;
    };
    match Duration::try_from(now.duration_since(time)) {
        Ok(passed) => every.saturating_sub(passed),
        Err(_) => Duration::ZERO,
    }
}

fn send(registry: &Registry, target: &TargetName, cancel: &Cancel) {
    let caller = Caller {
        uid: 0,
        name: "op-dbusd".to_owned(),
        door: Door::Daemon,
        role: Some(Role::Operator),
        refusal: None,
        interactive: false,
        on_behalf_of: None,
    };
    let listener = |event: &tools::Event| log::debug!("{}", event.text);
    let arguments = json!({ "target": target });
    let options = Options::default();
    // The tool keeps why it failed, and logs each reason once.
    match registry.call(&caller, "replicate", arguments, options, cancel, &listener) {
        Ok(answer) => log::info!("replication to {target}: {}", answer["outcome"]),
        Err(error) => log::debug!("replication to {target}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_its_turn_when_its_time_has_passed() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let hour = Duration::from_secs(3600);
        let last = |time: &str, error: Option<&str>| Standing {
            time: time.to_owned(),
            error: error.map(str::to_owned),
            ..Standing::default()
        };
        let at = |standing: &Standing| until(now, hour, Some(standing)).as_secs();
        assert_eq!(until(now, hour, None), Duration::ZERO);
        assert_eq!(at(&last("2026-03-01T11:59:00Z", None)), 59 * 60);
        assert_eq!(at(&last("2026-03-01T11:00:00Z", None)), 0);
        assert_eq!(at(&last("2026-02-01T11:00:00Z", None)), 0);
        assert_eq!(at(&last("2026-03-01T11:59:00Z", Some("away"))), 14 * 60);
        // The clock was wrong then, or is now.
        assert_eq!(at(&last("2031-01-01T00:00:00Z", None)), 0);
        assert_eq!(at(&last("soon", None)), 0);
    }
}
