//! Looking at units and jobs.

use std::collections::BTreeMap;

use dbus::Properties;
use plugins::systemd::Manager;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{failed, unit};
use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// Properties that hold secrets, or what people take for a place for them.
const SECRET: [&str; 3] = ["Environment", "SetCredential", "SetCredentialEncrypted"];

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// Only units whose name fits this pattern, with `*` for anything and `?` for one character.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pattern: Option<String>,
    /// Only units of this type.
    #[serde(default, rename = "type")]
    kind: Option<Kind>,
    /// Only units in this state, such as `active`, `failed`, `running`, `masked` or `not-found`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    state: Option<String>,
    #[serde(flatten)]
    page: Page,
}

/// A type of units.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Service,
    Socket,
    Target,
    Device,
    Mount,
    Automount,
    Swap,
    Timer,
    Path,
    Slice,
    Scope,
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Service => ".service",
            Self::Socket => ".socket",
            Self::Target => ".target",
            Self::Device => ".device",
            Self::Mount => ".mount",
            Self::Automount => ".automount",
            Self::Swap => ".swap",
            Self::Timer => ".timer",
            Self::Path => ".path",
            Self::Slice => ".slice",
            Self::Scope => ".scope",
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct One {
    /// The unit, with its suffix, such as `nginx.service`.
    #[schemars(length(min = 1, max = 255))]
    unit: String,
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// The unit, with its suffix, such as `nginx.service`.
    #[schemars(length(min = 1, max = 255))]
    unit: String,
    /// The properties, such as `MainPID`; all if none are named.
    #[serde(default)]
    #[schemars(length(max = 200))]
    names: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Units {
    /// The units, by name.
    units: Vec<Unit>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A unit that systemd has in memory.
#[derive(Serialize, JsonSchema)]
struct Unit {
    /// Its name.
    name: String,
    /// What it is, in words.
    description: String,
    /// Whether its definition was read: `loaded`, `not-found`, `masked` and so on.
    load_state: String,
    /// `active`, `inactive`, `failed` and so on.
    active_state: String,
    /// The state in the words of its type, such as `running`.
    sub_state: String,
}

/// A unit, as `systemctl status` shows it.
#[derive(Serialize, JsonSchema)]
struct Status {
    /// Its name.
    name: String,
    /// What it is, in words.
    description: String,
    /// Whether its definition was read: `loaded`, `not-found`, `masked` and so on.
    load_state: String,
    /// `active`, `inactive`, `failed` and so on.
    active_state: String,
    /// The state in the words of its type, such as `running`.
    sub_state: String,
    /// Whether its file is `enabled`, `disabled`, `static` and so on; null without a file.
    unit_file_state: Option<String>,
    /// The file that it is defined in.
    fragment_path: Option<String>,
    /// Files that add to it.
    drop_in_paths: Vec<String>,
    /// Other names of it.
    names: Vec<String>,
    /// Manual pages and the like.
    documentation: Vec<String>,
    /// Since when it is in its active state (RFC 3339).
    since: Option<String>,
    /// How its last run ended, such as `success` or `exit-code`.
    result: Option<String>,
    /// The exit status of its main process, once that has ended.
    exit_status: Option<i64>,
    /// The process id of its main process.
    main_pid: Option<u64>,
    /// What it says of itself.
    status_text: Option<String>,
    /// Memory that it uses, in bytes.
    memory_bytes: Option<u64>,
    /// Time of the processors that it has used, in nanoseconds.
    cpu_nanoseconds: Option<u64>,
    /// How many tasks it has.
    tasks: Option<u64>,
    /// How often it was started again by itself.
    restarts: Option<u64>,
    /// When it is run next (timers; RFC 3339).
    next_run: Option<String>,
    /// What it starts, or what starts it (sockets, timers, paths).
    triggers: Vec<String>,
    /// Whether its file was changed since systemd read it.
    needs_daemon_reload: bool,
}

#[derive(Serialize, JsonSchema)]
struct AllProperties {
    /// The unit.
    unit: String,
    /// Its properties in systemd's own names and units. Times are in microseconds; numbers beyond 2^53 are
    /// strings. `Environment` and credentials are not shown.
    properties: BTreeMap<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Jobs {
    #[serde(flatten)]
    page: Page,
}

#[derive(Serialize, JsonSchema)]
struct JobList {
    /// The jobs, by number.
    jobs: Vec<Job>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A job that waits or runs.
#[derive(Serialize, JsonSchema)]
struct Job {
    /// Its number.
    id: u32,
    /// The unit.
    unit: String,
    /// `start`, `stop` and so on.
    job_type: String,
    /// `running` or `waiting`.
    state: String,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Systemd;
    vec![
        Tool::read(
            domain,
            "systemd_list_units",
            "List units",
            "Lists the units that systemd has in memory, with their states, by name.",
            list,
        )
        .says(&[
            "status of systemd services",
            "show failed units",
            "list services",
            "which timers are active?",
        ])
        .example(json!({ "type": "service", "state": "failed" })),
        Tool::read(
            domain,
            "systemd_unit_status",
            "Show a unit",
            "Shows one unit: its states, files, main process, memory, and how its last run ended.",
            status,
        )
        .says(&[
            "is nginx running?",
            "status of nginx.service",
            "how is the service nginx?",
        ])
        .example(json!({ "unit": "nginx.service" })),
        Tool::read(
            domain,
            "systemd_unit_properties",
            "Show properties of a unit",
            "Shows what systemd knows of one unit, or some of it, in systemd's own names.",
            properties,
        )
        .says(&[
            "properties of nginx.service",
            "show the properties of unit nginx",
        ])
        .example(json!({ "unit": "nginx.service", "names": ["MainPID", "MemoryCurrent"] })),
        Tool::read(
            domain,
            "systemd_list_jobs",
            "List jobs",
            "Lists the jobs that systemd is doing or has still to do.",
            jobs,
        )
        .says(&["list systemd jobs", "which jobs is systemd working on?"]),
    ]
}

fn list(call: &Call<'_>, input: Wanted) -> Result<Units, ToolError> {
    let suffix = input.kind.map(Kind::suffix);
    let pattern = match (&input.pattern, suffix) {
        (Some(pattern), _) => Some(pattern.clone()),
        (None, Some(suffix)) => Some(format!("*{suffix}")),
        (None, None) => None,
    };
    let states: Vec<_> = input.state.as_deref().into_iter().collect();
    let patterns: Vec<_> = pattern.as_deref().into_iter().collect();
    let found = Manager::connect().and_then(|manager| manager.by_patterns(&states, &patterns));
    let mut found = found.map_err(|error| failed(call, error))?;
    found.retain(|listed| suffix.is_none_or(|suffix| listed.name.ends_with(suffix)));
    found.sort_by(|one, other| one.name.cmp(&other.name));
    let (found, next_cursor) = page(found, &input.page)?;
    let unit = |listed: plugins::systemd::Listed| Unit {
        name: listed.name,
        description: listed.description,
        load_state: listed.load,
        active_state: listed.active,
        sub_state: listed.sub,
    };
    Ok(Units {
        units: found.into_iter().map(unit).collect(),
        next_cursor,
    })
}

/// What systemd says of a unit that is there.
fn known(call: &Call<'_>, name: &str) -> Result<Properties, ToolError> {
    let name = unit(name)?;
    let found = Manager::connect().and_then(|manager| manager.properties(name.as_str()));
    let found = found.map_err(|error| failed(call, error))?;
    match text(&found, "LoadState").as_deref() {
        Some("not-found") => Err(ToolError::NotFound(format!(
            "there is no unit {name}: `systemd_list_units` lists those in memory"
        ))),
        _ => Ok(found),
    }
}

fn value(properties: &Properties, name: &str) -> Option<Value> {
    properties.get(name).map(|value| dbus::json(value))
}

fn text(properties: &Properties, name: &str) -> Option<String> {
    let value = value(properties, name)?;
    let text = value.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn texts(properties: &Properties, name: &str) -> Vec<String> {
    let value = value(properties, name).unwrap_or_default();
    let list = value.as_array().into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A number; none where systemd says that there is none by the largest one.
fn number(properties: &Properties, name: &str) -> Option<u64> {
    value(properties, name)?.as_u64()
}

/// A time of the clock, from microseconds.
fn time(properties: &Properties, name: &str) -> Option<String> {
    let microseconds = number(properties, name).filter(|time| *time != 0)?;
    let time = jiff::Timestamp::from_microsecond(i64::try_from(microseconds).ok()?).ok()?;
    Some(time.to_string())
}

fn status(call: &Call<'_>, input: One) -> Result<Status, ToolError> {
    let found = known(call, &input.unit)?;
    let word = |name: &str| text(&found, name).unwrap_or_default();
    let active_state = word("ActiveState");
    let since = match active_state.as_str() {
        "active" | "reloading" => "ActiveEnterTimestamp",
        "inactive" | "failed" => "InactiveEnterTimestamp",
        _ => "StateChangeTimestamp",
    };
    let ended = number(&found, "ExecMainCode").is_some_and(|code| code != 0);
    let mut triggers = texts(&found, "Triggers");
    triggers.extend(texts(&found, "TriggeredBy"));
    Ok(Status {
        name: word("Id"),
        description: word("Description"),
        load_state: word("LoadState"),
        sub_state: word("SubState"),
        unit_file_state: text(&found, "UnitFileState"),
        fragment_path: text(&found, "FragmentPath"),
        drop_in_paths: texts(&found, "DropInPaths"),
        names: texts(&found, "Names"),
        documentation: texts(&found, "Documentation"),
        since: time(&found, since),
        result: text(&found, "Result"),
        exit_status: match ended {
            true => value(&found, "ExecMainStatus").and_then(|status| status.as_i64()),
            false => None,
        },
        main_pid: number(&found, "MainPID").filter(|pid| *pid != 0),
        status_text: text(&found, "StatusText"),
        memory_bytes: number(&found, "MemoryCurrent"),
        cpu_nanoseconds: number(&found, "CPUUsageNSec"),
        tasks: number(&found, "TasksCurrent"),
        restarts: number(&found, "NRestarts"),
        next_run: time(&found, "NextElapseUSecRealtime"),
        triggers,
        needs_daemon_reload: value(&found, "NeedDaemonReload") == Some(json!(true)),
        active_state,
    })
}

fn properties(call: &Call<'_>, input: Named) -> Result<AllProperties, ToolError> {
    let found = known(call, &input.unit)?;
    if let Some(unknown) = input.names.iter().find(|name| !found.contains_key(*name)) {
        return Err(ToolError::NotFound(format!(
            "{} has no property `{unknown}`: leave `names` out to see all",
            input.unit
        )));
    }
    let asked = |name: &String| input.names.is_empty() || input.names.contains(name);
    let open = |name: &String| !SECRET.contains(&name.as_str());
    let shown = found.iter().filter(|(name, _)| asked(name) && open(name));
    Ok(AllProperties {
        properties: shown
            .map(|(name, value)| (name.clone(), dbus::json(value)))
            .collect(),
        unit: input.unit,
    })
}

fn jobs(call: &Call<'_>, input: Jobs) -> Result<JobList, ToolError> {
    let found = Manager::connect().and_then(|manager| manager.jobs());
    let mut found = found.map_err(|error| failed(call, error))?;
    found.sort_by_key(|job| job.id);
    let (found, next_cursor) = page(found, &input.page)?;
    let job = |job: plugins::systemd::Job| Job {
        id: job.id,
        unit: job.unit,
        job_type: job.kind,
        state: job.state,
    };
    Ok(JobList {
        jobs: found.into_iter().map(job).collect(),
        next_cursor,
    })
}
