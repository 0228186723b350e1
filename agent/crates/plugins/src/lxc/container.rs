//! One container: what it is, and each way of changing it.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use declaration::{ContainerName, TemplateName};
use reconcile::{Change, Context, Direction, Observed, Owner, PluginError, Transition, Verb};
use serde_json::Value;

use super::Site;
use super::config::{self, Rendering};
use super::ids;
use super::place::{Place, describe};
use super::runtime::Stop;
use super::seal::{Kind, Seal};
use super::state::{self, Configuration, ContainerState};

/// The name of LXC's configuration within a container's directory.
const CONFIG: &str = "config";
/// The configuration that a container had before it was taken over.
const CONFIG_BEFORE: &str = "config.before-op-dbus";

/// Whether what is there can become as declared.
pub(super) fn transition(before: &Value, after: &Value) -> Transition {
    if let Some(found) = state::found(before) {
        return match found {
            state::ROOT_FILE_SYSTEM => Transition::Update,
            found => Transition::Refuse(format!(
                "what is there is a {found}, and only a subvolume with a `rootfs` owned by root can \
                 be taken over: move it away, and apply to make a new one"
            )),
        };
    }
    let (Some(before), Some(after)) = (ContainerState::parse(before), ContainerState::parse(after))
    else {
        return Transition::Update;
    };
    let changed = if before.template != after.template {
        format!("it was made from template {} and not {}", before.template, after.template)
    } else if before.unprivileged != after.unprivileged {
        "a container stays privileged or unprivileged".to_owned()
    } else {
        return Transition::Update;
    };
    Transition::Refuse(format!(
        "{changed}; it cannot be changed, but it can be destroyed and made anew: take it out of the \
         declaration, apply with --allow-destroy, put it back and apply again"
    ))
}

/// The template that the container in a directory was made from, as its configuration says.
pub(super) fn template_of(directory: &Path) -> Option<TemplateName> {
    let text = fs::read_to_string(directory.join(CONFIG)).ok()?;
    config::state_in(&text).map(|state| state.template)
}

/// Where a container is or should be.
#[derive(Debug)]
pub(super) struct Place2<'a> {
    place: Place,
    name: &'a ContainerName,
    site: &'a Site,
}
