//! Watches over a confirm window from a process of its own, which the loss of the session cannot kill.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use declaration::Declaration;
use reconcile::{Journal, LockError, RunLock, Stage, Story, recover};

use super::host::Host;
use super::mark::Mark;
use super::paths::Paths;
use super::witness::LedgerWitness;
use crate::error::ToolError;

/// How often the guard looks whether the run was confirmed.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts the guard: as a transient unit where systemd runs, so that it outlives the login session, else in
/// a session of its own.
pub(super) fn start(host: &Host, run: &str) -> Result<(), ToolError> {
    let program =
        std::env::current_exe().map_err(|error| ToolError::failed("find this program", error))?;
    // A copy, since the original may be standard input, or change while the window is open.
    let declaration = host.paths.guarded();
    let text = serde_json::to_vec(&host.declaration)
        .map_err(|error| ToolError::failed("write the declaration", error))?;
    std::fs::write(&declaration, text)
        .map_err(|error| ToolError::failed(&format!("write {}", declaration.display()), error))?;
    let booted = Path::new("/run/systemd/system").exists();
    let mut command = if booted {
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--collect", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .arg("--file")
        .arg(declaration)
        .arg("guard")
        .arg(run)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[allow(unsafe_code)]
    // SAFETY: setsid is async-signal-safe and touches only the child.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    let failed = |error: &dyn std::fmt::Display| {
        ToolError::Failed(format!("start the guard of the confirm window: {error}"))
    };
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    if booted {
        // It hands the guard over and ends; without a guard nothing would be undone.
        let status = child.wait().map_err(|error| failed(&error))?;
        return match status.success() {
            true => Ok(()),
            false => Err(failed(&format!("systemd-run: {status}"))),
        };
    }
    // Nobody else collects it where this program goes on, as the daemon does.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Waits for the run's end, then for its confirmation; undoes it if there is none in time.
pub fn watch(written: &Declaration, run: &str) -> Result<(), ToolError> {
    let paths = Paths {
        base: written.plugins.btrfs.base.path.clone(),
    };
    let watched = wait(written, &paths, run);
    // The next run has a window of its own as soon as it has the lock, and its guard reads the same file.
    if let Ok(_lock) = RunLock::acquire(&paths.lock(), "the guard of a confirm window")
        && !paths.journal().exists()
    {
        let _ = std::fs::remove_file(paths.guarded());
    }
    watched
}

fn wait(written: &Declaration, paths: &Paths, run: &str) -> Result<(), ToolError> {
    loop {
        match stage(paths, run)? {
            Some(Stage::Ended(_)) => return Ok(()),
            Some(Stage::Awaiting(deadline_ms)) if now_ms() < deadline_ms => {}
            // While the run that started us goes on it holds the lock.
            _ => match RunLock::acquire(&paths.lock(), "the guard of a confirm window") {
                Err(LockError::Held { .. }) => {}
                lock => {
                    let _lock = lock?;
                    // It may have got further before it let go of the lock.
                    match stage(paths, run)? {
                        None => return Ok(()),
                        Some(Stage::Awaiting(deadline_ms)) if now_ms() < deadline_ms => {}
                        Some(_) => return undo(written, paths),
                    }
                }
            },
        }
        std::thread::sleep(PAUSE);
    }
}

/// Undoes the run that was not confirmed in time, or was left in the middle.
fn undo(written: &Declaration, paths: &Paths) -> Result<(), ToolError> {
    let witness = LedgerWitness::new(paths, &|_| {});
    let mark = Mark::of_window(paths);
    let found = recover(&plugins::all(written), &paths.journal(), &witness)?;
    mark.keep_if_undone(&found)
}

/// Undoes a run whose window is over, if its guard did not: it may have ended with the machine.
pub fn expire(paths: &Paths, written: &Declaration) -> Result<(), ToolError> {
    let _lock = RunLock::acquire(&paths.lock(), "the end of a confirm window")?;
    undo(written, paths)
}

/// Waits until a run is over: confirmed, or undone to its end.
pub fn await_end(paths: &Paths, run: &str) -> Result<(), ToolError> {
    while !matches!(stage(paths, run)?, None | Some(Stage::Ended(_))) {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// When the run that waits to be confirmed is undone, in milliseconds since 1970-01-01 UTC; `None` if none waits.
pub fn awaiting(paths: &Paths) -> Result<Option<u64>, ToolError> {
    Ok(last(paths)?.and_then(|story| match story.stage {
        Stage::Awaiting(deadline_ms) => Some(deadline_ms),
        _ => None,
    }))
}

fn last(paths: &Paths) -> Result<Option<Story>, ToolError> {
    let records = Journal::read(&paths.journal())
        .map_err(|error| ToolError::failed("read the journal", error))?;
    Ok(Story::all(&records).pop().map(|(story, _)| story))
}

fn stage(paths: &Paths, run: &str) -> Result<Option<Stage>, ToolError> {
    let records = Journal::read(&paths.journal())
        .map_err(|error| ToolError::failed("read the journal", error))?;
    let mut stories = Story::all(&records).into_iter();
    Ok(stories
        .find(|(story, _)| story.run == run)
        .map(|(story, _)| story.stage))
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
