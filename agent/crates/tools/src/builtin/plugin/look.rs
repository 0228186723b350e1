//! Plugins as they are shown.

use std::collections::BTreeMap;

use plugins::derived::store::{Entry, Origin};
use plugins::derived::{self, Mapping};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{entries, texts};
use crate::call::Call;
use crate::error::ToolError;
use crate::page::{Page, page};

/// Plugins made from D-Bus services.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listed {
    /// By name.
    plugins: Vec<Line>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A plugin in a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct Line {
    /// Its name.
    name: String,
    /// The service's name on the bus.
    service: Option<String>,
    /// Whether it is in use.
    enabled: bool,
    /// Whether the service is on the bus now.
    on_bus: bool,
    /// `read`, and `write` if it may change something.
    capabilities: Vec<&'static str>,
    /// `built-in`, or its directory.
    origin: String,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A plugin, whole.
#[derive(Serialize, JsonSchema)]
pub(super) struct Shown {
    #[serde(flatten)]
    line: Line,
    /// What it is for.
    description: String,
    /// Its kinds of resources.
    resources: BTreeMap<String, Resource>,
    /// The digests of the interfaces that it writes to or reads: as reviewed, and as the service has them now.
    interfaces: BTreeMap<String, Reviewed>,
    /// The files.
    files: BTreeMap<&'static str, String>,
}

/// A kind of resource.
#[derive(Serialize, JsonSchema)]
struct Resource {
    /// The interface.
    interface: String,
    /// Where the objects are.
    path: String,
    /// The property that names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<String>,
    /// The properties.
    properties: BTreeMap<String, Property>,
}

/// A property.
#[derive(Serialize, JsonSchema)]
struct Property {
    /// Its type, as the bus writes it.
    r#type: String,
    /// Whether a declaration may set it.
    declarable: bool,
    /// Why not, where the mapping has an entry for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
}

/// An interface as it was reviewed and as it is.
#[derive(Default, Serialize, JsonSchema)]
struct Reviewed {
    /// The digests in the mapping.
    reviewed: Vec<String>,
    /// The digest now; nothing if the service is away, or no object with the interface is there.
    now: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Listing {
    #[serde(flatten)]
    page: Page,
}

fn line(entry: &Entry, names: &[String]) -> Line {
    let mapping = entry.mapping.as_deref().ok();
    let writes = mapping.is_some_and(|mapping| mapping.writes);
    Line {
        name: entry.name.to_string(),
        service: mapping.map(|mapping| mapping.service.clone()),
        enabled: mapping.is_some_and(|mapping| mapping.enabled),
        on_bus: mapping.is_some_and(|mapping| names.iter().any(|name| mapping.answers_for(name))),
        capabilities: if writes {
            vec!["read", "write"]
        } else {
            vec!["read"]
        },
        origin: match &entry.origin {
            Origin::BuiltIn => "built-in".to_owned(),
            Origin::Directory(path) => path.display().to_string(),
        },
        problem: entry
            .mapping
            .as_ref()
            .err()
            .map(|unusable| format!("{}; {}", unusable.what, unusable.fix)),
    }
}

pub(super) fn list(call: &Call<'_>, input: Listing) -> Result<Listed, ToolError> {
    let names = derived::names_on_bus();
    let lines = entries(call)?
        .iter()
        .map(|entry| line(entry, &names))
        .collect();
    let (plugins, next_cursor) = page(lines, &input.page)?;
    Ok(Listed {
        plugins,
        next_cursor,
    })
}

pub(super) fn show(entry: &Entry) -> Result<Shown, ToolError> {
    let line = line(entry, &derived::names_on_bus());
    let mapping = entry.mapping.as_deref().ok();
    let mut interfaces: BTreeMap<String, Reviewed> = BTreeMap::new();
    if let Some(mapping) = mapping {
        for (interface, digests) in &mapping.interfaces {
            let known = interfaces.entry(interface.clone()).or_default();
            known.reviewed = digests.iter().map(|digest| digest.0.clone()).collect();
        }
        // A service that is away has nothing to compare with.
        for (interface, now) in derived::digests(mapping).unwrap_or_default() {
            interfaces.entry(interface).or_default().now = Some(now);
        }
    }
    Ok(Shown {
        line,
        description: mapping.map_or_else(String::new, |mapping| mapping.description.clone()),
        resources: mapping.map_or_else(BTreeMap::new, resources),
        interfaces,
        files: entry.files.as_ref().map_or_else(BTreeMap::new, texts),
    })
}

fn resources(mapping: &Mapping) -> BTreeMap<String, Resource> {
    let kinds = mapping.kinds.iter().map(|(kind_name, kind)| {
        let properties = kind.properties.iter().map(|(name, property)| {
            let refusal = mapping.refusal(kind_name, name);
            let shown = Property {
                r#type: property.signature.to_string(),
                declarable: refusal.is_none(),
                refusal: refusal.filter(|_| property.write.is_some()),
            };
            (name.clone(), shown)
        });
        let resource = Resource {
            interface: kind.interface.clone(),
            path: kind.path.to_string(),
            identity: kind.identity.clone(),
            properties: properties.collect(),
        };
        (kind_name.clone(), resource)
    });
    kinds.collect()
}
