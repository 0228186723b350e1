//! The door on the system bus: `org.opdbus1`, authorized by polkit.

mod agent_task;
mod agents;
mod authority;
mod desk;
mod error;
mod interfaces;
mod news;
mod options;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use zbus::export::futures_core::Stream;
use zbus::fdo::{DBusProxy, RequestNameFlags, RequestNameReply};
use zbus::names::BusName;
use zbus::{Connection, MessageStream};

use super::Hall;
use crate::daemon::orchestrator::Orchestrator;
use crate::failure::Failure;

use desk::Desk;
use interfaces::{Containers, Ledger, State, Tools};

/// The name on the bus.
const NAME: &str = "org.opdbus1";
/// Where everything is.
const PATH: &str = "/org/opdbus1";

/// Time before the second attempt to reach a bus that went away; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The open door; it closes when this is dropped.
pub(crate) struct Bus(JoinHandle<()>);

impl Drop for Bus {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Takes the name and serves the interfaces; `None` where there is no bus. A bus that goes away later is waited
/// for.
pub(crate) async fn open(
    hall: &Arc<Hall>,
    orchestrator: &Arc<Orchestrator>,
) -> Result<Option<Bus>, Failure> {
    let connection = match Connection::system().await {
        Ok(connection) => connection,
        Err(error) => {
            log::warn!(
                "there is no system bus, so that the daemon is reached by its sockets only: {error}"
            );
            return Ok(None);
        }
    };
    serve(hall, orchestrator, &connection).await?;
    let (hall, orchestrator) = (Arc::clone(hall), Arc::clone(orchestrator));
    Ok(Some(Bus(tokio::spawn(stay(
        hall,
        orchestrator,
        connection,
    )))))
}

async fn serve(
    hall: &Arc<Hall>,
    orchestrator: &Arc<Orchestrator>,
    connection: &Connection,
) -> Result<(), Failure> {
    let desk = Arc::new(Desk::new(
        Arc::clone(hall),
        Arc::clone(orchestrator),
        connection,
    ));
    let server = connection.object_server();
    let served = async {
        server.at(PATH, State(Arc::clone(&desk))).await?;
        server.at(PATH, Containers(Arc::clone(&desk))).await?;
        server.at(PATH, Ledger(Arc::clone(&desk))).await?;
        server.at(PATH, Tools(Arc::clone(&desk))).await?;
        agents::serve(connection, &desk).await
    };
    served.await.context("serve the interfaces on the bus")?;
    take_name(connection).await?;
    agents::take_names(connection).await;
    Ok(())
}

/// Tells the bus what is new until it goes away, then opens the door on the next one.
async fn stay(hall: Arc<Hall>, orchestrator: Arc<Orchestrator>, mut connection: Connection) {
    loop {
        tokio::select! {
            () = news::tell(connection.clone(), Arc::clone(&hall)) => return,
            () = end_of(&connection) => {}
        }
        log::error!(
            "the system bus went away; the daemon is reached by its sockets until it is back"
        );
        let mut pause = FIRST_PAUSE;
        connection = loop {
            tokio::time::sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
            let Ok(connection) = Connection::system().await else {
                continue;
            };
            match serve(&hall, &orchestrator, &connection).await {
                Ok(()) => break connection,
                Err(failure) => log::warn!("{failure}"),
            }
        };
        log::info!("the system bus is back");
    }
}

/// Waits until nothing comes from a connection any more.
async fn end_of(connection: &Connection) {
    let mut messages = MessageStream::from(connection);
    loop {
        let message = poll_fn(|context| Pin::new(&mut messages).poll_next(context)).await;
        if matches!(message, None | Some(Err(_))) {
            return;
        }
    }
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
