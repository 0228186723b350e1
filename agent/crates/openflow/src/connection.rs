//! A conversation with one switch.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result, SwitchError};
use crate::flow::{
    Features, FlowFilter, FlowMod, FlowStats, FlowTotals, Port, PortStats, TableStats,
};
use crate::socket::{Socket, Step};
use crate::v13::{self, bundle, counters, flow_monitor, flow_stats, multipart, session};
use crate::wire::{Malformed, Message, message};

/// The most that is believed of one answer, in MiB: some millions of flows.
const MOST: usize = 1024;

/// A connection to one switch (bridge) that speaks OpenFlow 1.3.
///
/// It answers the switch's echo requests while it waits for something itself, and passes over
/// what it did not ask for. After any error but [`Error::Refused`], [`Error::Rejected`] and
/// [`Error::TooLong`] make a new one.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    patience: Duration,
    next_xid: u32,
}

impl Connection {
    /// Connects to a management socket, such as `/run/openvswitch/br0.mgmt`, and agrees on
    /// OpenFlow 1.3. Here and in what follows, `timeout` is how long the switch may keep silent.
    pub fn connect(path: impl AsRef<Path>, timeout: Duration) -> Result<Self> {
        let mut connection = Self {
            socket: Socket::connect(path.as_ref(), timeout)?,
            patience: timeout,
            next_xid: 1,
        };
        connection.greet()?;
        Ok(connection)
    }

    /// What the switch says of itself.
    pub fn features(&mut self) -> Result<Features> {
        let answer = |body: &[u8]| Ok(Some(session::features(body)?));
        self.ask(v13::FEATURES_REQUEST, v13::FEATURES_REPLY, &[], answer)
    }

    /// The ports of the switch.
    pub fn ports(&mut self) -> Result<Vec<Port>> {
        self.collect(&multipart::ports_request(), multipart::ports)
    }

    /// The flows of the switch that the filter lets through, in no particular order.
    pub fn flows(&mut self, filter: &FlowFilter) -> Result<Vec<FlowStats>> {
        self.collect(&flow_stats::request(filter), flow_stats::reply)
    }

    /// What the flows that the filter lets through have done together.
    pub fn flow_totals(&mut self, filter: &FlowFilter) -> Result<FlowTotals> {
        let request = flow_stats::selection(multipart::AGGREGATE, filter);
        let mut parts = self.collect(&request, counters::totals)?;
        parts
            .pop()
            .ok_or_else(|| Malformed("totals without content").into())
    }

    /// What the ports have carried.
    pub fn port_stats(&mut self) -> Result<Vec<PortStats>> {
        self.collect(&counters::ports_request(), counters::ports)
    }

    /// What the flow tables hold and have done, the empty ones included.
    pub fn table_stats(&mut self) -> Result<Vec<TableStats>> {
        self.collect(&multipart::request(multipart::TABLE), counters::tables)
    }

    /// Has the switch tell of each change of its flows from now on.
    pub(crate) fn watch_flows(&mut self) -> Result<()> {
        // Without the flows that are there already the answer has no content.
        let content = |_: &[u8], _: &mut Vec<()>| Ok(());
        self.collect(&flow_monitor::request(), content).map(drop)
    }

    /// The socket, for who takes what the switch says by itself.
    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    /// Waits until all that was sent before is done.
    pub fn barrier(&mut self) -> Result<()> {
        let answer = |_: &[u8]| Ok(Some(()));
        self.ask(v13::BARRIER_REQUEST, v13::BARRIER_REPLY, &[], answer)
    }

    /// Makes all changes, in their order, as one transaction: packets see all of them or none.
    ///
    /// On any error of the switch nothing is changed, and the error names the change that it is
    /// about. When the connection is lost it can be that the bundle was carried out.
    pub fn bundle(&mut self, changes: &[FlowMod]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        let open = self.xids(count.saturating_add(4));
        let first = open + 1;
        let (close, commit, discard) = (first + count, first + count + 1, first + count + 2);
        let id = open;

        let mut bytes = Vec::new();
        bundle::control(&mut bytes, open, id, bundle::OPEN);
        for (index, (xid, change)) in (first..).zip(changes).enumerate() {
            if !bundle::add(&mut bytes, xid, id, change) {
                return Err(Error::TooLong { index });
            }
        }
        bundle::control(&mut bytes, close, id, bundle::CLOSE);
        self.socket.queue(&bytes);
        let mut failure = self.bundle_step(open..close, close)?;
        if failure.is_none() {
            self.queue_control(commit, id, bundle::COMMIT);
            failure = self.bundle_step(first..close, commit)?;
        } else {
            self.queue_control(discard, id, bundle::DISCARD);
            self.bundle_step(discard..discard, discard)?;
        }
        match failure {
            None => Ok(()),
            Some((xid, error)) if (first..close).contains(&xid) => Err(Error::Rejected {
                index: usize::try_from(xid - first).unwrap_or(usize::MAX),
                error,
            }),
            Some((_, error)) => Err(Error::Refused(error)),
        }
    }

    fn queue_control(&mut self, xid: u32, id: u32, kind: u16) {
        let mut bytes = Vec::new();
        bundle::control(&mut bytes, xid, id, kind);
        self.socket.queue(&bytes);
    }

    /// Waits for the answer to `last`; gives the first error about it or one of the `others`.
    fn bundle_step(&mut self, others: Range<u32>, last: u32) -> Result<Option<(u32, SwitchError)>> {
        let mut failure = None;
        self.converse(|message| {
            if message.xid != last && !others.contains(&message.xid) {
                return Ok(Step::Ignored);
            }
            match message.kind {
                v13::ERROR => {
                    let error = session::error(message.body)?;
                    failure.get_or_insert((message.xid, error));
                }
                v13::EXPERIMENTER => bundle::check_control(message.body)?,
                _ => return Err(unexpected()),
            }
            Ok(match message.xid == last {
                true => Step::Done(failure),
                false => Step::Part,
            })
        })
    }

    fn greet(&mut self) -> Result<()> {
        let xid = self.xids(1);
        let mut hello = Vec::new();
        message(&mut hello, v13::VERSION, v13::HELLO, xid, session::hello);
        self.socket.queue(&hello);
        self.socket
            .exchange(self.patience, |message, _| match message.kind {
                v13::HELLO if session::speaks_v13(message.version, message.body)? => {
                    Ok(Step::Done(()))
                }
                v13::HELLO => Err(Error::Version),
                v13::ERROR => match session::error(message.body)? {
                    SwitchError { kind: 0, .. } => Err(Error::Version),
                    error => Err(Error::Refused(error)),
                },
                _ => Err(Malformed("it did not greet first").into()),
            })
    }

    /// Asks with a multipart message and puts the parts of the answer together.
    fn collect<T>(
        &mut self,
        request: &[u8],
        read: impl Fn(&[u8], &mut Vec<T>) -> std::result::Result<(), Malformed>,
    ) -> Result<Vec<T>> {
        let kind = [request[0], request[1]];
        let mut all = Vec::new();
        let mut size = 0;
        let part = |body: &[u8]| {
            size += body.len();
            if size > MOST << 20 {
                return Err(Error::TooMuch(MOST));
            }
            let (content, more) = multipart::part(body, kind)?;
            read(content, &mut all)?;
            Ok((!more).then_some(()))
        };
        self.ask(v13::MULTIPART_REQUEST, v13::MULTIPART_REPLY, request, part)?;
        Ok(all)
    }

    /// Sends one message and reads answers to it until `read` has a result.
    fn ask<T>(
        &mut self,
        request: u8,
        reply: u8,
        body: &[u8],
        mut read: impl FnMut(&[u8]) -> Result<Option<T>>,
    ) -> Result<T> {
        let xid = self.xids(1);
        let mut bytes = Vec::new();
        message(&mut bytes, v13::VERSION, request, xid, |out| {
            out.extend_from_slice(body);
        });
        self.socket.queue(&bytes);
        self.converse(|message| match message.kind {
            _ if message.xid != xid => Ok(Step::Ignored),
            v13::ERROR => Err(Error::Refused(session::error(message.body)?)),
            kind if kind == reply => Ok(match read(message.body)? {
                Some(answer) => Step::Done(answer),
                None => Step::Part,
            }),
            _ => Err(unexpected()),
        })
    }

    /// Hands messages to `handle`, less the echo requests, which it answers.
    fn converse<T>(&mut self, mut handle: impl FnMut(Message<'_>) -> Result<Step<T>>) -> Result<T> {
        self.socket.exchange(self.patience, |received, out| {
            if received.version != v13::VERSION {
                return Err(Malformed("a message of another version").into());
            }
            if session::echo(received, out) {
                return Ok(Step::Ignored);
            }
            handle(received)
        })
    }

    /// The first of `count` transaction ids in a row, which are never 0: the switch's own are.
    fn xids(&mut self, count: u32) -> u32 {
        let first = match self.next_xid.checked_add(count) {
            Some(_) => self.next_xid,
            None => 1,
        };
        self.next_xid = first.saturating_add(count);
        first
    }
}

fn unexpected() -> Error {
    Malformed("an answer of another kind than the question").into()
}
