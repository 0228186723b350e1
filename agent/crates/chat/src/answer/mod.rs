//! What a tool answered, as people would rather look at it: a table, a tree, a plot, a text.

mod change;
mod headline;
mod readable;
mod table;
mod tree;

use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use change::{thing, verb};
use headline::{counted, headline, listed, plural, singular, standing};
pub use readable::{readable, title};
pub use table::{Column, Table};
pub use tree::Node;

/// How many changes, or remarks, a sentence names.
const SAID: usize = 3;
/// The largest answer that is kept as it came, in bytes of JSON.
const LARGEST_RAW: usize = 32 << 10;

/// An answer in the form that suits it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Answer {
    /// Rows of things that are alike.
    Table(Table),
    /// One thing with parts.
    Tree {
        /// The thing.
        root: Node,
    },
    /// Numbers over time.
    Plot {
        /// Lines: each has `name`, `unit` and `points`, pairs of a time in seconds since 1970-01-01 UTC and a number.
        series: Vec<Value>,
    },
    /// One value.
    Value {
        /// It.
        value: Value,
    },
    /// Lines as they are, such as of a journal.
    Text {
        /// They.
        text: String,
    },
}

/// An answer with a sentence about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// In a few words, such as `3 containers`.
    pub summary: String,
    /// What to look at.
    pub answer: Answer,
}

/// The form for the answer of a tool.
pub fn of(output: &Value) -> Told {
    match output {
        Value::Object(map) => {
            let mut told = of_object(map);
            told.summary.push_str(&remarks(map));
            told
        }
        Value::Array(rows) => rows_of("item", rows).unwrap_or_else(|| of_list(rows)),
        other => Told {
            summary: readable("", other),
            answer: Answer::Value {
                value: other.clone(),
            },
        },
    }
}

/// An answer as it came, or how large it is where that is too much to be kept.
pub fn raw(output: &Value) -> Result<Value, usize> {
    let size = output.to_string().len();
    match size <= LARGEST_RAW {
        true => Ok(output.clone()),
        false => Err(size),
    }
}

fn of_object(map: &Map<String, Value>) -> Told {
    if let Some(told) = change::of(map) {
        return told;
    }
    if let Some(series) = map.get("series").and_then(Value::as_array)
        && !series.is_empty()
        && series.iter().all(|line| line["points"].is_array())
    {
        let series = series.clone();
        return Told {
            summary: listed(series.iter().filter_map(|line| line["name"].as_str())),
            answer: Answer::Plot { series },
        };
    }
    if let Some(text) = text_of(map) {
        return text;
    }
    if let Some((key, rows)) = rows_in(map)
        && let Some(mut told) = rows_of(key, rows)
    {
        if map.get("next_cursor").is_some_and(Value::is_string) {
            told.summary.push_str(", and there are more");
        }
        if let Some(standing) = standing(map) {
            told.summary = standing;
        }
        return told;
    }
    // What a change did not do is nothing to look at.
    let is_change = map.contains_key("outcome");
    let told = |value: &Value| !is_change || value.as_array().is_none_or(|list| !list.is_empty());
    let shown = map.iter().filter(|(_, value)| told(value));
    // The size of a log is its number of entries.
    let is_log = map.contains_key("checkpoint") || map.contains_key("proof");
    let shown = shown.map(|(key, value)| match key.as_str() {
        "size" if is_log => ("entries".to_owned(), value.clone()),
        _ => (key.clone(), value.clone()),
    });
    Told {
        summary: headline(map),
        answer: Answer::Tree {
            root: tree::of("answer", &Value::Object(shown.collect())),
        },
    }
}

/// The list that an answer is about: the only one in it, or the only one that has something in it.
fn rows_in(map: &Map<String, Value>) -> Option<(&String, &Vec<Value>)> {
    if map.values().filter(|value| value.is_object()).count() > 1 {
        return None;
    }
    let mut lists = map.iter().filter_map(|(key, value)| match value {
        Value::Array(rows) if key != "notes" => Some((key, rows)),
        _ => None,
    });
    // Where a text of some length is told, an empty list beside it is not what was asked for.
    let told = map
        .values()
        .any(|value| value.as_str().is_some_and(is_long));
    let mut filled = lists.clone().filter(|(_, rows)| !rows.is_empty());
    match (filled.next(), filled.next()) {
        (Some(only), None) => Some(only),
        (None, _) if !told => lists.next_back(),
        _ => None,
    }
}

/// Longer than a hash.
fn is_long(text: &str) -> bool {
    text.len() > 64
}

/// What people should know of an answer besides.
fn remarks(map: &Map<String, Value>) -> String {
    let notes = map.get("notes").and_then(Value::as_array);
    let texts = notes.into_iter().flatten().filter_map(|note| {
        let text = note.as_str().or_else(|| note["text"].as_str())?;
        let mut letters = text.trim_end_matches('.').chars();
        let first = letters.next()?.to_uppercase();
        Some(format!(". {first}{}", cut(letters.as_str(), 300)))
    });
    texts.take(SAID).collect()
}

/// Content of a file or output of a command: lines.
fn text_of(map: &Map<String, Value>) -> Option<Told> {
    let keys = ["content", "text", "stdout"];
    let text = keys.iter().find_map(|key| map.get(*key)?.as_str())?;
    if map.len() > 6 || !text.contains('\n') {
        return None;
    }
    Some(Told {
        summary: counted(text.lines().count(), "line"),
        answer: Answer::Text {
            text: cut(text, 64 << 10),
        },
    })
}

/// Rows of objects as a table; none if they are not.
fn rows_of(key: &str, rows: &[Value]) -> Option<Told> {
    if rows.is_empty() {
        let summary = format!("No {}", plural(key).to_lowercase());
        let answer = Answer::Table(Table::default());
        return Some(Told { summary, answer });
    }
    rows.iter().all(Value::is_object).then(|| {
        let table = Table::of(rows);
        let what = match rows.len() {
            1 => singular(key),
            _ => plural(key),
        };
        Told {
            summary: format!("{} {}", rows.len(), what.to_lowercase()),
            answer: Answer::Table(table),
        }
    })
}

fn of_list(rows: &[Value]) -> Told {
    Told {
        summary: counted(rows.len(), "item"),
        answer: Answer::Tree {
            root: tree::of("answer", &Value::Array(rows.to_vec())),
        },
    }
}

/// The beginning of a text that may be long, in whole characters.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    format!("{}…", beginning(text, bytes))
}

/// At most so many bytes of a text, in whole characters.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_a_table_with_a_count() {
        let told = of(&json!({ "containers": [
            { "name": "web-01", "state": { "running": true, "memory_bytes": 1_073_741_824 } },
        ]}));
        assert_eq!(told.summary, "1 container");
        let Answer::Table(table) = told.answer else {
            panic!("no table")
        };
        let titles: Vec<_> = table
            .columns
            .iter()
            .map(|column| column.title.as_str())
            .collect();
        assert_eq!(titles, ["Name", "Running", "Memory"]);
        assert_eq!(table.rows[0]["state.memory_bytes"], "1 GiB");
        assert_eq!(table.rows[0]["state.running"], "yes");
    }

    #[test]
    fn an_empty_list_says_so_and_a_page_says_that_there_is_more() {
        assert_eq!(of(&json!({ "entries": [] })).summary, "No entries");
        let told = of(&json!({ "entries": [{ "id": 1 }], "next_cursor": "9" }));
        assert_eq!(told.summary, "1 entry, and there are more");
    }

    #[test]
    fn an_empty_list_is_not_the_answer_where_another_is() {
        let told = of(&json!({ "foreign": [], "snapshots": [{ "name": "a" }] }));
        assert_eq!(told.summary, "1 snapshot");
        assert_eq!(
            of(&json!({ "foreign": [], "snapshots": [] })).summary,
            "No snapshots"
        );
        assert_eq!(
            of(&json!({ "changes": [], "plan_hash": "ab", "notes": [] })).summary,
            "No changes"
        );
        let proof = json!({ "cosigned": [], "id": 5, "proof": "c2sp".repeat(40), "size": 40 });
        let Answer::Tree { root } = of(&proof).answer else {
            panic!("no tree")
        };
        let size = root.children.iter().find(|part| part.label == "Entries");
        assert_eq!(size.and_then(|part| part.value.as_deref()), Some("40"));
    }

    #[test]
    fn a_change_is_a_sentence_without_what_it_did_not_do() {
        let told = of(&json!({
            "name": "before-test", "outcome": "done", "subvolumes": ["@data"], "made": [], "pruned": [],
            "notes": ["@data: without the 2 subvolumes in it."],
        }));
        assert_eq!(
            told.summary,
            "Done: before-test. @data: without the 2 subvolumes in it"
        );
        let Answer::Tree { root } = told.answer else {
            panic!("no tree")
        };
        let labels: Vec<_> = root
            .children
            .iter()
            .map(|part| part.label.as_str())
            .collect();
        assert_eq!(labels.len(), 4, "{labels:?}");
        assert!(!labels.contains(&"Made") && !labels.contains(&"Pruned"));
        let many: Vec<_> = (0..5)
            .map(|n| json!({ "verb": "delete", "resource": format!("port:p{n}") }))
            .collect();
        let told = of(&json!({ "outcome": "applied", "changes": many }));
        assert_eq!(
            told.summary,
            "Done: deleted port p0, deleted port p1, deleted port p2, 2 more"
        );
        assert_eq!(
            of(&json!({ "outcome": "unchanged", "name": "x" })).summary,
            "There was nothing to change"
        );
    }

    #[test]
    fn an_answer_without_hits_says_what_was_looked_for() {
        let told = of(&json!({
            "understood": { "operation": "container_create" }, "hits": [], "passing": 0,
            "notes": ["nothing was created yesterday"],
        }));
        assert_eq!(told.summary, "No hits. Nothing was created yesterday");
    }

    #[test]
    fn what_others_wrote_stays_text() {
        let evil = "<img src=x onerror=alert(1)><script>alert(2)</script>";
        let answers = [
            // A line of the journal, an entry of the ledger, a name, a file.
            json!({ "entries": [{ "time": "2026-11-21T00:00:00Z", "unit": evil, "message": evil }] }),
            json!({ "entries": [{ "id": 1, "operation": evil, "metadata": { "outcome": evil, "actor": { "name": evil } } }] }),
            json!({ "name": evil, "outcome": "done", "notes": [evil] }),
            json!({ "outcome": "applied", "changes": [{ "verb": evil, "resource": evil, "plugin": evil }] }),
            json!({ "text": format!("{evil}\n{evil}") }),
            json!({ evil: { evil: [evil] } }),
        ];
        for answer in answers {
            let told = of(&answer);
            let html = crate::markdown::plain(&told.summary);
            assert!(
                !html.contains("<img") && !html.contains("<script"),
                "{html}"
            );
            // The page writes these as text: nothing was taken out or made into HTML before.
            let shown = serde_json::to_string(&told.answer).unwrap();
            assert!(shown.contains(evil) && !shown.contains("&lt;"), "{shown}");
        }
    }

    #[test]
    fn nested_things_are_trees_and_values_are_values() {
        assert!(matches!(
            of(&json!({ "a": { "b": 1 }, "c": { "d": [] } })).answer,
            Answer::Tree { .. }
        ));
        assert!(matches!(of(&json!(5)).answer, Answer::Value { .. }));
        let plot = json!({ "series": [{ "name": "load", "unit": "", "points": [[1, 2]] }] });
        let told = of(&plot);
        assert!(matches!(told.answer, Answer::Plot { .. }));
        assert_eq!(told.summary, "load");
        assert!(matches!(
            of(&json!({ "text": "a\nb" })).answer,
            Answer::Text { .. }
        ));
    }

    #[test]
    fn what_is_large_is_not_kept_as_it_came() {
        assert!(raw(&json!({ "a": 1 })).is_ok());
        assert_eq!(raw(&json!("x".repeat(40_000))), Err(40_002));
    }
}
