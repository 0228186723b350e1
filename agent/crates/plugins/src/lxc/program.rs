//! Running the programs that this plugin relies on.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use reconcile::PluginError;

/// Where programs are looked for besides the `PATH`; services and `sudo` may have a short one.
const DIRECTORIES: [&str; 7] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/run/current-system/sw/bin",
];
/// How many of a failed program's last lines are told.
const TOLD: usize = 5;

/// A command for a program, found by its absolute path.
pub(super) fn command(program: &str) -> Result<Command, PluginError> {
    Ok(Command::new(path(program)?))
}

/// The absolute path of a program.
pub(super) fn path(program: &str) -> Result<PathBuf, PluginError> {
    find(program).ok_or_else(|| {
        PluginError::unavailable(
            format!("the program {program} is not there"),
            format!("install it (on Debian: apt install {})", package(program)),
        )
    })
}

/// The absolute path of a program, if it is there.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    directories
        .chain(DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

fn package(program: &str) -> &str {
    match program {
        "busybox" => "busybox-static",
        "systemctl" => "systemd",
        program if program.starts_with("lxc-") => "lxc",
        program => program,
    }
}

/// The `PATH` for LXC: without the directories that hold `newuidmap`. LXC writes user id maps itself
/// when it does not find that program, and else insists that `/etc/subuid` grants the ids to root.
pub(super) fn path_for_lxc() -> OsString {
    let without = DIRECTORIES
        .iter()
        .map(Path::new)
        .filter(|directory| !directory.join("newuidmap").exists());
    // None of them holds a colon.
    std::env::join_paths(without).unwrap_or_default()
}

/// Runs a command to its end and gives what it wrote.
pub(super) fn output(command: &mut Command, doing: &str) -> Result<String, PluginError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| not_started(command, doing, error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = told.lines().map(str::to_owned).collect();
    Err(failed(command, doing, output.status, &lines))
}

/// Runs a command to its end and hands on each line that it writes, to either of its outputs.
pub(super) fn follow(
    command: &mut Command,
    doing: &str,
    mut hear: impl FnMut(&str),
) -> Result<(), PluginError> {
    let cannot = |error: io::Error| PluginError::failed(doing, error);
    let (reader, writer) = io::pipe().map_err(cannot)?;
    command
        .stdout(writer.try_clone().map_err(cannot)?)
        .stderr(writer);
    let child = command.spawn();
    // The command holds the writing end; the reader would wait for it for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.map_err(|error| not_started(command, doing, error))?;
    let mut lines = Vec::new();
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        hear(&line);
        lines.push(line);
        if lines.len() > 10 * TOLD {
            lines.drain(..lines.len() - TOLD);
        }
    }
    let status = child.wait().map_err(cannot)?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(command, doing, status, &lines)),
    }
}

fn not_started(command: &Command, doing: &str, error: io::Error) -> PluginError {
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => PluginError::unavailable(
            format!("{program} is not there any more"),
            "install it again",
        ),
        _ => PluginError::failed(doing, format!("cannot start {program}: {error}")),
    }
}

fn failed(command: &Command, doing: &str, status: ExitStatus, lines: &[String]) -> PluginError {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last: Vec<_> = told[told.len().saturating_sub(TOLD)..]
        .iter()
        .map(|line| line.as_str())
        .collect();
    let reason = match last.is_empty() {
        true => format!("{program}: {status}"),
        false => format!("{program}: {status}: {}", last.join("; ")),
    };
    PluginError::failed(doing, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_said_last_is_in_the_error() {
        let mut command = command("sh").unwrap();
        command.args(["-c", "echo out; echo no such suite >&2; exit 3"]);
        let text = output(&mut command, "build").unwrap_err().to_string();
        assert!(
            text.contains("no such suite") && text.contains('3'),
            "{text}"
        );
        let mut heard = Vec::new();
        let text = follow(&mut command, "build", |line| heard.push(line.to_owned()));
        assert!(text.unwrap_err().to_string().contains("no such suite"));
        assert_eq!(heard, ["out", "no such suite"]);
    }

    #[test]
    fn a_missing_program_comes_with_its_package() {
        let text = path("lxc-nonsense").unwrap_err().to_string();
        assert!(text.contains("apt install lxc"), "{text}");
    }

    #[test]
    fn lxc_does_not_find_the_programs_that_map_ids() {
        let path = path_for_lxc();
        let found: Vec<_> = std::env::split_paths(&path)
            .map(|directory| directory.join("newuidmap"))
            .filter(|program| program.exists())
            .collect();
        assert_eq!(found, [""; 0].map(PathBuf::from));
    }
}
