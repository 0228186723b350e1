//! Open vSwitch's own database server, on behalf of one client.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::super::Hall;
use super::super::frame::Frames;

/// Messages that wait for a client that is slow to read them; then the switch's server waits too.
const WAITING: usize = 256;
/// How long the switch's server may take to give its schema.
const PATIENCE: Duration = Duration::from_secs(2);

/// The socket of the database, as the declaration has it.
pub(super) fn socket(hall: &Hall) -> PathBuf {
    let declaration = hall.registry.site().declaration_if_any();
    let directory = declaration
        .ok()
        .and_then(|declaration| Some(declaration.plugins.ovs.as_ref()?.run_dir.clone()));
    let directory = directory.unwrap_or_else(|| PathBuf::from("/run/openvswitch"));
    directory.join("db.sock")
}

/// Sees to it that the catalogue of databases has Open vSwitch's if it can be reached.
pub(super) async fn announce(hall: &Hall) {
    let schema = tokio::time::timeout(PATIENCE, schema(&socket(hall))).await;
    let schema = schema.ok().and_then(Result::ok);
    hall.announce_switch(super::SWITCH, schema).await;
}

async fn schema(path: &Path) -> io::Result<Value> {
    let mut stream = UnixStream::connect(path).await?;
    let request = json!({ "id": 0, "method": "get_schema", "params": [super::SWITCH] });
    stream.write_all(request.to_string().as_bytes()).await?;
    let mut frames = Frames::of_service();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frames.push(&buffer[..count]);
        if let Some(message) = frames.next().map_err(io::Error::other)? {
            let mut message: Value = serde_json::from_slice(&message)?;
            return Ok(message["result"].take());
        }
    }
}

/// A connection of its own for each client, so that ids and monitors are the client's.
pub(super) struct Switch {
    writer: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    messages: mpsc::Receiver<String>,
    task: JoinHandle<()>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// Requests without an answer yet, by the text of their id.
    pending: BTreeSet<String>,
    monitors: BTreeSet<String>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Switch {
    pub(super) async fn open(path: &Path, bell: Arc<Notify>) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(path).await?.into_split();
        let writer = Arc::new(tokio::sync::Mutex::new(writer));
        let known = Arc::new(Mutex::new(Known::default()));
        let (sender, messages) = mpsc::channel(WAITING);
        let listening = Listening {
            reader,
            writer: Arc::clone(&writer),
            sender,
            known: Arc::clone(&known),
            bell,
        };
        Ok(Self {
            writer,
            messages,
            task: tokio::spawn(listening.run()),
            known,
        })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_monitor(&self, name: &str) -> bool {
        self.known().monitors.contains(name)
    }

    pub(super) fn waits_for(&self, id: &str) -> bool {
        self.known().pending.contains(id)
    }

    /// Passes a request on.
    pub(super) async fn send(&mut self, message: &Value) -> io::Result<()> {
        {
            let mut known = self.known();
            let params = &message["params"];
            match message["method"].as_str() {
                Some("monitor" | "monitor_cond" | "monitor_cond_since") => {
                    known.monitors.insert(params[1].to_string());
                }
                Some("monitor_cancel") => {
                    known.monitors.remove(&params[0].to_string());
                }
                _ => {}
            }
            known.pending.insert(message["id"].to_string());
        }
        let mut writer = self.writer.lock().await;
        writer.write_all(message.to_string().as_bytes()).await
    }

    /// What came since.
    pub(super) fn said(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.messages.try_recv().ok()).collect()
    }
}

struct Listening {
    reader: OwnedReadHalf,
    writer: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    sender: mpsc::Sender<String>,
    known: Arc<Mutex<Known>>,
    bell: Arc<Notify>,
}

impl Listening {
    async fn run(mut self) {
        if let Err(error) = self.listen().await {
            log::debug!("Open vSwitch's database: {error}");
        }
        // Whoever waits for an answer must not wait for ever.
        let pending = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut known.pending)
        };
        for id in pending {
            let id: Value = serde_json::from_str(&id).unwrap_or_default();
            let gone = super::refused(&id, "I/O error", "Open vSwitch's database went away");
            let _ = self.sender.send(gone.to_string()).await;
        }
        self.bell.notify_one();
    }

    async fn listen(&mut self) -> io::Result<()> {
        let mut frames = Frames::of_service();
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = self.reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            frames.push(&buffer[..count]);
            while let Some(message) = frames.next().map_err(io::Error::other)? {
                let text = String::from_utf8(message).map_err(io::Error::other)?;
                let message: Value = serde_json::from_str(&text)?;
                if message["method"] == "echo" {
                    // It asks whether we are there, not whether our client is.
                    let answer =
                        json!({ "id": message["id"], "result": message["params"], "error": null });
                    let mut writer = self.writer.lock().await;
                    writer.write_all(answer.to_string().as_bytes()).await?;
                    continue;
                }
                if message["method"].is_null() {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    known.pending.remove(&message["id"].to_string());
                }
                let sent = self.sender.send(text).await;
                self.bell.notify_one();
                if sent.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
