//! Servers that are programs: started with as little as possible.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use declaration::{Program, Variable, VariableName};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::bounds;
use super::error::UpstreamError;

/// Where programs find others.
const SEARCH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";

/// The account that a server runs as where root starts it and none is declared.
const UNPRIVILEGED: &str = "nobody";

/// An account of the host (passwd(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

impl Account {
    /// Finds an account in the text of `/etc/passwd`.
    fn find(passwd: &str, wanted: impl Fn(&str, u32) -> bool) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields[..] else {
                return None;
            };
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            wanted(name, uid).then(|| Self {
                name: name.to_owned(),
                uid,
                gid,
                home: home.to_owned(),
            })
        })
    }

    /// The account that a program is to run as, for who starts it.
    fn of(program: &Program, passwd: &str, own: u32) -> Result<Self, String> {
        let declared = program.user.as_ref().map(|user| user.as_str());
        let account = match declared {
            None if own == 0 => Some(UNPRIVILEGED),
            declared => declared,
        };
        let Some(wanted) = account else {
            return Ok(
                Self::find(passwd, |_, uid| uid == own).unwrap_or_else(|| Self {
                    name: own.to_string(),
                    uid: own,
                    gid: rustix::process::getegid().as_raw(),
                    home: "/".to_owned(),
                }),
            );
        };
        let found = Self::find(passwd, |name, _| name == wanted)
            .ok_or_else(|| format!("there is no account `{wanted}` in /etc/passwd"))?;
        if found.uid == 0 {
            return Err(format!("`{wanted}` is root"));
        }
        if own != 0 && found.uid != own {
            return Err(format!(
                "it is to run as `{wanted}`, and only root can start it so; leave `user` out to run it as the \
                 account that starts it"
            ));
        }
        Ok(found)
    }
}

/// A program that was started, with its children. Dropping it ends them all.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    group: Option<Pid>,
}

impl Started {
    /// Waits a moment for the program to end by itself, which it should once its input has ended.
    pub(super) async fn farewell(mut self) {
        let _ = tokio::time::timeout(bounds::FAREWELL, self.child.wait()).await;
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The group's number stays taken for as long as its first process has not been waited for, which
        // only the drop of `child` does; after a farewell, others of the group may be left all the same.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Starts a program: in a process group of its own, with a clean environment, as the account that is declared,
/// and so that neither it nor what it starts can gain rights (`PR_SET_NO_NEW_PRIVS`).
pub(super) async fn start(program: &Program) -> Result<Started, UpstreamError> {
    let name = program.command.first().cloned().unwrap_or_default();
    let failed = |reason: String| UpstreamError::Start {
        program: name.clone(),
        reason,
    };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = geteuid().as_raw();
    let account = Account::of(program, &passwd, own).map_err(failed)?;
    let mut command = std::process::Command::new(&name);
    command
        .args(program.command.iter().skip(1))
        .env_clear()
        .env("PATH", SEARCH)
        .env("LANG", "C.UTF-8")
        .env("HOME", &account.home)
        .envs(environment(&program.environment)?)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if own == 0 {
        // With a uid, the standard library clears the supplementary groups too.
        command.gid(account.gid).uid(account.uid);
    }
    let child = spawn(command)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    Ok(Started { child, group })
}

/// Starts it from a thread of its own: what a thread gives up, its children have not, and the thread ends.
async fn spawn(command: std::process::Command) -> std::io::Result<Child> {
    let (tell, told) = oneshot::channel();
    let runtime = Handle::current();
    std::thread::Builder::new()
        .name("upstream".to_owned())
        .spawn(move || {
            let _runtime = runtime.enter();
            let child = rustix::thread::set_no_new_privs(true)
                .map_err(std::io::Error::from)
                .and_then(|()| Command::from(command).kill_on_drop(true).spawn());
            // If nobody waits any more, the child goes with the message.
            let _ = tell.send(child);
        })?;
    told.await.map_err(std::io::Error::other)?
}

fn environment(
    variables: &BTreeMap<VariableName, Variable>,
) -> Result<Vec<(String, String)>, UpstreamError> {
    let value = |variable: &Variable| match variable {
        Variable::Text(text) => Ok(text.clone()),
        Variable::File(path) => secret(path),
    };
    variables
        .iter()
        .map(|(name, variable)| Ok((name.to_string(), value(variable)?)))
        .collect()
}

/// What a file holds that is a secret, without the line break at its end.
pub(super) fn secret(path: &Path) -> Result<String, UpstreamError> {
    let unreadable = |reason: String| UpstreamError::Secret {
        path: path.display().to_string(),
        reason,
    };
    let file = regular(path).map_err(|error| unreadable(error.to_string()))?;
    let about = file
        .metadata()
        .map_err(|error| unreadable(error.to_string()))?;
    // A service has its secrets from root, and reads them as the owner or by its group.
    let own = geteuid().as_raw();
    if about.uid() != 0 && about.uid() != own {
        return Err(unreadable(format!(
            "it belongs to user {}, who could change it: `chown` it",
            about.uid()
        )));
    }
    if about.mode() & 0o027 != 0 {
        return Err(unreadable(format!(
            "others may get at it (mode {:04o}): `chmod 0600` it, and make another secret",
            about.mode() & 0o7777
        )));
    }
    let mut text = String::new();
    file.take(bounds::SECRET + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.len() as u64 > bounds::SECRET {
        return Err(unreadable("it is empty, or larger than 64 KiB".to_owned()));
    }
    if text.chars().any(char::is_control) {
        return Err(unreadable(
            "it has a control character, or several lines".to_owned(),
        ));
    }
    Ok(text.to_owned())
}

/// Opens a file that is one. A pipe or a device is none, and holds nobody up.
pub(crate) fn regular(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is no file")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n\
        www-data:x:33:33::/var/www:/bin/false\nnobody:x:65534:65534::/nonexistent:/bin/false\nshort:x\n";

    fn program(user: Option<&str>) -> Program {
        Program {
            command: vec!["/bin/true".to_owned()],
            environment: BTreeMap::new(),
            user: user.map(|user| user.parse().unwrap()),
        }
    }

    #[test]
    fn root_never_runs_a_server_as_itself() {
        let of = |user, own| Account::of(&program(user), PASSWD, own).map(|it| it.name);
        assert_eq!(of(None, 0).unwrap(), "nobody");
        assert_eq!(of(Some("www-data"), 0).unwrap(), "www-data");
        assert!(of(Some("toor"), 0).unwrap_err().contains("root"));
        assert!(of(Some("alice"), 0).unwrap_err().contains("no account"));
    }

    #[test]
    fn a_secret_is_in_a_file_that_others_do_not_get_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write(&path, "hush\n").unwrap();
        for mode in [0o600, 0o400, 0o440, 0o640] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(secret(&path).unwrap(), "hush", "{mode:o}");
        }
        for mode in [0o604, 0o602, 0o660] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let why = secret(&path).unwrap_err().to_string();
            assert!(why.contains("chmod"), "{mode:o}: {why}");
        }
        // Without a writer, it would be waited for at the opening already.
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for none in [&pipe, dir.path(), Path::new("/dev/zero")] {
            let why = secret(none).unwrap_err().to_string();
            assert!(why.contains("no file"), "{why}");
        }
    }

    #[test]
    fn others_run_it_as_themselves_or_not_at_all() {
        let of = |user, own| Account::of(&program(user), PASSWD, own).map(|it| it.uid);
        assert_eq!(of(None, 33).unwrap(), 33);
        assert_eq!(of(None, 4242).unwrap(), 4242);
        assert_eq!(of(Some("www-data"), 33).unwrap(), 33);
        assert!(
            of(Some("www-data"), 4242)
                .unwrap_err()
                .contains("only root")
        );
    }
}
