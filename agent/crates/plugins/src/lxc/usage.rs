//! What a container that runs uses, as the kernel counts it for the container's control group.

use std::path::Path;
use std::time::Duration;

use declaration::ContainerName;

use super::host::Cgroups;
use super::layout::Layout;
use super::runtime::Runtime;

/// What a container uses; what the kernel does not count on this machine is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory, with what holds its files, in bytes.
    pub memory: Option<u64>,
    /// Time of all processors since the container's start.
    pub processor: Option<Duration>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

/// What a container below `base` uses; `None` if none of it can be had, as where it does not run.
pub fn usage(base: &Path, name: &ContainerName) -> Option<Usage> {
    let runtime = Runtime::new(&Layout::new(base));
    // Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/{memory,cpuacct}.rst.
    let (memory, processor, time): (_, _, fn(&str) -> Option<Duration>) = match Cgroups::detect() {
        Cgroups::Unified => ("memory.current", "cpu.stat", microseconds),
        Cgroups::Legacy { .. } => ("memory.usage_in_bytes", "cpuacct.usage", nanoseconds),
    };
    let read = |file| runtime.counted(name, file).ok();
    let count = |text: String| text.trim().parse().ok();
    let usage = Usage {
        memory: read(memory).and_then(count),
        processor: read(processor).as_deref().and_then(time),
        tasks: read("pids.current").and_then(count),
    };
    (usage != Usage::default()).then_some(usage)
}

/// Of `cpu.stat`, all time.
fn microseconds(text: &str) -> Option<Duration> {
    let mut lines = text.lines();
    let micros = lines.find_map(|line| line.strip_prefix("usage_usec "))?;
    micros.trim().parse().ok().map(Duration::from_micros)
}

fn nanoseconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_both_versions_is_read() {
        let second = Some(Duration::from_secs(1));
        let stat = "usage_usec 1000000\nuser_usec 700000\nsystem_usec 300000\n";
        assert_eq!(microseconds(stat), second);
        assert_eq!(nanoseconds("1000000000\n"), second);
        for text in ["", "usage_usec", "usage_usec x\n", "-1"] {
            assert_eq!((microseconds(text), nanoseconds(text)), (None, None));
        }
    }
}
