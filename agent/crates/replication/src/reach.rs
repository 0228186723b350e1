//! How the far end is reached: a program that is started here, or on another host by `ssh`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Where snapshots are sent to.
#[derive(Debug, Clone)]
pub enum Reach {
    /// A directory of this host.
    Here {
        /// The program that receives, with the arguments before the path.
        program: Vec<OsString>,
        /// The directory.
        path: PathBuf,
    },
    /// A directory of another host.
    There {
        /// How to get there.
        ssh: Ssh,
        /// The directory. Its characters are letters, digits and `/._@+-`, as the far end's shell sees it.
        path: PathBuf,
    },
}

/// A program that hears and is heard through pipes, in a process group of its own, with nothing of this process's
/// environment but where programs are.
pub(crate) fn piped(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", search())
        .env("LC_ALL", "C")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Where programs are found: where this process finds them, and in the usual places.
fn search() -> OsString {
    const USUAL: &str =
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";
    match std::env::var_os("PATH").filter(|path| !path.is_empty()) {
        Some(mut path) => {
            path.push(":");
            path.push(USUAL);
            path
        }
        None => USUAL.into(),
    }
}

/// Another host.
#[derive(Debug, Clone)]
pub struct Ssh {
    /// Its name or address.
    pub host: String,
    /// The account there.
    pub user: String,
    /// Where sshd listens.
    pub port: u16,
    /// The private key.
    pub identity_file: PathBuf,
    /// The keys by which the host is known.
    pub known_hosts_file: PathBuf,
}

impl Reach {
    /// Whether a path is the same word for every shell.
    pub fn is_plain(path: &Path) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._@+-".contains(c);
        path.is_absolute() && path.to_str().is_some_and(|path| path.chars().all(plain))
    }

    /// The command that begins the far end.
    pub(crate) fn command(&self) -> Result<Command> {
        match self {
            Self::Here { program, path } => {
                let Some((program, arguments)) = program.split_first() else {
                    return Err(Error::Unreachable("no program is named".to_owned()));
                };
                let mut command = piped(program);
                command.args(arguments).arg(path);
                Ok(command)
            }
            Self::There { ssh, path } => {
                if !Self::is_plain(path) {
                    return Err(Error::Refused(format!(
                        "{} cannot be named at the far end: its path may have letters, digits and `/._@+-`",
                        path.display()
                    )));
                }
                let mut command = piped("ssh");
                command.args(ssh.arguments()).args(["op-dbus", "receive"]);
                command.arg(path);
                Ok(command)
            }
        }
    }

    /// What to call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Here { path, .. } => path.display().to_string(),
            Self::There { ssh, path } => format!("{}:{}", ssh.host, path.display()),
        }
    }
}

impl Ssh {
    /// No file of anybody's is read but the two that are named, nobody is asked, and nothing is forwarded.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["-F", "none", "-T", "-x", "-a"].map(Into::into).into();
        let options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "UpdateHostKeys=no",
            "GlobalKnownHostsFile=none",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ControlMaster=no",
            "ControlPath=none",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "EscapeChar=none",
            "RequestTTY=no",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "LogLevel=ERROR",
        ];
        arguments.extend(options.map(|option| format!("-o{option}").into()));
        let mut known: OsString = "-oUserKnownHostsFile=".into();
        known.push(&self.known_hosts_file);
        arguments.extend([known, "-i".into(), self.identity_file.clone().into()]);
        arguments.extend(["-p".into(), self.port.to_string().into()]);
        arguments.extend(["-l".into(), self.user.clone().into()]);
        arguments.extend(["--".into(), self.host.clone().into()]);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_anything_that_a_shell_might_read_is_refused() {
        assert!(Reach::is_plain(Path::new("/srv/backup/host-1.example.org")));
        for bad in [
            "srv",
            "/a b",
            "/a;reboot",
            "/$(id)",
            "/a'b",
            "/a\nb",
            "/~root",
            "/a*",
        ] {
            assert!(!Reach::is_plain(Path::new(bad)), "{bad}");
        }
    }
}
