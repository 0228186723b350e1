//! Answers within what clients take: what is too large is cut, and the rest is kept for whoever asks.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use tools::json_size;
use zbus::Signature;

/// The most JSON of one answer, in bytes; the server allows 60,000 with what is around it.
pub(super) const LARGEST: usize = 56_000;
/// How many rests are kept, and how many bytes of JSON in all. The oldest goes first.
const MOST_RESTS: usize = 32;
const MOST_BYTES: usize = 32 << 20;
/// How many places of one answer are cut.
const MOST_CUTS: usize = 16;

/// The key in an answer that says what was cut.
pub(super) const MORE: &str = "_more";

/// What is known of a value that may be cut.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    /// It has to go on being of its type.
    Typed(&'a Signature),
    /// It is anything.
    Free,
}

/// Something that was cut out: where, how much of how much is shown, and the rest.
struct Cut {
    path: String,
    shown: usize,
    total: usize,
    rest: Value,
}

/// The rests of answers that were cut.
#[derive(Default)]
pub(super) struct Pages(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    rests: VecDeque<(String, String, Value, usize)>,
    bytes: usize,
    count: u64,
}

impl Pages {
    /// Cuts the fields of an answer so that it can be given, and says in `_more` what was cut. `None` if that
    /// cannot be.
    pub(super) fn fit(&self, fields: Vec<(String, Value, Shape<'_>)>) -> Option<Value> {
        let sizes = fields
            .iter()
            .map(|(name, value, _)| name.len() + 4 + json_size(value));
        if sizes.sum::<usize>() <= LARGEST {
            let fields = fields.into_iter().map(|(name, value, _)| (name, value));
            return Some(Value::Object(fields.collect()));
        }
        let mut cuts = Vec::new();
        let mut cutter = Cutter { cuts: &mut cuts };
        let shown = cutter.share("", fields, LARGEST)?;
        let mut shown: Map<String, Value> = shown.into_iter().collect();
        let more = cuts.into_iter().map(|cut| self.keep(cut));
        shown.insert(MORE.to_owned(), more.collect());
        Some(Value::Object(shown))
    }

    /// The next part of what was cut out. The same cursor may be asked for again.
    pub(super) fn next(&self, cursor: &str) -> Option<Value> {
        let (path, rest) = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let found = kept.rests.iter().find(|(known, ..)| known == cursor)?;
            (found.1.clone(), found.2.clone())
        };
        let rest = vec![
            ("path".to_owned(), path.into(), Shape::Free),
            ("rest".to_owned(), rest, Shape::Free),
        ];
        self.fit(rest)
    }

    fn keep(&self, cut: Cut) -> Value {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        let cursor = format!("rest-{}", kept.count);
        let bytes = json_size(&cut.rest);
        kept.bytes += bytes;
        let told = json!({
            "path": cut.path, "shown": cut.shown, "total": cut.total, "cursor": cursor,
        });
        kept.rests.push_back((cursor, cut.path, cut.rest, bytes));
        while kept.rests.len() > MOST_RESTS || kept.bytes > MOST_BYTES {
            let Some((.., bytes)) = kept.rests.pop_front() else {
                break;
            };
            kept.bytes -= bytes;
        }
        told
    }
}

/// The schema of `_more`.
pub(super) fn schema() -> Value {
    json!({
        "type": "array",
        "description": "What was cut out of a large answer; call `more` with a cursor for the rest",
        "items": {
            "type": "object",
            "properties": {
                "path": { "type": "string", "description": "where, as a JSON Pointer" },
                "shown": { "type": "integer", "description": "items, or bytes of text, that are here" },
                "total": { "type": "integer" },
                "cursor": { "type": "string" },
            },
            "required": ["path", "shown", "total", "cursor"],
        },
    })
}

struct Cutter<'a> {
    cuts: &'a mut Vec<Cut>,
}

type Child<'a> = (String, Value, Shape<'a>);

impl Cutter<'_> {
    /// Cuts a value to at most `room` bytes; `None` if its type allows no cut.
    fn cut(&mut self, path: &str, value: Value, shape: Shape<'_>, room: usize) -> Option<Value> {
        if json_size(&value) <= room {
            return Some(value);
        }
        match (shape, value) {
            (Shape::Typed(Signature::Array(item)), Value::String(text))
                if **item == Signature::U8 =>
            {
                self.base64(path, text, room)
            }
            (Shape::Typed(Signature::Array(item)), value) if **item == Signature::U8 => {
                // `{"text": …}`: bytes that are text.
                let Value::Object(object) = value else {
                    return None;
                };
                let fields = object
                    .into_iter()
                    .map(|(name, value)| (name, value, Shape::Free));
                let fields = self.share(path, fields.collect(), room)?;
                Some(Value::Object(fields.into_iter().collect()))
            }
            (Shape::Typed(Signature::Array(item)), Value::Array(items)) => {
                self.list(path, items, Shape::Typed(item), room)
            }
            (Shape::Typed(Signature::Dict { value: item, .. }), Value::Object(entries)) => {
                self.dict(path, entries, Shape::Typed(item), room)
            }
            (Shape::Typed(Signature::Structure(types)), Value::Array(items)) => {
                let items = items.into_iter().zip(types.iter()).enumerate();
                let items =
                    items.map(|(at, (item, one))| (at.to_string(), item, Shape::Typed(one)));
                let items = self.share(path, items.collect(), room)?;
                Some(items.into_iter().map(|(_, item)| item).collect())
            }
            (Shape::Typed(Signature::Variant), Value::Object(object))
                if object.len() == 2 && object.contains_key("t") =>
            {
                let fields = object
                    .into_iter()
                    .map(|(name, value)| (name, value, Shape::Free));
                let fields = self.share(path, fields.collect(), room)?;
                Some(Value::Object(fields.into_iter().collect()))
            }
            (
                Shape::Typed(Signature::Str | Signature::Variant) | Shape::Free,
                Value::String(text),
            ) => self.text(path, text, room),
            (Shape::Typed(Signature::Variant) | Shape::Free, Value::Array(items)) => {
                self.list(path, items, Shape::Free, room)
            }
            (Shape::Typed(Signature::Variant) | Shape::Free, Value::Object(entries)) => {
                self.dict(path, entries, Shape::Free, room)
            }
            _ => None,
        }
    }

    /// Divides room among children that all have to stay: the small ones whole, the rest in equal parts.
    fn share(
        &mut self,
        path: &str,
        children: Vec<Child<'_>>,
        room: usize,
    ) -> Option<Vec<(String, Value)>> {
        let mut sizes: Vec<usize> = children
            .iter()
            .map(|(name, value, _)| name.len() + 4 + json_size(value))
            .collect();
        sizes.sort_unstable();
        let mut left = room.checked_sub(2)?;
        let mut most = 0;
        for (index, size) in sizes.iter().enumerate() {
            most = left / (sizes.len() - index);
            if *size > most {
                break;
            }
            left -= size;
        }
        let mut shown = Vec::new();
        for (name, value, shape) in children {
            let below = step(path, &name);
            let own = most.saturating_sub(name.len() + 4);
            let room = if json_size(&value) + name.len() + 4 <= most {
                usize::MAX
            } else {
                own
            };
            shown.push((name, self.cut(&below, value, shape, room)?));
        }
        Some(shown)
    }

    fn list(
        &mut self,
        path: &str,
        mut items: Vec<Value>,
        shape: Shape<'_>,
        room: usize,
    ) -> Option<Value> {
        let total = items.len();
        let fit = fitting(
            items.iter().map(|item| json_size(item) + 1),
            room.checked_sub(2)?,
        );
        let rest = items.split_off(fit.max(1).min(total));
        if fit == 0
            && let Some(first) = items.pop()
        {
            items.push(self.cut(&step(path, "0"), first, shape, room.checked_sub(2)?)?);
        }
        let shown = items.len();
        self.note(path, shown, total, Value::Array(rest))?;
        Some(Value::Array(items))
    }

    fn dict(
        &mut self,
        path: &str,
        entries: Map<String, Value>,
        shape: Shape<'_>,
        room: usize,
    ) -> Option<Value> {
        let total = entries.len();
        let sizes = entries
            .iter()
            .map(|(name, value)| json_size(&json!(name)) + json_size(value) + 2);
        let fit = fitting(sizes, room.checked_sub(2)?);
        let mut entries = entries.into_iter();
        let mut shown: Map<String, Value> = entries.by_ref().take(fit).collect();
        if fit == 0
            && let Some((name, first)) = entries.next()
        {
            let room = room.checked_sub(json_size(&json!(name)) + 4)?;
            let first = self.cut(&step(path, &name), first, shape, room)?;
            shown.insert(name, first);
        }
        let rest: Map<String, Value> = entries.collect();
        self.note(path, shown.len(), total, Value::Object(rest))?;
        Some(Value::Object(shown))
    }

    fn text(&mut self, path: &str, text: String, room: usize) -> Option<Value> {
        let mut left = room.checked_sub(2)?;
        let mut end = 0;
        for character in text.chars() {
            let escaped = match character {
                '"' | '\\' => 2,
                control if control < ' ' => 6,
                other => other.len_utf8(),
            };
            let Some(rest) = left.checked_sub(escaped) else {
                break;
            };
            left = rest;
            end += character.len_utf8();
        }
        if end == 0 {
            return None;
        }
        self.note(path, end, text.len(), text[end..].into())?;
        Some(text[..end].into())
    }

    /// Cut between groups of four characters, so that both parts are base64.
    fn base64(&mut self, path: &str, text: String, room: usize) -> Option<Value> {
        let end = room.checked_sub(2)?.min(text.len()) / 4 * 4;
        if end == 0 || !text.is_char_boundary(end) {
            return None;
        }
        let bytes = |text: &str| BASE64_STANDARD.decode(text).map(|bytes| bytes.len()).ok();
        let (shown, rest) = (bytes(&text[..end])?, bytes(&text[end..])?);
        self.note(path, shown, shown + rest, text[end..].into())?;
        Some(text[..end].into())
    }

    fn note(&mut self, path: &str, shown: usize, total: usize, rest: Value) -> Option<()> {
        let nothing = rest.as_array().is_some_and(Vec::is_empty)
            || rest.as_object().is_some_and(Map::is_empty);
        if nothing {
            return Some(());
        }
        let path = path.to_owned();
        self.cuts.push(Cut {
            path,
            shown,
            total,
            rest,
        });
        (self.cuts.len() <= MOST_CUTS).then_some(())
    }
}

/// How many of the first fit into the room.
fn fitting(sizes: impl Iterator<Item = usize>, room: usize) -> usize {
    let mut left = room;
    sizes
        .take_while(|size| match left.checked_sub(*size) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .count()
}

fn step(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use dbus::mapping::{Mode, output};

    use super::*;

    /// Cuts a value of a type, and puts it together again from its parts.
    fn through(signature: &str, value: &Value) -> (Value, Value, usize) {
        let signature = Signature::try_from(signature).unwrap();
        let pages = Pages::default();
        let fields = vec![("out".to_owned(), value.clone(), Shape::Typed(&signature))];
        let first = pages.fit(fields).unwrap();
        let schema = output(&signature, Mode::Tagged).unwrap();
        let schema = jsonschema::draft202012::new(&schema).unwrap();
        assert!(schema.is_valid(&first["out"]), "{signature}");
        let mut whole = first["out"].clone();
        let mut parts = 1;
        let mut open: Vec<Value> = first[MORE].as_array().cloned().unwrap_or_default();
        while let Some(more) = open.pop() {
            let page = pages.next(more["cursor"].as_str().unwrap()).unwrap();
            assert!(json_size(&page) < 60_000, "{}", json_size(&page));
            parts += 1;
            let path = more["path"].as_str().unwrap().to_owned();
            let place = path
                .strip_prefix("/out")
                .map(|rest| whole.pointer_mut(rest));
            if let Some(place) = place.flatten() {
                join(place, &page["rest"]);
            }
            for mut more in page[MORE].as_array().cloned().unwrap_or_default() {
                // Only rests of rests at their top are put together here.
                assert_eq!(more["path"], "/rest");
                more["path"] = path.clone().into();
                open.push(more);
            }
        }
        (first, whole, parts)
    }

    fn join(place: &mut Value, rest: &Value) {
        match (place, rest) {
            (Value::Array(items), Value::Array(rest)) => items.extend(rest.iter().cloned()),
            (Value::Object(entries), Value::Object(rest)) => {
                entries.extend(rest.iter().map(|(k, v)| (k.clone(), v.clone())));
            }
            (Value::String(text), Value::String(rest)) => text.push_str(rest),
            (place, rest) => panic!("{place} and {rest}"),
        }
    }

    #[test]
    fn every_kind_of_large_value_comes_in_parts_that_are_the_whole() {
        let long = "x\"ä\n".repeat(40_000);
        let cases = [
            ("as", json!(vec!["unit.service"; 20_000])),
            ("a(su)", json!(vec![json!(["unit.service", 7]); 10_000])),
            ("s", json!(long)),
            ("v", json!({ "t": "s", "v": long })),
            ("ay", json!(BASE64_STANDARD.encode(vec![7_u8; 200_000]))),
            ("(sas)", json!(["a", vec!["b"; 50_000]])),
            (
                "a{su}",
                Value::Object(
                    (0..20_000)
                        .map(|n| (format!("key{n:05}"), json!(n)))
                        .collect(),
                ),
            ),
        ];
        for (signature, value) in cases {
            let (first, whole, parts) = through(signature, &value);
            assert!(
                json_size(&first) < 60_000,
                "{signature}: {}",
                json_size(&first)
            );
            assert!(parts > 1, "{signature}");
            assert!(whole == value, "{signature}");
        }
    }

    #[test]
    fn what_fits_is_left_alone() {
        let (first, whole, parts) = through("as", &json!(["a"]));
        assert_eq!((whole, parts), (json!(["a"]), 1));
        assert_eq!(first.get(MORE), None);
    }

    #[test]
    fn an_unknown_cursor_is_none_and_old_rests_go() {
        let pages = Pages::default();
        assert!(pages.next("rest-1").is_none());
        for _ in 0..=MOST_RESTS {
            let value = json!(vec!["x"; 20_000]);
            pages
                .fit(vec![("a".to_owned(), value, Shape::Free)])
                .unwrap();
        }
        assert!(pages.next("rest-1").is_none());
        assert!(pages.next("rest-2").is_some());
    }

    #[test]
    fn what_cannot_be_cut_is_said() {
        let path = Signature::ObjectPath;
        let value = json!("/a".repeat(LARGEST));
        let fields = vec![("a".to_owned(), value, Shape::Typed(&path))];
        assert!(Pages::default().fit(fields).is_none());
    }
}
