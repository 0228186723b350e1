//! plugin export, plugin import: plugins as streams.

use std::fs::{self, File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use tools::Options;

use super::agree::{self, Preview};
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::Screen;

/// The longest stream that is taken from standard input, in bytes; the tool takes no longer one either.
const LARGEST: u64 = 256 << 20;

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

pub(super) fn export(
    line: &mut Line<'_>,
    screen: &Screen,
    name: &str,
    file: Option<&Path>,
) -> Result<u8, Failure> {
    let to_output = file == Some(Path::new("-"));
    if to_output && std::io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a stream is nothing for a terminal: redirect it, or name a file".to_owned(),
        ));
    }
    if file.is_some() && !rustix::process::geteuid().is_root() {
        return Err(Failure::Refused(
            "a stream is read from the file system with root's rights: run it with sudo".to_owned(),
        ));
    }
    let mut answer = line.call("plugin_export", json!({ "name": name }), Options::default())?;
    let snapshot = PathBuf::from(word(&answer["snapshot"]));
    if to_output {
        send(&snapshot, &mut std::io::stdout().lock())?;
        return Ok(0);
    }
    if let Some(file) = file {
        answer["bytes"] = json!(write(&snapshot, file)?);
        answer["file"] = json!(file);
    }
    screen.result(&answer, || match file {
        Some(file) => format!("{name}: {} KiB in {}\n", kib(&answer), file.display()),
        None => format!("{name}: kept as {}\n", snapshot.display()),
    });
    Ok(0)
}

fn kib(answer: &Value) -> u64 {
    answer["bytes"].as_u64().unwrap_or_default().div_ceil(1024)
}

/// Writes a stream into a new file, which is whole or not there.
fn write(snapshot: &Path, file: &Path) -> Result<u64, Failure> {
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("make {}", file.display()))?;
    let written = send(snapshot, &mut new).and_then(|bytes| {
        new.sync_all().context("write the stream to disk")?;
        Ok(bytes)
    });
    if written.is_err() {
        let _ = fs::remove_file(file);
    }
    written
}

fn send(snapshot: &Path, to: &mut impl Write) -> Result<u64, Failure> {
    let sending = btrfs::send(snapshot, None, btrfs::Content::Whole);
    let mut sending = sending.map_err(anyhow::Error::new)?;
    let bytes = std::io::copy(&mut sending, to).context("write the stream")?;
    sending.finish().map_err(anyhow::Error::new)?;
    to.flush().context("write the stream")?;
    Ok(bytes)
}

pub(super) fn import(
    line: &mut Line<'_>,
    screen: &Screen,
    file: &Path,
    replace: bool,
    dry_run: bool,
) -> Result<u8, Failure> {
    let spooled = match file == Path::new("-") {
        true => Some(Spool::read(std::io::stdin().lock())?),
        false => None,
    };
    let path = match &spooled {
        Some(spool) => spool.0.clone(),
        None => std::path::absolute(file).context("find the stream")?,
    };
    let arguments = json!({ "path": path });
    let tool = match replace {
        true => "plugin_replace",
        false => "plugin_import",
    };
    if dry_run {
        let preview = Preview::of(line, tool, &arguments)?;
        screen.result(&preview.answer, || planned(&preview.answer));
        return Ok(0);
    }
    let answer = match replace {
        true => agree::destroy(line, screen, tool, arguments, agree::FOR_GOOD)?,
        false => line.call(tool, arguments, Options::default())?,
    };
    screen.result(&answer, || {
        let mut text = format!(
            "{}: put into {}\n",
            word(&answer["name"]),
            word(&answer["directory"])
        );
        for note in answer["notes"].as_array().into_iter().flatten() {
            text.push_str(&format!("{}\n", word(note)));
        }
        text
    });
    Ok(0)
}

fn planned(plan: &Value) -> String {
    let change = &plan["changes"][0];
    let mut text = format!(
        "would {} {}\n",
        word(&change["verb"]),
        word(&change["resource"])
    );
    for note in plan["notes"].as_array().into_iter().flatten() {
        text.push_str(&format!("{}\n", word(&note["text"])));
    }
    text
}

/// Where the daemon finds a file too: its unit may have a `/tmp` of its own.
fn seen_by_the_daemon() -> PathBuf {
    let runtime = match rustix::process::geteuid().is_root() {
        true => Some("/run/op-dbus".into()),
        false => std::env::var_os("XDG_RUNTIME_DIR"),
    };
    let runtime = runtime.map(PathBuf::from).filter(|place| place.is_dir());
    runtime.unwrap_or_else(std::env::temp_dir)
}

/// What came on standard input, in a file that nobody else reads; it goes with this value.
struct Spool(PathBuf);

impl Spool {
    fn read(input: impl Read) -> Result<Self, Failure> {
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(|error| anyhow::anyhow!("{error}"))?;
        let name = format!("op-dbus-import-{:016x}", u64::from_le_bytes(number));
        let path = seen_by_the_daemon().join(name);
        let file: std::io::Result<File> = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let mut file = file.with_context(|| format!("make {}", path.display()))?;
        let spool = Self(path);
        let length = std::io::copy(&mut input.take(LARGEST + 1), &mut file);
        match length.context("read the stream")? {
            0..=LARGEST => Ok(spool),
            _ => Err(Failure::Usage(
                "the stream has more than 256 MiB, which is too much for a plugin".to_owned(),
            )),
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
