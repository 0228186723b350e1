//! Bridges and ports.

/// Stands for the plugin while it is written.
#[derive(Debug)]
pub struct OvsPlugin;
