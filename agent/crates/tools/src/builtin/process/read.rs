//! One process as `/proc` has it (proc(5)). Any of it may vanish while it is read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::str::FromStr;

use super::mask::masked;

/// Ticks per second where the kernel does not tell: `USER_HZ` on every machine that Linux still runs on.
const TICKS: u64 = 100;
/// The number of that value in the auxiliary vector (`AT_CLKTCK` of `linux/auxvec.h`).
const AT_CLKTCK: usize = 17;

/// What a list needs of a process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) ppid: u32,
    pub(super) uid: u32,
    pub(super) name: String,
    pub(super) state: String,
    pub(super) threads: u32,
    /// In KiB.
    pub(super) rss: u64,
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    /// In ticks since the machine started.
    pub(super) started: u64,
    /// Everything that its status says.
    pub(super) status: BTreeMap<String, String>,
}

/// How time is counted.
pub(super) struct Clock {
    pub(super) ticks_per_second: u64,
    /// When the machine started, in seconds since 1970-01-01 UTC.
    boot: i64,
}

impl Clock {
    pub(super) fn read() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime "));
        Ok(Self {
            ticks_per_second: ticks_per_second().unwrap_or(TICKS),
            boot: boot
                .and_then(|boot| boot.trim().parse().ok())
                .unwrap_or_default(),
        })
    }

    /// The time of a tick, in the form of RFC 3339.
    pub(super) fn time(&self, ticks: u64) -> Option<String> {
        let seconds = i64::try_from(ticks / self.ticks_per_second).ok()?;
        let time = jiff::Timestamp::from_second(self.boot.checked_add(seconds)?).ok()?;
        Some(time.to_string())
    }
}

/// From pairs of words: a number and its value.
fn ticks_per_second() -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    let bytes = fs::read("/proc/self/auxv").ok()?;
    let words: Vec<_> = bytes
        .as_chunks::<WORD>()
        .0
        .iter()
        .map(|word| usize::from_ne_bytes(*word))
        .collect();
    let mut pairs = words.as_chunks::<2>().0.iter();
    let found = pairs.find(|[number, _]| *number == AT_CLKTCK)?[1];
    u64::try_from(found).ok().filter(|ticks| *ticks > 0)
}

/// The ids of all processes.
pub(super) fn all() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

/// One process; `None` if it is gone.
pub(super) fn process(pid: u32) -> Option<Process> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(
        pid,
        &String::from_utf8_lossy(&status),
        &String::from_utf8_lossy(&stat),
    )
}

fn parse(pid: u32, status: &str, stat: &str) -> Option<Process> {
    let status: BTreeMap<_, _> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), value.trim().replace('\t', " ")))
        .collect();
    let first = |key: &str| status.get(key)?.split(' ').next();
    // The name before it may hold anything, brackets too.
    let (_, numbers) = stat.rsplit_once(')')?;
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    // Counted as proc(5) does; the first behind the name is 3.
    let field = |number: usize| number_of::<u64>(numbers.get(number - 3).copied());
    Some(Process {
        pid,
        ppid: number_of(first("PPid"))?,
        uid: number_of(first("Uid"))?,
        name: status.get("Name")?.clone(),
        state: status.get("State")?.clone(),
        threads: number_of(first("Threads"))?,
        rss: number_of(first("VmRSS")).unwrap_or_default(),
        user_ticks: field(14)?,
        system_ticks: field(15)?,
        started: field(22)?,
        status,
    })
}

fn number_of<T: FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

/// The command line, at most `most` bytes of it, without what looks like secrets; and whether it is longer.
/// A kernel thread, and a process that is gone, have none.
pub(super) fn command_line(pid: u32, most: usize) -> (Vec<String>, bool) {
    let mut bytes = Vec::new();
    let read = File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
    if read.is_err() || bytes.is_empty() {
        return (Vec::new(), false);
    }
    let cut = bytes.len() > most;
    bytes.truncate(most);
    let text = String::from_utf8_lossy(&bytes);
    // Each argument ends with a NUL; a process that wrote a title there may leave many.
    let arguments = text.trim_end_matches('\0').split('\0').map(str::to_owned);
    (masked(arguments), cut)
}

/// One limit: its name, the soft and the hard one, and their unit.
pub(super) type Limit = (String, String, String, String);

/// The limits of a process.
pub(super) fn limits(pid: u32) -> Vec<Limit> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    text.lines().skip(1).filter_map(limit).collect()
}

/// The table has columns of 26, 21 and 21 characters.
fn limit(line: &str) -> Option<Limit> {
    let column = |range: std::ops::Range<usize>| Some(line.get(range)?.trim().to_owned());
    let unit = line.get(68..).unwrap_or_default().trim().to_owned();
    Some((column(0..26)?, column(26..47)?, column(47..68)?, unit))
}

/// The control groups of a process, one a hierarchy.
pub(super) fn cgroups(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// How many files it has open; `None` where that may not be seen.
pub(super) fn open_files(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// The program that it runs.
pub(super) fn executable(pid: u32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &str = "Name:\ta) b (c\nState:\tS (sleeping)\nPid:\t7\nPPid:\t1\nUid:\t5\t6\t6\t6\n\
        VmRSS:\t     120 kB\nThreads:\t3\n";
    const STAT: &str = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 11 12 5 6 20 0 3 0 999 8 9";

    #[test]
    fn names_with_brackets_do_not_confuse() {
        let process = parse(7, STATUS, STAT).unwrap();
        assert_eq!((process.ppid, process.uid, process.threads), (1, 5, 3));
        assert_eq!((process.user_ticks, process.system_ticks), (11, 12));
        assert_eq!((process.started, process.rss), (999, 120));
        assert_eq!(process.name, "a) b (c");
    }

    #[test]
    fn limits_are_read_by_column() {
        let line = "Max open files            1024                 1048576              files     ";
        let wanted = ["Max open files", "1024", "1048576", "files"];
        let (name, soft, hard, unit) = limit(line).unwrap();
        assert_eq!([name, soft, hard, unit], wanted);
    }

    #[test]
    fn the_kernel_tells_how_it_counts() {
        assert_eq!(ticks_per_second(), Some(TICKS));
    }

    proptest! {
        #[test]
        fn half_written_files_do_no_harm(status in 0..STATUS.len(), stat in 0..STAT.len()) {
            let _ = parse(7, &STATUS[..status], &STAT[..stat]);
        }
    }
}
