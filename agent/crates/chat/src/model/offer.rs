//! The tools that a model is offered: those its person may call, and of these the ones that fit the question.

use std::collections::HashSet;

use llm::ToolDefinition;
use say::{Catalog, Effect, Tool};
use serde_json::{Map, Value, json};

use super::data::cut;

/// The most tools that are offered at once; models choose worse among more.
pub(super) const MOST: usize = 24;
/// Finds further tools.
pub(super) const FIND: &str = "find_tools";
/// How many tools one search adds.
const FOUND: usize = 6;
/// Characters of a tool's description, and of an argument's.
const DESCRIPTION: usize = 300;
const ARGUMENT: usize = 120;
/// Bytes of a schema; a larger one is left to the daemon to check.
const SCHEMA: usize = 3000;
/// The tools that are offered whatever the question, if there is room: how the host stands.
pub const ALWAYS: [&str; 5] = [
    "container_list",
    "state_status",
    "host_info",
    "search",
    "systemd_list_units",
];

/// What a role may call: the roles are in order.
pub(super) fn may(role: &str, tool: &Tool) -> bool {
    let rank = |role: &str| {
        ["viewer", "operator", "admin"]
            .iter()
            .position(|it| *it == role)
    };
    match (rank(role), rank(&tool.role)) {
        (Some(has), Some(needs)) => has >= needs,
        _ => false,
    }
}

/// The tools that are offered in one message.
pub(super) struct Offer {
    names: Vec<String>,
}

impl Offer {
    /// What fits the question, after what was used before in the conversation.
    pub(super) fn new(catalog: &Catalog, role: &str, question: &str, used: &[String]) -> Self {
        let ranked = rank(catalog, role, question);
        let used = used.iter().rev().map(String::as_str).take(MOST / 4);
        // The best ones first, so that room is left to them where it is short.
        let (best, rest) = ranked.split_at(ranked.len().min(MOST / 2));
        let candidates = best
            .iter()
            .copied()
            .chain(used)
            .chain(ALWAYS)
            .chain(rest.iter().copied());
        let mut seen = HashSet::new();
        let allowed = |name: &&str| catalog.tool(name).is_some_and(|tool| may(role, tool));
        let names = candidates
            .filter(allowed)
            .filter(|name| seen.insert(name.to_owned()));
        Self {
            names: names.take(MOST - 1).map(str::to_owned).collect(),
        }
    }

    /// Adds the tools that some words find, in place of those that fitted least. What the model is told of them.
    pub(super) fn find(&mut self, catalog: &Catalog, role: &str, words: &str) -> String {
        let found: Vec<_> = rank(catalog, role, words).into_iter().take(FOUND).collect();
        if found.is_empty() {
            return "There is no such tool for this role.".to_owned();
        }
        self.names.retain(|name| !found.contains(&name.as_str()));
        self.names.truncate(MOST - 1 - found.len());
        self.names
            .splice(0..0, found.iter().map(|name| (*name).to_owned()));
        format!("These can be called now: {}", found.join(", "))
    }

    /// The tools as the model gets them, as many as fit into so many tokens; one at least, to find others.
    pub(super) fn definitions(&self, catalog: &Catalog, tokens: usize) -> Vec<ToolDefinition> {
        let mut definitions = vec![finder()];
        let mut left = tokens.saturating_mul(3);
        for tool in self.names.iter().filter_map(|name| catalog.tool(name)) {
            let definition = definition(tool);
            let size = definition.parameters.to_string().len() + definition.description.len() + 60;
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => break,
            }
            definitions.push(definition);
        }
        definitions
    }
}

/// The names of the tools that fit some words and a role may call, best first.
pub(super) fn rank<'c>(catalog: &'c Catalog, role: &str, text: &str) -> Vec<&'c str> {
    let allowed = catalog.near(text).filter(|tool| may(role, tool));
    allowed.map(|tool| tool.name.as_str()).collect()
}

fn finder() -> ToolDefinition {
    ToolDefinition {
        name: FIND.to_owned(),
        description:
            "Finds further tools of this host by a few words. They can be called in the next step."
                .to_owned(),
        parameters: json!({
            "type": "object",
            "properties": { "words": { "type": "string" } },
            "required": ["words"],
        }),
    }
}

fn definition(tool: &Tool) -> ToolDefinition {
    let description = cut(&tool.description, DESCRIPTION);
    let description = match tool.effect {
        Effect::Read => description,
        Effect::Write => format!("CHANGES THE HOST. {description}"),
        Effect::Destroy => format!("CHANGES THE HOST, and may lose data. {description}"),
    };
    let parameters = slim(&tool.input_schema);
    let parameters = match parameters.to_string().len() > SCHEMA || !parameters.is_object() {
        true => json!({ "type": "object" }),
        false => parameters,
    };
    ToolDefinition {
        name: tool.name.clone(),
        description,
        parameters,
    }
}

/// A schema without what costs tokens and says little to a model.
fn slim(schema: &Value) -> Value {
    let Value::Object(keys) = schema else {
        return schema.clone();
    };
    let mut slimmer = Map::new();
    for (key, value) in keys {
        let value = match (key.as_str(), value) {
            ("$schema" | "$id" | "$comment" | "title" | "examples" | "pattern" | "format", _) => {
                continue;
            }
            ("description", Value::String(text)) => cut(text, ARGUMENT).into(),
            // Names of arguments may be any of the above.
            ("properties" | "$defs", Value::Object(named)) => named
                .iter()
                .map(|(name, schema)| (name.clone(), slim(schema)))
                .collect(),
            (_, Value::Object(_)) => slim(value),
            (_, Value::Array(items)) => items.iter().map(slim).collect(),
            _ => value.clone(),
        };
        slimmer.insert(key.clone(), value);
    }
    Value::Object(slimmer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, effect: Effect, role: &str, description: &str) -> Tool {
        Tool {
            name: name.to_owned(),
            title: name.to_owned(),
            description: description.to_owned(),
            domain: "x".to_owned(),
            effect,
            role: role.to_owned(),
            input_schema: json!({ "type": "object" }),
            examples: Vec::new(),
            sentences: Vec::new(),
        }
    }

    fn catalog() -> Catalog {
        let mut tools: Vec<_> = (0..100)
            .map(|number| {
                tool(
                    &format!("other_{number}"),
                    Effect::Read,
                    "viewer",
                    "Tells something else.",
                )
            })
            .collect();
        tools.push(tool(
            "container_list",
            Effect::Read,
            "viewer",
            "Lists containers.",
        ));
        tools.push(tool(
            "container_delete",
            Effect::Destroy,
            "admin",
            "Deletes a container with all its data.",
        ));
        tools.push(tool(
            "net_list_routes",
            Effect::Read,
            "viewer",
            "Lists the kernel's routes.",
        ));
        Catalog::new(tools)
    }

    #[test]
    fn what_fits_is_offered_and_nothing_above_the_role() {
        let catalog = catalog();
        let offer = |role| {
            Offer::new(
                &catalog,
                role,
                "delete container web-01",
                &["other_7".to_owned()],
            )
        };
        assert_eq!(offer("admin").names[0], "container_delete");
        assert_eq!(offer("operator").names, ["container_list", "other_7"]);
        assert!(offer("nobody").names.is_empty());
        let many = Offer::new(&catalog, "viewer", "tell me something else", &[]);
        assert_eq!(many.names.len(), MOST - 1);
        let definitions = offer("admin").definitions(&catalog, 10_000);
        assert_eq!(definitions[0].name, FIND);
        assert!(
            definitions[1]
                .description
                .starts_with("CHANGES THE HOST, and may lose")
        );
        assert_eq!(many.definitions(&catalog, 0).len(), 1);
        assert!(many.definitions(&catalog, 200).len() < MOST);
    }

    #[test]
    fn others_are_found_by_words() {
        let catalog = catalog();
        let mut offer = Offer::new(&catalog, "viewer", "tell me something else", &[]);
        assert!(
            offer
                .find(&catalog, "viewer", "kernel routes")
                .contains("net_list_routes")
        );
        assert_eq!(
            (offer.names[0].as_str(), offer.names.len()),
            ("net_list_routes", MOST - 1)
        );
        assert!(
            !offer
                .find(&catalog, "viewer", "delete")
                .contains("container_delete")
        );
        assert!(
            offer
                .find(&catalog, "viewer", "qqq")
                .contains("no such tool")
        );
    }

    #[test]
    fn schemas_are_slim_and_keep_their_arguments() {
        let schema = json!({
            "$schema": "x", "type": "object", "title": "A",
            "properties": { "title": { "type": "string", "title": "T", "pattern": "^a$", "description": "d".repeat(500) } },
            "required": ["title"],
        });
        let slim = slim(&schema);
        assert_eq!(slim["required"][0], "title");
        assert_eq!(slim["properties"]["title"]["type"], "string");
        assert!(
            slim.to_string().len() < 300 && slim.get("$schema").is_none(),
            "{slim}"
        );
    }
}
