//! Column types and their constraints (RFC 7047, section 3.2: `<type>`, `<base-type>`, `<atomic-type>`).

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value as Json, json};

use super::datum::Datum;
use super::fault::{Fault, Kind};
use super::members::{Members, integer, is_id};
use super::symbols::Symbols;
use crate::value::{Atom, Uuid};

/// An `<atomic-type>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtomicType {
    /// A whole number of 64 bits.
    Integer,
    /// A real number.
    Real,
    /// True or false.
    Boolean,
    /// A text.
    String,
    /// A row's identity.
    Uuid,
}

impl AtomicType {
    fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Uuid => "uuid",
        }
    }

    fn from_json(json: &Json) -> Result<Self, Fault> {
        let all = [
            Self::Integer,
            Self::Real,
            Self::Boolean,
            Self::String,
            Self::Uuid,
        ];
        let found = all.into_iter().find(|one| json == one.word());
        found.ok_or_else(|| Fault::syntax(json, "atomic-type expected"))
    }

    /// The default value (RFC 7047, section 5.2.1).
    pub(crate) fn default(self) -> Atom {
        match self {
            Self::Integer => Atom::Integer(0),
            Self::Real => Atom::Real(0.0),
            Self::Boolean => Atom::Boolean(false),
            Self::String => Atom::String(String::new()),
            Self::Uuid => Atom::Uuid(super::symbols::nil()),
        }
    }
}

impl fmt::Display for AtomicType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a reference does to the row that it points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strength {
    /// The row may not go, and in a table that is no root it lives as long as it is referred to.
    Strong,
    /// The row may go, and the reference goes with it.
    Weak,
}

/// Bounds of a value, by its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Bounds {
    None,
    Integer(Option<i64>, Option<i64>),
    Real(Option<f64>, Option<f64>),
    Length(Option<i64>, Option<i64>),
    Reference(String, Strength),
}

/// A `<base-type>`: an atomic type and what its values must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BaseType {
    pub(crate) atomic: AtomicType,
    pub(crate) allowed: Option<Datum>,
    pub(crate) bounds: Bounds,
}

impl BaseType {
    pub(crate) fn plain(atomic: AtomicType) -> Self {
        Self {
            atomic,
            allowed: None,
            bounds: Bounds::None,
        }
    }

    fn from_json(json: &Json) -> Result<Self, Fault> {
        if json.is_string() {
            return Ok(Self::plain(AtomicType::from_json(json)?));
        }
        let mut members = Members::of(json, "base type")?;
        let atomic = members.any("type");
        let atomic =
            atomic.ok_or_else(|| Fault::syntax(json, "required 'type' member is missing"))?;
        let mut base = Self::plain(AtomicType::from_json(atomic)?);
        if let Some(allowed) = members.any("enum") {
            let several = Cardinality { min: 1, max: None };
            base.allowed = Some(Datum::from_json(allowed, &base, None, several, None)?);
        }
        base.bounds = Bounds::read(base.atomic, &mut members)?;
        members.finish()?;
        Ok(base)
    }

    fn to_json(&self) -> Json {
        if self.allowed.is_none() && self.bounds == Bounds::None {
            return json!(self.atomic.word());
        }
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(self.atomic.word()));
        if let Some(allowed) = &self.allowed {
            object.insert("enum".to_owned(), allowed.to_json());
        }
        self.bounds.write(&mut object);
        Json::Object(object)
    }

    /// The table that values point to.
    pub(crate) fn reference(&self) -> Option<(&str, Strength)> {
        match &self.bounds {
            Bounds::Reference(table, strength) => Some((table, *strength)),
            _ => None,
        }
    }

    /// An `<atom>` of this type (RFC 7047, section 5.1).
    pub(crate) fn atom(&self, json: &Json, symbols: Option<&mut Symbols>) -> Result<Atom, Fault> {
        let wrong = || Fault::syntax(json, format!("expected {}", self.atomic));
        let atom = match (self.atomic, json) {
            (AtomicType::Integer, Json::Number(_)) => {
                integer(json).map(Atom::Integer).ok_or_else(wrong)?
            }
            (AtomicType::Real, Json::Number(number)) => {
                let number = number.as_f64().filter(|number| number.is_finite());
                Atom::Real(number.ok_or_else(wrong)?)
            }
            (AtomicType::Boolean, Json::Bool(truth)) => Atom::Boolean(*truth),
            (AtomicType::String, Json::String(text)) => Atom::String(text.clone()),
            (AtomicType::Uuid, _) => Atom::Uuid(identity(json, symbols)?),
            _ => return Err(wrong()),
        };
        self.check(&atom)?;
        Ok(atom)
    }

    /// Whether a value satisfies the constraints.
    pub(crate) fn check(&self, atom: &Atom) -> Result<(), Fault> {
        let refuse = |why: String| {
            Err(Fault::new(
                Kind::Constraint,
                format!("{} {why}", plain(atom)),
            ))
        };
        if let Some(allowed) = &self.allowed
            && !allowed.has(atom)
        {
            let allowed: Vec<String> = allowed.atoms(false).map(plain).collect();
            let allowed = allowed.join(", ");
            return refuse(format!("is not one of the allowed values ([{allowed}])"));
        }
        match (&self.bounds, atom) {
            (Bounds::Integer(min, max), Atom::Integer(number)) => {
                beyond(number, min, max, "value").map_or(Ok(()), refuse)
            }
            (Bounds::Real(min, max), Atom::Real(number)) => {
                beyond(number, min, max, "value").map_or(Ok(()), refuse)
            }
            (Bounds::Length(min, max), Atom::String(text)) => {
                let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                let Some(why) = beyond(&length, min, max, "length") else {
                    return Ok(());
                };
                let details = format!("{} length {length} {why}", atom.to_json());
                Err(Fault::new(Kind::Constraint, details))
            }
            _ => Ok(()),
        }
    }
}

/// A `<uuid>` or `<named-uuid>`.
fn identity(json: &Json, symbols: Option<&mut Symbols>) -> Result<Uuid, Fault> {
    let pair = json.as_array().map_or(&[][..], Vec::as_slice);
    match (pair, symbols) {
        ([Json::String(tag), Json::String(text)], _) if tag == "uuid" => text
            .parse()
            .map_err(|_| Fault::syntax(json, format!("\"{text}\" is not a valid UUID"))),
        ([Json::String(tag), Json::String(name)], Some(symbols)) if tag == "named-uuid" => {
            if !is_id(name) {
                return Err(Fault::syntax(json, "named-uuid string is not a valid <id>"));
            }
            symbols.named(name)
        }
        _ => Err(Fault::syntax(json, "expected [\"uuid\", <string>]")),
    }
}

/// Why a value does not lie between bounds.
fn beyond<T: PartialOrd + fmt::Display>(
    value: &T,
    min: &Option<T>,
    max: &Option<T>,
    what: &str,
) -> Option<String> {
    match (min, max) {
        (Some(min), Some(max)) if value < min || value > max => Some(format!(
            "is not in the valid range {min} to {max} (inclusive)"
        )),
        (Some(min), None) if value < min => {
            Some(format!("is less than minimum allowed {what} {min}"))
        }
        (None, Some(max)) if value > max => {
            Some(format!("is greater than maximum allowed {what} {max}"))
        }
        _ => None,
    }
}

/// A value as texts for people show it: without quotes if it is a word.
pub(crate) fn plain(atom: &Atom) -> String {
    let is_word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && text
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || "_-.".contains(one))
            && !matches!(text, "true" | "false")
    };
    match atom {
        Atom::String(text) if is_word(text) => text.clone(),
        Atom::Uuid(uuid) => uuid.to_string(),
        atom => atom.to_json().to_string(),
    }
}

impl Bounds {
    fn read(atomic: AtomicType, members: &mut Members<'_>) -> Result<Self, Fault> {
        let whole = members.whole();
        let bounds = match atomic {
            AtomicType::Integer => Self::Integer(
                members.optional_integer("minInteger")?,
                members.optional_integer("maxInteger")?,
            ),
            AtomicType::Real => Self::Real(
                members.optional_number("minReal")?,
                members.optional_number("maxReal")?,
            ),
            AtomicType::String => {
                let length = |found: Option<i64>| match found {
                    Some(length) if length < 0 => Err(Fault::syntax(whole, "a negative length")),
                    found => Ok(found),
                };
                Self::Length(
                    // No text is shorter than that.
                    length(members.optional_integer("minLength")?)?.filter(|min| *min > 0),
                    length(members.optional_integer("maxLength")?)?,
                )
            }
            AtomicType::Uuid => Self::reference(members)?,
            AtomicType::Boolean => Self::None,
        };
        let contradiction = match &bounds {
            Self::Integer(Some(min), Some(max)) | Self::Length(Some(min), Some(max)) => min > max,
            Self::Real(Some(min), Some(max)) => min > max,
            _ => false,
        };
        if contradiction {
            return Err(Fault::syntax(whole, "the minimum exceeds the maximum"));
        }
        Ok(match bounds {
            Self::Integer(None, None) | Self::Real(None, None) | Self::Length(None, None) => {
                Self::None
            }
            bounds => bounds,
        })
    }

    fn reference(members: &mut Members<'_>) -> Result<Self, Fault> {
        let Some(table) = members.optional_id("refTable")? else {
            return Ok(Self::None);
        };
        let strength = match members.optional_string("refType")? {
            None | Some("strong") => Strength::Strong,
            Some("weak") => Strength::Weak,
            Some(_) => {
                return Err(Fault::syntax(
                    members.whole(),
                    "refType must be \"strong\" or \"weak\"",
                ));
            }
        };
        Ok(Self::Reference(table.to_owned(), strength))
    }

    fn write(&self, object: &mut Map<String, Json>) {
        let mut put = |name: &str, bound: Option<Json>| {
            if let Some(bound) = bound {
                object.insert(name.to_owned(), bound);
            }
        };
        match self {
            Self::None => {}
            Self::Integer(min, max) => {
                put("minInteger", min.map(Json::from));
                put("maxInteger", max.map(Json::from));
            }
            Self::Real(min, max) => {
                put("minReal", min.map(Json::from));
                put("maxReal", max.map(Json::from));
            }
            Self::Length(min, max) => {
                put("minLength", min.map(Json::from));
                put("maxLength", max.map(Json::from));
            }
            Self::Reference(table, strength) => {
                put("refTable", Some(json!(table)));
                put(
                    "refType",
                    (*strength == Strength::Weak).then(|| json!("weak")),
                );
            }
        }
    }
}

/// How many elements a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cardinality {
    pub(crate) min: usize,
    /// `None` is `"unlimited"`.
    pub(crate) max: Option<usize>,
}

impl Cardinality {
    pub(crate) const ONE: Self = Self {
        min: 1,
        max: Some(1),
    };

    pub(crate) fn check(self, count: usize) -> Result<(), String> {
        if count >= self.min && self.max.is_none_or(|max| count <= max) {
            return Ok(());
        }
        if self == Self::ONE {
            return Err(format!(
                "must have exactly one member but {count} are present"
            ));
        }
        // What the largest number of elements is called.
        let most = self.max.map_or(u64::from(u32::MAX), |max| max as u64);
        let least = self.min;
        Err(format!(
            "must have {least} to {most} members but {count} are present"
        ))
    }
}

/// A column's `<type>`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnType {
    pub(crate) key: BaseType,
    pub(crate) value: Option<BaseType>,
    pub(crate) count: Cardinality,
}

impl ColumnType {
    pub(crate) fn scalar(atomic: AtomicType) -> Self {
        Self {
            key: BaseType::plain(atomic),
            value: None,
            count: Cardinality::ONE,
        }
    }

    /// Exactly one element, and no map.
    pub(crate) fn is_scalar(&self) -> bool {
        self.value.is_none() && self.count == Cardinality::ONE
    }

    /// At most one element, and no map.
    pub(crate) fn is_single(&self) -> bool {
        self.value.is_none() && self.count.max == Some(1)
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        match self.value {
            None if self.is_scalar() => self.key.atomic.to_string(),
            _ => self.describe(),
        }
    }

    /// In words, with numbers of elements.
    pub(crate) fn describe(&self) -> String {
        let Cardinality { min, max } = self.count;
        let count = match (min, max) {
            (0, None) => String::new(),
            (min, None) => format!("{min} or more "),
            (0, Some(max)) => format!("up to {max} "),
            (min, Some(max)) => format!("{min} to {max} "),
        };
        match &self.value {
            None => format!("set of {count}{}s", self.key.atomic),
            Some(value) => format!(
                "map of {count}({}, {}) pairs",
                self.key.atomic, value.atomic
            ),
        }
    }

    pub(crate) fn bases(&self) -> impl Iterator<Item = &BaseType> {
        std::iter::once(&self.key).chain(&self.value)
    }

    pub(crate) fn from_json(json: &Json) -> Result<Self, Fault> {
        if json.is_string() {
            return Ok(Self::scalar(AtomicType::from_json(json)?));
        }
        let mut members = Members::of(json, "type")?;
        let key = members.any("key");
        let key = key.ok_or_else(|| Fault::syntax(json, "required 'key' member is missing"))?;
        let key = BaseType::from_json(key)?;
        let value = members.any("value").map(BaseType::from_json).transpose()?;
        let min = match members.optional_integer("min")? {
            None | Some(1) => 1,
            Some(0) => 0,
            Some(_) => return Err(Fault::syntax(json, "min must be 0 or 1")),
        };
        let max =
            match members.any("max") {
                None => Some(1),
                Some(Json::String(text)) if text == "unlimited" => None,
                Some(max) => {
                    let max = integer(max).and_then(|max| usize::try_from(max).ok());
                    let max = max.filter(|max| *max >= 1);
                    Some(max.ok_or_else(|| {
                        Fault::syntax(json, "max must be positive or \"unlimited\"")
                    })?)
                }
            };
        members.finish()?;
        Ok(Self {
            key,
            value,
            count: Cardinality { min, max },
        })
    }

    pub(crate) fn to_json(&self) -> Json {
        let key = self.key.to_json();
        if self.is_scalar() && key.is_string() {
            return key;
        }
        let mut object = Map::new();
        object.insert("key".to_owned(), key);
        if let Some(value) = &self.value {
            object.insert("value".to_owned(), value.to_json());
        }
        if self.count.min != 1 {
            object.insert("min".to_owned(), json!(self.count.min));
        }
        match self.count.max {
            None => object.insert("max".to_owned(), json!("unlimited")),
            Some(1) => None,
            Some(max) => object.insert("max".to_owned(), json!(max)),
        };
        Json::Object(object)
    }
}

/// The order of values of one type, as the server sorts them.
pub(crate) fn compare(one: &Atom, other: &Atom) -> Ordering {
    one.partial_cmp(other).unwrap_or(Ordering::Equal)
}

/// Whether a name may be given to a table or column: one that starts with `_` belongs to the protocol.
pub(crate) fn is_free_name(name: &str) -> bool {
    is_id(name) && !name.starts_with('_')
}
