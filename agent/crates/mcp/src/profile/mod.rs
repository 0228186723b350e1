//! Which of a backend's tools a client gets.
//!
//! Models choose badly among many tools, and each one costs room in every request. A profile is chosen where the
//! server is started, or by the address that a client connects to: it never changes under a client.

mod compact;
mod pick;

use std::sync::Arc;

use declaration::Profile;

pub use compact::Compact;
pub use pick::Picked;

use crate::backend::Backend;

/// The most tools that a profile serves one by one.
pub const MOST: usize = 40;

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// A profile.
    Profile(Profile),
    /// The tools of these domains.
    Groups(Vec<String>),
}

/// What of a backend a client gets. All tools are more than a list should have, so they come in compact mode, whether
/// they are called `full` or `compact`. For a smaller selection `compact` gives the four tools that find and call the others.
pub fn select(backend: Arc<dyn Backend>, selection: Selection, compact: bool) -> Arc<dyn Backend> {
    let all = matches!(
        selection,
        Selection::Profile(Profile::Full | Profile::Compact)
    );
    let picked: Arc<dyn Backend> = match all {
        true => backend,
        false => Arc::new(Picked::new(backend, selection, !compact)),
    };
    match compact || all {
        true => Arc::new(Compact::new(picked)),
        false => picked,
    }
}

#[cfg(test)]
mod tests;
