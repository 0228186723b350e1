//! replicate: sends snapshots to a target.

use serde_json::{Value, json};
use tools::Options;

use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    target: &str,
    snapshot: Option<&str>,
    dry_run: bool,
) -> Result<u8, Failure> {
    let arguments = match snapshot {
        Some(snapshot) => json!({ "target": target, "snapshot": snapshot }),
        None => json!({ "target": target }),
    };
    let options = Options {
        dry_run,
        ..Options::default()
    };
    let answer = line.call("replicate", arguments, options)?;
    screen.result(&answer, || match dry_run {
        true => planned(&answer),
        false => done(target, &answer),
    });
    Ok(0)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn planned(answer: &Value) -> String {
    let changes = answer["changes"].as_array().into_iter().flatten();
    let rows: Vec<_> = changes
        .map(|change| {
            vec![
                word(&change["resource"]),
                word(&change["after"]["builds_on"]),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => "nothing to send\n".to_owned(),
        false => table(&["WOULD BE SENT", "BUILDS ON"], &rows),
    }
}

fn done(target: &str, answer: &Value) -> String {
    let sent = answer["sent"].as_array().into_iter().flatten();
    let row = |sent: &Value| {
        let (bytes, time) = (sent["bytes"].as_u64(), sent["duration_ms"].as_u64());
        vec![
            format!("{}/{}", word(&sent["snapshot"]), word(&sent["subvolume"])),
            word(&sent["parent"]),
            format!("{} KiB", bytes.unwrap_or_default().div_ceil(1024)),
            format!("{} ms", time.unwrap_or_default()),
            word(&sent["checked"]),
        ]
    };
    let rows: Vec<_> = sent.map(row).collect();
    let mut text = match rows.is_empty() {
        true => format!(
            "{target} has everything, {} last\n",
            word(&answer["newest"])
        ),
        false => table(
            &["SENT", "BUILDS ON", "STREAM", "TIME", "FOUND THERE"],
            &rows,
        ),
    };
    for name in answer["removed"].as_array().into_iter().flatten() {
        text.push_str(&format!("{} was removed there\n", word(name)));
    }
    text
}
