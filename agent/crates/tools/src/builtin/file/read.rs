//! Reading a file.

use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::io::{Errno, pread};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::list::{mode_text, time};
use super::reach::Reach;
use super::{base64, secret};
use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// The most that is read at once, in bytes.
const LARGEST: usize = 256 << 10;
/// How much is read where the caller does not say.
const DEFAULT: usize = 64 << 10;
/// How much before the part that is read is looked through for the beginning of a private key.
const BEFORE: u64 = 16 << 10;

#[derive(Deserialize, JsonSchema)]
struct Part {
    /// The file's absolute path.
    #[schemars(with = "String")]
    path: PathBuf,
    /// Where to begin, in bytes.
    #[serde(default)]
    offset: u64,
    /// How many bytes at most, 1 to 262144 (256 KiB); 65536 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 262_144))]
    length: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Content {
    /// The file.
    path: String,
    /// How long the file is, in bytes; 0 for files that the kernel makes up when they are read.
    size: u64,
    /// Its mode, as octal digits.
    mode: String,
    /// When it was last changed (RFC 3339).
    modified: Option<String>,
    /// Where the part begins, in bytes.
    offset: u64,
    /// How long the part is, in bytes.
    length: usize,
    /// Where the next part begins; null at the end of the file.
    next_offset: Option<u64>,
    /// `utf-8`, or `base64` for what is no such text.
    encoding: &'static str,
    /// The part.
    content: String,
}

pub(super) fn tool() -> Tool {
    Tool::read(
        Domain::Files,
        "file_read",
        "Read a file",
        "Reads a part of a regular file under the directories that the declaration names in \
         access.files.read. Callers below admin read what every user may read; files with passwords and \
         private keys are read for nobody.",
        read,
    )
.says(&["read /etc/hosts", "show me the file /etc/hostname"])
    .example(json!({ "path": "/etc/hostname" }))
    .example(json!({ "path": "/var/log/syslog", "offset": 1_048_576, "length": 4096 }))
}

fn read(call: &Call<'_>, input: Part) -> Result<Content, ToolError> {
    let path = &input.path;
    let file = Reach::reading(call).open(path)?;
    if file.is_directory() {
        return Err(ToolError::Invalid(format!(
            "{} is a directory: file_list shows what is in it",
            path.display()
        )));
    }
    if secret::is_private_key(&file.fd)? {
        return Err(secret::refused(path));
    }
    let length = input.length.unwrap_or(DEFAULT).min(LARGEST);
    let before = input.offset.min(BEFORE);
    let around = window(&file.fd, input.offset - before, length + before as usize)?;
    if secret::has_private_key(&around) {
        return Err(secret::refused(path));
    }
    let part = around.get(before as usize..).unwrap_or_default();
    let (encoding, content, given) = match text(part) {
        Some(text) => ("utf-8", text.to_owned(), text.len()),
        None => ("base64", base64::encode(part), part.len()),
    };
    let end = input.offset.saturating_add(given as u64);
    let ended = given == part.len() && part.len() < length;
    Ok(Content {
        path: path.display().to_string(),
        size: u64::try_from(file.stat.st_size).unwrap_or_default(),
        mode: mode_text(file.stat.st_mode),
        modified: time(&file.stat),
        offset: input.offset,
        length: given,
        next_offset: (!ended && !window(&file.fd, end, 1)?.is_empty()).then_some(end),
        encoding,
        content,
    })
}

/// A part as text, less a character that is cut off at its end.
fn text(part: &[u8]) -> Option<&str> {
    match str::from_utf8(part) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            str::from_utf8(&part[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// At most `length` bytes from `offset` on; fewer only at the end of the file.
pub(super) fn window(file: impl AsFd, offset: u64, length: usize) -> Result<Vec<u8>, ToolError> {
    // No file has bytes where the system cannot count.
    if i64::try_from(offset.saturating_add(length as u64)).is_err() {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match pread(
            &file,
            &mut bytes[filled..],
            offset.saturating_add(filled as u64),
        ) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            // A file that the kernel makes up and that has nothing to tell now.
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(ToolError::failed("read the file", errno)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
