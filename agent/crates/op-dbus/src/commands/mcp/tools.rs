//! mcp tools: what a server offers, and what of it cannot be used.

use mcp::upstream::Offer;
use serde_json::{Value, json};

use super::reach;
use crate::cli::{Cli, Reaching};
use crate::failure::Failure;
use crate::screen::{Screen, table};

pub(super) fn run(
    cli: &Cli,
    screen: &Screen,
    server: Option<&str>,
    how: &Reaching,
) -> Result<u8, Failure> {
    let named = reach::find(cli, screen, server, how)?;
    let upstream = named.upstream;
    let answer = reach::wait(async {
        let answer = upstream
            .prepare()
            .await
            .map(|offer| of(offer, named.declared));
        upstream.close().await;
        answer
    })?;
    let mut answer = answer.map_err(reach::failure)?;
    answer["protocol"] = json!(upstream.report().protocol);
    screen.result(&answer, || text(&answer));
    Ok(0)
}

fn of(offer: &Offer, declared: bool) -> Value {
    let tools: Vec<_> = offer
        .tools
        .iter()
        .map(|(name, offered)| {
            let mut tool = json!({
                "tool": mcp::upstream::clean(&offered.tool, 256),
                "title": offered.info.title,
                "description": offered.info.description,
                "input_schema": offered.info.input,
                "output_schema": offered.info.output,
            });
            if declared {
                tool["name"] = json!(name);
                tool["effect"] = json!(offered.info.effect);
            }
            tool
        })
        .collect();
    json!({ "tools": tools, "left_out": offer.left_out, "filtered": offer.filtered })
}

fn text(answer: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let first_line = |value: &Value| {
        let line: String = word(value)
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(100)
            .collect();
        line
    };
    let tools = answer["tools"].as_array().into_iter().flatten();
    let rows: Vec<_> = tools
        .map(|tool| {
            vec![
                word(&tool["tool"]),
                word(&tool["effect"]),
                first_line(&tool["description"]),
            ]
        })
        .collect();
    let mut text = table(&["TOOL", "EFFECT", "WHAT IT SAYS OF ITSELF"], &rows);
    for left_out in answer["left_out"].as_array().into_iter().flatten() {
        let (tool, reason) = (word(&left_out["tool"]), word(&left_out["reason"]));
        text.push_str(&format!("left out: {tool}: {reason}\n"));
    }
    text
}
