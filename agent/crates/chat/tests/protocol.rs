//! The session that `docs/websocket.md` shows is one that takes place.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod daemon;

use daemon::{Daemon, of, sit};
use serde_json::Value;

const PAGE: &str = include_str!("../../../../docs/websocket.md");
/// What is another one each time.
const CHANGING: [&str; 6] = ["seq", "plan", "call", "hash", "entry", "timestamp"];

/// The lines of the page that go to and fro.
fn shown() -> Vec<(bool, String)> {
    let lines = PAGE.lines().filter_map(|line| {
        let line = line.strip_prefix("    ")?;
        let there = line.strip_prefix("→ ").map(|text| (true, text));
        there.or_else(|| line.strip_prefix("← ").map(|text| (false, text)))
    });
    lines
        .map(|(there, text)| (there, text.replace(",…}", "}").replace("[…]", "\"…\"")))
        .collect()
}

#[tokio::test]
async fn the_page_shows_what_takes_place() {
    let daemon = Daemon::new();
    let mut seat = sit(&daemon.chat(), "alice");
    let shown = shown();
    assert!(shown.len() >= 7, "{shown:?}");
    let mut plan = Value::Null;
    for (there, text) in shown {
        if there {
            let text = match serde_json::from_str::<Value>(&text) {
                Ok(mut object) if object["plan"].is_string() => {
                    object["plan"] = plan.clone();
                    object.to_string()
                }
                _ => text,
            };
            seat.hear(&text);
            continue;
        }
        let wanted: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        println!("waits for {text}");
        let event = of(&mut seat, wanted["type"].as_str().unwrap()).await;
        for (key, value) in wanted.as_object().unwrap() {
            let there = &event[key];
            match CHANGING.contains(&key.as_str()) || *value == "…" {
                true => assert!(!there.is_null(), "{key}: {event:#}"),
                false => assert_eq!(there, value, "{key}: {event:#}"),
            }
        }
        if event["type"] == "plan" {
            plan = event["plan"].clone();
        }
    }
    assert_eq!(daemon.done().len(), 1);
}
