//! Identities: random ones, and those that a transaction gives names (RFC 7047, section 5.1, `<named-uuid>`).

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value as Json;

use super::fault::{Fault, Kind};
use crate::value::Uuid;

/// A new random identity (RFC 4122, version 4).
pub(crate) fn random() -> Result<Uuid, Fault> {
    let mut bytes = [0; 16];
    let failed = || Fault::new(Kind::Exhausted, "no random numbers");
    let read = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if read != Ok(bytes.len()) {
        return Err(failed());
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    from_bytes(bytes).ok_or_else(failed)
}

fn from_bytes(bytes: [u8; 16]) -> Option<Uuid> {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").ok()?;
    }
    text.parse().ok()
}

/// The identity of all zeros, the default of its type.
#[allow(clippy::expect_used)]
pub(crate) fn nil() -> Uuid {
    from_bytes([0; 16]).expect("sixteen bytes are an identity")
}

/// The named rows of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Symbols(BTreeMap<String, Symbol>);

#[derive(Debug)]
struct Symbol {
    uuid: Uuid,
    created: bool,
}

impl Symbols {
    /// The identity behind a name, which an insert may give before or after.
    pub(crate) fn named(&mut self, name: &str) -> Result<Uuid, Fault> {
        if let Some(symbol) = self.0.get(name) {
            return Ok(symbol.uuid.clone());
        }
        let uuid = random()?;
        let symbol = Symbol {
            uuid: uuid.clone(),
            created: false,
        };
        self.0.insert(name.to_owned(), symbol);
        Ok(uuid)
    }

    /// The insert that gives the name; `uuid` if the row has been given an identity.
    pub(crate) fn create(&mut self, name: &str, uuid: Option<Uuid>) -> Result<Uuid, Fault> {
        let named = self.named(name)?;
        let symbol = self.0.get_mut(name);
        let symbol = symbol.filter(|symbol| !symbol.created).ok_or_else(|| {
            let details = "This \"uuid-name\" appeared on an earlier \"insert\" operation.";
            Fault::new(Kind::DuplicateName, details).at(&Json::from(name))
        })?;
        symbol.created = true;
        if let Some(uuid) = uuid {
            symbol.uuid = uuid.clone();
            return Ok(uuid);
        }
        Ok(named)
    }
}
