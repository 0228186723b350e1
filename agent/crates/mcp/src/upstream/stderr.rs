//! What a program writes to its standard error: for the log, and for the message when it fails.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio_util::sync::CancellationToken;

use super::text::clean;

/// As much of a line as is kept, in bytes.
const LINE: usize = 400;

/// How long the end of what a program wrote is waited for: its two streams end in no certain order.
const END: Duration = Duration::from_secs(1);

/// The last line that a program wrote.
#[derive(Debug, Clone)]
pub(super) struct LastLine {
    line: Arc<Mutex<String>>,
    ended: CancellationToken,
}

impl LastLine {
    /// What was said of a failure, and the program's last line if it wrote one.
    pub(super) async fn after(&self, said: String) -> String {
        let _ = tokio::time::timeout(END, self.ended.cancelled()).await;
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_empty() {
            said
        } else {
            format!("{said}; the last that it wrote: {line}")
        }
    }

    /// Reads to the end, so that the program never waits for its log to be read.
    pub(super) fn follow(name: String, stderr: ChildStderr) -> Self {
        let last = Self {
            line: Arc::default(),
            ended: CancellationToken::new(),
        };
        let followed = last.clone();
        tokio::spawn(async move {
            let _ended = last.ended.clone().drop_guard();
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
        followed
    }

    fn take(&self, name: &str, line: &mut Vec<u8>) {
        let text = clean(&String::from_utf8_lossy(line), LINE);
        line.clear();
        if !text.trim().is_empty() {
            log::debug!("upstream {name}: {text}");
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    }
}
