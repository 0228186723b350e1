//! Files of the kernel that are about the machine as a whole.

use std::fs::File;
use std::io::{ErrorKind, Read};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// The most that is given of a file, in bytes.
const LARGEST: usize = 256 << 10;

#[derive(Deserialize, JsonSchema)]
struct Which {
    /// The file below /proc.
    file: Name,
}

/// A file below /proc (proc(5)).
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
enum Name {
    /// Memory, by use.
    #[serde(rename = "meminfo")]
    Meminfo,
    /// How many tasks want to run, on average over 1, 5 and 15 minutes.
    #[serde(rename = "loadavg")]
    Loadavg,
    /// Seconds since the machine started, and seconds that its processors were idle.
    #[serde(rename = "uptime")]
    Uptime,
    /// The processors.
    #[serde(rename = "cpuinfo")]
    Cpuinfo,
    /// What the processors have done, in ticks.
    #[serde(rename = "stat")]
    Stat,
    /// Virtual memory, by event.
    #[serde(rename = "vmstat")]
    Vmstat,
    /// What is mounted.
    #[serde(rename = "mounts")]
    Mounts,
    /// The kernel's version.
    #[serde(rename = "version")]
    Version,
    /// Swap, by device.
    #[serde(rename = "swaps")]
    Swaps,
    /// Partitions of disks.
    #[serde(rename = "partitions")]
    Partitions,
    /// What disks have read and written.
    #[serde(rename = "diskstats")]
    Diskstats,
    /// Kinds of file systems that the kernel knows.
    #[serde(rename = "filesystems")]
    Filesystems,
    /// Modules that are loaded.
    #[serde(rename = "modules")]
    Modules,
    /// Interrupts, by processor.
    #[serde(rename = "interrupts")]
    Interrupts,
    /// What links have carried.
    #[serde(rename = "net/dev")]
    NetDev,
    /// Sockets in use.
    #[serde(rename = "net/sockstat")]
    NetSockstat,
    /// Time lost for want of processors.
    #[serde(rename = "pressure/cpu")]
    PressureCpu,
    /// Time lost for want of memory.
    #[serde(rename = "pressure/memory")]
    PressureMemory,
    /// Time lost waiting for disks.
    #[serde(rename = "pressure/io")]
    PressureIo,
    /// The host's name.
    #[serde(rename = "sys/kernel/hostname")]
    Hostname,
    /// The kernel's release.
    #[serde(rename = "sys/kernel/osrelease")]
    Osrelease,
    /// Whether something makes bug reports doubtful, as bits.
    #[serde(rename = "sys/kernel/tainted")]
    Tainted,
    /// The largest process id.
    #[serde(rename = "sys/kernel/pid_max")]
    PidMax,
    /// A number for this start of the machine.
    #[serde(rename = "sys/kernel/random/boot_id")]
    BootId,
    /// Open files: in use, free, and at most.
    #[serde(rename = "sys/fs/file-nr")]
    FileNr,
}

impl Name {
    /// Its path below /proc.
    fn path(self) -> &'static str {
        match self {
            Self::Meminfo => "meminfo",
            Self::Loadavg => "loadavg",
            Self::Uptime => "uptime",
            Self::Cpuinfo => "cpuinfo",
            Self::Stat => "stat",
            Self::Vmstat => "vmstat",
            Self::Mounts => "mounts",
            Self::Version => "version",
            Self::Swaps => "swaps",
            Self::Partitions => "partitions",
            Self::Diskstats => "diskstats",
            Self::Filesystems => "filesystems",
            Self::Modules => "modules",
            Self::Interrupts => "interrupts",
            Self::NetDev => "net/dev",
            Self::NetSockstat => "net/sockstat",
            Self::PressureCpu => "pressure/cpu",
            Self::PressureMemory => "pressure/memory",
            Self::PressureIo => "pressure/io",
            Self::Hostname => "sys/kernel/hostname",
            Self::Osrelease => "sys/kernel/osrelease",
            Self::Tainted => "sys/kernel/tainted",
            Self::PidMax => "sys/kernel/pid_max",
            Self::BootId => "sys/kernel/random/boot_id",
            Self::FileNr => "sys/fs/file-nr",
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Content {
    /// The file below /proc.
    file: Name,
    /// What stands in it.
    text: String,
    /// Whether it is longer than the 256 KiB that are given.
    cut: bool,
}

pub(super) fn tool() -> Tool {
    Tool::read(
        Domain::Processes,
        "proc_read",
        "Read a file of /proc",
        "Reads one of the kernel's files about the machine: memory, load, processors, mounts, pressure.",
        read,
    )
.says(&["read meminfo", "show loadavg", "show the kernel file cpuinfo"])
    .example(json!({ "file": "meminfo" }))
    .example(json!({ "file": "pressure/memory" }))
}

fn read(_: &Call<'_>, input: Which) -> Result<Content, ToolError> {
    let path = format!("/proc/{}", input.file.path());
    let mut bytes = Vec::new();
    let opened = File::open(&path);
    opened
        .and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            // The pressure files refuse where the kernel was started without them.
            ErrorKind::NotFound | ErrorKind::Unsupported => {
                ToolError::Unavailable(format!("this kernel has no {path} ({error})"))
            }
            _ => ToolError::failed(&format!("read {path}"), error),
        })?;
    let cut = bytes.len() > LARGEST;
    bytes.truncate(LARGEST);
    Ok(Content {
        file: input.file,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        cut,
    })
}
