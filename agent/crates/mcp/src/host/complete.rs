//! What a value that is being typed may become: names of the bus, of units, of containers.

use serde_json::{Value, json};

use super::Host;
use crate::backend::{Asked, Completion, Fault, Speaker};

/// How many names are looked through.
const MOST: usize = 1000;

/// What kind of name a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unit,
    Container,
    Template,
    Plugin,
    Service,
}

fn kind(completion: &Completion) -> Option<Kind> {
    let of_bus = matches!(&completion.asked, Asked::Template(uri) if uri.starts_with("dbus://"));
    match (completion.name.as_str(), of_bus) {
        ("service", true) => Some(Kind::Service),
        ("unit", _) => Some(Kind::Unit),
        ("container" | "name", false) => Some(Kind::Container),
        ("template", _) => Some(Kind::Template),
        ("plugin", _) => Some(Kind::Plugin),
        _ => None,
    }
}

impl Host {
    /// A caller who may not look gets nothing, as they would from the tool; so does one on a host without it.
    pub(super) async fn values(
        &self,
        speaker: &Speaker,
        completion: Completion,
    ) -> Result<Vec<String>, Fault> {
        let Some(kind) = kind(&completion) else {
            return Ok(Vec::new());
        };
        let names = match kind {
            Kind::Unit => {
                let pattern = format!("*{}*", plain(&completion.value));
                let asked = json!({ "pattern": pattern, "limit": MOST });
                self.names(speaker, "systemd_list_units", asked, "units")
                    .await
            }
            Kind::Container => {
                self.names(
                    speaker,
                    "container_list",
                    json!({ "limit": MOST }),
                    "containers",
                )
                .await
            }
            Kind::Template => {
                self.names(
                    speaker,
                    "template_list",
                    json!({ "limit": MOST }),
                    "templates",
                )
                .await
            }
            Kind::Plugin => self.plugins(speaker).await,
            Kind::Service => {
                self.names(
                    speaker,
                    "introspect_dbus",
                    json!({ "bus": "system" }),
                    "names",
                )
                .await
            }
        };
        Ok(ranked(names, &completion.value))
    }

    async fn names(&self, speaker: &Speaker, tool: &str, asked: Value, key: &str) -> Vec<String> {
        match self.read_with(speaker, tool, asked).await {
            Ok(mut answer) => match answer[key].take() {
                Value::Array(items) => items.iter().filter_map(name).collect(),
                _ => Vec::new(),
            },
            Err(fault) => {
                log::debug!("{tool} completes nothing: {fault}");
                Vec::new()
            }
        }
    }

    async fn plugins(&self, speaker: &Speaker) -> Vec<String> {
        let asked = json!({ "limit": 1 });
        let answer = self.read_with(speaker, "state_query", asked).await;
        let plugins = answer.unwrap_or_default()["plugins"].take();
        let plugins = plugins.as_object().cloned().unwrap_or_default();
        plugins.into_iter().map(|(plugin, _)| plugin).collect()
    }
}

/// Items are names, or have one.
fn name(item: &Value) -> Option<String> {
    let name = item.as_str().or_else(|| item["name"].as_str())?;
    Some(name.to_owned())
}

/// Without what would be a pattern.
fn plain(value: &str) -> String {
    value
        .chars()
        .filter(|c| !matches!(c, '*' | '?'))
        .take(200)
        .collect()
}

/// Those that begin with what was typed, then those that have it in them; by name.
fn ranked(names: Vec<String>, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let mut found: Vec<_> = names
        .into_iter()
        .filter_map(|name| Some((name.to_lowercase().find(&typed)? > 0, name)))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The tools that completion reads with; a test sees that they are there and take what they are given.
#[cfg(test)]
const TOOLS: [&str; 6] = [
    "introspect_dbus",
    super::resources::INTROSPECT,
    "systemd_list_units",
    "container_list",
    "template_list",
    "state_query",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_comes_first() {
        let names = ["nginx.service", "my-ng.service", "ssh.service", "ng.timer"];
        let names = names.map(str::to_owned).to_vec();
        let ranked = ranked(names, "NG");
        assert_eq!(ranked, ["ng.timer", "nginx.service", "my-ng.service"]);
    }

    #[test]
    fn the_tools_are_there() {
        let all = tools::builtin::all();
        for name in TOOLS {
            assert!(all.iter().any(|tool| tool.name == name), "{name}");
        }
    }
}
