//! Lists in pages, and tools as the protocol describes them.

use std::sync::Arc;

use rmcp::model::{ErrorData, JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};
use tools::Effect;

use super::plan;
use crate::backend::ToolInfo;

/// How many items a page has.
pub(super) const PAGE: usize = 50;

/// The argument of ours that tools which change something take.
pub(super) const DRY_RUN: &str = "dry_run";

/// Cuts a page out of a list: its items, and the cursor of the next one.
pub(super) fn page<T: Clone>(
    items: &[T],
    cursor: Option<&str>,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let start = match cursor {
        None => 0,
        Some(cursor) => position(cursor, items.len()).ok_or_else(|| {
            ErrorData::invalid_params(
                "this is no cursor of this list: take `nextCursor` of the page before",
                None,
            )
        })?,
    };
    let end = items.len().min(start + PAGE);
    let next = (end < items.len()).then(|| format!("at-{end}"));
    Ok((items[start..end].to_vec(), next))
}

/// Where a cursor points. Only those that were given out are taken.
fn position(cursor: &str, length: usize) -> Option<usize> {
    let position: usize = cursor.strip_prefix("at-")?.parse().ok()?;
    (position < length && position > 0 && position.is_multiple_of(PAGE)).then_some(position)
}

/// A tool as clients see it.
pub(super) fn describe(tool: &ToolInfo) -> Tool {
    let annotations = ToolAnnotations::from_raw(
        Some(tool.title.clone()),
        Some(tool.effect == Effect::Read),
        Some(tool.effect == Effect::Destroy),
        Some(tool.effect == Effect::Read || tool.hint.idempotent),
        Some(tool.hint.open_world),
    );
    let described = Tool::new(tool.name.clone(), tool.description.clone(), input(tool))
        .with_title(tool.title.clone())
        .with_annotations(annotations);
    match output(tool) {
        Some(schema) => described.with_raw_output_schema(schema),
        None => described,
    }
}

/// What it takes: with `dry_run`, where it changes something.
fn input(tool: &ToolInfo) -> Arc<JsonObject> {
    if tool.effect == Effect::Read {
        return Arc::clone(&tool.input);
    }
    let mut schema = JsonObject::clone(&tool.input);
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        let argument = json!({
            "type": "boolean",
            "default": false,
            "description": "Show the plan and change nothing",
        });
        properties.insert(DRY_RUN.to_owned(), argument);
    }
    Arc::new(schema)
}

/// What it gives: its answer, or a plan where one may be asked for.
fn output(tool: &ToolInfo) -> Option<Arc<JsonObject>> {
    let schema = tool.output.as_ref()?;
    if tool.effect == Effect::Read {
        return Some(Arc::clone(schema));
    }
    let mut answer = JsonObject::clone(schema);
    let mut both = JsonObject::new();
    both.insert("type".to_owned(), json!("object"));
    // References are from the root of a schema.
    for key in ["$schema", "$defs"] {
        if let Some(value) = answer.remove(key) {
            both.insert(key.to_owned(), value);
        }
    }
    both.insert(
        "anyOf".to_owned(),
        json!([Value::Object(answer), plan::schema()]),
    );
    Some(Arc::new(both))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pages_are_the_list_in_order(length in 0usize..400) {
            let items: Vec<_> = (0..length).collect();
            let (mut found, mut cursor) = page(&items, None).unwrap();
            while let Some(at) = cursor {
                let (more, next) = page(&items, Some(&at)).unwrap();
                prop_assert!(!more.is_empty() && more.len() <= PAGE);
                found.extend(more);
                cursor = next;
            }
            prop_assert_eq!(found, items);
        }

        #[test]
        fn a_cursor_that_was_not_given_out_is_an_error(cursor in "\\PC{0,12}") {
            let items: Vec<_> = (0..120).collect();
            let given = cursor == "at-50" || cursor == "at-100";
            prop_assert_eq!(page(&items, Some(&cursor)).is_ok(), given);
        }
    }
}
