//! Searching files by name and by what stands in them.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use rustix::fs::{FileType, Mode, ResolveFlags, Stat, fstat};
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reach::{Reach, reopen, resolve};
use super::{glob, list, read, secret};
use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// How many files and directories are looked at.
const FILES: u64 = 100_000;
/// How many bytes of files are read.
const BYTES: usize = 64 << 20;
/// How long is searched.
const TIME: Duration = Duration::from_secs(15);
/// How deep below the directory.
const DEPTH: usize = 64;
/// How many lines of one file are given.
const LINES: usize = 20;
/// How much of a line is given, in characters.
const LINE: usize = 300;
/// How many matches are given where the caller does not say.
const DEFAULT: usize = 100;
/// Within this many bytes a file that is no text has a NUL.
const TASTE: usize = 8 << 10;

/// What is found below a directory: nothing over links, nothing on other file systems.
const HERE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// The directory's absolute path.
    #[schemars(with = "String")]
    path: PathBuf,
    /// Only files with such a name: `*` stands for any text, `?` for any character.
    #[serde(default)]
    name: Option<String>,
    /// Only files with a line that has this text.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1000))]
    text: Option<String>,
    /// Take the small and the large letters A to Z of `text` for the same.
    #[serde(default)]
    ignore_case: bool,
    /// How many matches at most; 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Found {
    /// Files, or their lines, in the order of their paths.
    matches: Vec<Match>,
    /// Whether everything was searched.
    complete: bool,
    /// Why not, if it was not: `limit`, `files`, `bytes`, `time`, `depth`.
    stopped_by: Option<&'static str>,
    /// How many files and directories were looked at.
    looked_at: u64,
    /// How many of them could not be read, or not by this caller.
    passed_over: u64,
}

/// A file, or a line of it.
#[derive(Serialize, JsonSchema)]
struct Match {
    /// The file's path.
    path: String,
    /// The number of the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// The line, at most 300 characters of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool::read(
        Domain::Files,
        "file_search",
        "Search files",
        "Searches the regular files below a directory by name, by the text in them, or both. Symbolic links \
         are not followed, other file systems and files that are no text are left out, and it ends after \
         100000 files, 64 MiB or 15 seconds. Callers below admin search what every user may read.",
        search,
    )
.says(&["find *.conf in /etc", "search /etc for \"listen 80\""])
    .example(json!({ "path": "/etc", "name": "*.conf" }))
    .example(json!({ "path": "/var/log", "name": "*.log", "text": "error", "ignore_case": true }))
}

/// A directory on the way, and what is still to be looked at in it.
struct Level {
    fd: OwnedFd,
    /// Its path from the directory that is searched.
    below: PathBuf,
    names: IntoIter<OsString>,
}

struct Search<'a> {
    call: &'a Call<'a>,
    wanted: &'a Wanted,
    /// The path of the directory without symbolic links, by which secrets are known.
    real: PathBuf,
    needle: Option<String>,
    only_public: bool,
    limit: usize,
    begun: Instant,
    bytes: usize,
    found: Found,
}

fn search(call: &Call<'_>, wanted: Wanted) -> Result<Found, ToolError> {
    if wanted.name.is_none() && wanted.text.is_none() {
        return Err(ToolError::Invalid(
            "say what to search for: `name`, `text` or both".to_owned(),
        ));
    }
    let reach = Reach::reading(call);
    let top = reach.open(&wanted.path)?;
    if !top.is_directory() {
        return Err(ToolError::Invalid(format!(
            "{} is no directory: file_read reads files",
            wanted.path.display()
        )));
    }
    let needle = wanted.text.as_ref().map(|text| match wanted.ignore_case {
        true => text.to_ascii_lowercase(),
        false => text.clone(),
    });
    let mut search = Search {
        call,
        wanted: &wanted,
        real: top.real,
        needle,
        only_public: reach.only_public(),
        limit: wanted.limit.unwrap_or(DEFAULT),
        begun: Instant::now(),
        bytes: 0,
        found: Found {
            matches: Vec::new(),
            complete: true,
            stopped_by: None,
            looked_at: 0,
            passed_over: 0,
        },
    };
    search.walk(top.fd)?;
    let mut found = search.found;
    found.complete = found.stopped_by.is_none();
    Ok(found)
}

impl Search<'_> {
    fn walk(&mut self, top: OwnedFd) -> Result<(), ToolError> {
        let names = list::names(&top, self.call)?.into_iter();
        let mut levels = vec![Level {
            fd: top,
            below: PathBuf::new(),
            names,
        }];
        while let Some(level) = levels.last_mut() {
            self.call.check()?;
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            self.found.looked_at += 1;
            if let Some(stop) = self.stop() {
                self.found.stopped_by = Some(stop);
                return Ok(());
            }
            let below = level.below.join(&name);
            let Some((file, stat)) = self.look(&level.fd, &name, &below)? else {
                continue;
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                self.file(&file, &self.wanted.path.join(&below))?;
            } else if levels.len() < DEPTH {
                let names = list::names(&file, self.call)?.into_iter();
                levels.push(Level {
                    fd: file,
                    below,
                    names,
                });
            } else {
                self.found.stopped_by = Some("depth");
            }
        }
        Ok(())
    }

    /// Why to go no further.
    fn stop(&self) -> Option<&'static str> {
        let reasons = [
            ("limit", self.found.matches.len() >= self.limit),
            ("files", self.found.looked_at > FILES),
            ("bytes", self.bytes >= BYTES),
            ("time", self.begun.elapsed() >= TIME),
        ];
        reasons
            .into_iter()
            .find_map(|(word, is)| is.then_some(word))
    }

    /// Opens a file or a directory; `None` for what is neither, is gone, or is not for the caller.
    fn look(
        &mut self,
        directory: &OwnedFd,
        name: &OsString,
        below: &Path,
    ) -> Result<Option<(OwnedFd, Stat)>, ToolError> {
        let found = match resolve(directory, Path::new(name), HERE) {
            Ok(found) => found,
            // Links, other file systems, and what went away.
            Err(Errno::LOOP | Errno::XDEV | Errno::NOENT) => return Ok(None),
            Err(_) => {
                self.found.passed_over += 1;
                return Ok(None);
            }
        };
        let path = self.wanted.path.join(below);
        let failed = |errno| ToolError::failed(&format!("look at {}", path.display()), errno);
        let stat = fstat(&found).map_err(failed)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let fitting = |name: &OsString| {
            let pattern = self.wanted.name.as_ref();
            pattern.is_none_or(|pattern| glob::fits(pattern, &name.to_string_lossy()))
        };
        let needed = match kind {
            FileType::Directory => Mode::ROTH | Mode::XOTH,
            FileType::RegularFile if fitting(name) => Mode::ROTH,
            _ => return Ok(None),
        };
        let shown = !self.only_public || Mode::from_raw_mode(stat.st_mode).contains(needed);
        if !shown || secret::looks_secret(&self.real.join(below)) {
            self.found.passed_over += 1;
            return Ok(None);
        }
        match reopen(&found, &path) {
            Ok(opened) => Ok(Some((opened.fd, stat))),
            Err(_) => {
                self.found.passed_over += 1;
                Ok(None)
            }
        }
    }

    /// Adds a file, or its lines.
    fn file(&mut self, file: &OwnedFd, path: &Path) -> Result<(), ToolError> {
        let Some(needle) = &self.needle else {
            self.found.matches.push(Match {
                path: path.display().to_string(),
                line: None,
                text: None,
            });
            return Ok(());
        };
        let Ok(bytes) = read::window(file, 0, 4 * TASTE) else {
            self.found.passed_over += 1;
            return Ok(());
        };
        if bytes[..bytes.len().min(TASTE)].contains(&0) {
            return Ok(());
        }
        let bytes = match bytes.len() < 4 * TASTE {
            true => bytes,
            false => read::window(file, 0, BYTES - self.bytes.min(BYTES))?,
        };
        self.bytes += bytes.len();
        if secret::has_private_key(&bytes[..bytes.len().min(secret::HEAD)]) {
            self.found.passed_over += 1;
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        let has = |line: &str| match self.wanted.ignore_case {
            true => line.to_ascii_lowercase().contains(needle),
            false => line.contains(needle),
        };
        let lines = text.lines().enumerate().filter(|(_, line)| has(line));
        let room = LINES.min(self.limit - self.found.matches.len());
        let matches = lines.take(room).map(|(number, line)| Match {
            path: path.display().to_string(),
            line: Some(number + 1),
            text: Some(line.chars().take(LINE).collect()),
        });
        self.found.matches.extend(matches);
        Ok(())
    }
}
