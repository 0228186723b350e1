//! What a call gives, as the protocol carries it, within what clients take.

use rmcp::model::{CallToolResult, ContentBlock, MetaObject, ResourceContents};
use serde_json::{Value, json};
use tools::Effect;

use crate::backend::{Fault, Output, ToolInfo};

/// The most text in a result, in bytes. Clients refuse results beyond about 25,000 tokens.
pub const LARGEST: usize = 60_000;

/// The most content in a result that is no text, such as images, in bytes of JSON.
const LARGEST_OTHER: usize = 800_000;

/// Where a tool's error has its `code`, in the result's `_meta`. It is not in the structured content, since some
/// clients check that against the tool's output schema even where it is an error.
pub const ERROR_KEY: &str = "org.opdbus/error";

/// The arguments by which one asks for less.
const LESS: [&str; 8] = [
    "limit", "cursor", "lines", "since", "until", "filter", "name", "depth",
];

/// A result of what a call gave, or of what it would do.
pub(super) fn done(tool: &ToolInfo, output: Output, dry_run: bool) -> CallToolResult {
    let Output {
        structured,
        content,
    } = output;
    if tool.output.is_some() && structured.is_none() {
        return failed(&Fault::Failed {
            code: "failed".to_owned(),
            text: format!(
                "{} gave no structured answer, as its schema says",
                tool.name
            ),
        });
    }
    let content = match (&structured, content.is_empty()) {
        (Some(structured), true) => {
            let text = structured.to_string();
            if text.len() > LARGEST {
                return failed(&too_large(tool, dry_run, text.len()));
            }
            vec![ContentBlock::text(text)]
        }
        (Some(structured), false) if structured.to_string().len() > LARGEST => {
            return failed(&too_large(tool, dry_run, structured.to_string().len()));
        }
        _ => bounded(content),
    };
    let mut result = CallToolResult::success(content);
    result.structured_content = structured;
    result
}

/// A result that says why there is none, to the model rather than to the client.
pub(super) fn failed(fault: &Fault) -> CallToolResult {
    let text = cut(&format!("{}: {fault}", fault.code()), LARGEST);
    let mut meta = MetaObject::new();
    meta.insert(ERROR_KEY.to_owned(), error_data(fault));
    let mut result = CallToolResult::error(vec![ContentBlock::text(text)]);
    result.meta = Some(meta);
    result
}

/// `{"code", "message", …}`, as every door gives it.
pub(super) fn error_data(fault: &Fault) -> Value {
    let mut data = json!({ "code": fault.code(), "message": cut(&fault.to_string(), LARGEST) });
    if let Fault::Unconfirmed { plan, .. } = fault {
        data["plan_hash"] = json!(plan);
    }
    data
}

fn too_large(tool: &ToolInfo, dry_run: bool, size: usize) -> Fault {
    let properties = tool.input.get("properties").and_then(Value::as_object);
    let takes = |name: &&str| properties.is_some_and(|known| known.contains_key(*name));
    let less: Vec<_> = LESS
        .iter()
        .filter(|name| takes(name))
        .map(|name| format!("`{name}`"))
        .collect();
    let advice = match less.is_empty() {
        true => "ask for a part of it, or use the command line".to_owned(),
        false => format!("ask for less, with {}", less.join(" or ")),
    };
    let done = match (tool.effect, dry_run) {
        (Effect::Read, _) => "",
        (_, true) => "nothing was done, and ",
        (_, false) => "it was done, but ",
    };
    Fault::Failed {
        code: "too-large".to_owned(),
        text: format!(
            "{done}the answer has {size} bytes, more than the {LARGEST} that clients take: {advice}"
        ),
    }
}

/// Content that has no more than [`LARGEST`] bytes of JSON in what is read, and `LARGEST_OTHER` in the rest. The text
/// that goes beyond is cut; a note stands in for what is left out.
fn bounded(content: Vec<ContentBlock>) -> Vec<ContentBlock> {
    let (mut left, mut other_left) = (LARGEST, LARGEST_OTHER);
    let (mut blocks, mut bytes) = (0, 0);
    let mut kept = Vec::new();
    for block in content {
        let size = serde_json::to_string(&block).map_or(usize::MAX, |json| json.len());
        let room = match is_binary(&block) {
            true => &mut other_left,
            false => &mut left,
        };
        match block {
            block if size <= *room => {
                *room -= size;
                kept.push(block);
            }
            ContentBlock::Text(text) if *room > 0 => {
                kept.push(ContentBlock::text(cut(&text.text, *room)));
                *room = 0;
            }
            _ => {
                blocks += 1;
                bytes += size;
            }
        }
    }
    if blocks > 0 {
        kept.push(ContentBlock::text(format!(
            "… left out here: {blocks} parts of the answer, with {bytes} bytes."
        )));
    }
    kept
}

fn is_binary(block: &ContentBlock) -> bool {
    match block {
        ContentBlock::Image(_) | ContentBlock::Audio(_) => true,
        ContentBlock::Resource(embedded) => matches!(
            embedded.resource,
            ResourceContents::BlobResourceContents { .. }
        ),
        _ => false,
    }
}

/// The beginning of a text, and how much was left out.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at));
    let kept = &text[..end.unwrap_or_default()];
    format!(
        "{kept}\n… cut here: {} of {} bytes are shown. Ask for a part of it.",
        kept.len(),
        text.len()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::sync::Arc;

    use super::*;
    use crate::backend::Hint;

    fn tool(input: Value) -> ToolInfo {
        ToolInfo {
            name: "look".to_owned(),
            title: "Look".to_owned(),
            description: String::new(),
            input: Arc::new(input.as_object().cloned().unwrap_or_default()),
            output: Some(Arc::default()),
            effect: Effect::Read,
            hint: Hint::default(),
            domain: "host".to_owned(),
        }
    }

    fn text(result: &CallToolResult) -> &str {
        &result.content[0].as_text().unwrap().text
    }

    #[test]
    fn an_answer_is_there_as_value_and_as_text() {
        let result = done(&tool(json!({})), json!({ "a": 1 }).into(), false);
        assert_eq!(result.structured_content, Some(json!({ "a": 1 })));
        assert_eq!(text(&result), r#"{"a":1}"#);
        assert_eq!(result.is_error, Some(false));
    }

    #[test]
    fn what_is_too_large_says_how_to_ask_for_less() {
        let look = tool(json!({ "properties": { "limit": {}, "other": {}, "since": {} } }));
        let result = done(&look, json!("x".repeat(LARGEST)).into(), false);
        assert_eq!(result.is_error, Some(true));
        assert!(text(&result).ends_with("ask for less, with `limit` or `since`"));
        assert_eq!(
            result.meta.unwrap().get(ERROR_KEY).unwrap()["code"],
            "too-large"
        );
        assert_eq!(result.structured_content, None);
    }

    #[test]
    fn a_missing_answer_is_a_failure() {
        let result = done(&tool(json!({})), Output::default(), false);
        assert_eq!(result.is_error, Some(true));
    }

    #[test]
    fn content_that_is_no_text_is_bounded_too() {
        let file = |length: usize| {
            let resource = json!({ "uri": "file:///a", "text": "x".repeat(length) });
            serde_json::from_value(json!({ "type": "resource", "resource": resource })).unwrap()
        };
        let image = ContentBlock::image("A".repeat(500_000), "image/png");
        let content = vec![image.clone(), file(40_000), file(40_000), image.clone()];
        let output = Output {
            structured: Some(json!({})),
            content: content.clone(),
        };
        let shown = done(&tool(json!({})), output, false).content;
        assert_eq!(shown[..2], content[..2]);
        let [note] = &shown[2..] else {
            panic!("{shown:?}");
        };
        assert!(note.as_text().unwrap().text.contains("2 parts"));
    }

    proptest! {
        #[test]
        fn a_cut_text_is_a_beginning(text in "\\PC{0,80}", most in 0usize..100) {
            let cut = cut(&text, most);
            match cut.split_once("\n… cut here") {
                Some((kept, _)) => prop_assert!(text.starts_with(kept) && kept.len() <= most),
                None => prop_assert_eq!(cut, text),
            }
        }
    }
}
