//! Files and directories: what the declaration lets tools reach, and no more.

mod base64;
mod glob;
mod list;
pub(in crate::builtin) mod reach;
mod read;
mod search;
pub(in crate::builtin) mod secret;
mod write;

use crate::tool::Tool;

pub(super) fn tools() -> Vec<Tool> {
    vec![read::tool(), list::tool(), search::tool(), write::tool()]
}
