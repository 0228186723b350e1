//! A plan, as people read it before they confirm it.

use serde_json::{Value, json};

/// How many changes are named; the rest is counted.
const NAMED: usize = 20;

/// The longest line of a change, in characters.
const LONGEST: usize = 160;

/// The schema of a plan. The host's plans have all of these keys; another backend's may have fewer.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "With `dry_run`: what would be done. Nothing was changed.",
        "properties": {
            "plan_hash": { "type": "string", "description": "The plan's hash" },
            "changes": { "type": "array", "description": "The changes, in order" },
            "notes": { "type": "array", "description": "What else there is to know" },
            "summary": { "description": "How many changes of which kind" },
        },
        "required": ["plan_hash"],
    })
}

/// The hash of a plan, if this is one.
pub(super) fn hash(plan: &Value) -> Option<&str> {
    plan.get("plan_hash").and_then(Value::as_str)
}

/// A plan's changes, a line each.
pub(super) fn text(plan: &Value) -> String {
    let changes = plan["changes"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<String> = changes.iter().take(NAMED).map(line).collect();
    if changes.len() > NAMED {
        lines.push(format!("… and {} more", changes.len() - NAMED));
    }
    let notes = plan["notes"].as_array().map_or(&[][..], Vec::as_slice);
    lines.extend(notes.iter().take(NAMED).map(note));
    lines.join("\n")
}

fn line(change: &Value) -> String {
    let word = |key: &str| change[key].as_str().unwrap_or_default();
    let name = match word("resource") {
        "" => change.to_string(),
        resource if word("plugin").is_empty() => resource.to_owned(),
        resource => format!("{}/{resource}", word("plugin")),
    };
    let lost = match change["destroys"] {
        Value::Bool(true) => " (its data is lost)",
        _ => "",
    };
    plain(&format!("{} {name}{lost}", word("verb")))
}

fn note(note: &Value) -> String {
    match (note["resource"].as_str(), note["text"].as_str()) {
        (Some(resource), Some(text)) => plain(&format!("{resource}: {text}")),
        _ => plain(note.as_str().unwrap_or_default()),
    }
}

/// One line without control characters, which could make a person see another text than there is.
fn plain(text: &str) -> String {
    let visible = |c: char| {
        let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns { ' ' } else { c }
    };
    let mut characters = text.trim().chars();
    let mut plain: String = characters.by_ref().take(LONGEST).map(visible).collect();
    if characters.next().is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_line_a_change() {
        let changes: Vec<_> = (0..30)
            .map(|n| json!({ "plugin": "lxc", "resource": format!("container:c{n}"), "verb": "delete" }))
            .collect();
        let text = text(
            &json!({ "changes": changes, "notes": [{ "resource": "lxc/container:c1", "text": "it runs" }] }),
        );
        assert!(text.starts_with("delete lxc/container:c0\ndelete lxc/container:c1\n"));
        assert!(text.ends_with("… and 10 more\nlxc/container:c1: it runs"));
    }

    #[test]
    fn no_name_hides_what_is_done() {
        let change = json!({ "verb": "delete", "resource": "a\u{202e}b\r\n\u{1b}[2Jkeep" });
        assert_eq!(
            text(&json!({ "changes": [change] })),
            "delete a b   [2Jkeep"
        );
    }
}
