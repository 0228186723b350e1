//! What was undone is not tried again by a daemon: the mark that says so.
//!
//! It names the declaration, not the time: files of the Nix store are all equally old.

use std::fs;
use std::path::{Path, PathBuf};

use declaration::{Declaration, Format};
use plugins::derived::Mapped;
use reconcile::Recovery;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::host::write_whole;
use super::paths::Paths;
use crate::error::ToolError;

#[derive(Serialize, Deserialize)]
struct Content {
    run: String,
    /// SHA-256 of the declaration that the run was for, as lower-case hex.
    declaration: String,
    #[serde(default)]
    why: Why,
}

/// Why what a declaration asks for was undone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody confirmed it in time.
    #[default]
    Unconfirmed,
    /// Somebody rolled it back.
    RolledBack,
}

/// What was undone of the present declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The run, or the snapshot that was gone back to.
    pub run: String,
    /// Why it was undone.
    pub why: Why,
}

/// A mark to be set.
pub(crate) struct Mark {
    path: PathBuf,
    declaration: Option<String>,
}

impl Mark {
    /// The mark for the open confirm window; to be taken before its end, which forgets its declaration.
    pub(crate) fn of_window(paths: &Paths) -> Self {
        let text = fs::read_to_string(paths.guarded()).ok();
        let declaration = text
            .and_then(|text| Declaration::parse_with(&text, Format::Json, &Mapped::default()).ok());
        Self {
            path: paths.undone(),
            declaration: declaration.as_ref().map(fingerprint),
        }
    }

    /// Sets the mark if a run was found to be over its window, and undone.
    pub(crate) fn keep_if_undone(self, found: &Recovery) -> Result<(), ToolError> {
        match found {
            Recovery::RolledBack { run, .. } => self.keep(run),
            _ => Ok(()),
        }
    }

    /// Sets the mark.
    pub(crate) fn keep(self, run: &str) -> Result<(), ToolError> {
        let Some(declaration) = self.declaration else {
            return Ok(());
        };
        write(&self.path, run, declaration, Why::Unconfirmed)
    }
}

/// Sets the mark for a declaration that asks for what was rolled back.
pub(crate) fn rolled_back(
    paths: &Paths,
    declaration: &Declaration,
    run: &str,
) -> Result<(), ToolError> {
    let declaration = fingerprint(declaration);
    write(&paths.undone(), run, declaration, Why::RolledBack)
}

fn write(path: &Path, run: &str, declaration: String, why: Why) -> Result<(), ToolError> {
    let content = Content {
        run: run.to_owned(),
        declaration,
        why,
    };
    let text = serde_json::to_vec(&content)
        .map_err(|error| ToolError::failed("write down what was undone", error))?;
    write_whole(path, &text)
}

/// What was undone, if it was for this very declaration.
pub fn undone(paths: &Paths, declaration: &Declaration) -> Option<Undone> {
    let text = fs::read(paths.undone()).ok()?;
    let content: Content = serde_json::from_slice(&text).ok()?;
    (content.declaration == fingerprint(declaration)).then_some(Undone {
        run: content.run,
        why: content.why,
    })
}

/// Forgets what was undone: somebody asked for it again.
pub(crate) fn forget(paths: &Paths) {
    let _ = fs::remove_file(paths.undone());
}

fn fingerprint(declaration: &Declaration) -> String {
    let text = serde_json::to_vec(declaration).unwrap_or_default();
    hex::encode(Sha256::digest(&text))
}
