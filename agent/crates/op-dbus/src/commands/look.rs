//! query, status: what the host has, and where it stands.

use serde_json::{Value, json};
use tools::Options;

use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn query(
    line: &mut Line<'_>,
    screen: &Screen,
    only: Option<&str>,
) -> Result<u8, Failure> {
    let mut arguments = json!({ "plugin": only, "limit": 1000 });
    let mut all = json!({});
    loop {
        let answer = line.call("state_query", arguments.clone(), Options::default())?;
        for (plugin, resources) in answer["plugins"].as_object().into_iter().flatten() {
            for (resource, state) in resources.as_object().into_iter().flatten() {
                all[plugin][resource] = state.clone();
            }
            if all[plugin].is_null() {
                all[plugin] = json!({});
            }
        }
        match answer.get("next_cursor") {
            Some(cursor) if !cursor.is_null() => arguments["cursor"] = cursor.clone(),
            _ => break,
        }
    }
    screen.result(&json!({ "plugins": all }), || {
        let plugins = all.as_object().into_iter().flatten();
        let rows: Vec<_> = plugins.flat_map(rows).collect();
        table(&["RESOURCE", "OWNER", "STATE"], &rows)
    });
    Ok(0)
}

fn rows((plugin, resources): (&String, &Value)) -> Vec<Vec<String>> {
    if let Some(error) = resources["error"].as_str() {
        return vec![vec![plugin.clone(), "-".to_owned(), error.to_owned()]];
    }
    let resources = resources.as_object().into_iter().flatten();
    resources
        .map(|(resource, seen)| {
            vec![
                format!("{plugin}/{resource}"),
                seen["owner"].as_str().unwrap_or_default().to_owned(),
                seen["state"].to_string(),
            ]
        })
        .collect()
}

pub(super) fn status(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let mut answer = line.call("state_status", json!({}), Options::default())?;
    if let Some(daemon) = line.daemon()? {
        answer["daemon"] = daemon;
    }
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    screen.result(&answer, || {
        let mut rows = vec![
            vec!["declaration".to_owned(), word(&answer["declaration"])],
            vec!["base".to_owned(), word(&answer["base"])],
            vec!["reconcile".to_owned(), word(&answer["reconcile"])],
            vec![
                "last seen as declared".to_owned(),
                word(&answer["last"]["time"]),
            ],
        ];
        if let Some(run) = answer["awaiting"]["run"].as_str() {
            let text =
                format!("run {run}: `op-dbus confirm` keeps it, `op-dbus rollback` undoes it");
            rows.push(vec!["waits to be confirmed".to_owned(), text]);
        }
        let daemon = &answer["daemon"];
        let running = match daemon["pid"].as_u64() {
            Some(pid) => format!("process {pid}, for {} s", daemon["uptime_s"]),
            None => "not asked".to_owned(),
        };
        rows.push(vec!["daemon".to_owned(), running]);
        if let Some(text) = daemon["host"]["text"].as_str() {
            rows.push(vec![
                "state".to_owned(),
                format!("{}: {text}", word(&daemon["host"]["state"])),
            ]);
        }
        for (witness, alarm) in daemon["host"]["alarms"].as_object().into_iter().flatten() {
            rows.push(vec![format!("ALARM of {witness}"), word(alarm)]);
        }
        table(&["HOST", ""], &rows)
    });
    Ok(0)
}
