//! Makes and removes snapshots when it is time.
//!
//! It sleeps until the next period of the shortest declared policy begins, by the clock on the wall: setting that
//! clock wakes it, and so does the end of a sleep in which the time came. Without a policy nothing wakes it but the
//! declaration of one.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::watch::readiness;
use jiff::{SignedDuration, Timestamp};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tools::engine::snapshot_policy;
use tools::{Caller, Cancel, Door, Options, Registry, Role, ToolError};

/// When what failed is tried again, if its time does not come earlier.
const PAUSE: SignedDuration = SignedDuration::from_mins(15);
/// What may have changed between the look at the plan and its end is looked at again so often.
const LOOKS: usize = 3;

/// Rings when the declaration may have changed.
pub(super) type Bell = watch::Receiver<u64>;

/// Rotates snapshots until it is dropped.
pub(super) async fn keep(registry: Arc<Registry>, mut bell: Bell) {
    let mut said = None;
    loop {
        bell.mark_unchanged();
        let (then, failure) = look(&registry).await;
        if failure.is_some() && failure != said {
            log::warn!("snapshots: {}", failure.clone().unwrap_or_default());
        }
        said = failure;
        let ended = match then {
            None => bell.changed().await,
            Some(then) => tokio::select! {
                changed = bell.changed() => changed,
                woken = sleep_until(then) => {
                    if let Err(error) = woken {
                        log::warn!("snapshots: no timer: {error}");
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    Ok(())
                }
            },
        };
        // The keeper has ended, and with it the daemon.
        if ended.is_err() {
            return;
        }
    }
}

/// Does what is due; when to look again, and what went wrong.
async fn look(registry: &Arc<Registry>) -> (Option<Timestamp>, Option<String>) {
    let policy = registry
        .site()
        .declaration()
        .and_then(|declaration| snapshot_policy(&declaration));
    let policy = match policy {
        Ok(policy) => policy,
        // The keeper says what is wrong with a declaration.
        Err(ToolError::Declaration(_) | ToolError::NotFound(_)) => return (None, None),
        Err(error) => return (None, Some(error.to_string())),
    };
    if policy.finest.is_none() {
        return (None, None);
    }
    let here = Arc::clone(registry);
    let done = tokio::task::spawn_blocking(move || rotate(&here)).await;
    let now = Timestamp::now();
    let then = snapshots::next(now, &policy);
    match done {
        Ok(Ok(())) => (then, None),
        Ok(Err(error)) => {
            let again = now.checked_add(PAUSE).ok();
            (again.into_iter().chain(then).min(), Some(error.to_string()))
        }
        Err(error) => (then, Some(error.to_string())),
    }
}

/// Carries out what the policies are due for, as it was looked at.
fn rotate(registry: &Registry) -> Result<(), ToolError> {
    let caller = Caller {
        uid: 0,
        name: "op-dbusd".to_owned(),
        door: Door::Daemon,
        // What goes is what the declaration no longer keeps.
        role: Some(Role::Admin),
        refusal: None,
        interactive: false,
        on_behalf_of: None,
    };
    let call = |options: Options| -> Result<Value, ToolError> {
        let cancel = Cancel::default();
        let silent = |_: &tools::Event| {};
        registry.call(
            &caller,
            "snapshot_rotate",
            json!({}),
            options,
            &cancel,
            &silent,
        )
    };
    for _ in 0..LOOKS {
        let shown = call(Options {
            dry_run: true,
            ..Options::default()
        })?;
        if shown["changes"].as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let options = Options {
            plan: shown["plan_hash"].as_str().map(str::to_owned),
            ..Options::default()
        };
        match call(options) {
            // The minute was over, or somebody else did it.
            Err(ToolError::PlanChanged { .. }) => {}
            Err(error) => return Err(error),
            Ok(answer) => {
                log::info!(
                    "snapshots: made {}, removed {}",
                    answer["made"],
                    answer["pruned"]
                );
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Sleeps until a time on the wall, or until the clock is set.
async fn sleep_until(then: Timestamp) -> std::io::Result<()> {
    let timer: OwnedFd = timerfd_create(
        TimerfdClockId::Realtime,
        TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
    )?;
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let once = Itimerspec {
        it_interval: zero,
        it_value: Timespec {
            tv_sec: then.as_second(),
            tv_nsec: i64::from(then.subsec_nanosecond()),
        },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(&timer, flags, &once)?;
    // Either end makes it readable: the time, or that the clock was set.
    readiness(&timer)?.readable().await.map(drop)
}
