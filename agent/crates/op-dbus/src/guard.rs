//! Watches over a confirm window from a process of its own, which the loss of the session cannot kill.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use declaration::Declaration;
use reconcile::{Journal, LockError, RunLock, Stage, Story, recover};

use crate::failure::Failure;
use crate::host::{Host, Paths};
use crate::screen::Screen;
use crate::witness::LedgerWitness;

/// How often the guard looks whether the run was confirmed.
const PAUSE: Duration = Duration::from_millis(200);

/// Starts the guard: as a transient unit where systemd runs, so that it outlives the login session, else in
/// a session of its own.
pub(crate) fn start(host: &Host, run: &str) -> Result<(), Failure> {
    let program = std::env::current_exe().context("find this program")?;
    // A copy, since the original may be standard input, or change while the window is open.
    let declaration = host.paths.guarded();
    let text = serde_json::to_vec(&host.declaration).context("write the declaration")?;
    std::fs::write(&declaration, text)
        .with_context(|| format!("write {}", declaration.display()))?;
    let mut command = if Path::new("/run/systemd/system").exists() {
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
    command
        .spawn()
        .context("start the guard of the confirm window")?;
    Ok(())
}

/// Waits for the run's end, then for its confirmation; undoes it if there is none in time.
pub(crate) fn watch(written: &Declaration, run: &str) -> Result<(), Failure> {
    let paths = Paths {
        base: written.plugins.btrfs.base.path.clone(),
    };
    let watched = wait(written, &paths, run);
    let _ = std::fs::remove_file(paths.guarded());
    watched
}

fn wait(written: &Declaration, paths: &Paths, run: &str) -> Result<(), Failure> {
    loop {
        let lock = || match RunLock::acquire(&paths.lock(), "the guard of a confirm window") {
            Err(LockError::Held { .. }) => Ok(None),
            lock => lock.map(Some),
        };
        match stage(paths, run)? {
            Some(Stage::Ended(_)) => return Ok(()),
            Some(Stage::Awaiting(deadline_ms)) if now_ms() < deadline_ms => {}
            // While the run that started us goes on it holds the lock.
            told => {
                if let Some(_lock) = lock()? {
                    if told.is_some() {
                        let screen = Screen::new(true, true);
                        let witness = LedgerWitness::new(paths, &screen);
                        recover(&plugins::all(written), &paths.journal(), &witness)?;
                    }
                    return Ok(());
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until a run is over: confirmed, or undone to its end.
pub(crate) fn await_end(paths: &Paths, run: &str) -> Result<(), Failure> {
    while !matches!(stage(paths, run)?, None | Some(Stage::Ended(_))) {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn stage(paths: &Paths, run: &str) -> Result<Option<Stage>, Failure> {
    let records = Journal::read(&paths.journal()).context("read the journal")?;
    let mut stories = Story::all(&records).into_iter();
    Ok(stories
        .find(|(story, _)| story.run == run)
        .map(|(story, _)| story.stage))
}

fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}
