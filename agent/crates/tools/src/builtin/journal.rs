//! The journal, as `journalctl` gives it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use declaration::UnitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// How many entries are given where the caller does not say.
const DEFAULT: usize = 100;
/// How much of the journal is read for one answer, in bytes.
const LARGEST: usize = 2 << 20;
/// How long the journal may be searched.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked whether the call is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// What is read of an entry besides its time and place.
const FIELDS: &str =
    "MESSAGE,PRIORITY,_SYSTEMD_UNIT,SYSLOG_IDENTIFIER,_PID,_UID,_HOSTNAME,_BOOT_ID,UNIT";

#[derive(Deserialize, JsonSchema)]
struct Wanted {
    /// Only what this unit said, or what was said of it.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255))]
    unit: Option<String>,
    /// Only entries of this priority and more important ones.
    #[serde(default)]
    priority: Option<Priority>,
    /// Only entries since this time: RFC 3339, `2026-01-31 12:00`, `yesterday`, `2 hours ago` (systemd.time(7)).
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    since: Option<String>,
    /// Only entries up to this time.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    until: Option<String>,
    /// Only entries whose message fits this regular expression (PCRE2).
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    grep: Option<String>,
    /// Only entries of this start of the machine: 0 is the present one, -1 the one before.
    #[serde(default)]
    #[schemars(range(min = -10000, max = 0))]
    boot: Option<i32>,
    /// What comes first.
    #[serde(default)]
    order: Order,
    /// Where to go on: `next_cursor` of the answer before.
    #[serde(default)]
    #[schemars(length(min = 1, max = 512))]
    cursor: Option<String>,
    /// How many entries at most.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A priority, from the most important.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Priority {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

/// What comes first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Order {
    /// The latest entry.
    #[default]
    Newest,
    /// The earliest entry.
    Oldest,
}

#[derive(Serialize, JsonSchema)]
struct Entries {
    /// The entries.
    entries: Vec<Entry>,
    /// Where to go on in the same order; a place in the journal that stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Why there may be more than what is shown, other than by `limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
}

/// An entry of the journal.
#[derive(Serialize, JsonSchema)]
struct Entry {
    /// When it was written (RFC 3339).
    time: Option<String>,
    /// How important it is: 0 (emergency) to 7 (debug).
    priority: Option<u8>,
    /// The unit that wrote it.
    unit: Option<String>,
    /// What it calls itself.
    identifier: Option<String>,
    /// The process that wrote it.
    pid: Option<u32>,
    /// The uid of that process.
    uid: Option<u32>,
    /// The start of the machine that it belongs to.
    boot_id: Option<String>,
    /// What it says; null where the journal holds more than 4096 bytes of it.
    message: Option<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::read(
            Domain::Journal,
            "journal_read",
            "Read the journal",
            "Reads the journal of the host, the latest entries first. Gives at most `limit` entries and a cursor \
             to go on with.",
            read,
        )
.says(&["show the journal", "show the logs of nginx", "errors in the journal since yesterday", "last 50 lines of the journal"])
        .example(json!({ "unit": "nginx.service", "priority": "warning", "since": "1 hour ago" })),
    ]
}

/// The arguments of journalctl, each a word of its own.
fn arguments(input: &Wanted) -> Result<Vec<String>, ToolError> {
    let mut list: Vec<String> = ["--output=json", "--no-pager", "--quiet", "--utc"]
        .map(str::to_owned)
        .to_vec();
    list.push(format!("--output-fields={FIELDS}"));
    if input.order == Order::Newest {
        list.push("--reverse".to_owned());
    }
    if let Some(unit) = &input.unit {
        let unit: UnitName = unit
            .parse()
            .map_err(|error| ToolError::Invalid(format!("{error}")))?;
        list.push(format!("--unit={unit}"));
    }
    if let Some(priority) = input.priority {
        list.push(format!("--priority={}", priority as u8));
    }
    for (key, value) in [("since", &input.since), ("until", &input.until)] {
        if let Some(value) = value {
            list.push(format!("--{key}={}", time(key, value)?));
        }
    }
    if let Some(boot) = input.boot {
        list.push(format!("--boot={boot}"));
    }
    if let Some(grep) = &input.grep {
        plain("grep", grep)?;
        list.push(format!("--grep={grep}"));
    }
    if let Some(cursor) = &input.cursor {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"=;-".contains(&byte);
        if !cursor.bytes().all(good) || cursor.starts_with('-') {
            return Err(ToolError::Invalid(
                "`cursor` is none of the journal's: take `next_cursor` from the answer before"
                    .to_owned(),
            ));
        }
        list.push(format!("--after-cursor={cursor}"));
    }
    Ok(list)
}

/// A time as journalctl takes it.
fn time(key: &str, text: &str) -> Result<String, ToolError> {
    // Releases before 254 do not know the form of RFC 3339.
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(format!(
            "@{}.{:06}",
            time.as_second(),
            time.subsec_microsecond().max(0)
        ));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || " :.+-_/".contains(c);
    if text.starts_with('-') || !text.chars().all(good) {
        return Err(ToolError::Invalid(format!(
            "`{key}` is no time: write it like 2026-01-31T12:00:00Z, `2026-01-31 12:00`, `yesterday` or `2 hours ago`"
        )));
    }
    Ok(text.to_owned())
}

fn plain(key: &str, text: &str) -> Result<(), ToolError> {
    match text.chars().any(char::is_control) {
        true => Err(ToolError::Invalid(format!(
            "`{key}` has a control character in it"
        ))),
        false => Ok(()),
    }
}

fn journalctl() -> Result<PathBuf, ToolError> {
    let places = ["/usr/bin", "/bin", "/run/current-system/sw/bin"].map(PathBuf::from);
    let mut places = places.into_iter().map(|place| place.join("journalctl"));
    places.find(|program| program.is_file()).ok_or_else(|| {
        ToolError::Unavailable(
            "there is no journalctl on this host, and so no journal of systemd: look into /var/log"
                .to_owned(),
        )
    })
}

fn read(call: &Call<'_>, input: Wanted) -> Result<Entries, ToolError> {
    let limit = input.limit.unwrap_or(DEFAULT);
    let arguments = arguments(&input)?;
    let failed = |error: std::io::Error| ToolError::failed("run journalctl", error);
    let mut child = Command::new(journalctl()?)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (sender, lines) = sync_channel::<Vec<u8>>(64);
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut lines = stdout.map(|stdout| BufReader::new(stdout).split(b'\n'));
        while let Some(Ok(line)) = lines.as_mut().and_then(Iterator::next) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let stderr = child.stderr.take();
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(stderr) = stderr {
            // What is not text is no help.
            let _ = stderr.take(16 << 10).read_to_string(&mut text);
        }
        text
    });
    let taken = take(call, &lines, limit);
    drop(lines);
    let ended = matches!(taken, Ok(Taken { ended: true, .. }));
    if !ended {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().map_err(failed)?;
    let _ = reader.join();
    let complaints = complaints.join().unwrap_or_default();
    let taken = taken?;
    // With --grep, 1 says that nothing was found.
    let nothing =
        status.code() == Some(1) && taken.entries.is_empty() && complaints.trim().is_empty();
    if ended && !status.success() && !nothing {
        return Err(ToolError::Failed(format!(
            "journalctl: {status}: {}",
            complaints.trim()
        )));
    }
    Ok(Entries {
        next_cursor: taken.cursor.filter(|_| !ended),
        entries: taken.entries,
        cut: taken.cut,
    })
}

/// What was taken out of the journal.
struct Taken {
    entries: Vec<Entry>,
    cursor: Option<String>,
    cut: Option<String>,
    /// There is nothing more.
    ended: bool,
}

fn take(
    call: &Call<'_>,
    lines: &std::sync::mpsc::Receiver<Vec<u8>>,
    limit: usize,
) -> Result<Taken, ToolError> {
    let deadline = Instant::now() + PATIENCE;
    let mut taken = Taken {
        entries: Vec::new(),
        cursor: None,
        cut: None,
        ended: false,
    };
    let mut size = 0;
    loop {
        call.check()?;
        let line = match lines.recv_timeout(LOOK) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
            Err(RecvTimeoutError::Timeout) => {
                taken.cut = Some(format!(
                    "it was searched for {} s only: narrow it with `unit`, `since` or `boot`",
                    PATIENCE.as_secs()
                ));
                return Ok(taken);
            }
            Err(RecvTimeoutError::Disconnected) => {
                taken.ended = true;
                return Ok(taken);
            }
        };
        // One more than is shown tells whether there is more.
        if taken.entries.len() == limit {
            return Ok(taken);
        }
        size += line.len();
        if size > LARGEST && !taken.entries.is_empty() {
            taken.cut = Some(format!("an answer holds {} MiB of entries", LARGEST >> 20));
            return Ok(taken);
        }
        let Ok(fields) = serde_json::from_slice::<Value>(&line) else {
            continue;
        };
        taken.cursor = text(&fields["__CURSOR"]).or(taken.cursor);
        taken.entries.push(entry(&fields));
    }
}

/// A field as text: journalctl writes what is no text as a list of bytes, and of repeated fields all.
fn text(field: &Value) -> Option<String> {
    match field {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let bytes = list.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
            match bytes.collect::<Option<Vec<u8>>>() {
                Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                None => list.iter().find_map(text),
            }
        }
        _ => None,
    }
}

fn entry(fields: &Value) -> Entry {
    let field = |name: &str| text(&fields[name]);
    let time = field("__REALTIME_TIMESTAMP").and_then(|time| time.parse().ok());
    let time = time.and_then(|time| jiff::Timestamp::from_microsecond(time).ok());
    Entry {
        time: time.map(|time| time.to_string()),
        priority: field("PRIORITY").and_then(|priority| priority.parse().ok()),
        unit: field("_SYSTEMD_UNIT"),
        identifier: field("SYSLOG_IDENTIFIER"),
        pid: field("_PID").and_then(|pid| pid.parse().ok()),
        uid: field("_UID").and_then(|uid| uid.parse().ok()),
        boot_id: field("_BOOT_ID"),
        message: field("MESSAGE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(arguments: Value) -> Wanted {
        serde_json::from_value(arguments).unwrap()
    }

    #[test]
    fn no_argument_can_be_taken_for_another() {
        for bad in [
            json!({ "unit": "--file=/etc/shadow" }),
            json!({ "unit": "a.service --root=/" }),
            json!({ "since": "--root=/" }),
            json!({ "since": "-1h" }),
            json!({ "until": "now\n--root=/" }),
            json!({ "grep": "a\u{0}b" }),
            json!({ "cursor": "--file" }),
            json!({ "cursor": "s=1 --file" }),
        ] {
            let result = arguments(&wanted(bad.clone()));
            assert!(matches!(result, Err(ToolError::Invalid(_))), "{bad}");
        }
        let good = json!({
            "unit": "a.service", "priority": "err", "since": "2026-01-31T12:00:00Z", "until": "2 hours ago",
            "grep": "--root=/", "boot": -1, "cursor": "s=a;i=1", "order": "oldest",
        });
        let list = arguments(&wanted(good)).unwrap();
        for word in [
            "--unit=a.service",
            "--priority=3",
            "--since=@1769860800.000000",
            "--until=2 hours ago",
            "--grep=--root=/",
            "--boot=-1",
            "--after-cursor=s=a;i=1",
        ] {
            assert!(list.contains(&word.to_owned()), "{list:?}");
        }
        assert!(list.iter().all(|word| word.starts_with("--")));
    }

    #[test]
    fn fields_may_be_bytes_or_repeated_or_too_long() {
        let fields = json!({
            "__REALTIME_TIMESTAMP": "1769860800000000", "MESSAGE": [104, 105, 255], "PRIORITY": "3",
            "_SYSTEMD_UNIT": ["a.service", "b.service"], "_PID": "x", "SYSLOG_IDENTIFIER": null,
        });
        let entry = entry(&fields);
        assert_eq!(entry.message.as_deref(), Some("hi\u{fffd}"));
        assert_eq!(entry.time.as_deref(), Some("2026-01-31T12:00:00Z"));
        assert_eq!(entry.unit.as_deref(), Some("a.service"));
        assert_eq!((entry.priority, entry.pid), (Some(3), None));
    }
}
