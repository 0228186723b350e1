//! btrfs from Rust: subvolumes, snapshots, properties, and file systems that live in an image file.
//!
//! Talks to the kernel alone, by the handful of ioctls of `linux/btrfs.h` and `linux/loop.h`; the
//! one program that it starts is `mkfs.btrfs`. Paths are taken as they are: a symbolic link in the
//! place of a subvolume is not followed.
//!
//! ```no_run
//! btrfs::create("/srv/@web")?;
//! btrfs::set_compression("/srv/@web", Some("zstd:3"))?;
//! btrfs::snapshot("/srv/@web", "/srv/@web-before", true)?;
//! # Ok::<(), btrfs::Error>(())
//! ```

mod error;
pub mod image;
mod info;
mod kernel;
mod loop_device;
pub mod mounts;
mod property;
mod send;
pub mod stream;
mod subvolume;

pub use error::{Error, Result};
pub use info::{Info, Uuid, UuidError, info};
pub use loop_device::LoopDevice;
pub use property::{compression, set_compression};
pub use send::{Content, Sending, send};
pub use subvolume::{
    children, create, delete, delete_recursive, is_btrfs, is_subvolume, set_read_only, snapshot,
    sync,
};
