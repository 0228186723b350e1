//! cache: stats, clear, clean.

use clap::ValueEnum;
use serde_json::{Value, json};
use tools::Options;

use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, table};

pub(super) fn run(
    line: &mut Line<'_>,
    screen: &Screen,
    command: &cli::Cache,
) -> Result<u8, Failure> {
    let (tool, arguments) = match command {
        cli::Cache::Stats => ("cache_stats", json!({})),
        cli::Cache::Clear { kind } => {
            let name = kind.and_then(|kind| kind.to_possible_value());
            (
                "cache_clear",
                json!({ "kind": name.as_ref().map(|name| name.get_name()) }),
            )
        }
        cli::Cache::Clean { days } => ("cache_clean", json!({ "days": days })),
    };
    let answer = line.call(tool, arguments, Options::default())?;
    screen.result(&answer, || match command {
        cli::Cache::Stats => stats(&answer),
        _ => gone(&answer),
    });
    Ok(0)
}

fn gone(answer: &Value) -> String {
    let mut text = format!(
        "{} entries were taken out, {} of files\n",
        answer["entries"],
        bytes(&answer["bytes"])
    );
    for (key, what) in [
        ("damaged", "files were damaged or missing"),
        ("orphans", "files had been left by a crash"),
    ] {
        if answer[key] != 0 {
            text += &format!("{} {what}\n", answer[key]);
        }
    }
    text
}

fn stats(answer: &Value) -> String {
    let kinds = answer["kinds"].as_array().into_iter().flatten();
    let rows: Vec<_> = kinds.map(row).collect();
    let columns = [
        "KIND", "ENTRIES", "SIZE", "MEMORY", "DISK", "MISSES", "HIT RATE",
    ];
    let mut text = table(&columns, &rows);
    let mut rows = vec![
        vec![
            "memory".to_owned(),
            format!(
                "{} of {}",
                bytes(&answer["memory_bytes"]),
                bytes(&answer["memory_bound"])
            ),
        ],
        vec![
            "disk".to_owned(),
            format!(
                "at most {}, unused for at most {} days",
                bytes(&answer["disk_bound"]),
                answer["days"]
            ),
        ],
        vec!["model".to_owned(), model(&answer["model"])],
        vec!["numa".to_owned(), word(&answer["numa"]["state"])],
    ];
    if let Some(placed) = answer["numa"]["placed"].as_object() {
        let now = format!(
            "node {}, processors {}, memory {}",
            placed["node"],
            word(&placed["processors"]),
            word(&placed["memory"])
        );
        rows.push(vec!["placed now".to_owned(), now]);
    }
    text.push('\n');
    text + &table(&["CACHE", ""], &rows)
}

fn row(kind: &Value) -> Vec<String> {
    let rate = kind["hit_rate"].as_f64();
    vec![
        word(&kind["kind"]),
        kind["entries"].to_string(),
        bytes(&kind["bytes"]),
        kind["memory_hits"].to_string(),
        kind["disk_hits"].to_string(),
        kind["misses"].to_string(),
        rate.map_or("-".to_owned(), |rate| format!("{:.0} %", rate * 100.0)),
    ]
}

fn model(model: &Value) -> String {
    if let Some(error) = model["error"].as_str() {
        return format!("not used: {error}");
    }
    match (model["id"].as_str(), model["process"].as_u64()) {
        (None, _) => "none is declared: the built-in embedding".to_owned(),
        (Some(id), None) => format!("{id}, not loaded"),
        (Some(id), Some(process)) => {
            format!("{id}, process {process} with {} threads", model["threads"])
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn bytes(value: &Value) -> String {
    let bytes = value.as_u64().unwrap_or_default();
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
