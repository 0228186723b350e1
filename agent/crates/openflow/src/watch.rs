//! Watching the flows of a switch for changes.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::socket::Socket;
use crate::v13::{self, flow_monitor, session};
use crate::wire::Malformed;

/// How long the switch may keep silent while the watch is set up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection on which a switch says that a flow was added, changed or deleted, by whomever.
///
/// It tells of what happens after [`FlowWatch::open`] has returned: look at the flows after that, and
/// again whenever [`FlowWatch::drain`] says so. Its descriptor is readable when there is something to
/// drain, and when the switch is gone.
///
/// ```no_run
/// use openflow::FlowWatch;
/// use rustix::event::{PollFd, PollFlags, poll};
///
/// let mut watch = FlowWatch::open("/run/openvswitch/br0.mgmt")?;
/// loop {
///     poll(&mut [PollFd::new(&watch, PollFlags::IN)], None).map_err(std::io::Error::from)?;
///     if watch.drain()? {
///         println!("the flows have changed");
///     }
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), openflow::Error>(())
/// ```
#[derive(Debug)]
pub struct FlowWatch {
    socket: Socket,
}

impl FlowWatch {
    /// Connects to a management socket, such as `/run/openvswitch/br0.mgmt`, and asks to be told.
    /// A switch that does not know the extension refuses.
    pub fn open(socket: impl AsRef<Path>) -> Result<Self> {
        let mut connection = Connection::connect(socket, PATIENCE)?;
        connection.watch_flows()?;
        Ok(Self {
            socket: connection.into_socket(),
        })
    }

    /// Takes what the switch has said since, without waiting; whether it told of a change. After an
    /// error open a new watch, and take it that the flows have changed.
    pub fn drain(&mut self) -> Result<bool> {
        let mut changed = false;
        self.socket.drain(|message, out| {
            if message.version != v13::VERSION {
                return Err(Malformed("a message of another version").into());
            }
            if message.kind == v13::ERROR {
                return Err(Error::Refused(session::error(message.body)?));
            }
            if !session::echo(message, out) {
                changed |= flow_monitor::tells_of_change(message)?;
            }
            Ok(())
        })?;
        Ok(changed)
    }
}

impl AsFd for FlowWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
