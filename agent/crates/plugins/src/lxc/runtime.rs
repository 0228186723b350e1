//! Starting and stopping containers, by systemd where it runs the machine and by LXC alone elsewhere.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use declaration::ContainerName;
use reconcile::PluginError;

use super::config::LOG;
use super::layout::Layout;
use super::place::subdirectories;
use super::program;
use super::systemd::Systemd;

/// How long a container may take to stop by itself, in seconds; then it is killed.
pub(super) const STOP_SECONDS: u32 = 30;
/// How long a container may take until its init runs.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at a container that systemd starts.
const PAUSE: Duration = Duration::from_millis(20);
/// How many errors of LXC's log are told.
const TOLD: usize = 3;

/// How a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its init is told to; it is killed if it does not.
    Gently,
    /// It is killed.
    AtOnce,
}

/// What starts and stops the containers below one directory.
#[derive(Debug)]
pub(super) struct Runtime {
    containers: PathBuf,
    systemd: Option<Systemd>,
}

impl Runtime {
    pub(super) fn new(layout: &Layout) -> Self {
        Self {
            containers: layout.containers(),
            systemd: Systemd::detect(layout),
        }
    }

    fn tool(&self, program: &str) -> Result<Command, PluginError> {
        let mut command = program::command(program)?;
        command.arg("-P").arg(&self.containers);
        command.env_clear().env("PATH", program::path_for_lxc());
        Ok(command)
    }

    /// The containers that run, frozen ones included.
    pub(super) fn active(&self) -> Result<BTreeSet<String>, PluginError> {
        let there = subdirectories(&self.containers)?;
        if there.iter().any(|path| !has_plain_socket(path)) {
            return self.listed();
        }
        let failed = |error| PluginError::failed("list the running containers", error);
        let sockets = fs::read_to_string("/proc/thread-self/net/unix").map_err(failed)?;
        Ok(with_socket(&sockets, &self.containers))
    }

    /// The same from LXC's own program, which takes some milliseconds.
    fn listed(&self) -> Result<BTreeSet<String>, PluginError> {
        let mut command = self.tool("lxc-ls")?;
        command.args(["--active", "-1"]);
        let names = program::output(&mut command, "list the running containers")?;
        Ok(names.lines().map(|name| name.trim().to_owned()).collect())
    }

    /// Whether a container runs, or is on its way there or back.
    pub(super) fn is_active(&self, name: &ContainerName) -> Result<bool, PluginError> {
        Ok(self.state(name)?.is_some_and(|state| state != "STOPPED"))
    }

    /// LXC's word for what a container does; `None` if LXC knows of no such container.
    fn state(&self, name: &ContainerName) -> Result<Option<String>, PluginError> {
        if !self.containers.join(name.as_str()).join("config").exists() {
            // It may run all the same, if the file was lost since.
            let runs = self.active()?.contains(name.as_str());
            return Ok(runs.then(|| "RUNNING".to_owned()));
        }
        let mut command = self.tool("lxc-info")?;
        command.args(["-n", name.as_str(), "-s", "-H"]);
        let state = program::output(&mut command, &format!("look at container {name}"))?;
        Ok(Some(state.trim().to_owned()))
    }

    /// The process id of a container's init, as the machine has it; `None` if none runs.
    pub(super) fn init(&self, name: &ContainerName) -> Result<Option<u32>, PluginError> {
        if !self.containers.join(name.as_str()).join("config").exists() {
            return Ok(None);
        }
        let mut command = self.tool("lxc-info")?;
        command.args(["-n", name.as_str(), "-p", "-H"]);
        let init = program::output(&mut command, &format!("look at container {name}"))?;
        Ok(init.trim().parse().ok())
    }

    /// Starts a container, unless it runs already.
    pub(super) fn start(&self, name: &ContainerName) -> Result<(), PluginError> {
        match self.is_active(name)? {
            true => Ok(()),
            false => self.launch(name),
        }
    }

    /// Starts a container that does not run, and waits until its init runs.
    pub(super) fn launch(&self, name: &ContainerName) -> Result<(), PluginError> {
        let _ = fs::remove_file(self.log(name));
        match &self.systemd {
            Some(systemd) => {
                systemd.start(name)?;
                self.await_start(name, systemd)
            }
            None => self.start_directly(name),
        }
    }

    fn start_directly(&self, name: &ContainerName) -> Result<(), PluginError> {
        let mut command = self.tool("lxc-start")?;
        command.args(["-d", "-n", name.as_str()]);
        // Not a pipe: what runs on after this would hold it.
        let status = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| PluginError::failed(format!("start container {name}"), error))?;
        match status.success() {
            true => Ok(()),
            false => Err(self.died(name)),
        }
    }

    fn await_start(&self, name: &ContainerName, systemd: &Systemd) -> Result<(), PluginError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if self.state(name)?.as_deref() == Some("RUNNING") {
                return Ok(());
            }
            if systemd.has_ended(name)? || Instant::now() >= deadline {
                return Err(self.died(name));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn died(&self, name: &ContainerName) -> PluginError {
        let log = fs::read_to_string(self.log(name)).unwrap_or_default();
        let reason = match reasons(&log) {
            reasons if reasons.is_empty() => {
                let look = match &self.systemd {
                    Some(systemd) => systemd.journal(name),
                    None => format!("lxc-start -F -P {} -n {name}", self.containers.display()),
                };
                format!("it did not start, and left no reason in its log; see `{look}`")
            }
            reasons => reasons.join("; "),
        };
        PluginError::failed(format!("start container {name}"), reason)
    }

    fn log(&self, name: &ContainerName) -> PathBuf {
        self.containers.join(name.as_str()).join(LOG)
    }

    /// Stops a container and waits for its end; one that does not run is left as it is.
    pub(super) fn stop(&self, name: &ContainerName, how: Stop) -> Result<(), PluginError> {
        if !self.is_active(name)? {
            return Ok(());
        }
        if let (Some(systemd), Stop::Gently) = (&self.systemd, how) {
            systemd.stop(name)?;
        }
        if !self.is_active(name)? {
            return Ok(());
        }
        let mut command = self.tool("lxc-stop")?;
        command.args(["-n", name.as_str()]);
        match how {
            Stop::Gently => command.arg("-t").arg(STOP_SECONDS.to_string()),
            Stop::AtOnce => command.arg("-k"),
        };
        let stopped = program::output(&mut command, &format!("stop container {name}"));
        match stopped {
            // It may have ended by itself in the meantime.
            Err(_) if !self.is_active(name)? => Ok(()),
            stopped => stopped.map(drop),
        }
    }

    /// Changes the limits of a container that runs.
    pub(super) fn limit(
        &self,
        name: &ContainerName,
        limits: &[(&str, String)],
    ) -> Result<(), PluginError> {
        let set = |(file, value): &(&str, String)| {
            let mut command = self.tool("lxc-cgroup")?;
            command.args(["-n", name.as_str(), file, value]);
            program::output(&mut command, &format!("set {file} of container {name}")).map(drop)
        };
        // A limit of memory must not pass one of memory and swap on its way, so that what fails at
        // first can succeed after the others.
        let failed: Vec<_> = limits.iter().filter(|limit| set(limit).is_err()).collect();
        failed.into_iter().try_for_each(set)
    }

    /// What a file of a running container's control group says.
    pub(super) fn counted(&self, name: &ContainerName, file: &str) -> Result<String, PluginError> {
        let mut command = self.tool("lxc-cgroup")?;
        command.args(["-n", name.as_str(), file]);
        program::output(&mut command, &format!("read {file} of container {name}"))
    }

    /// Whether the machine starts the container when it starts; `None` where nothing keeps that.
    pub(super) fn starts_with_host(&self, name: &ContainerName) -> Option<bool> {
        Some(self.systemd.as_ref()?.is_enabled(name))
    }

    /// Lets the machine start the container when it starts, or not.
    pub(super) fn start_with_host(
        &self,
        name: &ContainerName,
        wanted: bool,
    ) -> Result<(), PluginError> {
        match &self.systemd {
            Some(systemd) if systemd.is_enabled(name) != wanted => systemd.enable(name, wanted),
            _ => Ok(()),
        }
    }
}

/// What the abstract Unix socket that LXC commands a container by is called, behind its directory.
const SOCKET: &str = "/command";

/// Whether that socket has the container's path in its name, and not a hash of it: LXC hashes what does not fit
/// into `sun_path` with a byte before and one behind it (unix(7); `lxc_make_abstract_socket_name`).
fn has_plain_socket(container: &Path) -> bool {
    container.as_os_str().len() + SOCKET.len() < 107
}

/// The names of the containers below a directory that have such a socket in `/proc/net/unix`.
fn with_socket(sockets: &str, containers: &Path) -> BTreeSet<String> {
    let prefix = format!("@{}/", containers.display());
    sockets
        .lines()
        .filter_map(|line| line.split_once(&prefix)?.1.strip_suffix(SOCKET))
        .map(str::to_owned)
        .collect()
}

/// The first errors in LXC's log, without where in LXC they come from.
fn reasons(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.contains(" ERROR "))
        // NAME TIME LEVEL FILE - SOURCE:FUNCTION:LINE - TEXT
        .filter_map(|line| line.splitn(3, " - ").nth(2))
        .take(TOLD)
        .collect()
}

/// The command that runs a program in a container, with the container's own environment.
pub(super) fn attach_command(
    layout: &Layout,
    name: &ContainerName,
    argv: &[impl AsRef<OsStr>],
) -> Command {
    let program = program::find("lxc-attach");
    let mut command = Command::new(program.as_deref().unwrap_or(Path::new("lxc-attach")));
    command.arg("-P").arg(layout.containers());
    command.args(["-n", name.as_str(), "--clear-env", "--"]);
    command.args(argv);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_errors_are_told_without_their_source() {
        let log = "lxc-start a 2026 WARN     conf - ../src/conf.c:f:1 - newuidmap is missing\n\
                   lxc-start a 2026 ERROR    start - ../src/start.c:g:2 - No such file - Failed to exec\n\
                   torn line ERROR \n";
        assert_eq!(reasons(log), ["No such file - Failed to exec"]);
        assert_eq!(reasons(""), [""; 0]);
    }

    #[test]
    fn what_has_a_command_socket_runs() {
        let sockets = "Num RefCount Protocol Flags Type St Inode Path\n\
            0: 2 0 10000 1 1 7 @/srv/x/@containers/web-01/command\n\
            0: 2 0 10000 1 1 8 @/srv/x/@containers/db-01/monitor\n\
            0: 2 0 10000 1 1 9 @/srv/y/@containers/other/command\n\
            0: 2 0 10000 1 1 9 /srv/x/@containers/file/command\n\
            0: 2 0 10000 1 1 9\n";
        let names = with_socket(sockets, Path::new("/srv/x/@containers"));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["web-01"]);
        let longest = format!("/{}", "a".repeat(97));
        assert!(has_plain_socket(Path::new(&longest)));
        assert!(!has_plain_socket(Path::new(&format!("{longest}a"))));
    }

    #[test]
    fn a_command_is_handed_on_word_by_word() {
        let layout = Layout::new(Path::new("/srv/x"));
        let name = "web-01".parse().unwrap();
        let command = attach_command(&layout, &name, &["sh", "-c", "echo $HOME; ls"]);
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_str().unwrap())
            .collect();
        assert_eq!(
            words,
            [
                "-P",
                "/srv/x/@containers",
                "-n",
                "web-01",
                "--clear-env",
                "--",
                "sh",
                "-c",
                "echo $HOME; ls"
            ]
        );
    }
}
