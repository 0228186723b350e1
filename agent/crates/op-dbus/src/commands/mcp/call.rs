//! mcp call: one call of a server's tool. Those of the declaration's servers go through the host's rights and
//! ledger, as they do from every other door.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use mcp::aggregate::Ticket;
use mcp::upstream::{Answered, Upstream, UpstreamError, tool_name};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tools::{Effect, Options};

use super::reach;
use crate::cli::{Cli, Reaching};
use crate::commands::agree::Preview;
use crate::commands::tool;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::Screen;

/// The most that is read from standard input, in bytes.
const LARGEST: u64 = 4 << 20;

pub(super) fn run(
    cli: &Cli,
    screen: &Screen,
    words: &[String],
    plan: Option<&str>,
    how: &Reaching,
) -> Result<u8, Failure> {
    let (server, words) = match how.program.is_empty() {
        true => words
            .split_first()
            .map_or((None, words), |(server, words)| (Some(server), words)),
        false => (None, words),
    };
    let Some((tool, arguments)) = words.split_first() else {
        return Err(Failure::Usage("name the server and the tool".to_owned()));
    };
    let arguments = parse(arguments)?;
    let named = reach::find(cli, screen, server.map(String::as_str), how)?;
    let upstream = Arc::new(named.upstream);
    let answer = reach::wait(async {
        let answer = call(
            cli,
            screen,
            &upstream,
            named.declared,
            tool,
            arguments,
            plan,
        )
        .await;
        upstream.close().await;
        answer
    })??;
    let (answer, recorded) = answer;
    screen.result(
        &json!({ "structured": answer.structured, "content": answer.content }),
        || text(&answer),
    );
    Ok(u8::from(!recorded))
}

/// The answer, and whether its end is recorded as far as it has to be.
async fn call(
    cli: &Cli,
    screen: &Screen,
    upstream: &Arc<Upstream>,
    declared: bool,
    tool: &str,
    arguments: Map<String, Value>,
    plan: Option<&str>,
) -> Result<(Answered, bool), Failure> {
    upstream.prepare().await.map_err(reach::failure)?;
    let name = tool_name(upstream.name(), tool);
    let offered = upstream
        .offered(&name)
        .map_err(|_| no_tool(upstream, tool))?;
    if let Some(faults) = offered.input_faults(&Value::Object(arguments.clone())) {
        let text = format!("the arguments of {tool} are wrong: {faults}");
        return Err(reach::failure(UpstreamError::Invalid(text)));
    }
    let send = |arguments| async {
        upstream
            .call(&name, arguments, &CancellationToken::new())
            .await
    };
    if !declared {
        let answer = send(arguments).await.map_err(reach::failure)?;
        return Ok((answer, true));
    }
    let effect = offered.info.effect;
    let ticket = Ticket::new(upstream.name(), tool, &arguments)
        .map_err(|error| anyhow::anyhow!("random numbers: {error}"))?;
    let mut line = Line::open(cli, screen)?;
    announce(&mut line, screen, &ticket, effect, plan)?;
    let begun = Instant::now();
    let answer = send(arguments).await;
    let mut recorded = true;
    if effect != Effect::Read {
        let ended = answer.as_ref().map(|_| ()).map_err(ToString::to_string);
        let (name, outcome) = ticket.outcome(ended, begun);
        // What was done cannot be called back: the answer is shown all the same.
        if let Err(error) = line.call(name, Value::Object(outcome), Options::default()) {
            screen.say(&format!(
                "the call was made, but its end was not recorded: {error}"
            ));
            recorded = false;
        }
    }
    let answer = answer.map_err(reach::failure)?;
    Ok((answer, recorded))
}

/// Asks the host, and for what destroys the person.
fn announce(
    line: &mut Line<'_>,
    screen: &Screen,
    ticket: &Ticket,
    effect: Effect,
    plan: Option<&str>,
) -> Result<(), Failure> {
    let (name, announced) = ticket.announcement(effect);
    let announced = Value::Object(announced);
    let mut options = Options {
        plan: plan.filter(|_| effect != Effect::Read).map(str::to_owned),
        ..Options::default()
    };
    if effect == Effect::Destroy && plan.is_none() {
        let preview = Preview::of(line, name, &announced)?;
        let changes = preview.plan.changes.iter();
        let resources: Vec<_> = changes.map(|change| change.resource.as_str()).collect();
        let resources = resources.join(", ");
        let hash = preview.hash();
        if !screen.agrees(&format!(
            "{resources} may lose something for good. Call it?"
        )) {
            return Err(Failure::Refused(format!(
                "not confirmed: answer yes, or call again with --plan {hash}"
            )));
        }
        options.plan = Some(hash);
    }
    line.call(name, announced, options)?;
    Ok(())
}

fn no_tool(upstream: &Upstream, tool: &str) -> Failure {
    let offer = upstream.offer();
    let known: Vec<_> = offer
        .into_iter()
        .flat_map(|offer| offer.tools.values())
        .map(|offered| mcp::upstream::clean(&offered.tool, 100))
        .collect();
    let left_out = offer.and_then(|offer| offer.left_out.iter().find(|it| it.tool == tool));
    Failure::Usage(match left_out {
        Some(left_out) => format!("the tool `{tool}` cannot be used: {}", left_out.reason),
        None => format!(
            "the server has no tool `{tool}`; it has {}",
            known.join(", ")
        ),
    })
}

fn parse(words: &[String]) -> Result<Map<String, Value>, Failure> {
    let value = match words {
        [only] if only == "-" => {
            let mut text = String::new();
            let input = std::io::stdin().take(LARGEST);
            std::io::BufReader::new(input)
                .read_to_string(&mut text)
                .context("read the arguments from standard input")?;
            tool::parse(&[text])?
        }
        words => tool::parse(words)?,
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Failure::Usage(
            "the arguments are no JSON object".to_owned(),
        )),
    }
}

/// What the server answered, for people: its texts, or else the structured answer.
fn text(answer: &Answered) -> String {
    let content = json!(answer.content);
    let blocks = content.as_array().into_iter().flatten();
    let texts: Vec<_> = blocks
        .map(|block| match block["text"].as_str() {
            Some(text) => text.to_owned(),
            None => format!("[{}]", block["type"].as_str().unwrap_or("content")),
        })
        .collect();
    match (&answer.structured, texts.is_empty()) {
        (Some(structured), _) => format!("{structured:#}\n"),
        (None, true) => "the answer is empty\n".to_owned(),
        (None, false) => texts.join("\n") + "\n",
    }
}
