//! What is said about what can be said.

use say::{Alternative, Catalog, Effect, Slot, Tool};

/// How many sentences are offered at once.
const OFFERED: usize = 8;
/// What people ask for most, before the rest by its name.
const FIRST: [&str; 8] = [
    "containers",
    "systemd",
    "host",
    "network",
    "snapshots",
    "ledger",
    "state",
    "ovs",
];

/// Asks for what a sentence lacks.
pub(crate) fn question(what: &[Slot]) -> String {
    let asked = what.iter().map(|slot| match slot.candidates.is_empty() {
        true => slot.question.clone(),
        false => format!("{} ({})", slot.question, slot.candidates.join(", ")),
    });
    asked.collect::<Vec<_>>().join("\n")
}

/// What can be said, of a topic if there is one; with sentences to go on with.
pub(crate) fn help(catalog: &Catalog, topic: Option<&str>) -> (String, Vec<Alternative>) {
    let asked = topic.map(str::to_lowercase).unwrap_or_default();
    if asked == "tools" {
        return domains(catalog);
    }
    let about = |tool: &&Tool| {
        !asked.is_empty()
            && (tool.domain == asked
                || tool.name.contains(&asked)
                || tool.title.to_lowercase().contains(&asked))
    };
    let found: Vec<_> = catalog.tools().iter().filter(about).collect();
    if found.is_empty() {
        let text = "Say what you want to see or to change, in a sentence. What changes something shows its plan first. \
                    Some things that can be said:";
        return offer(text.to_owned(), one_of_each(catalog));
    }
    if let [tool] = found.as_slice() {
        return offer(format!("{}: {}", tool.title, tool.description), found);
    }
    offer(format!("About {asked} these can be said:"), found)
}

/// What there are tools for, and how one goes on from there.
fn domains(catalog: &Catalog) -> (String, Vec<Alternative>) {
    let tools = one_of_each(catalog);
    let names: Vec<_> = tools.iter().map(|tool| tool.domain.as_str()).collect();
    let text = format!(
        "Available tools: {}. “help with {}” says what can be said of one.",
        names.join(", "),
        names.first().unwrap_or(&"containers"),
    );
    let help = |name: &&str| Alternative {
        sentence: format!("help with {name}"),
        tool: "help".to_owned(),
    };
    (text, names.iter().take(OFFERED).map(help).collect())
}

fn offer(mut text: String, tools: Vec<&Tool>) -> (String, Vec<Alternative>) {
    let mut offered = Vec::new();
    let few = tools.len() < 3;
    for tool in tools {
        let sentences = tool.sentences.iter().filter(|text| is_sentence(text, tool));
        let sentences = sentences.take(if few { OFFERED } else { 1 });
        offered.extend(sentences.map(|sentence| Alternative {
            sentence: sentence.clone(),
            tool: tool.name.clone(),
        }));
    }
    for Alternative { sentence, .. } in offered.iter().take(30) {
        text.push_str(&format!("\n• {sentence}"));
    }
    offered.truncate(OFFERED);
    (text, offered)
}

/// What a person would say. What only programs call is called by its name, and that is nothing to teach.
fn is_sentence(text: &str, tool: &Tool) -> bool {
    text.contains(' ') && !text.contains(&tool.name)
}

/// Of each part of the host the first tool that has sentences, and that only looks if there is one.
fn one_of_each(catalog: &Catalog) -> Vec<&Tool> {
    let mut found: Vec<&Tool> = Vec::new();
    let tools = catalog
        .tools()
        .iter()
        .filter(|tool| tool.sentences.iter().any(|text| is_sentence(text, tool)));
    for tool in tools {
        match found.iter_mut().find(|one| one.domain == tool.domain) {
            None => found.push(tool),
            Some(one) if one.effect != Effect::Read && tool.effect == Effect::Read => *one = tool,
            Some(_) => {}
        }
    }
    found.sort_by_key(|tool| {
        let place = FIRST.iter().position(|name| *name == tool.domain);
        place.unwrap_or(FIRST.len())
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, domain: &str, sentences: &[&str]) -> Tool {
        let tool = json!({
            "name": name, "title": name, "description": "", "domain": domain, "effect": "read", "role": "viewer",
            "input_schema": {}, "examples": [], "sentences": sentences,
        });
        serde_json::from_value(tool).unwrap()
    }

    #[test]
    fn tools_are_told_by_what_they_are_about() {
        let catalog = Catalog::new(vec![
            tool("agent_list", "agents", &["list agents"]),
            tool("container_list", "containers", &["list containers"]),
        ]);
        let (text, offered) = help(&catalog, Some("tools"));
        assert!(
            text.starts_with("Available tools: containers, agents."),
            "{text}"
        );
        assert_eq!(offered[0].sentence, "help with containers");
    }

    #[test]
    fn help_offers_sentences_only() {
        let catalog = Catalog::new(vec![
            tool(
                "ledger_new_origin",
                "ledger",
                &["ledger_new_origin", "call ledger_new_origin"],
            ),
            tool("ledger_log", "ledger", &["ledger_log", "show the ledger"]),
            tool("upstream_read", "mcp", &["call upstream_read"]),
        ]);
        for topic in [None, Some("ledger")] {
            let (text, offered) = help(&catalog, topic);
            let offered: Vec<_> = offered.iter().map(|one| one.sentence.as_str()).collect();
            assert_eq!(offered, ["show the ledger"], "{text}");
            assert!(
                !text.contains("ledger_new_origin") && !text.contains("upstream_read"),
                "{text}"
            );
        }
    }
}
