//! Running the programs of a package manager.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::error::PackageError;
use super::provider::Watch;

/// Where programs are looked for besides the `PATH`; services may have a short one.
const DIRECTORIES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];
/// How many of a failed program's last lines are told.
const TOLD: usize = 5;
/// How much a program may write, in bytes.
const LARGEST: usize = 64 << 20;
/// How often it is asked whether the result is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// The absolute path of a program, if it is there.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    directories
        .chain(DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// One run of a program.
pub(super) struct Run<'a> {
    /// The program.
    pub(super) program: &'static str,
    /// Its arguments, none of which a shell sees.
    pub(super) arguments: Vec<String>,
    /// The exit statuses that are no failure.
    pub(super) good: &'a [i32],
    /// Whether it may be killed when its result is no longer wanted.
    pub(super) may_be_killed: bool,
}

impl Run<'static> {
    /// A run that only looks.
    pub(super) fn look(program: &'static str, arguments: &[&str]) -> Self {
        Self {
            program,
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
            good: &[0],
            may_be_killed: true,
        }
    }

    /// A run that changes something and is not stopped half-way.
    pub(super) fn change(program: &'static str, arguments: &[&str]) -> Self {
        Self {
            may_be_killed: false,
            ..Self::look(program, arguments)
        }
    }
}

impl<'a> Run<'a> {
    /// With further exit statuses that are no failure.
    pub(super) fn good(self, good: &'a [i32]) -> Run<'a> {
        Run {
            program: self.program,
            arguments: self.arguments,
            good,
            may_be_killed: self.may_be_killed,
        }
    }

    /// With names, behind everything that could be an option.
    pub(super) fn names<T: ToString>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.arguments.push("--".to_owned());
        self.arguments
            .extend(names.into_iter().map(|name| name.to_string()));
        self
    }

    /// Runs to the end and gives what was written to standard output.
    pub(super) fn output(self, watch: &Watch<'_>) -> Result<String, PackageError> {
        self.follow(watch, |_| {})
    }

    /// Runs to the end and hands on each line of standard output as it comes.
    pub(super) fn follow(
        self,
        watch: &Watch<'_>,
        mut hear: impl FnMut(&str),
    ) -> Result<String, PackageError> {
        let failed = |reason: String| PackageError::failed(self.program, reason);
        let path = find(self.program).ok_or_else(|| {
            PackageError::unavailable(
                format!("the program {} is not there", self.program),
                "install it, or install PackageKit",
            )
        })?;
        let mut child = Command::new(path)
            .args(&self.arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("LANGUAGE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("it cannot be started: {error}")))?;
        let (sender, lines) = sync_channel::<String>(1024);
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let reader = std::thread::spawn(move || {
            let lines = stdout.map(|stdout| BufReader::new(stdout).split(b'\n'));
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    return;
                }
            }
        });
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            // The rest must be read as well, or the program would wait for a reader for ever.
            for byte in stderr
                .into_iter()
                .flat_map(|stderr| BufReader::new(stderr).bytes())
            {
                let Ok(byte) = byte else { break };
                text.push(byte);
                if text.len() > 64 << 10 {
                    text.drain(..32 << 10);
                }
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut output = String::new();
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) if output.len() + line.len() < LARGEST => {
                    hear(line.trim_end());
                    output.push_str(&line);
                    output.push('\n');
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.may_be_killed && !(watch.wanted)() {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(PackageError::Unwanted);
            }
        }
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        let _ = reader.join();
        let complaints = complaints.join().unwrap_or_default();
        if status.code().is_some_and(|code| self.good.contains(&code)) {
            return Ok(output);
        }
        let told = if complaints.trim().is_empty() {
            &output
        } else {
            &complaints
        };
        let told: Vec<_> = told
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = told[told.len().saturating_sub(TOLD)..].join("; ");
        Err(failed(match last.is_empty() {
            true => status.to_string(),
            false => format!("{status}: {last}"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_said_last_is_in_the_error() {
        let run = Run::look("sh", &["-c", "echo out; echo no such package >&2; exit 3"]);
        let mut heard = Vec::new();
        let error = run.follow(&Watch::nobody(), |line| heard.push(line.to_owned()));
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("no such package") && text.contains('3'),
            "{text}"
        );
        assert_eq!(heard, ["out"]);
        let run = Run::look("sh", &["-c", "echo out; exit 3"]).good(&[0, 3]);
        assert_eq!(run.output(&Watch::nobody()).unwrap(), "out\n");
    }

    #[test]
    fn what_is_no_longer_wanted_is_killed_unless_it_changes_something() {
        let unwanted = Watch {
            wanted: &|| false,
            ..Watch::nobody()
        };
        let run = Run::look("sleep", &["60"]);
        assert!(matches!(run.output(&unwanted), Err(PackageError::Unwanted)));
        let run = Run::change("sh", &["-c", "sleep 0.3; echo done"]);
        assert_eq!(run.output(&unwanted).unwrap(), "done\n");
    }

    #[test]
    fn much_on_both_outputs_does_not_block() {
        let script = "head -c 300000 /dev/zero | tr '\\0' x >&2; seq 1 100000; exit 1";
        let error = Run::look("sh", &["-c", script])
            .output(&Watch::nobody())
            .unwrap_err();
        assert!(error.to_string().len() > 1000);
    }
}
