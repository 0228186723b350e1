//! Open vSwitch's database, by a monitor of what is configured in it (RFC 7047 §4.1.5).

use std::io;
use std::path::Path;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::daemon::keeper::{Poke, Trigger};
use crate::doors::frame::Frames;

/// Watches until the database goes away, which is told too.
pub(super) async fn run(path: &Path, poke: &Poke) -> io::Result<()> {
    let mut stream = UnixStream::connect(path).await?;
    // Not the columns that change by themselves, such as counters.
    let tables = json!({
        "Bridge": { "columns": ["name", "ports", "datapath_type", "fail_mode", "external_ids"] },
        "Port": { "columns": ["name", "interfaces", "tag", "external_ids"] },
        "Interface": { "columns": ["name", "type", "ofport", "ofport_request", "options", "error"] },
    });
    let request = json!({
        "id": "watch",
        "method": "monitor",
        "params": ["Open_vSwitch", null, tables],
    });
    stream.write_all(request.to_string().as_bytes()).await?;
    let mut frames = Frames::of_service();
    let mut buffer = vec![0; 8192];
    let gone = loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break Ok(());
        }
        frames.push(&buffer[..count]);
        while let Some(message) = frames.next().map_err(io::Error::other)? {
            let message: serde_json::Value = serde_json::from_slice(&message)?;
            match message["method"].as_str() {
                Some("echo") => {
                    let answer =
                        json!({ "id": message["id"], "result": message["params"], "error": null });
                    stream.write_all(answer.to_string().as_bytes()).await?;
                }
                Some(_) => poke.send(Trigger::Event("Open vSwitch's database changed")),
                // The answer to the monitor; what happened before is not told.
                None => poke.send(Trigger::Event("Open vSwitch's database is watched")),
            }
        }
    };
    poke.send(Trigger::Event("Open vSwitch's database went away"));
    gone
}
