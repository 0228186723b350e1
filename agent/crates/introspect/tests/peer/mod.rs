//! Peers on a private bus, made up by tests: whatever a test's function answers is what the peer says.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use introspect::dbus::{Limits, Tree, walk};
use lab::{Machine, SystemBus, wait_for};
use tokio::runtime::Runtime;
use zbus::message::Type;
use zbus::names::BusName;
use zbus::{Connection, Message, MessageStream, ObjectPath};

/// A machine with a system bus of its own, and a runtime that is on it.
pub struct Lab {
    pub runtime: Runtime,
    pub bus: SystemBus,
    pub machine: Machine,
    address: Option<String>,
    roomy: Option<std::process::Child>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.roomy {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// What a peer does when it is called.
pub enum Answer {
    /// It gives introspection XML.
    Xml(String),
    /// It gives another body.
    Body(Box<dyn FnOnce(&Message) -> Message + Send>),
    /// It says that it knows no such method.
    Unknown,
    /// It never answers.
    Silence,
    /// It leaves the bus.
    Leave,
}

/// A peer, and how often it was called.
pub struct Peer {
    pub calls: Arc<AtomicUsize>,
}

impl Peer {
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

pub fn lab() -> Option<Lab> {
    let machine = Machine::new("needs root")?;
    let bus = machine.system_bus()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    Some(Lab {
        runtime,
        bus,
        machine,
        address: None,
        roomy: None,
    })
}

/// A machine with a second bus, where peers are. It takes messages as long as the protocol allows, while the usual
/// system bus throws out who sends more than 32 MiB; and it starts the services of `dir()/services`.
pub fn roomy_lab() -> Option<Lab> {
    let mut lab = lab()?;
    let dir = lab.machine.dir().to_owned();
    let socket = dir.join("roomy");
    let limits = [
        "max_message_size",
        "max_incoming_bytes",
        "max_outgoing_bytes",
    ]
    .map(|name| format!("<limit name=\"{name}\">134217728</limit>"));
    std::fs::create_dir(dir.join("services")).unwrap();
    let config = format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen><policy context=\"default\">\
         <allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy><servicedir>{}/services</servicedir>{}</busconfig>",
        socket.display(),
        dir.display(),
        limits.concat()
    );
    std::fs::write(dir.join("roomy.conf"), config).unwrap();
    let daemon = std::process::Command::new("dbus-daemon")
        .args(["--nofork", "--config-file"])
        .arg(dir.join("roomy.conf"))
        .spawn()
        .unwrap();
    lab.roomy = Some(daemon);
    wait_for("the second bus", Duration::from_secs(60), || {
        std::os::unix::net::UnixStream::connect(&socket).ok()
    });
    lab.address = Some(format!("unix:path={}", socket.display()));
    Some(lab)
}

impl Lab {
    pub fn connect(&self) -> Connection {
        let builder = match &self.address {
            Some(address) => zbus::connection::Builder::address(address.as_str()),
            None => zbus::connection::Builder::system(),
        };
        self.runtime.block_on(builder.build()).unwrap()
    }

    /// Starts a peer; `answer` gets the path and the member of each call.
    pub fn peer(
        &self,
        name: &'static str,
        mut answer: impl FnMut(&str, &str) -> Answer + Send + 'static,
    ) -> Peer {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let connection = self.connect();
        self.runtime.block_on(async {
            let mut messages = MessageStream::from(&connection);
            connection.request_name(name).await.unwrap();
            tokio::spawn(async move {
                while let Some(Ok(message)) = messages.next().await {
                    if message.message_type() != Type::MethodCall {
                        continue;
                    }
                    counter.fetch_add(1, Ordering::SeqCst);
                    let header = message.header();
                    let path = header.path().unwrap().as_str();
                    let reply = match answer(path, header.member().unwrap().as_str()) {
                        Answer::Xml(xml) => Message::method_return(&header).build(&(xml,)).unwrap(),
                        Answer::Body(build) => build(&message),
                        Answer::Unknown => {
                            let name = "org.freedesktop.DBus.Error.UnknownMethod";
                            let error = Message::error(&header, name);
                            error.build(&("no such method",)).unwrap()
                        }
                        Answer::Silence => continue,
                        Answer::Leave => break,
                    };
                    if connection.send(&reply).await.is_err() {
                        break;
                    }
                }
                drop(messages);
                let _ = connection.close().await;
            });
        });
        Peer { calls }
    }

    pub fn walk(&self, service: &str, limits: &Limits) -> Tree {
        let connection = self.connect();
        let service = BusName::try_from(service).unwrap();
        let root = ObjectPath::try_from("/").unwrap();
        let walk = walk(&connection, &service, &root, limits, &|_, _| true);
        self.runtime.block_on(walk).unwrap()
    }
}

/// Limits for tests that wait for one to be reached.
pub fn impatient() -> Limits {
    Limits {
        call: Duration::from_secs(2),
        ..Limits::default()
    }
}

/// Limits for tests in which so much is said that it takes a while to carry on a busy machine.
pub fn patient() -> Limits {
    Limits {
        call: Duration::from_secs(60),
        time: Duration::from_secs(120),
        ..Limits::default()
    }
}

/// An object with these children and nothing else.
pub fn node(children: &[&str]) -> String {
    let children = children.iter().map(|name| format!("<node name='{name}'/>"));
    format!("<node>{}</node>", children.collect::<String>())
}
