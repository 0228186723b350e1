//! say: what a sentence means, and with `--run` what it asks for.

use say::{Catalog, Effect, Meaning, Understanding};
use serde_json::{Value, json};
use tools::Options;
use tools::engine::Changed;

use super::agree::{self, Preview};
use super::apply::report;
use crate::cli;
use crate::failure::Failure;
use crate::line::Line;
use crate::screen::Screen;
use crate::world::understand;

pub(super) fn run(line: &mut Line<'_>, screen: &Screen, say: &cli::Say) -> Result<u8, Failure> {
    let (catalog, understood) = understand(line, &say.words.join(" "))?;
    if say.run {
        return carry_out(line, screen, &catalog, &understood);
    }
    let all: Vec<_> = understood.iter().map(of).collect();
    let answer = match all.as_slice() {
        [one] => one.clone(),
        all => json!(all),
    };
    screen.result(&answer, || {
        let texts = understood.iter().map(|one| text(&catalog, one));
        texts.collect::<Vec<_>>().join("\n")
    });
    Ok(0)
}

/// An understanding for programs.
fn of(understanding: &Understanding) -> Value {
    let (tool, arguments, effect, missing) = match &understanding.meaning {
        Meaning::Call {
            tool,
            arguments,
            effect,
        } => (Some(tool), arguments.clone(), Some(*effect), None),
        Meaning::Missing {
            tool,
            arguments,
            what,
        } => (Some(tool), arguments.clone(), None, Some(what)),
        _ => (None, Value::Null, None, None),
    };
    json!({
        "sentence": understanding.sentence,
        "understood": understanding.understood,
        "meaning": serde_json::to_value(&understanding.meaning).unwrap_or_default()["kind"],
        "tool": tool,
        "arguments": arguments,
        "effect": effect,
        "missing": missing,
        "score": understanding.score,
        "alternatives": understanding.alternatives,
    })
}

/// An understanding for people.
fn text(catalog: &Catalog, understanding: &Understanding) -> String {
    if let Meaning::Help { topic } = &understanding.meaning {
        return help(catalog, topic.as_deref());
    }
    let mut text = format!("{}\n", understanding.understood);
    if let Meaning::Call {
        tool,
        arguments,
        effect,
    } = &understanding.meaning
    {
        text += &format!("  {} ({tool} {arguments})\n", effect.word());
    }
    if let Meaning::Missing { what, .. } = &understanding.meaning {
        for slot in what.iter().filter(|slot| !slot.candidates.is_empty()) {
            text += &format!("  {} {}\n", slot.question, slot.candidates.join(", "));
        }
    }
    if understanding.meaning == Meaning::Unknown {
        for other in &understanding.alternatives {
            text += &format!("  {} ({})\n", other.sentence, other.tool);
        }
    }
    text
}

/// What can be said.
fn help(catalog: &Catalog, topic: Option<&str>) -> String {
    let mut text = String::new();
    for part in catalog.help(topic) {
        text += &format!("{}\n", part.domain);
        for example in &part.sentences {
            text += &format!("  {}\n", example.sentence);
        }
    }
    text
}

/// Carries out what was said, in its order, until something fails.
fn carry_out(
    line: &mut Line<'_>,
    screen: &Screen,
    catalog: &Catalog,
    understood: &[Understanding],
) -> Result<u8, Failure> {
    // Nothing is begun of what cannot be done to its end.
    for one in understood {
        if !matches!(one.meaning, Meaning::Call { .. } | Meaning::Help { .. }) {
            return Err(Failure::Usage(text(catalog, one).trim_end().to_owned()));
        }
    }
    for one in understood {
        let Meaning::Call {
            tool,
            arguments,
            effect,
        } = &one.meaning
        else {
            screen.result(&of(one), || text(catalog, one));
            continue;
        };
        screen.aside(&one.understood);
        let status = match effect {
            Effect::Read => {
                let answer = line.call(tool, arguments.clone(), Options::default())?;
                screen.result(&answer, || format!("{answer:#}\n"));
                0
            }
            Effect::Write | Effect::Destroy => change(line, screen, one, tool, arguments)?,
        };
        if status != 0 {
            return Ok(status);
        }
    }
    Ok(0)
}

/// Shows the plan of a change, asks, and carries it out bound to that plan.
fn change(
    line: &mut Line<'_>,
    screen: &Screen,
    said: &Understanding,
    tool: &str,
    arguments: &Value,
) -> Result<u8, Failure> {
    let preview = Preview::of(line, tool, arguments)?;
    if !screen.is_json() {
        screen.say(&said.understood);
    }
    preview.show(screen);
    if !screen.agrees("Do this?") {
        return Err(Failure::Refused(
            "nothing was done: it was not agreed to; --yes agrees".to_owned(),
        ));
    }
    let options = agree::bound(Some(preview.hash()));
    let answer = agree::answered(line.call(tool, arguments.clone(), options))?;
    if let Ok(changed) = serde_json::from_value::<Changed>(answer.clone()) {
        return Ok(report(screen, &changed));
    }
    screen.result(&answer, || format!("{answer:#}\n"));
    Ok(0)
}
