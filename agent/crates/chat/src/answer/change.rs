//! Changes in the words that people have for them.

use serde_json::{Map, Value};

use super::headline::counted;
use super::{Answer, SAID, Table, Told, cut, title};

/// What a run did: its changes, and how it ended.
pub(super) fn of(map: &Map<String, Value>) -> Option<Told> {
    let outcome = map.get("outcome")?.as_str()?;
    let changes = map.get("changes")?.as_array()?;
    let count = counted(changes.len(), "change");
    let done = done(changes);
    let summary = match outcome {
        "unchanged" => "There was nothing to change".to_owned(),
        "applied" | "done" if changes.is_empty() => "Done".to_owned(),
        "applied" | "done" => format!("Done: {done}"),
        "awaiting-confirmation" => format!("Done: {done}, to be confirmed"),
        "rolled-back" => "It failed, and everything was undone".to_owned(),
        "stuck" => "It failed, and not everything could be undone".to_owned(),
        other => format!("{}: {count}", title(other)),
    };
    let rows = changes.iter().map(|change| {
        let text = |key: &str| change[key].as_str().unwrap_or_default();
        serde_json::json!({
            "verb": text("verb"),
            "resource": format!("{}/{}", text("plugin"), text("resource")),
        })
    });
    Some(Told {
        summary,
        answer: Answer::Table(Table::of(&rows.collect::<Vec<_>>())),
    })
}

/// Changes in words, such as `created container web-01`.
fn done(changes: &[Value]) -> String {
    let one = |change: &Value| {
        let verb = match verb(change) {
            "stop" => "stopped".to_owned(),
            verb if verb.ends_with('e') => format!("{verb}d"),
            verb => format!("{verb}ed"),
        };
        format!("{verb} {}", thing(&change["resource"]))
    };
    let mut texts: Vec<_> = changes.iter().take(SAID).map(one).collect();
    let more = changes.len() - texts.len();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(", ")
}

/// What a change does, in the word that people have for it.
pub(crate) fn verb(change: &Value) -> &str {
    let (before, after) = (&change["before"], &change["after"]);
    let rest = |state: &Value| {
        let mut rest = state.as_object().cloned().unwrap_or_default();
        rest.retain(|key, _| key != "running" && key != "init");
        rest
    };
    let told = change["verb"].as_str().unwrap_or("change");
    if rest(before) != rest(after) {
        return told;
    }
    match (before["running"].as_bool(), after["running"].as_bool()) {
        (Some(true), Some(false)) => "stop",
        (Some(false), Some(true)) => "start",
        // A container that runs, and is to run with another init.
        (Some(true), Some(true)) if before["init"].is_u64() && after["init"] == "new" => "restart",
        _ => told,
    }
}

/// A resource in words, such as `container web-01`.
pub(crate) fn thing(resource: &Value) -> String {
    let resource = resource.as_str().unwrap_or_default();
    let what = match resource.split_once(':') {
        Some((kind, name)) => format!("{} {name}", title(kind).to_lowercase()),
        None => resource.to_owned(),
    };
    cut(&what, 300)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Answer, of};

    #[test]
    fn a_run_is_its_changes() {
        let told = of(&json!({
            "run": "r1", "outcome": "applied", "duration_ms": 12, "notes": [],
            "changes": [{ "plugin": "lxc", "resource": "container:a", "verb": "create", "before": null, "after": {} }],
        }));
        assert_eq!(told.summary, "Done: created container a");
        let Answer::Table(table) = told.answer else {
            panic!("no table")
        };
        assert_eq!(table.rows[0]["resource"], "lxc/container:a");
    }
}
