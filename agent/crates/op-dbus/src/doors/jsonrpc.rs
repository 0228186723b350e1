//! JSON-RPC 2.0 over Unix sockets; the kernel says who calls.

mod access;
mod connection;
mod hung_up;
mod message;
mod out;
mod speaker;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Hall;

/// How many connections there may be at once.
const CONNECTIONS: usize = 4096;

/// The sockets that are being served.
pub(crate) struct Doors {
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Doors {
    pub(crate) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks: JoinSet::new(),
        }
    }

    /// Serves all connections that come in on these sockets.
    pub(crate) fn serve(&mut self, hall: &Arc<Hall>, listeners: Vec<UnixListener>) {
        for listener in listeners {
            let (hall, room) = (Arc::clone(hall), Arc::clone(&self.room));
            self.tasks
                .spawn(async move { accept(&hall, &listener, &room).await });
        }
    }

    /// Lets nobody else in.
    pub(crate) fn abort(mut self) {
        self.tasks.abort_all();
    }
}

async fn accept(hall: &Arc<Hall>, listener: &UnixListener, room: &Arc<Semaphore>) {
    loop {
        // Those who come when all places are taken wait in the kernel's queue.
        let Ok(place) = Arc::clone(room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let hall = Arc::clone(hall);
                tokio::spawn(async move {
                    connection::serve(hall, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                log::warn!("cannot take a connection: {error}");
                // Out of files, it would fail again at once.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
