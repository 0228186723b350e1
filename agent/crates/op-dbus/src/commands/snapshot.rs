//! snapshot: sentences for the tools of the same names.

use serde_json::{Value, json};
use tools::Options;

use super::agree;
use crate::cli::Snapshot;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(line: &mut Line<'_>, screen: &Screen, command: &Snapshot) -> Result<u8, Failure> {
    // Each loses what was written since, or a way back.
    let destroy = |line: &mut Line<'_>, tool, arguments, verb| {
        let answer = agree::destroy(line, screen, tool, arguments, agree::FOR_GOOD)?;
        Ok(done(screen, &answer, verb))
    };
    match command {
        Snapshot::Create {
            name,
            subvolumes,
            reason,
        } => {
            let arguments = json!({ "name": name, "subvolumes": subvolumes, "reason": reason });
            let answer = line.call("snapshot_create", arguments, Options::default())?;
            Ok(done(screen, &answer, "Made"))
        }
        Snapshot::List => list(line, screen),
        Snapshot::Show { name } => show(line, screen, name),
        Snapshot::Diff {
            before,
            after,
            limit,
        } => {
            let arguments = json!({ "before": before, "after": after, "limit": limit });
            diff(line, screen, arguments)
        }
        Snapshot::Restore(restore) => {
            let arguments = json!({
                "name": restore.name,
                "subvolumes": restore.subvolumes,
                "path": restore.path,
                "allow_rollback_of_ledger": restore.allow_rollback_of_ledger,
            });
            destroy(line, "snapshot_restore", arguments, "Restored")
        }
        Snapshot::Delete { name } => {
            let arguments = json!({ "name": name });
            destroy(line, "snapshot_delete", arguments, "Deleted")
        }
        Snapshot::Pin { name } => pin(line, screen, name, true),
        Snapshot::Unpin { name } => pin(line, screen, name, false),
        Snapshot::Rotate => destroy(line, "snapshot_rotate", json!({}), "Rotated"),
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(word).collect()
}

fn done(screen: &Screen, answer: &Value, verb: &str) -> u8 {
    screen.result(answer, || {
        if answer["outcome"] == "unchanged" {
            return "Nothing to do.\n".to_owned();
        }
        let mut text = format!("{verb}: {}", word(&answer["name"]));
        if verb == "Rotated" {
            let (made, pruned) = (words(&answer["made"]), words(&answer["pruned"]));
            text = format!("Made: {}\nRemoved: {}", made.join(", "), pruned.join(", "));
        }
        let subvolumes = words(&answer["subvolumes"]);
        if !subvolumes.is_empty() {
            text.push_str(&format!(" ({})", subvolumes.join(", ")));
        }
        text.push('\n');
        for note in words(&answer["notes"]) {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    });
    0
}

fn pin(line: &mut Line<'_>, screen: &Screen, name: &str, pinned: bool) -> Result<u8, Failure> {
    let arguments = json!({ "name": name, "pinned": pinned });
    let answer = line.call("snapshot_pin", arguments, Options::default())?;
    let verb = if pinned { "Pinned" } else { "Unpinned" };
    Ok(done(screen, &answer, verb))
}

fn list(line: &mut Line<'_>, screen: &Screen) -> Result<u8, Failure> {
    let snapshots = line.read_all("snapshot_list", "snapshots", json!({}))?;
    let answer = line.call("snapshot_list", json!({ "limit": 1 }), Options::default())?;
    let all = json!({ "snapshots": snapshots, "foreign": answer["foreign"] });
    screen.result(&all, || {
        let mut rows: Vec<_> = snapshots.iter().map(row).collect();
        for foreign in answer["foreign"].as_array().into_iter().flatten() {
            let what = format!("foreign: {}", word(&foreign["what"]));
            let dashes = ["-", "-", "-"].map(str::to_owned);
            let mut row = vec![word(&foreign["name"]), what];
            row.extend(dashes);
            rows.push(row);
        }
        table(&["NAME", "CLASS", "MADE", "HAS", "STATE"], &rows)
    });
    Ok(0)
}

fn row(snapshot: &Value) -> Vec<String> {
    let damage = words(&snapshot["damage"]);
    let state = match (damage.is_empty(), snapshot["pinned"].as_bool()) {
        (false, _) => format!("damaged: {}", damage.join("; ")),
        (true, Some(true)) => "pinned".to_owned(),
        (true, _) => "whole".to_owned(),
    };
    vec![
        word(&snapshot["name"]),
        word(&snapshot["class"]),
        word(&snapshot["created"]),
        words(&snapshot["subvolumes"]).join(" "),
        state,
    ]
}

fn show(line: &mut Line<'_>, screen: &Screen, name: &str) -> Result<u8, Failure> {
    let answer = line.call("snapshot_show", json!({ "name": name }), Options::default())?;
    screen.result(&answer, || {
        let mut rows: Vec<_> = ["class", "created", "pinned", "reason", "directory"]
            .into_iter()
            .filter(|key| !answer[key].is_null())
            .map(|key| {
                let value = &answer[key];
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                vec![key.to_owned(), text]
            })
            .collect();
        for (subvolume, taken) in answer["taken"].as_object().into_iter().flatten() {
            let mut text = format!("{} at {}", word(&taken["uuid"]), taken["generation"]);
            let without = words(&taken["without"]);
            if !without.is_empty() {
                text.push_str(&format!(", without {}", without.join(", ")));
            }
            rows.push(vec![subvolume.clone(), text]);
        }
        for damage in words(&answer["damage"]) {
            rows.push(vec!["damage".to_owned(), damage]);
        }
        table(&["SNAPSHOT", name], &rows)
    });
    Ok(0)
}

fn diff(line: &mut Line<'_>, screen: &Screen, arguments: Value) -> Result<u8, Failure> {
    let answer = line.call("snapshot_diff", arguments, Options::default())?;
    screen.result(&answer, || {
        let mut text = String::new();
        for one in answer["differences"].as_array().into_iter().flatten() {
            let sign = match one["what"].as_str() {
                Some("added") => '+',
                Some("removed") => '-',
                _ => '~',
            };
            let slash = if one["directory"] == true { "/" } else { "" };
            text.push_str(&format!("{sign} {}{slash}\n", word(&one["path"])));
        }
        for (key, sign) in [("only_before", '-'), ("only_after", '+')] {
            for subvolume in words(&answer[key]) {
                text.push_str(&format!("{sign} {subvolume}/\n"));
            }
        }
        if text.is_empty() {
            text.push_str("No difference.\n");
        }
        if answer["cut"] == true {
            text.push_str("There may be more: --limit names more of them.\n");
        }
        text
    });
    Ok(0)
}
