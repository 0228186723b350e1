//! What can be read by name: how the host stands, the ledger, and what is on the bus.

use rmcp::model::{Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};

use super::Host;
use crate::backend::{Fault, Speaker, ToolInfo};
use crate::server::LARGEST;

/// The tool that looks into a service of the bus.
pub(super) const INTROSPECT: &str = "introspect_service";

const JSON: &str = "application/json";

/// What a URI names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named<'a> {
    Plan,
    Verify,
    Query(&'a str),
    Latest,
    Entry(i64),
    Bus { service: &'a str, path: String },
}

/// The resources without variables.
pub(super) fn listed() -> Vec<Resource> {
    let resource = |uri: &str, title: &str, text: &str| {
        Resource::new(uri, uri)
            .with_title(title)
            .with_description(text)
            .with_mime_type(JSON)
    };
    vec![
        resource("state://plan", "Plan", "What apply would change"),
        resource(
            "state://verify",
            "Drift",
            "Where the host differs from its declared state",
        ),
        resource(
            "ledger://latest",
            "Latest entry",
            "The last entry of the ledger",
        ),
    ]
}

/// The resources with variables, as far as there are tools for them.
pub(super) fn templates(tools: &[ToolInfo]) -> Vec<ResourceTemplate> {
    let template = |uri: &str, title: &str, text: &str| {
        ResourceTemplate::new(uri, uri)
            .with_title(title)
            .with_description(text)
            .with_mime_type(JSON)
    };
    let mut all = vec![
        template(
            "state://query/{plugin}",
            "What the host has",
            "What one plugin sees on the host",
        ),
        template(
            "ledger://{id}",
            "Ledger entry",
            "One entry of the ledger, whole",
        ),
    ];
    if tools.iter().any(|tool| tool.name == INTROSPECT) {
        all.push(template(
            "dbus://system/{service}/{+path}",
            "Object on the bus",
            "The interfaces of an object on the system bus. Nothing is started for it",
        ));
    }
    all
}

/// What a URI names, if it is one of ours.
fn parse(uri: &str) -> Option<Named<'_>> {
    let (scheme, rest) = uri.split_once("://")?;
    match (scheme, rest) {
        ("state", "plan") => Some(Named::Plan),
        ("state", "verify") => Some(Named::Verify),
        ("state", rest) => {
            let plugin = rest.strip_prefix("query/")?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (!plugin.is_empty() && plugin.chars().all(is_name)).then_some(Named::Query(plugin))
        }
        ("ledger", "latest") => Some(Named::Latest),
        ("ledger", id) => id.parse().ok().map(Named::Entry),
        ("dbus", rest) => {
            // A session bus lets in its user alone, and a daemon has none.
            let rest = rest.strip_prefix("system/")?;
            let (service, path) = rest.split_once('/').unwrap_or((rest, ""));
            (!service.is_empty()).then(|| Named::Bus {
                service,
                path: format!("/{}", path.trim_matches('/')),
            })
        }
        _ => None,
    }
}

impl Host {
    pub(super) async fn resource(
        &self,
        speaker: &Speaker,
        uri: &str,
    ) -> Result<Vec<ResourceContents>, Fault> {
        let missing = || Fault::NotFound(format!("there is no resource {uri}"));
        let (tool, arguments) = match parse(uri).ok_or_else(missing)? {
            Named::Plan => ("state_plan", json!({})),
            Named::Verify => ("state_verify", json!({})),
            Named::Query(plugin) => ("state_query", json!({ "plugin": plugin })),
            Named::Latest => ("ledger_log", json!({ "limit": 1 })),
            Named::Entry(id) => ("ledger_show", json!({ "id": id })),
            Named::Bus { service, path } => {
                let arguments = json!({ "bus": "system", "service": service, "path": path });
                (INTROSPECT, arguments)
            }
        };
        let tools = self.list(speaker).await?;
        if !tools.iter().any(|known| known.name == tool) {
            return Err(missing());
        }
        let mut answer = self.read_with(speaker, tool, arguments).await?;
        if tool == "ledger_log" {
            answer = match answer["entries"].get_mut(0) {
                Some(entry) => entry.take(),
                None => Value::Null,
            };
        }
        let text = answer.to_string();
        if text.len() > LARGEST {
            return Err(Fault::Failed {
                code: "too-large".to_owned(),
                text: format!(
                    "{uri} has {} bytes: read a part of it with the tool {tool}",
                    text.len()
                ),
            });
        }
        Ok(vec![ResourceContents::text(text, uri).with_mime_type(JSON)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_names_one_thing() {
        let object = |service, path: &str| Named::Bus {
            service,
            path: path.to_owned(),
        };
        for (uri, named) in [
            ("state://plan", Some(Named::Plan)),
            ("state://query/lxc", Some(Named::Query("lxc"))),
            ("state://query/", None),
            ("state://query/../x", None),
            ("ledger://latest", Some(Named::Latest)),
            ("ledger://12", Some(Named::Entry(12))),
            ("ledger://twelve", None),
            (
                "dbus://system/org.a/org/a/b",
                Some(object("org.a", "/org/a/b")),
            ),
            ("dbus://system/org.a", Some(object("org.a", "/"))),
            ("dbus://system/org.a//x/", Some(object("org.a", "/x"))),
            ("dbus://session/org.a/", None),
            ("file:///etc/shadow", None),
        ] {
            assert_eq!(parse(uri), named, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn no_uri_is_too_odd(uri in "\\PC{0,40}") {
            let _ = parse(&uri);
        }
    }
}
