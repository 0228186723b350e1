//! What people see: plans, progress, questions. Machines get JSON from the commands themselves.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use declaration::Size;
use indicatif::{ProgressBar, ProgressStyle};
use reconcile::{Change, Plan, Verb};
use serde_json::Value;
use tools::{Event, Kind};

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const BOLD: Style = Style::new().bold();

/// Standard error for progress, standard output for results.
pub(crate) struct Screen {
    json: bool,
    yes: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Screen {
    pub(crate) fn new(json: bool, yes: bool) -> Self {
        Self {
            json,
            yes,
            bar: Mutex::default(),
        }
    }

    /// Whether a person is there to be asked.
    pub(crate) fn interactive(&self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Whether results are JSON, for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: the JSON, or the text for people.
    pub(crate) fn result(&self, json: &Value, text: impl FnOnce() -> String) {
        let text = match self.json {
            true => format!("{json:#}\n"),
            false => text(),
        };
        // A reader that went away, such as `head`, is no failure of ours.
        let _ = anstream::stdout().write_all(text.as_bytes());
    }

    /// Says something on the way.
    pub(crate) fn say(&self, text: &str) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*bar {
            Some(bar) => bar.suspend(|| anstream::eprintln!("{text}")),
            None => anstream::eprintln!("{text}"),
        }
    }

    /// Asks for a yes; without a person there, `--yes` decides.
    pub(crate) fn agrees(&self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        if !self.interactive() {
            return false;
        }
        anstream::eprint!("{question} [y/N] ");
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    /// Asks for a yes, at most so long; `None` if nobody answered.
    pub(crate) fn agrees_within(&self, question: &str, limit: Duration) -> Option<bool> {
        anstream::eprint!("{question} [y/N] ");
        let stdin = std::io::stdin();
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = rustix::event::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let mut set = [rustix::event::PollFd::new(
                &stdin,
                rustix::event::PollFlags::IN,
            )];
            match rustix::event::poll(&mut set, Some(&timeout)) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let mut answer = String::new();
        stdin.read_line(&mut answer).ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Says what only matters to who is curious: where a person looks on, or asks for more.
    pub(crate) fn aside(&self, text: &str) {
        if !self.json && (self.interactive() || log::log_enabled!(log::Level::Info)) {
            self.say(text);
        }
    }

    /// Shows what a call tells on its way.
    pub(crate) fn show(&self, event: &Event) {
        if self.json {
            return;
        }
        let text = &event.text;
        match event.kind {
            Kind::Begin => self.start(event.total),
            Kind::Doing if std::io::stderr().is_terminal() => self.message(text),
            // Where no line can be rewritten only what takes long is told, not each change as it begins.
            Kind::Doing if text.contains(": ") => self.say(text),
            Kind::Doing => {}
            Kind::Done => {
                self.say(&format!("{GREEN}done{GREEN:#} {text}"));
                self.advance_to(event.done);
            }
            Kind::Failed => self.say(&format!("{RED}failed{RED:#} {text}")),
            Kind::Undoing => self.say(&format!("{YELLOW}undoing{YELLOW:#} {text}")),
            Kind::Undone => self.say(&format!("{YELLOW}undone{YELLOW:#} {text}")),
            Kind::NotUndone => self.say(&format!("{RED}not undone{RED:#} {text}")),
            Kind::Note => self.say(text),
            Kind::End => self.finish(),
        }
    }

    fn start(&self, length: usize) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let style = ProgressStyle::with_template("{spinner} [{pos}/{len}] {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(length as u64).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        *self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(bar);
    }

    fn message(&self, text: &str) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = &*bar {
            bar.set_message(text.to_owned());
        }
    }

    fn advance_to(&self, done: usize) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = &*bar {
            bar.set_position(done as u64);
        }
    }

    fn finish(&self) {
        let mut bar = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A plan for people: each change with what differs, before → after.
pub(crate) fn plan_text(plan: &Plan) -> String {
    if plan.is_empty() {
        let mut text = "Nothing to do: the host is in its declared state.\n".to_owned();
        text.push_str(&notes_text(plan));
        return text;
    }
    let mut text = String::new();
    let keys = plan
        .changes
        .iter()
        .map(|change| change.key().to_string().chars().count());
    let width = keys.max().unwrap_or_default().min(60);
    for change in &plan.changes {
        let (sign, style) = match change.verb {
            Verb::Create => ('+', GREEN),
            Verb::Update => ('~', YELLOW),
            Verb::Delete => ('-', RED),
        };
        let key = change.key().to_string();
        text.push_str(&format!(
            "{style}{sign} {:6}{style:#} {key:width$}  {}\n",
            change.verb.to_string(),
            differences(change)
        ));
        if change.adopts {
            text.push_str("         takes over what was not ours\n");
        }
        if change.destroys {
            text.push_str(&format!("         {RED}destroys data{RED:#}\n"));
        }
    }
    text.push_str(&notes_text(plan));
    let summary = plan.summary();
    text.push_str(&format!(
        "\n{BOLD}{} to create, {} to update, {} to delete{BOLD:#}   plan {}\n",
        summary.create,
        summary.update,
        summary.delete,
        plan.hash()
    ));
    text
}

fn notes_text(plan: &Plan) -> String {
    let notes = plan.notes.iter();
    notes
        .map(|note| format!("note: {}: {}\n", note.resource, note.text))
        .collect()
}

/// `memory: 1GiB → 2GiB, running: false → true`; for creates and deletes the values alone.
fn differences(change: &Change) -> String {
    let said = |key: &str, value: &Value| said(&change.plugin, key, value);
    match (&change.before, &change.after) {
        (Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            let null = Value::Null;
            let parts = keys.into_iter().filter_map(|key| {
                let (old, new) = (
                    before.get(key).unwrap_or(&null),
                    after.get(key).unwrap_or(&null),
                );
                (old != new).then(|| format!("{key}: {} → {}", said(key, old), said(key, new)))
            });
            parts.collect::<Vec<_>>().join(", ")
        }
        (Value::Null, Value::Object(state)) | (Value::Object(state), Value::Null) => {
            let parts = state
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key}: {}", said(key, value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        (before, after) => format!("{} → {}", short(before), short(after)),
    }
}

/// A value of a plugin's resource as people write it: what a container has of memory is in bytes.
pub(crate) fn said(plugin: &str, key: &str, value: &Value) -> String {
    match (plugin, key, value.as_u64()) {
        ("lxc", "memory" | "swap", Some(bytes)) => Size::from_bytes(bytes).to_string(),
        _ => short(value),
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!(
            "[{}]",
            list.iter().map(short).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(map) => {
            let parts = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", short(value)));
            format!("{{{}}}", parts.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Rows in columns as wide as their widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default();
        widest.max(header[column].chars().count())
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line: Vec<_> = cells.collect();
        format!("{}\n", line.join("  ").trim_end())
    };
    let mut text = line(header.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_of_containers_are_said_as_they_are_declared() {
        let change = |plugin: &str| {
            let state = |memory: u64| json!({ "memory": memory, "swap": 0, "cores": 2 });
            let (before, after) = (state(256 << 20), state(1 << 30));
            Change::new(plugin, "container:a", Verb::Update, before, after)
        };
        assert_eq!(differences(&change("lxc")), "memory: 256MiB → 1GiB");
        assert_eq!(
            differences(&change("other")),
            "memory: 268435456 → 1073741824"
        );
        let made = Change {
            before: Value::Null,
            ..change("lxc")
        };
        assert!(differences(&made).contains("memory: 1GiB"));
    }
}
