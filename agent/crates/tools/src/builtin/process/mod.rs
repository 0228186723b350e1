//! Processes, as the kernel has them. Never their environment, which is where people keep secrets.

mod kernel;
mod mask;
mod read;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::caller::Accounts;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

use read::{Clock, Process};

/// How much of a command line a list shows, in bytes.
const LINE_IN_LIST: usize = 1024;
/// How much of one is shown alone, in bytes.
const LINE: usize = 64 << 10;

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// Only processes whose name has this part. The kernel keeps 15 bytes of a name.
    #[serde(default)]
    name: Option<String>,
    /// Only processes of this user, by login name or uid.
    #[serde(default)]
    user: Option<String>,
    /// What comes first.
    #[serde(default)]
    sort: Sort,
    #[serde(flatten)]
    page: Page,
}

/// What comes first.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Sort {
    /// The lowest process id.
    #[default]
    Pid,
    /// What has used most of the processors.
    Cpu,
    /// What uses most memory.
    Memory,
    /// What was started last.
    Started,
}

#[derive(Deserialize, JsonSchema)]
struct One {
    /// The process id.
    pid: u32,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    /// The processes.
    processes: Vec<Item>,
    /// How many ticks of the processors are a second.
    ticks_per_second: u64,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A process.
#[derive(Serialize, JsonSchema)]
struct Item {
    /// Its id.
    pid: u32,
    /// The id of the process that started it, or that took it over.
    ppid: u32,
    /// The uid that it runs under.
    uid: u32,
    /// That user's login name, or the number.
    user: String,
    /// Its name, as much as the kernel keeps.
    name: String,
    /// Its command line; what looks like a secret stands as `***`. Empty for threads of the kernel.
    command_line: Vec<String>,
    /// Whether the command line is longer than what is shown.
    command_line_cut: bool,
    /// What it does, in the kernel's words, such as `S (sleeping)`.
    state: String,
    /// Memory that it has in use, in bytes.
    rss_bytes: u64,
    /// How many threads it has.
    threads: u32,
    /// When it was started (RFC 3339).
    started: Option<String>,
    /// Ticks of the processors that it used itself.
    user_ticks: u64,
    /// Ticks of the processors that the kernel used for it.
    system_ticks: u64,
}

/// A process, whole.
#[derive(Serialize, JsonSchema)]
struct Whole {
    /// What a list shows of it.
    #[serde(flatten)]
    item: Item,
    /// How many ticks of the processors are a second.
    ticks_per_second: u64,
    /// The program that it runs.
    executable: Option<String>,
    /// Everything that its status file says (proc(5)).
    status: BTreeMap<String, String>,
    /// Its limits.
    limits: Vec<Limit>,
    /// Its control groups.
    cgroups: Vec<String>,
    /// How many files it has open; null where that may not be seen.
    open_files: Option<usize>,
}

/// A limit on what a process may use.
#[derive(Serialize, JsonSchema)]
struct Limit {
    /// Its name.
    name: String,
    /// The limit that counts: a number or `unlimited`.
    soft: String,
    /// How far the process may raise it.
    hard: String,
    /// What is counted; empty where nothing is.
    unit: String,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Processes;
    vec![
        Tool::read(
            domain,
            "process_list",
            "List processes",
            "Lists the processes of this host, those in containers too, with what they use.",
            list,
        )
.says(&["list processes", "top 10 processes by memory", "processes of user root"])
        .example(json!({}))
        .example(json!({ "user": "root", "sort": "memory", "limit": 10 })),
        Tool::read(
            domain,
            "process_show",
            "Show a process",
            "Shows one process: its status, limits, control groups and how many files it has open. Its \
             environment is not shown.",
            show,
        )
.says(&["show process 1234", "details of process 1"])
        .example(json!({ "pid": 1 })),
        kernel::tool(),
    ]
}

fn clock() -> Result<Clock, ToolError> {
    Clock::read().map_err(|error| ToolError::failed("read /proc/stat", error))
}

fn list(call: &Call<'_>, input: Wanted) -> Result<Listed, ToolError> {
    let clock = clock()?;
    let accounts = Accounts::read();
    let pids = read::all().map_err(|error| ToolError::failed("list /proc", error))?;
    let mut processes = Vec::with_capacity(pids.len());
    for pid in pids {
        call.check()?;
        let wanted = |process: &Process| {
            let name = input.name.as_ref();
            let user = input.user.as_ref();
            name.is_none_or(|name| process.name.contains(name))
                && user.is_none_or(|user| {
                    process.uid.to_string() == *user || accounts.name(process.uid) == *user
                })
        };
        processes.extend(read::process(pid).filter(wanted));
    }
    match input.sort {
        Sort::Pid => {}
        Sort::Cpu => {
            processes.sort_by_key(|process| Reverse(process.user_ticks + process.system_ticks))
        }
        Sort::Memory => processes.sort_by_key(|process| Reverse(process.rss)),
        Sort::Started => processes.sort_by_key(|process| Reverse(process.started)),
    }
    let (processes, next_cursor) = page(processes, &input.page)?;
    let described = |process: &Process| item(process, &clock, &accounts, LINE_IN_LIST);
    Ok(Listed {
        processes: processes.iter().map(described).collect(),
        ticks_per_second: clock.ticks_per_second,
        next_cursor,
    })
}

fn show(_: &Call<'_>, input: One) -> Result<Whole, ToolError> {
    let gone = || ToolError::NotFound(format!("there is no process {} (any more)", input.pid));
    let process = read::process(input.pid).ok_or_else(gone)?;
    let clock = clock()?;
    let whole = Whole {
        item: item(&process, &clock, &Accounts::read(), LINE),
        ticks_per_second: clock.ticks_per_second,
        executable: read::executable(input.pid),
        limits: read::limits(input.pid)
            .into_iter()
            .map(|(name, soft, hard, unit)| Limit {
                name,
                soft,
                hard,
                unit,
            })
            .collect(),
        cgroups: read::cgroups(input.pid),
        open_files: read::open_files(input.pid),
        status: process.status.clone(),
    };
    // Another process may have got the number in between.
    let still = read::process(input.pid).ok_or_else(gone)?;
    match still.started == process.started {
        true => Ok(whole),
        false => Err(gone()),
    }
}

fn item(process: &Process, clock: &Clock, accounts: &Accounts, most: usize) -> Item {
    let (command_line, command_line_cut) = read::command_line(process.pid, most);
    Item {
        pid: process.pid,
        ppid: process.ppid,
        uid: process.uid,
        user: accounts.name(process.uid),
        name: process.name.clone(),
        command_line,
        command_line_cut,
        state: process.state.clone(),
        rss_bytes: process.rss << 10,
        threads: process.threads,
        started: clock.time(process.started),
        user_ticks: process.user_ticks,
        system_ticks: process.system_ticks,
    }
}
