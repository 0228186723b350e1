//! Listing a directory.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Stat, readlinkat, statat};
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reach::Reach;
use crate::call::Call;
use crate::caller::Accounts;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// How many entries of a directory are read at most.
const MOST: usize = 200_000;

#[derive(Deserialize, JsonSchema)]
struct Directory {
    /// The directory's absolute path.
    #[schemars(with = "String")]
    path: PathBuf,
    #[serde(flatten)]
    page: Page,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    /// What is in the directory, by name.
    entries: Vec<Entry>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Something in a directory.
#[derive(Serialize, JsonSchema)]
struct Entry {
    /// Its name; bytes that are not UTF-8 are replaced.
    name: String,
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `device` or `unknown`.
    kind: &'static str,
    /// How long it is, in bytes.
    size: u64,
    /// Its mode, as octal digits.
    mode: String,
    /// The login name of its owner, or the uid.
    owner: String,
    /// The gid of its group.
    gid: u32,
    /// When it was last changed (RFC 3339).
    modified: Option<String>,
    /// What a symbolic link points at.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool::read(
        Domain::Files,
        "file_list",
        "List a directory",
        "Lists what is in a directory under those that the declaration names in access.files.read. Callers \
         below admin list what every user may list.",
        list,
    )
.says(&["list /etc", "list the directory /var/log"])
    .example(json!({ "path": "/etc" }))
}

fn list(call: &Call<'_>, input: Directory) -> Result<Listed, ToolError> {
    let path = &input.path;
    let directory = Reach::reading(call).open(path)?;
    if !directory.is_directory() {
        return Err(ToolError::Invalid(format!(
            "{} is no directory: file_read reads files",
            path.display()
        )));
    }
    let failed = |errno| ToolError::failed(&format!("list {}", path.display()), errno);
    let (names, next_cursor) = page(names(&directory.fd, call)?, &input.page)?;
    let accounts = Accounts::read();
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        match statat(&directory.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entries.push(entry(&directory.fd, &name, &stat, &accounts)),
            // It went away in between.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(Listed {
        entries,
        next_cursor,
    })
}

/// The names in a directory, in their order.
pub(super) fn names(directory: &OwnedFd, call: &Call<'_>) -> Result<Vec<OsString>, ToolError> {
    let failed = |errno: Errno| ToolError::failed("list the directory", errno);
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_owned().into_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
        if names.len() % 1024 == 0 {
            call.check()?;
        }
        if names.len() > MOST {
            return Err(ToolError::Refused(format!(
                "there are more than {MOST} files in it, too many to list"
            )));
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn entry(directory: &OwnedFd, name: &OsStr, stat: &Stat, accounts: &Accounts) -> Entry {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let target = (kind == FileType::Symlink)
        .then(|| readlinkat(directory, name, Vec::new()).ok())
        .flatten();
    Entry {
        name: name.to_string_lossy().into_owned(),
        kind: match kind {
            FileType::RegularFile => "file",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Fifo => "fifo",
            FileType::Socket => "socket",
            FileType::CharacterDevice | FileType::BlockDevice => "device",
            _ => "unknown",
        },
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        mode: mode_text(stat.st_mode),
        owner: accounts.name(stat.st_uid),
        gid: stat.st_gid,
        modified: time(stat),
        target: target.map(|target| target.to_string_lossy().into_owned()),
    }
}

/// Permissions as octal digits.
pub(super) fn mode_text(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

/// When a file was last changed.
pub(super) fn time(stat: &Stat) -> Option<String> {
    let nanoseconds = i32::try_from(stat.st_mtime_nsec).ok()?;
    let time = jiff::Timestamp::new(stat.st_mtime, nanoseconds).ok()?;
    Some(time.to_string())
}
