//! Writing a file, at once or not at all.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use reconcile::{Change, Plan, Verb};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, fchmod, fchown, fsync, openat,
    renameat, statat, unlinkat,
};
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::base64;
use super::list::mode_text;
use super::reach::{Place, Reach, reopen, resolve};
use super::read::window;
use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// The longest content, in bytes.
const LARGEST: usize = 1 << 20;
/// How much is read at once to compute a hash, in bytes.
const CHUNK: usize = 256 << 10;
/// The mode of a file that was not there.
const DEFAULT_MODE: u32 = 0o644;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// The file's absolute path.
    #[schemars(with = "String")]
    path: PathBuf,
    /// All that is to stand in it, at most 1 MiB.
    #[schemars(extend("writeOnly" = true))]
    content: String,
    /// How `content` is written.
    #[serde(default)]
    encoding: Encoding,
    /// Its mode, as octal digits. If not given, a file that is there keeps its own, and a new one gets 0644.
    #[serde(default)]
    #[schemars(regex(pattern = r"^0?[0-7]{3}$"))]
    mode: Option<String>,
}

/// How bytes are written in a text.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
enum Encoding {
    /// As they are.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// In Base64.
    #[serde(rename = "base64")]
    Base64,
}

#[derive(Serialize, JsonSchema)]
struct Written {
    /// The file.
    path: String,
    /// `written`, or `unchanged` where all of it was so already.
    outcome: &'static str,
    /// What was there; null if nothing was.
    before: Option<State>,
    /// What is there now.
    after: State,
}

/// A file without its content.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct State {
    /// How long it is, in bytes.
    size: u64,
    /// The SHA-256 of its content, as hexadecimal digits.
    sha256: String,
    /// Its mode, as octal digits.
    mode: String,
}

pub(super) fn tool() -> Tool {
    Tool::write(
        Domain::Files,
        "file_write",
        "Write a file",
        "Writes a whole file under the directories that the declaration names in access.files.write (none \
         by default), in place of the one that is there or as a new one. Whoever reads it meanwhile sees \
         the old one or the new one, never a part. Owner and mode stay; extended attributes do not.",
        |call, input: Wanted| preview(call, &input),
        |call, input: Wanted| write(call, &input),
    )
.says(&["write \"hello\" to /etc/motd", "put \"hello\" into the file /etc/motd"])
    .for_role(Role::Admin)
    .example(json!({ "path": "/etc/motd", "content": "Hello.\n" }))
}

/// Everything about a write but the writing.
struct Prepared {
    place: Place,
    content: Vec<u8>,
    /// What is there, and its owner.
    before: Option<(State, Stat)>,
    after: State,
    mode: Mode,
}

fn prepare(call: &Call<'_>, input: &Wanted) -> Result<Prepared, ToolError> {
    let content = match input.encoding {
        Encoding::Utf8 => input.content.clone().into_bytes(),
        Encoding::Base64 => base64::decode(&input.content)
            .ok_or_else(|| ToolError::Invalid("`content` is no Base64".to_owned()))?,
    };
    if content.len() > LARGEST {
        return Err(ToolError::Invalid(format!(
            "`content` has {} bytes, and {LARGEST} is the most",
            content.len()
        )));
    }
    let place = Reach::writing(call).place(&input.path)?;
    let before = current(call, &place, &input.path)?;
    let asked = input
        .mode
        .as_ref()
        .map(|digits| u32::from_str_radix(digits, 8));
    let mode = match (asked, &before) {
        (Some(Ok(mode)), _) => mode & 0o777,
        (Some(Err(_)), _) => {
            return Err(ToolError::Invalid("`mode` is written as 0644".to_owned()));
        }
        (None, Some((_, stat))) => stat.st_mode & 0o7777,
        (None, None) => DEFAULT_MODE,
    };
    let mut digest = Sha256::new();
    digest.update(&content);
    let after = State {
        size: content.len() as u64,
        sha256: hex::encode(digest.finalize()),
        mode: mode_text(mode),
    };
    Ok(Prepared {
        place,
        content,
        before,
        after,
        mode: Mode::from_raw_mode(mode),
    })
}

/// The file that is there now.
fn current(
    call: &Call<'_>,
    place: &Place,
    path: &Path,
) -> Result<Option<(State, Stat)>, ToolError> {
    let failed = |errno| ToolError::failed(&format!("look at {}", path.display()), errno);
    let stat = match statat(&place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => {
            return Err(ToolError::Refused(format!(
                "{} is a symbolic link: write the file that it points at",
                path.display()
            )));
        }
        _ => {
            return Err(ToolError::Refused(format!(
                "{} is no regular file, and is not replaced by one",
                path.display()
            )));
        }
    }
    let strict = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let found = resolve(&place.directory, Path::new(&place.name), strict).map_err(failed)?;
    let opened = reopen(&found, path)?;
    let mut digest = Sha256::new();
    let mut size = 0;
    loop {
        call.check()?;
        let part = window(&opened.fd, size, CHUNK)?;
        if part.is_empty() {
            break;
        }
        digest.update(&part);
        size += part.len() as u64;
    }
    let state = State {
        size,
        sha256: hex::encode(digest.finalize()),
        mode: mode_text(opened.stat.st_mode),
    };
    Ok(Some((state, opened.stat)))
}

fn preview(call: &Call<'_>, input: &Wanted) -> Result<Plan, ToolError> {
    let prepared = prepare(call, input)?;
    let before = prepared.before.map(|(state, _)| state);
    if before.as_ref() == Some(&prepared.after) {
        return Ok(Plan::default());
    }
    Ok(Plan {
        changes: vec![Change::new(
            "file",
            input.path.display().to_string(),
            match before {
                Some(_) => Verb::Update,
                None => Verb::Create,
            },
            before.map_or(Value::Null, |state| json!(state)),
            json!(prepared.after),
        )],
        notes: Vec::new(),
    })
}

fn write(call: &Call<'_>, input: &Wanted) -> Result<Written, ToolError> {
    let prepared = prepare(call, input)?;
    let before = prepared.before.as_ref().map(|(state, _)| state.clone());
    let unchanged = before.as_ref() == Some(&prepared.after);
    if !unchanged {
        call.check()?;
        replace(&prepared).map_err(|error| {
            ToolError::failed(&format!("write {}", input.path.display()), error)
        })?;
    }
    Ok(Written {
        path: input.path.display().to_string(),
        outcome: match unchanged {
            true => "unchanged",
            false => "written",
        },
        before,
        after: prepared.after,
    })
}

/// Makes the file under another name, and gives it its own when all of it is on the disk.
fn replace(prepared: &Prepared) -> std::io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let directory = &prepared.place.directory;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = format!(".op-dbus-{}-{number}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let written = fill(file, prepared).and_then(|()| {
        renameat(directory, &temporary, directory, &prepared.place.name)?;
        Ok(())
    });
    if written.is_err() {
        let _ = unlinkat(directory, &temporary, AtFlags::empty());
    }
    written?;
    Ok(fsync(directory.as_fd())?)
}

fn fill(file: OwnedFd, prepared: &Prepared) -> std::io::Result<()> {
    let mut file = File::from(file);
    file.write_all(&prepared.content)?;
    if let Some((_, stat)) = &prepared.before {
        let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        fchown(&file, Some(owner), Some(group))?;
    }
    // After the owner, whose change takes the set-id bits away.
    fchmod(&file, prepared.mode)?;
    file.sync_all()
}
