//! What is most telling of an answer, in a line.

use serde_json::{Map, Value};

use super::{cut, readable, title};

/// What names the thing that a change was about.
const NAMED: [&str; 7] = [
    "name", "unit", "path", "plugin", "task", "target", "package",
];

/// How the host stands, where an answer is about that.
pub(super) fn standing(map: &Map<String, Value>) -> Option<String> {
    if let (Some(converged), Some(drift)) = (map.get("converged"), map.get("drift")) {
        return Some(match (converged.as_bool()?, drift.as_array()?.len()) {
            (true, _) => "The host is in its declared state".to_owned(),
            (false, count) => format!(
                "The host is not in its declared state: {}",
                counted(count, "difference")
            ),
        });
    }
    map.get("reconcile")?;
    if map.contains_key("awaiting") {
        return Some("A change waits to be confirmed".to_owned());
    }
    let last = map.get("last").and_then(|last| last["time"].as_str());
    Some(match last {
        Some(time) => format!("The host was last seen in its declared state at {time}"),
        None => "The host was never seen in its declared state".to_owned(),
    })
}

/// Names as people list them: `a, b and c`.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "Nothing".to_owned(),
    }
}

/// What is most telling of an object, in a line.
pub(super) fn headline(map: &Map<String, Value>) -> String {
    let word = |key: &str| map.get(key).and_then(Value::as_str);
    match word("outcome") {
        Some("unchanged") => return "There was nothing to change".to_owned(),
        Some("done" | "applied") => {
            let name = NAMED.iter().find_map(|key| word(key));
            return name.map_or_else(
                || "Done".to_owned(),
                |name| format!("Done: {}", cut(name, 200)),
            );
        }
        _ => {}
    }
    if let (Some(name), Some(running)) = (word("name"), map.get("state").map(|at| &at["running"]))
        && let Some(running) = running.as_bool()
    {
        let how = if running { "is running" } else { "is stopped" };
        return format!("{} {how}", cut(name, 200));
    }
    if let Some(standing) = standing(map) {
        return standing;
    }
    if let (Some(holds), Some(valid)) = (word("holds"), map.get("valid")) {
        let valid = if *valid == true { "Valid" } else { "Not valid" };
        return format!("{valid}. {}", cut(holds, 500));
    }
    let keys = [
        "text",
        "summary",
        "name",
        "state",
        "outcome",
        "valid",
        "converged",
        "status",
    ];
    let told = keys.iter().filter_map(|key| match map.get(*key)? {
        value @ (Value::String(_) | Value::Bool(_) | Value::Number(_)) => Some(format!(
            "{}: {}",
            title(key),
            cut(&readable(key, value), 200)
        )),
        _ => None,
    });
    let told: Vec<_> = told.take(3).collect();
    match told.is_empty() {
        true => counted(map.len(), "value"),
        false => told.join(", "),
    }
}

/// So many of something, such as `3 changes`.
pub(super) fn counted(count: usize, what: &str) -> String {
    match (count, what) {
        (1, _) => format!("{count} {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// What several of a key's values are called.
pub(super) fn plural(key: &str) -> String {
    let title = title(key);
    match title.ends_with('s') {
        true => title,
        false => format!("{title}s"),
    }
}

/// What one of a key's values is called.
pub(super) fn singular(key: &str) -> String {
    let title = title(key);
    match title.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => title.strip_suffix('s').unwrap_or(&title).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::of;
    use super::*;

    #[test]
    fn what_is_shown_is_said_in_a_sentence() {
        let told = of(&json!({ "name": "web-01", "state": { "running": true }, "declared": {} }));
        assert_eq!(told.summary, "web-01 is running");
        let held = json!({ "valid": true, "holds": "By the key.", "wrong": [], "head": {}, "guarantee": {} });
        assert_eq!(of(&held).summary, "Valid. By the key.");
    }

    #[test]
    fn how_the_host_stands_is_said_in_a_sentence() {
        let says = |answer: Value| of(&answer).summary;
        assert_eq!(
            says(json!({ "converged": true, "drift": [], "notes": [] })),
            "The host is in its declared state"
        );
        let drift = json!([{ "resource": "container:a", "plugin": "lxc", "kind": "changed" }]);
        assert_eq!(
            says(json!({ "converged": false, "drift": drift, "notes": [] })),
            "The host is not in its declared state: 1 difference"
        );
        let status = |more: Value| {
            let mut status = json!({ "base": "/b", "reconcile": "repair" });
            status
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            says(status)
        };
        assert_eq!(
            status(json!({ "last": { "time": "2026-01-31T12:00:00Z", "run": "r" } })),
            "The host was last seen in its declared state at 2026-01-31T12:00:00Z"
        );
        assert!(status(json!({})).contains("never"));
        assert!(status(json!({ "awaiting": { "run": "r" } })).contains("confirmed"));
    }

    #[test]
    fn names_are_listed_as_people_do() {
        assert_eq!(listed(["a"].into_iter()), "a");
        assert_eq!(listed(["a", "b", "c"].into_iter()), "a, b and c");
    }
}
