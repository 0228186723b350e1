//! INI files: sections of keys with text values.

use ini::{Ini, ParseOption};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::limits::Budget;

/// Parses an INI file. Keys before the first section stand at the top; a key that is there several times, as
/// in units of systemd, becomes a list. Values are text: INI has nothing else.
pub fn ini(text: &str, budget: &mut Budget) -> Result<Value, Error> {
    // What the parser keeps for each line is larger than the line.
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    budget.take(lines)?;
    let how = ParseOption {
        enabled_quote: false,
        enabled_escape: false,
        ..ParseOption::default()
    };
    let file = Ini::load_from_str_opt(text, how).map_err(|error| Error::syntax("INI", error))?;
    let mut top = Map::new();
    for (section, properties) in &file {
        let mut keys = Map::new();
        for (key, value) in properties {
            budget.take(1)?;
            add(&mut keys, key, value);
        }
        match section {
            None => top.extend(keys),
            Some(name) => match top.get_mut(name) {
                // The same section once more.
                Some(Value::Object(known)) => {
                    for (key, value) in keys {
                        match value {
                            Value::Array(values) => values
                                .iter()
                                .filter_map(Value::as_str)
                                .for_each(|value| add(known, &key, value)),
                            value => add(known, &key, value.as_str().unwrap_or_default()),
                        }
                    }
                }
                _ => drop(top.insert(name.to_owned(), Value::Object(keys))),
            },
        }
    }
    Ok(Value::Object(top))
}

fn add(keys: &mut Map<String, Value>, key: &str, value: &str) {
    match keys.get_mut(key) {
        None => drop(keys.insert(key.to_owned(), value.into())),
        Some(Value::Array(values)) => values.push(value.into()),
        Some(single) => *single = Value::Array(vec![single.take(), value.into()]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;

    #[test]
    fn units_of_systemd_are_read_as_they_are() {
        let text = "# unit\n[Unit]\nDescription=A \"thing\"\nAfter=a.service\nAfter=b.service\n\n[Service]\n\
                    ExecStart=/bin/sh -c 'echo \\n'\n[Unit]\nAfter=c.service\n";
        let value = ini(text, &mut Budget::new(Limits::default())).unwrap();
        assert_eq!(
            value,
            json!({
                "Unit": { "Description": "A \"thing\"", "After": ["a.service", "b.service", "c.service"] },
                "Service": { "ExecStart": "/bin/sh -c 'echo \\n'" },
            })
        );
    }
}
