//! The machine under the bus: hardware, software, file systems, what runs, and the network.
//!
//! Each part is one function that gives one typed report, from files of the kernel and by netlink. What cannot be found out
//! stands in the report's `unknown`, and lists have an end.

mod filesystems;
mod hardware;
mod look;
mod network;
mod runtime;
mod software;

pub use filesystems::{Allocation, Btrfs, Filesystems, Mount, Subvolume, Usage, filesystems};
pub use hardware::{
    BlockDevice, Hardware, Machine, Memory, NetworkCard, NumaNode, Partition, PciDevice,
    Processors, Sensor, UsbDevice, hardware,
};
pub use look::Unknown;
pub use network::{Link, Network, Route, Socket, network};
pub use runtime::{Clock, Container, ControlGroups, Limits, Pressure, Processes, Runtime, runtime};
pub use software::{Kernel, NixOs, OperatingSystem, Packages, Program, Software, software};
