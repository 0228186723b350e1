//! The conversation: a request out, answers in until the kernel says that it is done.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::answer::{Answer, Attributes};
use crate::error::Error;

/// How often a listing is begun anew when the network changes under it.
const ATTEMPTS: usize = 16;

/// `NLMSGERR_ATTR_MSG` of `linux/netlink.h`: the kernel's words on an error.
const ERROR_TEXT: u16 = 1;

/// Length in bytes of `struct nlmsghdr`, which an error repeats before the kernel's words.
const REQUEST_HEADER: usize = 16;

/// Netlink messages begin at multiples of 4 bytes (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;

/// A conversation with the kernel about the network namespace in which it was opened.
///
/// It may be shared between threads; they take turns.
#[derive(Debug)]
pub struct Netlink {
    line: Mutex<Line>,
}

/// A socket on which one request at a time is on its way.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket,
    sequence: u32,
}

/// How one exchange ended when it did not end well.
pub(crate) enum Failure {
    Io(io::Error),
    Refused(Errno, Option<String>),
    Unreadable(String),
    Interrupted,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Netlink {
    /// Opens a conversation in the network namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        let line = Line::open(NETLINK_ROUTE)?;
        // So that the kernel filters listings by table and link instead of sending everything.
        line.socket.set_netlink_get_strict_chk(true)?;
        Ok(Self {
            line: Mutex::new(line),
        })
    }

    /// Asks for something to be done or for one thing to be told.
    pub(crate) fn ask(
        &self,
        doing: &str,
        flags: u16,
        message: RouteNetlinkMessage,
    ) -> Result<Vec<Answer>, Error> {
        self.line()
            .exchange(flags | NLM_F_ACK, &message)
            .map_err(|failure| failure.into_error(doing))
    }

    /// Asks for something to be done that is answered by yes or no.
    pub(crate) fn order(
        &self,
        doing: &str,
        flags: u16,
        message: RouteNetlinkMessage,
    ) -> Result<(), Error> {
        self.ask(doing, flags, message).map(drop)
    }

    /// Lists; begins anew when the list changed while it was told.
    pub(crate) fn dump(
        &self,
        doing: &str,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<Answer>, Error> {
        self.line().dump(doing, message)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // A thread that panicked here leaves at most old answers behind, and those are skipped.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    pub(crate) fn exchange<M>(&mut self, flags: u16, message: &M) -> Result<Vec<Answer>, Failure>
    where
        M: NetlinkSerializable + Clone,
    {
        self.send(flags | NLM_F_REQUEST, message.clone())?;
        self.receive()
    }

    pub(crate) fn dump<M>(&mut self, doing: &str, message: &M) -> Result<Vec<Answer>, Error>
    where
        M: NetlinkSerializable + Clone,
    {
        for _ in 0..ATTEMPTS {
            match self.exchange(NLM_F_DUMP, message) {
                Err(Failure::Interrupted) => {}
                other => return other.map_err(|failure| failure.into_error(doing)),
            }
        }
        Err(Failure::Interrupted.into_error(doing))
    }

    fn send(&mut self, flags: u16, message: impl NetlinkSerializable) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        retry(|| self.socket.send(&bytes, 0)).map(drop)
    }

    fn receive(&self) -> Result<Vec<Answer>, Failure> {
        let mut answers = Vec::new();
        let mut interrupted = false;
        loop {
            let datagram = self.datagram()?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let (message, after) = split(rest)?;
                rest = after;
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                if take(message, &mut answers)? {
                    return if interrupted {
                        Err(Failure::Interrupted)
                    } else {
                        Ok(answers)
                    };
                }
            }
        }
    }

    /// One whole datagram, however long it is.
    fn datagram(&self) -> io::Result<Vec<u8>> {
        let peek = RecvFlags::PEEK.union(RecvFlags::TRUNC).bits().cast_signed();
        let length = retry(|| self.socket.recv(&mut Vec::new(), peek))?;
        let mut buffer = Vec::with_capacity(length);
        retry(|| self.socket.recv(&mut buffer, 0))?;
        Ok(buffer)
    }
}

/// The first message of `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Result<(NetlinkMessage<Answer>, &[u8]), Failure> {
    let message = NetlinkMessage::<Answer>::deserialize(bytes)
        .map_err(|error| Failure::Unreadable(error.to_string()))?;
    let length = (message.header.length as usize).next_multiple_of(ALIGNMENT);
    Ok((message, bytes.get(length..).unwrap_or_default()))
}

/// Keeps an answer; true when it was the last one.
fn take(message: NetlinkMessage<Answer>, answers: &mut Vec<Answer>) -> Result<bool, Failure> {
    let words = |header: &NetlinkHeader, bytes: &[u8]| {
        let told = header.flags & NLM_F_ACK_TLVS != 0;
        told.then(|| Attributes::read(bytes).ok()?.text(ERROR_TEXT))
            .flatten()
    };
    match message.payload {
        NetlinkPayload::InnerMessage(answer) => {
            answers.push(answer);
            Ok(false)
        }
        NetlinkPayload::Noop => Ok(false),
        NetlinkPayload::Error(error) => {
            let bytes = error.header.get(REQUEST_HEADER..);
            refused(
                error.raw_code(),
                words(&message.header, bytes.unwrap_or_default()),
            )
        }
        NetlinkPayload::Done(done) => {
            refused(done.code, words(&message.header, &done.extended_ack))
        }
        NetlinkPayload::Overrun(_) => Err(Failure::Unreadable("data was lost".to_owned())),
        _ => Err(Failure::Unreadable("unknown kind of message".to_owned())),
    }
}

/// 0 is the kernel's yes, a negative error number its no.
fn refused(code: i32, words: Option<String>) -> Result<bool, Failure> {
    match code {
        0 => Ok(true),
        code => Err(Failure::Refused(
            Errno::from_raw_os_error(code.saturating_abs()),
            words,
        )),
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

impl Failure {
    pub(crate) fn into_error(self, doing: &str) -> Error {
        let doing = doing.to_owned();
        match self {
            Self::Io(error) => Error::Socket(error),
            Self::Refused(source, detail) => Error::Refused {
                doing,
                source,
                detail,
            },
            Self::Unreadable(reason) => Error::Answer { doing, reason },
            Self::Interrupted => Error::Unsteady { doing },
        }
    }
}
