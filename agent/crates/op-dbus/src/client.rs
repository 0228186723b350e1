//! The command line's end of the API socket.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Deserializer, Value, json};
use tools::engine::Site;
use tools::{Event, Options};

use crate::failure::Failure;

/// How long a daemon may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection to the daemon.
pub(crate) struct Client {
    writer: UnixStream,
    reader: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<BufReader<UnixStream>>,
        Value,
    >,
    next: u64,
    daemon: u64,
}

impl Client {
    /// The daemon that keeps this very declaration, if one runs and may be reached.
    pub(crate) fn find(site: &Site) -> Result<Option<Self>, Failure> {
        let Some(file) = site.file() else {
            return Ok(None);
        };
        // A bad declaration is told by the command itself.
        let Ok(paths) = site.paths() else {
            return Ok(None);
        };
        let Ok(stream) = UnixStream::connect(paths.api_socket()) else {
            return Ok(None);
        };
        // The socket may be there before the daemon is, and the daemon may be on its way out.
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut client = Self::over(stream)?;
        let Ok(status) = client.status() else {
            return Ok(None);
        };
        let _ = client.writer.set_read_timeout(None);
        client.daemon = status["pid"].as_u64().unwrap_or_default();
        let same = status["declaration"].as_str().map(PathBuf::from);
        let canonical = |path: &std::path::Path| path.canonicalize().ok();
        let same = same.is_some_and(|other| other == file || canonical(&other) == canonical(file));
        Ok(same.then_some(client))
    }

    fn over(stream: UnixStream) -> Result<Self, Failure> {
        let reader = stream.try_clone().context("use the daemon's socket")?;
        Ok(Self {
            writer: stream,
            reader: Deserializer::from_reader(BufReader::new(reader)).into_iter(),
            next: 0,
            daemon: 0,
        })
    }

    /// The daemon's process id.
    pub(crate) fn daemon(&self) -> u64 {
        self.daemon
    }

    /// How the daemon stands.
    pub(crate) fn status(&mut self) -> Result<Value, Failure> {
        self.request("daemon.status", json!({}), &|_| {})
    }

    /// A way in at the web server, once.
    pub(crate) fn login(&mut self, role: Option<&str>) -> Result<Value, Failure> {
        self.request("access.login", json!({ "role": role }), &|_| {})
    }

    /// Calls a tool.
    pub(crate) fn call(
        &mut self,
        name: &str,
        arguments: Value,
        options: &Options,
        listener: &dyn Fn(&Event),
    ) -> Result<Value, Failure> {
        let mut params = json!({
            "name": name,
            "arguments": arguments,
            "dry_run": options.dry_run,
            "progress": true,
        });
        if let Some(plan) = &options.plan {
            params["plan"] = json!(plan);
        }
        if let Some(client) = options.ssh_client {
            params["ssh_client"] = json!(client);
        }
        if let Some(deadline) = options.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            params["timeout_ms"] = json!(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        }
        self.request("tools.call", params, listener)
    }

    /// The descriptions of all tools.
    pub(crate) fn tools(&mut self) -> Result<Vec<Value>, Failure> {
        match self.request("tools.list", json!({}), &|_| {})?["tools"].take() {
            Value::Array(tools) => Ok(tools),
            other => Err(anyhow::anyhow!("the daemon's list of tools is {other}").into()),
        }
    }

    fn request(
        &mut self,
        method: &str,
        params: Value,
        listener: &dyn Fn(&Event),
    ) -> Result<Value, Failure> {
        self.next += 1;
        let request =
            json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        let gone = "the daemon went away: `systemctl status op-dbusd` says why";
        self.writer
            .write_all(format!("{request}\n").as_bytes())
            .context(gone)?;
        loop {
            let message = self.reader.next().context(gone)?.context(gone)?;
            if message["method"] == "progress" {
                if let Ok(event) = serde_json::from_value(message["params"]["event"].clone()) {
                    listener(&event);
                }
                continue;
            }
            if message["id"] != json!(self.next) {
                continue;
            }
            return match message.get("error") {
                Some(error) => Err(Failure::of_daemon(error)),
                None => Ok(message["result"].clone()),
            };
        }
    }
}
