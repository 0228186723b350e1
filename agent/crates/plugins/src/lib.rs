//! The plugins: one module a kind of resource. The only crate that touches the system on purpose.

pub mod btrfs;
pub mod lxc;
pub mod mark;
pub mod openflow;
pub mod ovs;

pub use btrfs::BtrfsPlugin;
pub use lxc::LxcPlugin;
pub use openflow::OpenflowPlugin;
pub use ovs::OvsPlugin;
