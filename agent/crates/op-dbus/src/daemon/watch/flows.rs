//! The flows of a bridge.

use std::io;
use std::path::Path;

use openflow::FlowWatch;

use crate::daemon::keeper::{Poke, Trigger};

/// Watches until the bridge goes away, which is told too.
pub(super) async fn run(path: &Path, poke: &Poke) -> io::Result<()> {
    let path = path.to_owned();
    // Greeting the switch may take a moment.
    let watch = tokio::task::spawn_blocking(move || FlowWatch::open(path)).await?;
    let mut watch = watch.map_err(io::Error::other)?;
    let readable = super::readiness(&watch)?;
    // What happened before is not told.
    poke.send(Trigger::Event("flows are watched"));
    loop {
        let mut ready = readable.readable().await?;
        let told = watch.drain();
        ready.clear_ready();
        match told {
            Ok(true) => poke.send(Trigger::Event("flows changed")),
            Ok(false) => {}
            Err(error) => {
                poke.send(Trigger::Event("a bridge went away"));
                return Err(io::Error::other(error));
            }
        }
    }
}
