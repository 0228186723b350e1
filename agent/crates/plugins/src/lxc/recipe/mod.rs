//! Recipes: how the root file system of a template is made.

mod bootstrap;
mod busybox;
mod furnish;
mod tarball;

use std::path::Path;

use reconcile::PluginError;

use super::rootfs::RootFs;
use super::state::TemplateState;

/// Makes the root file system `rootfs` within the directory `workshop`, which is empty.
pub(super) fn build(
    recipe: &TemplateState,
    workshop: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), PluginError> {
    match recipe {
        TemplateState::Busybox {} => busybox::build(workshop, progress)?,
        TemplateState::Debian(packages) => {
            bootstrap::build(bootstrap::DEBIAN, packages, workshop, progress)?;
        }
        TemplateState::Ubuntu(packages) => {
            bootstrap::build(bootstrap::UBUNTU, packages, workshop, progress)?;
        }
        TemplateState::Tarball { path, sha256 } => {
            tarball::build(path, sha256, workshop, progress)?;
        }
    }
    progress("adding units");
    RootFs::open(&workshop.join(ROOTFS))
        .and_then(|rootfs| furnish::furnish(&rootfs))
        .map_err(|error| PluginError::failed("add units to the root file system", error))
}

/// The name of the root file system within a template's or container's directory.
pub(super) const ROOTFS: &str = "rootfs";
