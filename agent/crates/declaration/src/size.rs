//! Amounts of memory and disk.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::form::Form;
use crate::reader::Reader;
use crate::schema::{Definitions, Kind};
use crate::tree::{Node, Value, quote};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Units, the largest first; the first of a size is the one it is written with.
const UNITS: [(&str, u64); 9] = [
    ("TiB", TIB),
    ("GiB", GIB),
    ("MiB", MIB),
    ("KiB", KIB),
    ("B", 1),
    ("T", TIB),
    ("G", GIB),
    ("M", MIB),
    ("K", KIB),
];

/// The kernel counts bytes in signed 64-bit numbers (`loff_t`, page counters of cgroups).
const LARGEST: u64 = i64::MAX as u64;

const ACCEPTED: &str = "a size: a whole number of MiB such as 2048, or one with its unit (B, KiB, MiB, GiB, TiB) such as 2GiB";

/// An amount of memory or disk, in bytes; less than 8 EiB.
///
/// Written as a whole number of MiB (`2048`, `"2048"`), or as a whole number and a unit: `B`, `KiB`,
/// `MiB`, `GiB`, `TiB`, and `K`, `M`, `G`, `T` for the same powers of 1024. There may be a space
/// before the unit. Displayed with the largest unit that it is a whole number of: `2GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// A number of bytes; at most 2^63 − 1, more is taken for that.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(if bytes > LARGEST { LARGEST } else { bytes })
    }

    /// A number of MiB; at most 2^43 − 1, more is taken for 2^63 − 1 bytes.
    pub const fn from_mib(mib: u64) -> Self {
        Self::from_bytes(mib.saturating_mul(MIB))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In MiB, rounded down.
    pub const fn mib(self) -> u64 {
        self.0 / MIB
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&&(_, bytes): &&(&str, u64)| self.0.is_multiple_of(bytes) && self.0 > 0;
        let &(unit, bytes) = UNITS.iter().find(whole).unwrap_or(&("MiB", MIB));
        f.pad(&format!("{}{unit}", self.0 / bytes))
    }
}

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not {ACCEPTED}", quote(.0))]
pub struct SizeError(String);

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let bytes = match unit {
            "" if split == text.len() => Some(MIB),
            unit => UNITS
                .iter()
                .find_map(|(name, bytes)| (*name == unit).then_some(*bytes)),
        };
        bytes
            .and_then(|bytes| digits.parse::<u64>().ok()?.checked_mul(bytes))
            .filter(|bytes| *bytes <= LARGEST)
            .map(Self)
            .ok_or_else(|| SizeError(text.to_owned()))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    /// From the text that it is displayed as.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Form<Size> for Size {
    fn accepted() -> String {
        ACCEPTED.to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Size> {
        let (size, hint) = match &node.value {
            Value::Integer(mib) => {
                let mib = u64::try_from(*mib).ok();
                let bytes = mib.and_then(|mib| mib.checked_mul(MIB));
                (bytes.filter(|bytes| *bytes <= LARGEST).map(Self), None)
            }
            Value::Text(text) => (text.parse().ok(), intended(text)),
            _ => (None, None),
        };
        if size.is_none() {
            reader.wrong_type(node, ACCEPTED.to_owned(), hint);
        }
        size
    }

    fn encode(value: &Size) -> Json {
        value.to_string().into()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        let description = "A whole number of MiB, or a whole number with its unit: `B`, `KiB`, \
            `MiB`, `GiB`, `TiB`, or `K`, `M`, `G`, `T` for the same powers of 1024.";
        definitions.define("Size", description, |_| {
            Kind::Other(json!({
                "anyOf": [
                    { "type": "integer", "minimum": 0, "maximum": LARGEST / MIB },
                    {
                        "type": "string",
                        "pattern": "^[0-9]+( ?(B|[KMGT](iB)?))?$",
                        "$comment": "a whole number with its unit, such as 2GiB",
                    },
                ],
            }))
        })
    }
}

/// A size that the text may have been meant to be: of another case, or with a decimal unit.
fn intended(text: &str) -> Option<String> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim();
    let digits = text.get(..text.len() - unit.len())?.trim();
    let power = unit.chars().next()?.to_ascii_uppercase();
    let rest = unit.get(1..)?.to_ascii_lowercase();
    let size: Size = match rest.as_str() {
        "" | "b" | "ib" => format!("{digits}{power}").parse().ok()?,
        _ => return None,
    };
    Some(match (rest.as_str(), unit) {
        ("b", _) if power != 'B' => {
            format!("sizes are in powers of 1024: did you mean {size}?")
        }
        _ => format!("did you mean {size}?"),
    })
}

/// A size of at least `MIB` MiB.
pub(crate) struct AtLeast<const MIB: u64>;

impl<const MIB: u64> Form<Size> for AtLeast<MIB> {
    fn accepted() -> String {
        format!("a size of at least {}", Size::from_mib(MIB))
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Size> {
        let size = Size::decode(node, reader)?;
        if size < Size::from_mib(MIB) {
            reader.report(size.to_string(), Self::accepted(), None);
            return None;
        }
        Some(size)
    }

    fn encode(value: &Size) -> Json {
        Size::encode(value)
    }

    fn schema(definitions: &mut Definitions) -> Json {
        Size::schema(definitions)
    }
}
