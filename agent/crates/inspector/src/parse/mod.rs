//! Structured formats to one kind of value, JSON's: bounded, and without looking at anything outside.

mod ini;
mod seed;
mod xml;
mod yaml;

use serde::de::DeserializeSeed;
use serde_json::Value;

pub use xml::namespaces;

use crate::error::Error;
use crate::limits::Budget;
use seed::Meter;

/// Parses JSON (RFC 8259). Of a key that is there twice the last value counts.
pub fn json(text: &str, budget: &mut Budget) -> Result<Value, Error> {
    let meter = Meter::new(budget);
    let mut from = serde_json::Deserializer::from_str(text);
    let value = meter.seed().deserialize(&mut from);
    let value = value.map_err(|error| meter.error("JSON", error))?;
    from.end().map_err(|error| meter.error("JSON", error))?;
    Ok(value)
}

/// Parses JSON lines: one value a line, empty lines left out. The result is a list.
pub fn json_lines(text: &str, budget: &mut Budget) -> Result<Value, Error> {
    let mut values = Vec::new();
    for (place, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let value = json(line, budget).map_err(|error| match error {
            Error::Syntax { reason, .. } => {
                Error::syntax("JSON lines", format!("line {}: {reason}", place + 1))
            }
            limit => limit,
        })?;
        values.push(value);
    }
    Ok(Value::Array(values))
}

/// Parses TOML 1.1. Dates become text.
pub fn toml(text: &str, budget: &mut Budget) -> Result<Value, Error> {
    let meter = Meter::new(budget);
    let from = toml::Deserializer::parse(text);
    let value = from.and_then(|from| meter.seed().deserialize(from));
    value.map_err(|error| {
        let place = error.span().map(|span| line_of(text, span.start));
        let message = error.message();
        match place {
            Some(line) => meter.error("TOML", format!("line {line}: {message}")),
            None => meter.error("TOML", message),
        }
    })
}

pub use ini::ini;
pub use xml::xml;
pub use yaml::yaml;

/// The line that a byte is in, counted from 1.
fn line_of(text: &str, place: usize) -> usize {
    let before = text.as_bytes().iter().take(place);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;

    type Parse = fn(&str, &mut Budget) -> Result<Value, Error>;
    const ALL: [Parse; 6] = [json, json_lines, toml, ini, xml, yaml];

    fn parsed(parse: Parse, text: &str) -> Result<Value, Error> {
        parse(text, &mut Budget::new(Limits::default()))
    }

    #[test]
    fn each_format_becomes_values() {
        let toml = parsed(super::toml, "a = 1979-05-27T07:32:00Z\n[b]\nc = [1, 2.5]").unwrap();
        assert_eq!(
            toml,
            json!({"a": "1979-05-27T07:32:00Z", "b": {"c": [1, 2.5]}})
        );
        let lines = parsed(json_lines, "{\"a\":1}\n\n{\"a\":2}\n").unwrap();
        assert_eq!(lines, json!([{"a": 1}, {"a": 2}]));
        let wrong = parsed(json_lines, "{}\n{").unwrap_err();
        assert!(wrong.to_string().contains("line 2"), "{wrong}");
    }

    #[test]
    fn deep_nesting_ends_at_the_limit() {
        for deep in [65, 1000, 200_000] {
            let tags: String = (0..deep).map(|_| "<a>").collect();
            let blocks: String = (0..deep.min(2000))
                .map(|level| format!("{}a:\n", " ".repeat(level)))
                .collect();
            let inline = format!("a = {}1{}", "[".repeat(deep), "]".repeat(deep));
            let dotted = format!("{}a = 1", "a.".repeat(deep));
            for (parse, text) in [
                (json as Parse, "[".repeat(deep)),
                (json, "{\"a\":".repeat(deep)),
                (json_lines, "[".repeat(deep)),
                (super::toml, inline),
                (super::toml, dotted),
                (xml, tags),
                (yaml, "[".repeat(deep)),
                (yaml, "- ".repeat(deep)),
                (yaml, blocks),
            ] {
                assert!(parsed(parse, &text).is_err(), "{}", &text[..20]);
            }
        }
    }

    #[test]
    fn many_values_end_at_the_limit() {
        let mut budget = Budget::new(Limits {
            nodes: 1000,
            ..Limits::default()
        });
        let text = format!("[{}1]", "1,".repeat(2000));
        assert_eq!(json(&text, &mut budget), Err(Error::TooMany(1000)));
        let mut budget = Budget::new(Limits {
            nodes: 1000,
            ..Limits::default()
        });
        let text = format!("<a>{}</a>", "<b/>".repeat(2000));
        assert_eq!(xml(&text, &mut budget), Err(Error::TooMany(1000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,200}") {
            for parse in ALL {
                let _ = parsed(parse, &text);
            }
        }

        #[test]
        fn nor_does_anything_that_looks_like_a_format(
            text in proptest::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", "<a", ">", "</a>", "<!DOCTYPE a [", "<!ENTITY x \"", "&x;", "&#x;", "]]>",
                    "<![CDATA[", "<?xml version=\"1.0\"?>", "\"", "'", ":", "- ", "\n", "  ", "*a", "&a ", "<<: ",
                    "a", "=", "#", "!!str ", "? ", "| ", "1", ",", "\\", "\u{feff}", "\0", "%", "---", "a = ",
                ]), 0..60)
        ) {
            let text = text.concat();
            for parse in ALL {
                let _ = parsed(parse, &text);
            }
        }
    }
}
