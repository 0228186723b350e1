//! Values of any serde format, counted while they are made.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::Error;
use crate::limits::Budget;

/// What the TOML parser calls the one key of a date.
const TOML_DATE: &str = "$__toml_private_datetime";

/// The budget of one parse, and the bound that was met.
pub(super) struct Meter<'b> {
    budget: RefCell<&'b mut Budget>,
    met: RefCell<Option<Error>>,
}

impl<'b> Meter<'b> {
    pub(super) fn new(budget: &'b mut Budget) -> Self {
        Self {
            budget: RefCell::new(budget),
            met: RefCell::default(),
        }
    }

    /// The seed of a whole document.
    pub(super) fn seed(&self) -> Seed<'_, 'b> {
        Seed {
            meter: self,
            depth: 0,
        }
    }

    /// The bound that was met, else what the parser said.
    pub(super) fn error(&self, format: &'static str, said: impl fmt::Display) -> Error {
        let met = self.met.borrow_mut().take();
        met.unwrap_or_else(|| Error::syntax(format, said))
    }

    fn enter(&self, depth: usize) -> Result<(), Error> {
        let mut budget = self.budget.borrow_mut();
        budget.take(1).and_then(|()| budget.deep(depth))
    }
}

pub(super) struct Seed<'m, 'b> {
    meter: &'m Meter<'b>,
    depth: usize,
}

impl Seed<'_, '_> {
    fn below(&self) -> Self {
        Self {
            meter: self.meter,
            depth: self.depth + 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        if let Err(error) = self.meter.enter(self.depth) {
            let text = error.to_string();
            *self.meter.met.borrow_mut() = Some(error);
            return Err(D::Error::custom(text));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element_seed(self.below())? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = from.next_key::<String>()? {
            let value = from.next_value_seed(self.below())?;
            if key == TOML_DATE {
                return Ok(value);
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// A number, or its name where JSON has no number for it.
pub(super) fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => ".nan".into(),
        None if value > 0.0 => ".inf".into(),
        None => "-.inf".into(),
    }
}
