//! What the kernel and os-release(5) say.

use std::collections::BTreeMap;
use std::fs;

use schemars::JsonSchema;
use serde::Serialize;

/// The operating system.
#[derive(Serialize, JsonSchema)]
pub(super) struct OperatingSystem {
    /// Its name for programs, such as `debian`.
    id: Option<String>,
    /// Its name for people.
    name: Option<String>,
    /// Its version for programs.
    version_id: Option<String>,
    /// Name and version for people.
    pretty_name: Option<String>,
}

/// The kernel.
#[derive(Serialize, JsonSchema)]
pub(super) struct Kernel {
    /// `Linux`.
    name: Option<String>,
    /// Its release, as `uname -r` says it.
    release: Option<String>,
    /// Its build, as `uname -v` says it.
    version: Option<String>,
    /// The architecture that this program was built for.
    architecture: &'static str,
    /// This start of the machine.
    boot_id: Option<String>,
}

/// The processors.
#[derive(Serialize, JsonSchema)]
pub(super) struct Processors {
    /// How many this program may use.
    count: Option<usize>,
    /// What they are.
    model: Option<String>,
}

/// Memory, in bytes.
#[derive(Serialize, JsonSchema)]
pub(super) struct Memory {
    /// All of it.
    total_bytes: u64,
    /// What programs could get without swapping.
    available_bytes: u64,
    /// All swap space.
    swap_total_bytes: u64,
    /// Swap space that is free.
    swap_free_bytes: u64,
}

/// How many tasks ran or waited on average.
#[derive(Serialize, JsonSchema)]
pub(super) struct Load {
    /// In the last minute.
    one_minute: f64,
    /// In the last five minutes.
    five_minutes: f64,
    /// In the last fifteen minutes.
    fifteen_minutes: f64,
}

/// The first line of a file.
pub(super) fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

pub(super) fn operating_system() -> Option<OperatingSystem> {
    let text = fs::read_to_string("/etc/os-release")
        .or_else(|_| fs::read_to_string("/usr/lib/os-release"))
        .ok()?;
    let mut fields = assignments(&text);
    Some(OperatingSystem {
        id: fields.remove("ID"),
        name: fields.remove("NAME"),
        version_id: fields.remove("VERSION_ID"),
        pretty_name: fields.remove("PRETTY_NAME"),
    })
}

/// `KEY=VALUE` in each line, the value perhaps in quotes.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let assignment = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
        let value = inside('"').or_else(|| inside('\'')).unwrap_or(value);
        (!key.starts_with('#')).then(|| (key.to_owned(), value.replace('\\', "")))
    };
    text.lines().filter_map(assignment).collect()
}

pub(super) fn kernel() -> Kernel {
    Kernel {
        name: line("/proc/sys/kernel/ostype"),
        release: line("/proc/sys/kernel/osrelease"),
        version: line("/proc/sys/kernel/version"),
        architecture: std::env::consts::ARCH,
        boot_id: line("/proc/sys/kernel/random/boot_id"),
    }
}

pub(super) fn uptime() -> Option<f64> {
    line("/proc/uptime")?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

pub(super) fn processors() -> Processors {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        matches!(key.trim(), "model name" | "Model" | "cpu model").then(|| value.trim().to_owned())
    });
    Processors {
        count: std::thread::available_parallelism().map(Into::into).ok(),
        model: values.next(),
    }
}

pub(super) fn memory() -> Option<Memory> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    Some(Memory {
        total_bytes: bytes("MemTotal")?,
        available_bytes: bytes("MemAvailable")?,
        swap_total_bytes: bytes("SwapTotal")?,
        swap_free_bytes: bytes("SwapFree")?,
    })
}

pub(super) fn load() -> Option<Load> {
    let line = line("/proc/loadavg")?;
    let mut numbers = line
        .split_whitespace()
        .map_while(|number| number.parse().ok());
    Some(Load {
        one_minute: numbers.next()?,
        five_minutes: numbers.next()?,
        fifteen_minutes: numbers.next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_be_quoted() {
        let fields = assignments(
            "# no\nID=debian\nPRETTY_NAME=\"A \\\"B\\\" 12\"\nNAME='x y'\n\nVERSION_ID=\"12\"",
        );
        assert_eq!(fields["ID"], "debian");
        assert_eq!(fields["PRETTY_NAME"], "A \"B\" 12");
        assert_eq!(
            (fields["NAME"].as_str(), fields["VERSION_ID"].as_str()),
            ("x y", "12")
        );
    }
}
