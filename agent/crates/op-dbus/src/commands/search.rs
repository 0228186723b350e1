//! search: what was done, by a question in words.

use serde_json::{Value, json};

use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    options: &cli::Search,
) -> Result<u8, Failure> {
    if options.reindex {
        let done: Value = line.read("search_index", json!({}))?;
        if options.question.is_empty() {
            screen.result(&done, || {
                let model = done["model"].as_str().unwrap_or_default();
                format!(
                    "The index is complete: {} entries are new, by {model}\n",
                    done["taken_in"]
                )
            });
            return Ok(0);
        }
    }
    let arguments = json!({ "query": options.question.join(" "), "limit": options.limit });
    let found: Value = line.read("search", arguments)?;
    screen.result(&found, || text(&found));
    Ok(0)
}

fn text(found: &Value) -> String {
    let hits = items(&found["hits"]);
    let rows: Vec<_> = hits.iter().map(row).collect();
    let mut out = understood(&found["understood"]);
    for note in items(&found["notes"]) {
        out += &format!("Note: {}\n", note.as_str().unwrap_or_default());
    }
    match rows.is_empty() {
        true => out + "Nothing was found. Fewer words, or another time, may find more\n",
        false => {
            let columns = ["ID", "TIME", "OPERATION", "TARGET", "OUTCOME", "BY", "WHY"];
            out + &table(&columns, &rows)
        }
    }
}

/// What the question was taken to mean, in a line; none where nothing in it was a filter.
fn understood(meaning: &Value) -> String {
    let mut parts = Vec::new();
    let text = |key: &str| meaning[key].as_str().unwrap_or_default().to_owned();
    if meaning.get("since").or(meaning.get("until")).is_some() {
        parts.push(format!("time {}..{}", text("since"), text("until")));
    }
    for (key, name) in [
        ("operations", "operation"),
        ("targets", "target"),
        ("actors", "by"),
        ("outcomes", "outcome"),
    ] {
        let names = words(&meaning[key]);
        if !names.is_empty() {
            parts.push(format!("{name} {}", names.join(" or ")));
        }
    }
    let looked_for = text("words");
    if !looked_for.is_empty() {
        parts.push(format!("words “{looked_for}”"));
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!("{}\n", parts.join("; ")),
    }
}

fn row(hit: &Value) -> Vec<String> {
    let text = |pointer: &str| {
        let value = hit.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or("-").to_owned()
    };
    vec![
        hit["id"].to_string(),
        text("/entry/time"),
        text("/entry/operation"),
        text("/entry/target"),
        text("/entry/metadata/outcome"),
        text("/entry/metadata/actor/name"),
        why(&hit["why"]),
    ]
}

fn why(why: &Value) -> String {
    let mut parts = Vec::new();
    let shared = words(&why["words"]);
    if let Some(score) = why["words_score"].as_f64() {
        parts.push(match shared.is_empty() {
            true => format!("words {score:.1}"),
            false => format!("words {} {score:.1}", shared.join(" ")),
        });
    }
    if let Some(likeness) = why["likeness"].as_f64() {
        parts.push(format!("likeness {likeness:.2}"));
    }
    match parts.is_empty() {
        true => "filters".to_owned(),
        false => parts.join(", "),
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn words(list: &Value) -> Vec<&str> {
    items(list).iter().filter_map(Value::as_str).collect()
}
