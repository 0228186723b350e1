//! What a program writes to its standard error: for the log, and for the message when it fails.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::ChildStderr;

use super::text::clean;

/// As much of a line as is kept, in bytes.
const LINE: usize = 400;

/// The last line that a program wrote.
#[derive(Debug, Clone, Default)]
pub(super) struct LastLine(Arc<Mutex<String>>);

impl LastLine {
    /// The line, empty if there was none.
    pub(super) fn get(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads to the end, so that the program never waits for its log to be read.
    pub(super) fn follow(&self, name: String, stderr: ChildStderr) {
        let last = self.clone();
        tokio::spawn(async move {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while let Ok(byte) = stderr.read_u8().await {
                match byte {
                    b'\n' => last.take(&name, &mut line),
                    _ if line.len() < LINE => line.push(byte),
                    _ => {}
                }
            }
            last.take(&name, &mut line);
        });
    }

    fn take(&self, name: &str, line: &mut Vec<u8>) {
        let text = clean(&String::from_utf8_lossy(line), LINE);
        line.clear();
        if !text.trim().is_empty() {
            log::debug!("upstream {name}: {text}");
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    }
}
