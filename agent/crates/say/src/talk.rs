//! What is said beside orders: help, yes, no, why; tools by their own names; programs for containers.

use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::context::Context;
use crate::fill::{Filled, Ground, fill};
use crate::frames::FRAMES;
use crate::grammar::{Clause, Reading};
use crate::items::Item;
use crate::lexicon::{Mark, Noun, Sense};
use crate::meaning::{Meaning, Slot, Understanding};
use crate::tool::{Effect, Tool};
use crate::words::Sentence;
use crate::world::{Kind, World};

const YES: [&str; 20] = [
    "yes",
    "y",
    "yes please",
    "yep",
    "apply",
    "apply it",
    "apply that",
    "apply the plan",
    "go ahead",
    "do it",
    "go",
    "ok do it",
    "proceed",
    "sure",
    "please do",
    "yes do it",
    "yes go ahead",
    "ok",
    "approve",
    "make it so",
];

const NO: [&str; 20] = [
    "no",
    "n",
    "no thanks",
    "nope",
    "cancel",
    "cancel it",
    "cancel that",
    "never mind",
    "nevermind",
    "forget it",
    "forget that",
    "abort",
    "stop",
    "don't",
    "don't do it",
    "do not",
    "no don't",
    "leave it",
    "drop it",
    "discard",
];

const WHY: [&str; 12] = [
    "why",
    "why not",
    "why is that",
    "why did that fail",
    "why did it fail",
    "what went wrong",
    "how come",
    "why that",
    "explain",
    "explain that",
    "why was that refused",
    "why did that happen",
];

const HELP: [&str; 22] = [
    "help",
    "help me",
    "?",
    "what can you do",
    "what can i say",
    "what can i do",
    "what can i ask",
    "list tools",
    "show tools",
    "tools",
    "list all tools",
    "show all tools",
    "what tools are there",
    "which tools are there",
    "list the tools",
    "show me the tools",
    "how does this work",
    "what do you understand",
    "commands help",
    "show help",
    "show me what you can do",
    "who are you",
];

/// How questions for help begin that say what about.
const HELP_WITH: [&str; 12] = [
    "help with ",
    "help me with ",
    "help on ",
    "help about ",
    "help for ",
    "how do i ",
    "how can i ",
    "how to ",
    "how would i ",
    "how do you ",
    "help ",
    "show tools for ",
];

/// Help, yes, no, why.
pub(crate) fn small(sentence: &Sentence, context: &Context) -> Option<Understanding> {
    let words: Vec<_> = sentence
        .words
        .iter()
        .map(|word| word.lower.as_str())
        .collect();
    let text = words.join(" ");
    let text = text
        .strip_prefix("please ")
        .or_else(|| text.strip_suffix(" please"))
        .unwrap_or(&text);
    if sentence.words.iter().any(|word| word.quoted) || sentence.told {
        return None;
    }
    let (meaning, understood) = if HELP.contains(&text) {
        let topic = text.contains("tools").then(|| "tools".to_owned());
        (Meaning::Help { topic }, "Say what can be said.".to_owned())
    } else if let Some(topic) = HELP_WITH.iter().find_map(|start| text.strip_prefix(start)) {
        (
            Meaning::Help {
                topic: Some(topic.to_owned()),
            },
            format!("Say what can be said of: {topic}."),
        )
    } else if WHY.contains(&text) && (context.tool.is_some() || text != "explain") {
        (
            Meaning::Why,
            "Say why the last thing came out as it did.".to_owned(),
        )
    } else if NO.contains(&text) {
        (Meaning::Cancel, "Leave what waits or runs.".to_owned())
    } else if YES.contains(&text) {
        (Meaning::Apply, "Agree to what waits.".to_owned())
    } else {
        return None;
    };
    Some(Understanding {
        sentence: sentence.text.clone(),
        understood,
        meaning,
        score: 1.0,
        alternatives: Vec::new(),
    })
}

/// A tool by its own name, with `key=value` behind it.
pub(crate) fn named_tool<'a>(catalog: &'a Catalog, clause: &Clause) -> Option<Reading<'a>> {
    let calling = [
        "call",
        "tool",
        "the",
        "use",
        "run",
        "call the tool",
        "please",
    ];
    let at = clause
        .items
        .iter()
        .position(|item| catalog.tool(&item.lower).is_some() && !item.quoted)?;
    if !clause.items[..at]
        .iter()
        .all(|item| calling.contains(&item.lower.as_str()) || item.is_fill())
    {
        return None;
    }
    let tool = catalog.tool(&clause.items[at].lower)?;
    // `search` and `inspect` are words of sentences as well.
    if !tool.name.contains('_') {
        return None;
    }
    let mut arguments = Map::new();
    for item in clause.items[at + 1..]
        .iter()
        .filter(|item| item.lower != "with")
    {
        let (key, value) = item.text.split_once('=')?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        arguments.insert(key.to_owned(), value);
    }
    if clause.question && tool.effect != Effect::Read {
        return None;
    }
    let missing = lacking(tool, &arguments);
    Some(Reading::sure(tool, arguments, missing))
}

/// What the schema needs and is not there.
fn lacking(tool: &Tool, arguments: &Map<String, Value>) -> Vec<Slot> {
    let needed = tool.input_schema["required"]
        .as_array()
        .into_iter()
        .flatten();
    let needed = needed
        .filter_map(Value::as_str)
        .filter(|name| !arguments.contains_key(*name));
    needed
        .map(|name| Slot {
            name: name.to_owned(),
            question: format!("Which {}?", name.replace('_', " ")),
            candidates: Vec::new(),
        })
        .collect()
}

/// `run df -h in web-01`: a program and its arguments in a container.
pub(crate) fn exec<'a>(catalog: &'a Catalog, clause: &Clause) -> Option<Reading<'a>> {
    let items = &clause.items;
    let start = items
        .iter()
        .position(|item| !(item.is_fill() && item.verbs().next().is_none()))?;
    if !matches!(items[start].lower.as_str(), "run" | "exec" | "execute") || clause.asks() {
        return None;
    }
    let tool = catalog.tool("container_exec")?;
    let inside = items
        .iter()
        .rposition(|item| item.is(Mark::In) || item.lower == "on")?;
    let behind = &items[inside + 1..];
    let is_container = |item: &&Item| {
        item.known
            .iter()
            .any(|known| known.kind == Kind::Container && !known.near)
    };
    let named = behind.iter().find(is_container)?;
    let others = |item: &Item| {
        item.is_fill() || item.has(Sense::Noun(Noun::Container)) || item.is(Mark::Named)
    };
    if !behind
        .iter()
        .all(|item| others(item) || item.text == named.text)
        || inside <= start + 1
    {
        return None;
    }
    let mut program = &items[start + 1..inside];
    if let [first, rest @ ..] = program
        && !rest.is_empty()
        && matches!(
            first.lower.as_str(),
            "the" | "command" | "the command" | "program"
        )
    {
        program = rest;
    }
    let words: Vec<&str> = program
        .iter()
        .flat_map(|item| item.text.split_whitespace())
        .collect();
    let guards = program
        .iter()
        .any(|item| item.text.contains(['&', '|', ';', '<', '>', '$', '`']));
    if words.is_empty() || guards {
        return None;
    }
    let name = named
        .known
        .iter()
        .find(|known| known.kind == Kind::Container)?
        .name
        .clone();
    let arguments = Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("command".to_owned(), json!(words)),
    ]);
    Some(Reading::sure(tool, arguments, Vec::new()))
}

/// The arguments that a clause gives for a tool, whatever its verbs are; nothing where that cannot be said.
pub(crate) fn by_frames(
    catalog: &Catalog,
    tool: &Tool,
    clause: &Clause,
    world: &World,
    context: &Context,
) -> Option<Filled> {
    let names = catalog.names();
    let ground = Ground {
        items: &clause.items,
        period: clause.period.as_ref(),
        world,
        context,
        tools: &names,
        effect: tool.effect,
    };
    let frames = FRAMES.iter().filter(|frame| frame.tool == tool.name);
    let filled = frames
        .map(|frame| fill(frame, &ground, Map::new()))
        .min_by_key(|filled| filled.missing.len());
    filled.or_else(|| {
        let missing = lacking(tool, &Map::new());
        missing.is_empty().then(Filled::default)
    })
}
