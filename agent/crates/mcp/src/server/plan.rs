//! A plan, as people read it before they confirm it.

use serde_json::{Map, Value, json};

/// How many changes are named; the rest is counted.
const NAMED: usize = 20;

/// How many losses a person can be asked about at once.
const MOST_LOST: usize = 100;

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

/// A plan's changes, a line each: what is lost first, and all of it. Nothing if that is more than a person reads.
pub(super) fn text(plan: &Value) -> Option<String> {
    let changes = plan["changes"].as_array().map_or(&[][..], Vec::as_slice);
    let (lost, others): (Vec<_>, Vec<_>) = changes.iter().partition(|change| destroys(change));
    if lost.len() > MOST_LOST {
        return None;
    }
    let room = NAMED.saturating_sub(lost.len());
    let named = lost.iter().chain(others.iter().take(room));
    let mut lines: Vec<String> = named.map(|change| line(change)).collect();
    if others.len() > room {
        lines.push(format!(
            "… and {} more, which lose nothing",
            others.len() - room
        ));
    }
    let notes = plan["notes"].as_array().map_or(&[][..], Vec::as_slice);
    lines.extend(notes.iter().take(NAMED).map(note));
    Some(lines.join("\n"))
}

/// The arguments of a call, as people read them: without what sounds like a secret, and cut where they are long.
pub(super) fn arguments(arguments: &Map<String, Value>) -> String {
    if arguments.is_empty() {
        return "no arguments".to_owned();
    }
    let words = arguments.iter().map(|(name, value)| match value {
        _ if tools::is_secret(name) => format!("{}: …", plain(name)),
        value => format!("{}: {}", plain(name), plain(&value.to_string())),
    });
    words.take(NAMED).collect::<Vec<_>>().join(", ")
}

fn destroys(change: &Value) -> bool {
    change["destroys"] == Value::Bool(true)
}

fn line(change: &Value) -> String {
    let word = |key: &str| change[key].as_str().unwrap_or_default();
    let name = match word("resource") {
        "" => change.to_string(),
        resource if word("plugin").is_empty() => resource.to_owned(),
        resource => format!("{}/{resource}", word("plugin")),
    };
    let lost = match destroys(change) {
        true => " (its data is lost)",
        false => "",
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
        )
        .unwrap();
        assert!(text.starts_with("delete lxc/container:c0\ndelete lxc/container:c1\n"));
        assert!(text.ends_with("… and 10 more, which lose nothing\nlxc/container:c1: it runs"));
    }

    #[test]
    fn every_loss_is_named_or_nobody_is_asked() {
        let plan = |losses: usize| {
            let change = |n: usize| json!({ "resource": format!("r{n}"), "verb": "delete", "destroys": n >= 200 });
            let changes: Vec<_> = (0..200 + losses).map(change).collect();
            json!({ "changes": changes })
        };
        let shown = text(&plan(50)).unwrap();
        assert!((200..250).all(|n| shown.contains(&format!("delete r{n} (its data is lost)"))));
        assert_eq!(text(&plan(101)), None);
    }

    #[test]
    fn people_see_what_it_is_called_with() {
        let called = json!({ "path": "/srv/a\n\u{202e}b", "password": "hunter2", "n": 1 });
        let shown = arguments(called.as_object().unwrap());
        assert_eq!(shown, r#"n: 1, password: …, path: "/srv/a\n b""#);
    }

    #[test]
    fn no_name_hides_what_is_done() {
        let change = json!({ "verb": "delete", "resource": "a\u{202e}b\r\n\u{1b}[2Jkeep" });
        let shown = text(&json!({ "changes": [change] }));
        assert_eq!(shown.as_deref(), Some("delete a b   [2Jkeep"));
    }
}
