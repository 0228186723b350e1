//! What was said, kept over restarts: a file of events a user, the newest of them in memory.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How many events are kept of a user.
pub(crate) const EVENTS: usize = 2_000;
/// How many bytes.
pub(crate) const BYTES: usize = 2 << 20;

/// The events of one user.
pub(crate) struct History {
    /// Another one has other numbers.
    pub(crate) conversation: String,
    events: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    next: u64,
    file: Option<Kept>,
}

/// The file.
struct Kept {
    path: PathBuf,
    file: File,
    bytes: usize,
}

impl History {
    /// Reads what there is of a user in a directory; without one, nothing outlives this process.
    pub(crate) fn open(dir: Option<&Path>, user: &str) -> Self {
        let mut history = Self {
            conversation: new_id(),
            events: VecDeque::new(),
            bytes: 0,
            next: 1,
            file: None,
        };
        let Some(dir) = dir else {
            return history;
        };
        // Names of users may hold anything.
        let name = hex::encode(&Sha256::digest(user)[..16]);
        let path = dir.join(format!("{name}.jsonl"));
        let opened = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        let opened = opened
            .and_then(|()| history.read(&path))
            .and_then(|()| history.rewrite(&path));
        if let Err(error) = opened {
            log::error!("what is said is not kept in {}: {error}", path.display());
        }
        history
    }

    /// The number of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// All events that are kept, oldest first.
    pub(crate) fn values(&self) -> impl Iterator<Item = Value> {
        self.events
            .iter()
            .filter_map(|(_, event)| serde_json::from_str(event).ok())
    }

    /// The events after a number; none if some of those are no longer kept, or the number is not one of ours.
    pub(crate) fn after(&self, seq: u64) -> Option<Vec<Arc<str>>> {
        let first = self.events.front().map_or(self.next, |(first, _)| *first);
        if seq >= self.next || seq + 1 < first {
            return None;
        }
        let after = self.events.iter().filter(|(number, _)| *number > seq);
        Some(after.map(|(_, event)| Arc::clone(event)).collect())
    }

    /// At most so many events before a number, oldest first, and whether there are more.
    pub(crate) fn before(&self, seq: Option<u64>, limit: usize) -> (Vec<Arc<str>>, bool) {
        let end = seq.map_or(self.events.len(), |seq| {
            self.events.partition_point(|(number, _)| *number < seq)
        });
        let begin = end.saturating_sub(limit);
        let events = self
            .events
            .range(begin..end)
            .map(|(_, event)| Arc::clone(event));
        (events.collect(), begin > 0)
    }

    /// Keeps the event that has the next number.
    pub(crate) fn push(&mut self, event: Arc<str>) {
        self.keep(self.next, Arc::clone(&event));
        let written = match &mut self.file {
            None => return,
            Some(kept) => kept.append(&event),
        };
        let path = self
            .file
            .as_ref()
            .map(|kept| (kept.path.clone(), kept.bytes));
        let written = match path {
            // The file has what is no longer kept: half of it goes.
            Some((path, bytes)) if written.is_ok() && bytes > 2 * BYTES => self.rewrite(&path),
            _ => written,
        };
        if let Err(error) = written {
            log::error!("what is said from here on is not kept: {error}");
            self.file = None;
        }
    }

    fn keep(&mut self, seq: u64, event: Arc<str>) {
        self.bytes += event.len();
        self.events.push_back((seq, event));
        self.next = seq + 1;
        while self.events.len() > EVENTS || (self.bytes > BYTES && self.events.len() > 1) {
            if let Some((_, event)) = self.events.pop_front() {
                self.bytes -= event.len();
            }
        }
    }

    /// Takes in the events of a file. A last line that is torn is left out, and numbers begin anew, since somebody may
    /// have seen what it was.
    fn read(&mut self, path: &Path) -> io::Result<()> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let mut lines = text.split(|byte| *byte == b'\n');
        let head = lines
            .next()
            .and_then(|line| serde_json::from_slice::<Value>(line).ok());
        let Some(conversation) = head.as_ref().and_then(|head| head["conversation"].as_str())
        else {
            log::warn!("{} is no history; another one is begun", path.display());
            return Ok(());
        };
        let mut whole = text.ends_with(b"\n");
        for line in lines.filter(|line| !line.is_empty()) {
            let event: Option<Value> = serde_json::from_slice(line).ok();
            let seq = event.as_ref().and_then(|event| event["seq"].as_u64());
            match (seq, std::str::from_utf8(line)) {
                (Some(seq), Ok(line)) if self.events.is_empty() || seq == self.next => {
                    self.keep(seq, line.into())
                }
                _ => whole = false,
            }
        }
        match whole {
            true => conversation.clone_into(&mut self.conversation),
            false => log::warn!(
                "the end of {} was lost; what is before it stays",
                path.display()
            ),
        }
        Ok(())
    }

    /// Writes what is kept into a file of its own, which takes the place of the old one.
    fn rewrite(&mut self, path: &Path) -> io::Result<()> {
        let mut text = format!("{}\n", json!({ "conversation": self.conversation }));
        for (_, event) in &self.events {
            text.push_str(event);
            text.push('\n');
        }
        durable::replace(path, text.as_bytes(), 0o600)?;
        self.file = Some(Kept {
            path: path.to_owned(),
            file: OpenOptions::new().append(true).open(path)?,
            bytes: text.len(),
        });
        Ok(())
    }
}

impl Kept {
    fn append(&mut self, event: &str) -> io::Result<()> {
        // In one write: a crash in between tears at most the last line.
        let line = format!("{event}\n");
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len();
        Ok(())
    }
}

fn new_id() -> String {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        // The time is as good: it is no secret, and only has to be another one.
        Err(_) => jiff::Timestamp::now().as_nanosecond().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn push(history: &mut History, text: &str) {
        let event = json!({ "seq": history.next(), "content": text });
        history.push(event.to_string().into());
    }

    #[test]
    fn it_outlives_the_process_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = History::open(Some(dir.path()), "alice");
        for n in 0..5 {
            push(&mut first, &n.to_string());
        }
        let again = History::open(Some(dir.path()), "alice");
        assert_eq!(
            (again.next(), again.conversation.as_str()),
            (6, first.conversation.as_str())
        );
        assert_eq!(again.after(3).unwrap().len(), 2);
        assert_eq!(again.after(5).unwrap().len(), 0);
        assert!(again.after(6).is_none());
        let (events, more) = again.before(Some(4), 2);
        assert!(events[0].contains("\"seq\":2") && more);
        let file = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(History::open(Some(dir.path()), "bob").next(), 1);
    }

    #[test]
    fn a_torn_end_loses_the_last_event_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = History::open(Some(dir.path()), "alice");
        for n in 0..3 {
            push(&mut first, &n.to_string());
        }
        let path = first.file.as_ref().unwrap().path.clone();
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 4]).unwrap();
        let again = History::open(Some(dir.path()), "alice");
        assert_eq!(again.next(), 3);
        assert_ne!(again.conversation, first.conversation);
        fs::write(&path, b"\xff\xfe{{{\n\n{}").unwrap();
        assert_eq!(History::open(Some(dir.path()), "alice").next(), 1);
    }

    #[test]
    fn old_events_go_from_memory_and_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut history = History::open(Some(dir.path()), "alice");
        let long = "x".repeat(10_000);
        for _ in 0..700 {
            push(&mut history, &long);
        }
        assert!(history.bytes <= BYTES && history.after(0).is_none());
        let kept = history.file.as_ref().unwrap();
        assert!(fs::metadata(&kept.path).unwrap().len() <= 2 * BYTES as u64 + 11_000);
        assert_eq!(History::open(Some(dir.path()), "alice").next(), 701);
    }
}
