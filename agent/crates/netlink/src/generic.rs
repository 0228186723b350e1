//! Families of generic netlink.

use std::fmt::Debug;
use std::marker::PhantomData;

use netlink_packet_core::{Emitable, NLM_F_ACK, ParseableParametrized};
use netlink_packet_generic::constants::GENL_HDRLEN;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;

use crate::answer::Attributes;
use crate::error::Error;
use crate::socket::{Failure, Line};

/// `CTRL_ATTR_FAMILY_ID` of `linux/genetlink.h`.
const FAMILY_ID: u16 = 1;

/// A conversation with the kernel in the messages of one family, about the network namespace in which it was opened.
#[derive(Debug)]
pub struct Generic<F> {
    line: Line,
    family: u16,
    messages: PhantomData<F>,
}

impl<F> Generic<F>
where
    F: GenlFamily + Emitable + ParseableParametrized<[u8], GenlHeader> + Clone + Debug,
{
    /// Opens a conversation in the network namespace of the calling thread; `None` where the kernel does not have
    /// the family.
    pub fn open() -> Result<Option<Self>, Error> {
        let mut line = Line::open(NETLINK_GENERIC)?;
        let name = F::family_name();
        let doing = format!("find the family `{name}` of generic netlink");
        let request = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(name.to_owned())],
        });
        let answers = match line.exchange(NLM_F_ACK, &request) {
            Err(Failure::Refused(Errno::NOENT, _)) => return Ok(None),
            other => other.map_err(|failure| failure.into_error(&doing))?,
        };
        let family = answers.iter().find_map(|answer| {
            let attributes = Attributes::after(&answer.payload, GENL_HDRLEN).ok()?;
            attributes.u16(FAMILY_ID)
        });
        let family = family.ok_or_else(|| Error::Answer {
            doing,
            reason: "its number is missing".to_owned(),
        })?;
        Ok(Some(Self {
            line,
            family,
            messages: PhantomData,
        }))
    }

    /// Asks for a listing; `doing` says what for, in words for errors.
    pub fn list(&mut self, doing: &str, message: F) -> Result<Vec<F>, Error> {
        let mut request = GenlMessage::from_payload(message);
        request.set_resolved_family_id(self.family);
        let answers = self.line.dump(doing, &request)?;
        answers
            .iter()
            .filter(|answer| answer.kind == self.family)
            .map(|answer| {
                GenlMessage::<F>::parse_with_param(&answer.payload, answer.kind)
                    .map(|message| message.payload)
                    .map_err(|error| Error::answer(doing, &error))
            })
            .collect()
    }
}
