//! The members of a JSON object: each is taken once, and what is left over is an error.

use serde_json::{Map, Value as Json};

use super::fault::{Fault, Kind};

/// Whether a text is an `<id>` (RFC 7047, section 3.1).
pub(crate) fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// An object that is being read.
pub(crate) struct Members<'a> {
    whole: &'a Json,
    object: &'a Map<String, Json>,
    /// What the object is, for the errors.
    what: String,
    taken: Vec<&'static str>,
    failed: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn of(json: &'a Json, what: impl Into<String>) -> Result<Self, Fault> {
        let what = what.into();
        match json {
            Json::Object(object) => Ok(Self {
                whole: json,
                object,
                what,
                taken: Vec::new(),
                failed: false,
            }),
            _ => {
                let details = format!("Parsing {what} failed: Object expected.");
                Err(Fault::new(Kind::Syntax, details))
            }
        }
    }

    /// Whether a member was not as it must be.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// An error about the object.
    pub(crate) fn fault(&mut self, why: &str) -> Fault {
        self.failed = true;
        Fault::syntax(self.whole, format!("Parsing {} failed: {why}", self.what))
    }

    pub(crate) fn whole(&self) -> &'a Json {
        self.whole
    }

    /// Any value.
    pub(crate) fn any(&mut self, name: &'static str) -> Option<&'a Json> {
        self.taken.push(name);
        self.object.get(name)
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(json) = self.any(name) else {
            return Ok(None);
        };
        let read = read(json);
        if read.is_none() {
            return Err(self.fault(&format!("Type mismatch for member '{name}'.")));
        }
        Ok(read)
    }

    fn required<T>(&mut self, name: &str, found: Option<T>) -> Result<T, Fault> {
        found.ok_or_else(|| self.fault(&format!("Required '{name}' member is missing.")))
    }

    pub(crate) fn optional_string(&mut self, name: &'static str) -> Result<Option<&'a str>, Fault> {
        self.optional(name, Json::as_str)
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Result<&'a str, Fault> {
        let found = self.optional_string(name)?;
        self.required(name, found)
    }

    pub(crate) fn optional_id(&mut self, name: &'static str) -> Result<Option<&'a str>, Fault> {
        self.optional(name, |json| json.as_str().filter(|text| is_id(text)))
    }

    pub(crate) fn id(&mut self, name: &'static str) -> Result<&'a str, Fault> {
        let found = self.optional_id(name)?;
        self.required(name, found)
    }

    pub(crate) fn optional_array(&mut self, name: &'static str) -> Result<Option<&'a Json>, Fault> {
        self.optional(name, |json| json.is_array().then_some(json))
    }

    pub(crate) fn array(&mut self, name: &'static str) -> Result<&'a Json, Fault> {
        let found = self.optional_array(name)?;
        self.required(name, found)
    }

    pub(crate) fn optional_object(
        &mut self,
        name: &'static str,
    ) -> Result<Option<&'a Json>, Fault> {
        self.optional(name, |json| json.is_object().then_some(json))
    }

    pub(crate) fn object(&mut self, name: &'static str) -> Result<&'a Json, Fault> {
        let found = self.optional_object(name)?;
        self.required(name, found)
    }

    pub(crate) fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        self.optional(name, Json::as_bool)
    }

    pub(crate) fn bool(&mut self, name: &'static str) -> Result<bool, Fault> {
        let found = self.optional_bool(name)?;
        self.required(name, found)
    }

    pub(crate) fn optional_integer(&mut self, name: &'static str) -> Result<Option<i64>, Fault> {
        self.optional(name, integer)
    }

    pub(crate) fn optional_number(&mut self, name: &'static str) -> Result<Option<f64>, Fault> {
        self.optional(name, Json::as_f64)
    }

    /// Refuses members that nobody took.
    pub(crate) fn finish(mut self) -> Result<(), Fault> {
        let unknown = |name: &&String| !self.taken.contains(&name.as_str());
        match self.object.keys().find(unknown) {
            Some(name) => {
                Err(self.fault(&format!("Member '{name}' is present but not allowed here.")))
            }
            None => Ok(()),
        }
    }
}

/// A whole number, also one that is written with a fraction of zero.
pub(crate) fn integer(json: &Json) -> Option<i64> {
    /// 2^63: the first number that no `i64` holds.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    json.as_i64().or_else(|| {
        let number = json.as_f64()?;
        let fits = number.fract() == 0.0 && (-BEYOND..BEYOND).contains(&number);
        #[allow(clippy::cast_possible_truncation)]
        (fits && !json.is_u64()).then_some(number as i64)
    })
}
