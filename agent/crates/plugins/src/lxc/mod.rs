//! Templates and containers.

/// Stands for the plugin while it is written.
#[derive(Debug)]
pub struct LxcPlugin;
