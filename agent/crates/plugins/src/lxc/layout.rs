//! Where templates, containers and their sockets are kept.

use std::path::{Path, PathBuf};

use declaration::{ContainerName, TemplateName};

/// The directories below a base.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    base: PathBuf,
}

impl Layout {
    pub(super) fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
        }
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn templates(&self) -> PathBuf {
        self.base.join("@templates")
    }

    /// LXC's own path of containers (`-P`): one directory each, with a `config` in it.
    pub(super) fn containers(&self) -> PathBuf {
        self.base.join("@containers")
    }

    pub(super) fn template(&self, name: &TemplateName) -> PathBuf {
        self.templates().join(name.as_str())
    }

    pub(super) fn container(&self, name: &ContainerName) -> PathBuf {
        self.containers().join(name.as_str())
    }

    pub(super) fn sockets(&self) -> PathBuf {
        self.base.join("sockets")
    }
}
