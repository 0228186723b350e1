//! Plugins made from D-Bus services: see, generate, enable, disable.

use std::collections::BTreeMap;

use declaration::PluginName;
use plugins::derived::store::{self, Entry, Origin, StoreError};
use plugins::derived::{self, Mapping, generate};
use reconcile::{Change, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::registry::bind;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Listing {
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize, JsonSchema)]
struct One {
    /// The plugin, such as `networkmanager`.
    #[schemars(length(min = 1, max = 32))]
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Generate {
    /// The service's name on the bus, such as `org.freedesktop.hostname1`.
    #[schemars(length(min = 1, max = 255))]
    service: String,
    /// The plugin's name; without it the last part of the service's.
    #[serde(default)]
    #[schemars(length(min = 1, max = 32))]
    name: Option<String>,
}

/// Plugins made from D-Bus services.
#[derive(Serialize, JsonSchema)]
struct Listed {
    /// By name.
    plugins: Vec<Line>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A plugin in a list.
#[derive(Serialize, JsonSchema)]
struct Line {
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
struct Shown {
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

/// Files that nobody has reviewed.
#[derive(Serialize, JsonSchema)]
struct Draft {
    /// The plugin's name.
    name: String,
    /// Where they would stand.
    directory: String,
    /// The text of each.
    files: BTreeMap<&'static str, String>,
    /// What a reviewer should know.
    notes: Vec<String>,
}

/// What was done.
#[derive(Serialize, JsonSchema)]
pub(super) struct Done {
    /// The plugin.
    pub(super) name: String,
    /// `done`, or `unchanged` if it was so before.
    pub(super) outcome: &'static str,
    /// Its directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) directory: Option<String>,
    /// What people should know.
    pub(super) notes: Vec<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Plugins;
    vec![
        Tool::read(
            domain,
            "plugin_list",
            "List plugins",
            "Lists the plugins made from D-Bus services: those that come with the agent and those in @plugins, \
             whether each is in use, and whether its service is on the bus. Starts no service.",
            list,
        )
        .example(json!({})),
        Tool::read(
            domain,
            "plugin_show",
            "Show a plugin",
            "Shows a plugin's resources, which properties a declaration may set and why others may not be, the \
             digests of its interfaces as reviewed and as they are now, and its files.",
            |call, input: One| show(&find(call, &input.name)?),
        )
        .example(json!({ "name": "networkmanager" })),
        Tool::read(
            domain,
            "plugin_generate",
            "Generate a plugin",
            "Makes the files of a plugin from what a service on the system bus says of itself, and gives them out \
             for a review. Nothing in them is declared safe, and nothing is written.",
            |call, input: Generate| {
                let draft = draft(call, &input)?;
                let directory = store::directory(&call.site.paths()?.base).join(draft.name.as_str());
                Ok(Draft {
                    name: draft.name.to_string(),
                    directory: directory.display().to_string(),
                    files: texts(&draft.files),
                    notes: draft.notes,
                })
            },
        )
        .example(json!({ "service": "org.freedesktop.hostname1" })),
        Tool::write(
            domain,
            "plugin_create",
            "Create a plugin",
            "Makes the files of a plugin as plugin_generate does, and puts them into @plugins. The plugin is \
             disabled, and can only be enabled once a person has reviewed what it may write.",
            |call, input: Generate| Ok(creation(&draft(call, &input)?)),
            create,
        )
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "service": "org.freedesktop.hostname1" })),
        Tool::write(
            domain,
            "plugin_enable",
            "Enable a plugin",
            "Puts a plugin into use: it appears in state_query, and the declaration may have a section of its name. \
             Refused while one of its writes is not declared safe and reviewed.",
            |call, input: One| {
                let entry = find(call, &input.name)?;
                may_enable(&entry)?;
                Ok(switch(&entry, true))
            },
            |call, input: One| set(call, &input.name, true),
        )
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "name": "hostname1" })),
        Tool::write(
            domain,
            "plugin_disable",
            "Disable a plugin",
            "Takes a plugin out of use. What it has set stays as it is; a section of its name in the declaration is \
             then an error.",
            |call, input: One| Ok(switch(&find(call, &input.name)?, false)),
            |call, input: One| set(call, &input.name, false),
        )
        .binds()
        .for_role(Role::Admin)
        .example(json!({ "name": "hostname1" })),
    ]
}

fn entries(call: &Call<'_>) -> Result<Vec<Entry>, ToolError> {
    Ok(store::load(&call.site.paths()?.base))
}

pub(super) fn find(call: &Call<'_>, name: &str) -> Result<Entry, ToolError> {
    let entries = entries(call)?;
    let names: Vec<_> = entries.iter().map(|entry| entry.name.to_string()).collect();
    let found = entries
        .into_iter()
        .find(|entry| entry.name.as_str() == name);
    found.ok_or_else(|| {
        ToolError::NotFound(format!(
            "there is no plugin `{name}` made from a service; there are {}",
            names.join(", ")
        ))
    })
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

fn list(call: &Call<'_>, input: Listing) -> Result<Listed, ToolError> {
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

fn show(entry: &Entry) -> Result<Shown, ToolError> {
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

fn texts(files: &store::Files) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (store::PLUGIN_FILE, files.plugin.clone()),
        (store::MAPPING_FILE, files.mapping.clone()),
    ])
}

fn draft(call: &Call<'_>, input: &Generate) -> Result<generate::Generated, ToolError> {
    let name = input
        .name
        .as_ref()
        .map(|name| name.parse::<PluginName>())
        .transpose();
    let name = name.map_err(|error| ToolError::Invalid(error.to_string()))?;
    let go_on = |known: usize, done: usize| {
        call.progress(format!("look at {}", input.service), done, known);
        call.check().is_ok()
    };
    let made = generate::generate(&input.service, name, &go_on);
    call.check()?;
    use generate::GenerateError as Error;
    made.map_err(|error| match error {
        Error::NotAName(_) | Error::NoName(_) => ToolError::Invalid(error.to_string()),
        Error::Away(_) | Error::Bus(_) => ToolError::Unavailable(error.to_string()),
        Error::Stopped => ToolError::Cancelled,
        Error::Nothing(_) | Error::Text(_) => ToolError::Failed(error.to_string()),
    })
}

/// What stands in a plan for a plugin: not its whole text, but what tells one text from another.
pub(super) fn state(files: Option<&store::Files>, enabled: bool) -> Value {
    let digest = files.map(|files| {
        let mut hash = Sha256::new();
        hash.update(files.plugin.as_bytes());
        hash.update([0]);
        hash.update(files.mapping.as_bytes());
        let digits: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        digits
    });
    json!({ "enabled": enabled, "files": digest })
}

fn change(name: &PluginName, verb: Verb, before: Value, after: Value) -> Plan {
    Plan {
        changes: vec![Change::new(
            "plugins",
            name.to_string(),
            verb,
            before,
            after,
        )],
        notes: Vec::new(),
    }
}

fn creation(draft: &generate::Generated) -> Plan {
    change(
        &draft.name,
        Verb::Create,
        Value::Null,
        state(Some(&draft.files), false),
    )
}

/// Inside the turn: what is done is what was shown, if something was, and there is a ledger for it.
pub(super) fn may_carry_out(call: &Call<'_>, plan: &Plan) -> Result<(), ToolError> {
    call.site.can_record(false)?;
    match call.options.plan.as_deref() {
        Some(shown) => bind(Some(shown), &plan.hash()),
        None => Ok(()),
    }
}

fn create(call: &Call<'_>, input: Generate) -> Result<Done, ToolError> {
    let _turn = call.site.turn(call)?;
    let draft = draft(call, &input)?;
    may_carry_out(call, &creation(&draft))?;
    let base = call.site.paths()?.base;
    if entries(call)?.iter().any(|entry| entry.name == draft.name) {
        return Err(refused(StoreError::Taken(draft.name)));
    }
    let directory = store::create(&base, &draft.name, &draft.files).map_err(refused)?;
    Ok(Done {
        name: draft.name.to_string(),
        outcome: "done",
        directory: Some(directory.display().to_string()),
        notes: draft.notes,
    })
}

pub(super) fn refused(error: StoreError) -> ToolError {
    match error {
        StoreError::NoPlace(_) => ToolError::Unavailable(error.to_string()),
        StoreError::Taken(_) => ToolError::Refused(error.to_string()),
        StoreError::Bad(_) => ToolError::Invalid(error.to_string()),
        StoreError::Io { .. } | StoreError::Btrfs(_) => ToolError::Failed(error.to_string()),
    }
}

fn switch(entry: &Entry, enabled: bool) -> Plan {
    let now = entry.mapping.as_ref().is_ok_and(|mapping| mapping.enabled);
    match now == enabled {
        true => Plan::default(),
        false => {
            let before = state(entry.files.as_ref(), now);
            let after = state(entry.files.as_ref(), enabled);
            change(&entry.name, Verb::Update, before, after)
        }
    }
}

/// A person has to have looked at everything that a plugin may write.
fn may_enable(entry: &Entry) -> Result<(), ToolError> {
    let mapping = match &entry.mapping {
        Ok(mapping) => mapping,
        Err(unusable) => {
            return Err(ToolError::Refused(format!(
                "{}; {}",
                unusable.what, unusable.fix
            )));
        }
    };
    if !mapping.writes {
        return Ok(());
    }
    let written = mapping.kinds.iter().flat_map(|(kind_name, kind)| {
        let written = kind
            .properties
            .iter()
            .filter(|(_, property)| property.write.is_some());
        written.map(move |(name, _)| (kind_name, name))
    });
    let refused: Vec<_> = written
        .filter_map(|(kind, name)| Some(format!("{kind}.{name}: {}", mapping.refusal(kind, name)?)))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(ToolError::Refused(format!(
            "{} is not enabled: each of its writes has to be reviewed and declared safe in semantic-mapping.toml, or \
             taken out, or `write` taken out of its capabilities:\n{}",
            entry.name,
            refused.join("\n")
        ))),
    }
}

fn set(call: &Call<'_>, name: &str, enabled: bool) -> Result<Done, ToolError> {
    let _turn = call.site.turn(call)?;
    let entry = find(call, name)?;
    if enabled {
        may_enable(&entry)?;
    }
    let done = |outcome, notes| Done {
        name: entry.name.to_string(),
        outcome,
        directory: None,
        notes,
    };
    let plan = switch(&entry, enabled);
    may_carry_out(call, &plan)?;
    if plan.is_empty() {
        return Ok(done("unchanged", Vec::new()));
    }
    store::set_enabled(&call.site.paths()?.base, &entry, enabled).map_err(refused)?;
    let declared = call.site.declaration_if_any();
    let notes = match (enabled, declared) {
        (false, Err(error)) => vec![format!("The declaration is no longer good: {error}")],
        _ => Vec::new(),
    };
    Ok(done("done", notes))
}
