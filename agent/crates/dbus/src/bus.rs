//! One connection to a bus.

use std::time::Duration;

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use zbus::{Connection, DynamicType, OwnedVariant, wire::DynamicDeserialize};

use crate::Properties;
use crate::error::Error;
use crate::listener::Listener;

/// How long a peer may take to answer by default.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer that is taken in, in bytes: unpacked it is many times as large.
const LARGEST: usize = 4 << 20;

/// A connection to a bus, with one thread that serves it.
///
/// Nothing of it may be called from asynchronous code, since all of it waits.
pub struct Bus {
    connection: Connection,
    runtime: Runtime,
}

/// An object on the bus, seen through one of its interfaces.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// The name of who has the object.
    pub name: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
}

/// The bus itself.
const DAEMON: Peer<'static> = Peer {
    name: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

impl Bus {
    /// Connects to the system bus, or to the one that `DBUS_SYSTEM_BUS_ADDRESS` names.
    pub fn system() -> Result<Self, Error> {
        Self::connect(zbus::connection::Builder::system(), Error::Unreachable)
    }

    /// Connects to the session bus of the user that this process runs as.
    pub fn session() -> Result<Self, Error> {
        Self::connect(zbus::connection::Builder::session(), Error::NoSession)
    }

    fn connect(
        builder: zbus::connection::Builder<'_>,
        unreachable: fn(zbus::Error) -> Error,
    ) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bus")
            .enable_all()
            .build()?;
        let connect = async { tokio::time::timeout(PATIENCE, builder.build()).await };
        let connection = runtime
            .block_on(connect)
            .map_err(|_| Error::TimedOut(PATIENCE))?
            .map_err(unreachable)?;
        Ok(Self {
            connection,
            runtime,
        })
    }

    /// The connection, for what [`Bus::wait`] runs.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs something on the bus's thread and waits for its end.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Calls a method and waits for its answer, at most 30 s.
    pub fn call<B, R>(&self, peer: Peer<'_>, method: &str, arguments: &B) -> Result<R, Error>
    where
        B: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        self.call_within(PATIENCE, peer, method, arguments)
    }

    /// Calls a method and waits for its answer, as long as `limit`. An answer of more than 4 MiB is refused.
    pub fn call_within<B, R>(
        &self,
        limit: Duration,
        peer: Peer<'_>,
        method: &str,
        arguments: &B,
    ) -> Result<R, Error>
    where
        B: Serialize + DynamicType,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let call = self.connection.call_method(
            Some(peer.name),
            peer.path,
            Some(peer.interface),
            method,
            arguments,
        );
        let answer = self
            .wait(async { tokio::time::timeout(limit, call).await })
            .map_err(|_| Error::TimedOut(limit))??;
        let body = answer.body();
        match body.len() > LARGEST {
            true => Err(Error::TooLarge(LARGEST)),
            false => Ok(body.deserialize()?),
        }
    }

    /// Reads a property.
    pub fn property(&self, peer: Peer<'_>, name: &str) -> Result<OwnedVariant, Error> {
        let properties = Peer {
            interface: "org.freedesktop.DBus.Properties",
            ..peer
        };
        self.call(properties, "Get", &(peer.interface, name))
    }

    /// Reads all properties of the interface; those of all interfaces if it is empty and the peer can do that.
    pub fn properties(&self, peer: Peer<'_>) -> Result<Properties, Error> {
        self.properties_within(PATIENCE, peer)
    }

    /// Reads all properties as [`Bus::properties`] does, and waits as long as `limit`.
    pub fn properties_within(&self, limit: Duration, peer: Peer<'_>) -> Result<Properties, Error> {
        let properties = Peer {
            interface: "org.freedesktop.DBus.Properties",
            ..peer
        };
        self.call_within(limit, properties, "GetAll", &(peer.interface,))
    }

    /// Whether somebody has a name, or can be started to take it.
    pub fn offers(&self, name: &str) -> Result<bool, Error> {
        if self.call(DAEMON, "NameHasOwner", &(name,))? {
            return Ok(true);
        }
        let names: Vec<String> = self.call(DAEMON, "ListActivatableNames", &())?;
        Ok(names.iter().any(|known| known == name))
    }

    /// The unique name of who has a name; whoever can be started to take it is started.
    pub fn owner(&self, name: &str) -> Result<String, Error> {
        let owner = || self.call(DAEMON, "GetNameOwner", &(name,));
        match owner() {
            Err(error) if error.is_unknown_service() => {
                let _: u32 = self.call(DAEMON, "StartServiceByName", &(name, 0_u32))?;
                owner()
            }
            owner => owner,
        }
    }

    /// Hears the signals that the owner of a unique name sends from `peer.path`, all of them if the interface
    /// is empty. Only what is sent after this is heard.
    pub fn listen(&self, peer: Peer<'_>) -> Result<Listener, Error> {
        self.wait(Listener::start(
            &self.connection,
            self.runtime.handle(),
            peer,
        ))
    }
}
