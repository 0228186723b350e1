//! XML (1.0) to values: no DTD is read, and no entity but XML's own five is expanded.

use std::collections::BTreeMap;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::limits::Budget;

const FORMAT: &str = "XML";

/// An element whose end has not come yet.
#[derive(Default)]
struct Element {
    name: String,
    content: Map<String, Value>,
    text: String,
}

/// Parses an XML document.
///
/// The result has one key, the root's name. An element with attributes or children is an object: attributes
/// as `@name`, children as a list under their name, text as `#text`. One with neither is its text. Other
/// entities than XML's own stay as they are written.
pub fn xml(text: &str, budget: &mut Budget) -> Result<Value, Error> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = Map::new();
    loop {
        budget.take(1)?;
        let event = reader
            .read_event()
            .map_err(|error| wrong(text, reader.buffer_position(), error))?;
        match event {
            Event::Start(tag) => {
                budget.deep(open.len() + 1)?;
                open.push(element(&tag, budget)?);
            }
            Event::Empty(tag) => {
                let element = element(&tag, budget)?;
                close(element, open.last_mut(), &mut root)?;
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(element, open.last_mut(), &mut root)?;
                }
            }
            Event::Text(part) => {
                let part = part.xml10_content();
                match open.last_mut() {
                    Some(element) => element.text.push_str(&part),
                    None if part.trim().is_empty() => {}
                    None => return Err(Error::syntax(FORMAT, "text outside of the root element")),
                }
            }
            Event::CData(part) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&part.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                if let Some(element) = open.last_mut() {
                    match reference.resolve_char_ref() {
                        Ok(Some(character)) => element.text.push(character),
                        Ok(None) => {
                            let name = reference.xml10_content();
                            match resolve_xml_entity(&name) {
                                Some(known) => element.text.push_str(known),
                                None => element.text.push_str(&format!("&{name};")),
                            }
                        }
                        Err(error) => {
                            return Err(wrong(text, reader.buffer_position(), error));
                        }
                    }
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    match (open.is_empty(), root.len()) {
        (false, _) => Err(Error::syntax(FORMAT, "it ends within an element")),
        (true, 1) => Ok(Value::Object(root)),
        (true, _) => Err(Error::syntax(FORMAT, "it has not one root element")),
    }
}

fn wrong(text: &str, place: u64, error: impl std::fmt::Display) -> Error {
    let line = super::line_of(text, usize::try_from(place).unwrap_or(usize::MAX));
    Error::syntax(FORMAT, format!("line {line}: {error}"))
}

fn element(tag: &BytesStart<'_>, budget: &mut Budget) -> Result<Element, Error> {
    let mut element = Element {
        name: text_of(tag.name().as_ref()),
        ..Element::default()
    };
    // The check for repeated names takes time in the square of their number; the map finds them as well.
    for attribute in tag.attributes().with_checks(false) {
        budget.take(1)?;
        let attribute = attribute.map_err(|error| Error::syntax(FORMAT, error))?;
        let name = format!("@{}", text_of(attribute.key.as_ref()));
        let known = attribute.normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_xml_entity);
        let value = match known {
            Ok(value) => value.into_owned(),
            // An entity that the document defines itself.
            Err(_) => attribute.value.clone().into_owned(),
        };
        if element.content.insert(name, value.into()).is_some() {
            return Err(Error::syntax(FORMAT, "an attribute is there twice"));
        }
    }
    Ok(element)
}

fn text_of(text: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(text.as_ref()).into_owned()
}

/// Puts a complete element where it belongs.
fn close(
    element: Element,
    parent: Option<&mut Element>,
    root: &mut Map<String, Value>,
) -> Result<(), Error> {
    let Element {
        name,
        mut content,
        text,
    } = element;
    let text = text.trim();
    let value = match content.is_empty() {
        true => Value::from(text),
        false => {
            if !text.is_empty() {
                content.insert("#text".to_owned(), text.into());
            }
            Value::Object(content)
        }
    };
    let Some(parent) = parent else {
        return match root.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(Error::syntax(FORMAT, "it has not one root element")),
        };
    };
    match parent.content.get_mut(&name) {
        Some(Value::Array(list)) => list.push(value),
        _ => drop(parent.content.insert(name, Value::Array(vec![value]))),
    }
    Ok(())
}

/// The namespaces that are declared anywhere in a document that [`xml`] has read, by prefix; the one without
/// a prefix under an empty text. At most 64.
pub fn namespaces(document: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(document, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeMap<String, String>) {
    const MOST: usize = 64;
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let prefix = match key.strip_prefix("@xmlns") {
                    Some("") => Some(""),
                    Some(rest) => rest.strip_prefix(':'),
                    None => None,
                };
                match (prefix, value) {
                    (Some(prefix), Value::String(name)) if found.len() < MOST => {
                        found
                            .entry(prefix.to_owned())
                            .or_insert_with(|| name.clone());
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::Limits;

    fn parsed(text: &str) -> Result<Value, Error> {
        xml(text, &mut Budget::new(Limits::default()))
    }

    #[test]
    fn elements_attributes_and_text() {
        let text = "<?xml version='1.0'?><!-- c --><n:a xmlns:n='urn:x' xmlns='urn:y' k='1 &lt; 2'>\
                    <b>x &amp; y&#33;</b><b/><c><![CDATA[<raw>]]></c>tail</n:a>\n";
        let value = parsed(text).unwrap();
        assert_eq!(
            value,
            json!({ "n:a": {
                "@xmlns:n": "urn:x", "@xmlns": "urn:y", "@k": "1 < 2",
                "b": ["x & y!", ""], "c": ["<raw>"], "#text": "tail",
            } })
        );
        let names = namespaces(&value);
        assert_eq!(names["n"], "urn:x");
        assert_eq!(names[""], "urn:y");
    }

    #[test]
    fn entities_of_the_document_are_not_expanded() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'xxxxxxxx'><!ENTITY y '&x;&x;&x;'>\
                    <!ENTITY f SYSTEM 'file:///etc/passwd'>]><a b='&y;'>&y;&f;</a>";
        let value = parsed(bomb).unwrap();
        assert_eq!(value, json!({ "a": { "@b": "&y;", "#text": "&y;&f;" } }));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><a/>",
            "<a/><b/>",
            "<a b='1' b='2'/>",
            "<a/>x",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
