//! A new program shows that it is one, with no more rights than the web server has.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use deployments::Candidate;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::failure::Failure;

/// The user of the web server.
const WEB: &str = "op-dbus-web";

/// Where there is no such user: `nobody` and `nogroup`.
const NOBODY: (u32, u32) = (65534, 65534);

/// How long each of its answers may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How many bytes each may have: a schema has a tenth of it.
const MOST: u64 = 8 << 20;

/// How many bytes it may complain in.
const COMPLAINT: u64 = 64 << 10;

/// The version that a program says.
pub(super) fn version(candidate: &Candidate) -> Result<String, Failure> {
    // By its descriptor, since the web server's user may not get to where it was built.
    let path = PathBuf::from(format!("/proc/self/fd/{}", candidate.file().as_raw_fd()));
    let said = ask(&path, &["--version"]).map_err(Failure::Failed)?;
    let said = String::from_utf8_lossy(&said);
    match said.trim().strip_prefix("op-dbus ") {
        Some(version) => Ok(version.to_owned()),
        None => Err(Failure::Usage(format!(
            "this is no op-dbus: asked for its version, it says `{}`",
            said.trim().chars().take(80).collect::<String>()
        ))),
    }
}

/// The schema of the declarations that it reads.
pub(super) fn schema(program: &Path) -> anyhow::Result<Vec<u8>> {
    let schema = ask(program, &["schema"])?;
    serde_json::from_slice::<serde_json::Map<_, _>>(&schema)
        .context("read the schema that the new version prints")?;
    Ok(schema)
}

/// Whether it would serve with the host's declaration; `false` where there is none.
pub(super) fn accepts(program: &Path, declaration: &Path) -> anyhow::Result<bool> {
    if !declaration.exists() {
        return Ok(false);
    }
    let file = declaration
        .to_str()
        .ok_or_else(|| anyhow!("{} is no text", declaration.display()))?;
    ask(program, &["--file", file, "web", "--check"])?;
    Ok(true)
}

/// Runs the program as the web server's user, and gives what it writes.
fn ask(program: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let doing = || format!("ask the program for `{}`", arguments.join(" "));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a thread")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = web_user().unwrap_or(NOBODY);
        command.uid(uid).gid(gid);
    }
    let answer = runtime.block_on(async { tokio::time::timeout(LIMIT, answer(command)).await });
    let (status, written, complaint) = answer
        .map_err(|_| anyhow!("no answer within {} s", LIMIT.as_secs()))
        .flatten()
        .with_context(doing)?;
    match status.success() {
        true => Ok(written),
        false => {
            let said = String::from_utf8_lossy(&complaint);
            Err(anyhow!("{status}: {}", said.trim())).with_context(doing)
        }
    }
}

/// How a program ends, what it writes, and what it complains of. One that writes without end is ended.
async fn answer(mut command: Command) -> anyhow::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let written = whole(out, MOST);
    let complaint = whole(err, COMPLAINT);
    let ended = async { Ok(child.wait().await?) };
    tokio::try_join!(ended, written, complaint)
}

/// Reads to the end, which has to come within so many bytes.
async fn whole(from: Option<impl AsyncRead + Unpin>, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most + 1).read_to_end(&mut bytes).await?;
    }
    match bytes.len() as u64 > most {
        true => Err(anyhow!("it writes more than {most} bytes")),
        false => Ok(bytes),
    }
}

/// Its uid and gid (passwd(5)).
fn web_user() -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == WEB).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> anyhow::Result<Vec<u8>> {
        ask(Path::new("/bin/sh"), &["-c", script])
    }

    #[test]
    fn what_a_program_writes_is_bounded() {
        assert_eq!(run("echo 1").unwrap(), b"1\n");
        for endless in ["exec yes", "exec yes >&2"] {
            let error = format!("{:#}", run(endless).unwrap_err());
            assert!(error.contains("it writes more than"), "{error}");
        }
        let error = format!("{:#}", run("echo no >&2; exit 3").unwrap_err());
        assert!(error.contains("exit status: 3: no"), "{error}");
    }
}
