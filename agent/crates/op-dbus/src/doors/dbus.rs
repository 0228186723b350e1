//! The door on the system bus: `org.opdbus1`, authorized by polkit.

mod authority;
mod desk;
mod error;
mod interfaces;
mod news;
mod options;

use std::sync::Arc;

use anyhow::Context as _;
use zbus::Connection;
use zbus::fdo::{DBusProxy, RequestNameFlags, RequestNameReply};
use zbus::names::BusName;

use super::Hall;
use crate::failure::Failure;

use desk::Desk;
use interfaces::{Containers, Ledger, State, Tools};

/// The name on the bus.
const NAME: &str = "org.opdbus1";
/// Where everything is.
const PATH: &str = "/org/opdbus1";

/// The open door; it closes when this is dropped.
pub(crate) struct Bus {
    _connection: Connection,
    news: tokio::task::JoinHandle<()>,
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.news.abort();
    }
}

/// Takes the name and serves the interfaces; `None` where there is no bus.
pub(crate) async fn open(hall: &Arc<Hall>) -> Result<Option<Bus>, Failure> {
    let connection = match Connection::system().await {
        Ok(connection) => connection,
        Err(error) => {
            log::warn!(
                "there is no system bus, so that the daemon is reached by its sockets only: {error}"
            );
            return Ok(None);
        }
    };
    let desk = Arc::new(Desk::new(Arc::clone(hall), &connection).await);
    let server = connection.object_server();
    let served = async {
        server.at(PATH, State(Arc::clone(&desk))).await?;
        server.at(PATH, Containers(Arc::clone(&desk))).await?;
        server.at(PATH, Ledger(Arc::clone(&desk))).await?;
        server.at(PATH, Tools(Arc::clone(&desk))).await
    };
    served.await.context("serve the interfaces on the bus")?;
    take_name(&connection).await?;
    let news = tokio::spawn(news::tell(connection.clone(), Arc::clone(hall)));
    Ok(Some(Bus {
        _connection: connection,
        news,
    }))
}

async fn take_name(connection: &Connection) -> Result<(), Failure> {
    let asked = connection
        .request_name_with_flags(NAME, RequestNameFlags::DO_NOT_QUEUE)
        .await;
    match asked {
        Ok(RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner) => Ok(()),
        Ok(RequestNameReply::Exists | RequestNameReply::InQueue) | Err(zbus::Error::NameTaken) => {
            let holder = holder(connection)
                .await
                .unwrap_or_else(|| "somebody".to_owned());
            Err(Failure::Refused(format!(
                "the name {NAME} on the system bus is held by {holder}: end that first, or start with --no-bus"
            )))
        }
        Err(error) => Err(anyhow::Error::new(error)
            .context(format!(
                "take the name {NAME} on the system bus (its policy lets only root have it)"
            ))
            .into()),
    }
}

/// Who has the name.
async fn holder(connection: &Connection) -> Option<String> {
    let bus = DBusProxy::new(connection).await.ok()?;
    let name: BusName<'_> = NAME.try_into().ok()?;
    let process = bus.get_connection_unix_process_id(name).await.ok()?;
    let command = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    Some(format!("process {process} ({})", command.trim()))
}
