//! Calls of the service: each with an end, and no answer larger than can be taken in.

use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use zbus::message::{Flags, Message, Type};
use zbus::names::OwnedBusName;
use zbus::{Connection, MessageStream, ObjectPath, Signature, Structure, Variant};

use crate::backend::Fault;

/// The longest answer that is unpacked, in bytes. Unpacked it can take many times as much memory.
const LONGEST: usize = 4 << 20;

/// The service, as it is called.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) name: OwnedBusName,
    /// Whether a service that does not run is started by a call.
    pub(super) activate: bool,
    /// Whether the service may ask a person for their password.
    pub(super) interactive: bool,
    /// How long a call may take.
    pub(super) limit: Duration,
}

/// A method of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Callee<'a> {
    pub(super) path: &'a ObjectPath<'a>,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

impl Peer {
    /// Calls a method, and gives the values of its answer: as many as `gives`, of these types.
    pub(super) async fn call(
        &self,
        callee: Callee<'_>,
        arguments: Vec<Variant<'static>>,
        gives: &[&Signature],
        cancel: &CancellationToken,
    ) -> Result<Vec<Variant<'static>>, Fault> {
        let answer = self.exchange(callee, arguments);
        let message = tokio::select! {
            () = cancel.cancelled() => return Err(failed("cancelled", "the call was cancelled")),
            answer = tokio::time::timeout(self.limit, answer) => {
                answer.map_err(|_| self.timed_out(callee))??
            }
        };
        unpack(&message, gives)
    }

    /// Calls a method that gives no answer.
    pub(super) async fn tell(
        &self,
        callee: Callee<'_>,
        arguments: Vec<Variant<'static>>,
    ) -> Result<(), Fault> {
        let message = self.message(callee, arguments, true)?;
        self.connection.send(&message).await.map_err(fault)
    }

    fn timed_out(&self, callee: Callee<'_>) -> Fault {
        let seconds = self.limit.as_secs();
        let text = format!(
            "{} gave no answer to {} within {seconds} s; whether it did it nobody knows. --timeout allows for more",
            self.name, callee.member
        );
        failed("timed-out", &text)
    }

    async fn exchange(
        &self,
        callee: Callee<'_>,
        arguments: Vec<Variant<'static>>,
    ) -> Result<Message, Fault> {
        let message = self.message(callee, arguments, false)?;
        let serial = message.primary_header().serial_num();
        // Before the call is sent, so that the answer is not missed.
        let mut received = MessageStream::from(&self.connection);
        self.connection.send(&message).await.map_err(fault)?;
        while let Some(message) = received.next().await {
            let message = message.map_err(fault)?;
            if message.header().reply_serial() != Some(serial) {
                continue;
            }
            match message.message_type() {
                Type::MethodReturn => return Ok(message),
                Type::Error => return Err(fault(message.into())),
                _ => {}
            }
        }
        Err(Fault::Unavailable(
            "the bus closed the connection".to_owned(),
        ))
    }

    fn message(
        &self,
        callee: Callee<'_>,
        arguments: Vec<Variant<'static>>,
        no_reply: bool,
    ) -> Result<Message, Fault> {
        let mut flags = Flags::empty();
        if !self.activate {
            flags |= Flags::NO_AUTO_START;
        }
        if self.interactive {
            flags |= Flags::ALLOW_INTERACTIVE_AUTH;
        }
        if no_reply {
            flags |= Flags::NO_REPLY_EXPECTED;
        }
        let message = Message::method_call(callee.path, callee.member)
            .with_flags(flags)
            .destination(self.name.clone())
            .interface(callee.interface);
        let mut body = Structure::builder();
        let empty = arguments.is_empty();
        for argument in arguments {
            body.push_value(argument);
        }
        let built = match empty {
            true => message.build(&()),
            false => body.build().and_then(|body| message.build(&body)),
        };
        // What cannot be packed was more than the bus carries.
        built.map_err(|error| Fault::Invalid(format!("the arguments cannot be sent: {error}")))
    }
}

/// The values of an answer.
pub(super) fn unpack(
    message: &Message,
    gives: &[&Signature],
) -> Result<Vec<Variant<'static>>, Fault> {
    let body = message.body();
    if body.len() > LONGEST {
        let text = format!(
            "the answer has {} bytes, more than the {LONGEST} that the bridge takes in: ask for a part of it",
            body.len()
        );
        return Err(failed("too-large", &text));
    }
    let signature = body.signature();
    // One structure and several values in a row look the same.
    let one = matches!(gives, [one] if *one == signature && matches!(one, Signature::Structure(_)));
    let fits = match signature {
        Signature::Unit => gives.is_empty(),
        Signature::Structure(fields) if !one => {
            fields.len() == gives.len() && fields.iter().zip(gives).all(|(a, b)| a == *b)
        }
        signature => matches!(gives, [only] if *only == signature),
    };
    if !fits {
        let declared: String = gives.iter().map(|one| one.to_string()).collect();
        let text = format!(
            "the service answered with values of type `{}`, where it declares `{declared}`",
            signature.to_string_no_parens()
        );
        return Err(failed("bad-answer", &text));
    }
    if gives.is_empty() {
        return Ok(Vec::new());
    }
    let unpacked: Structure<'_> = body
        .deserialize()
        .map_err(|error| failed("bad-answer", &format!("the answer cannot be read: {error}")))?;
    let values = match one {
        true => vec![Variant::Structure(unpacked)],
        false => unpacked.into_fields(),
    };
    let owned = values.into_iter().map(|value| {
        let owned = value.try_into_owned().map_err(fault)?;
        Ok(owned.into())
    });
    owned.collect()
}

/// What went wrong on the bus.
pub(super) fn fault(error: zbus::Error) -> Fault {
    let error = dbus::Error::from(error);
    let name = error.name().unwrap_or_default();
    let text = bounded(&error.to_string());
    // Services have errors of their own that only end alike.
    let standard = name.strip_prefix("org.freedesktop.DBus.Error.");
    if standard.is_some() && error.is_unknown_service() {
        return Fault::Unavailable(format!(
            "the service does not run: {text}. It is not started by a call, unless the bridge runs with --activate"
        ));
    }
    match standard.unwrap_or_default() {
        "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => Fault::Refused(text),
        "UnknownObject" | "UnknownMethod" | "UnknownInterface" | "UnknownProperty" => {
            Fault::NotFound(text)
        }
        "NoReply" | "Disconnected" => Fault::Unavailable(format!(
            "the service left the bus before it answered: {text}"
        )),
        _ => failed("failed", &text),
    }
}

/// The beginning of an error's text, which a peer may make as long as it likes.
fn bounded(text: &str) -> String {
    const MOST: usize = 2000;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn failed(code: &str, text: &str) -> Fault {
    Fault::Failed {
        code: code.to_owned(),
        text: text.to_owned(),
    }
}
