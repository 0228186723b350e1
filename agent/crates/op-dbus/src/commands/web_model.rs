//! web model: whether the declared language model answers.

use std::time::Duration;

use anyhow::Context as _;
use declaration::{AnySections, ChatModel, Declaration};
use llm::Probe;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::failure::Failure;
use crate::screen::Screen;

/// How many of the server's models people are shown.
const SHOWN: usize = 12;

pub(super) fn run(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let declaration = Declaration::read_with(&cli.file, &AnySections)?;
    let Some(declared) = declaration.chat.model else {
        return Err(Failure::Usage(format!(
            "no language model is declared in {}, and none is needed. To use one, declare `chat.model` with `url` \
             and `name`",
            cli.file.display()
        )));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a thread for the network")?;
    let client = chat::model::client(&declared).context("make the model's client")?;
    let probe = runtime.block_on(Probe::of(&client));
    let json = report(&declared, &probe);
    screen.result(&json, || text(&declared, client.server(), &probe));
    Ok(u8::from(probe.answer.is_err()))
}

fn report(declared: &ChatModel, probe: &Probe) -> Value {
    let failed = |error: &llm::Error| json!({ "error": error.to_string() });
    let models = match &probe.models {
        Ok((names, took)) => json!({ "names": names, "milliseconds": millis(*took) }),
        Err(error) => failed(error),
    };
    let answer = match &probe.answer {
        Ok(answered) => json!({
            "first_milliseconds": millis(answered.first),
            "milliseconds": millis(answered.whole),
            "calls_tools": answered.calls_tools,
            "tokens": answered.usage.total(),
            "tokens_estimated": answered.usage.estimated,
        }),
        Err(error) => failed(error),
    };
    json!({
        "url": declared.url,
        "model": declared.name,
        "answers": probe.answer.is_ok(),
        "listed": probe.has(&declared.name),
        "models": models,
        "answer": answer,
    })
}

fn text(declared: &ChatModel, server: &str, probe: &Probe) -> String {
    let mut text = format!("{} at {server}\n", declared.name);
    match &probe.models {
        Ok((names, took)) => {
            let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
            let more = match names.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let list = format!("{}{more}", shown.join(", "));
            text += &format!("  models   {list} ({} ms)\n", millis(*took));
        }
        Err(error) => text += &format!("  models   no list: {error}\n"),
    }
    if probe.has(&declared.name) == Some(false) {
        text += &format!("           {} is not among them\n", declared.name);
    }
    match &probe.answer {
        Ok(answered) => {
            text += &format!(
                "  answers  after {} ms, complete after {} ms, {} tokens\n",
                millis(answered.first),
                millis(answered.whole),
                answered.usage.total()
            );
            text += match answered.calls_tools {
                true => "  tools    it calls them\n",
                false => {
                    "  tools    it did not call the one that it was asked to call: it can talk, but look up \
                     nothing. Take a model that is made for tools\n"
                }
            };
        }
        Err(error) => text += &format!("  answers  no: {error}\n"),
    }
    text
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
