//! A host as one document from which it can be made again.
//!
//! The document is canonical JSON (RFC 8785), and the same host gives the same bytes: it has the time of the
//! ledger's head and none of its own. It names the files of secrets and never holds any.

mod facts;
mod keep;
mod secrets;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use declaration::{ContainersFile, Declaration, Format};
use reconcile::{Observed, Owner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) use keep::catch_up;
pub use keep::{keep, keep_seen, replace};
pub use secrets::Secret;
pub(crate) use secrets::of as secrets_of;

use crate::engine::past::{self, ByCommand};
use crate::engine::restoring;
use crate::engine::{Host, Site};
use crate::error::ToolError;

/// What the document says that it is.
const FORMAT: &str = "op-dbus-export";
/// The version of the format.
const VERSION: u64 = 1;
/// The largest document, in bytes: what every door carries as one message.
pub const LARGEST: usize = 8 << 20;
/// The largest signed checkpoint, in bytes.
const LARGEST_CHECKPOINT: u64 = 64 << 10;

/// A host as one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What this is: `op-dbus-export`.
    #[schemars(extend("const" = FORMAT))]
    pub format: String,
    /// The version of this format: 1.
    #[schemars(extend("const" = VERSION))]
    pub version: u64,
    /// The program that wrote it.
    pub made_by: String,
    /// The machine, for people.
    pub host: Facts,
    /// The declaration, complete with all defaults; the schema of declarations says what it may hold.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub declaration: Value,
    /// The containers that were made by command, by name, as the declaration would have them.
    pub containers: BTreeMap<String, Value>,
    /// The recipes that the templates were built from, by name.
    pub templates: BTreeMap<String, Value>,
    /// What each plugin saw, by plugin and resource.
    pub state: BTreeMap<String, Seen>,
    /// Where the ledger stood; none where there was no ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Head>,
    /// The files that the host needs and that are not in here, by path.
    pub secrets: Vec<Secret>,
    /// SHA-256 of the canonical JSON of all the rest, as lower-case hex: finds damage. Whoever can rewrite the
    /// document can rewrite it too; keep it elsewhere to find that.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: String,
}

/// What a machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its operating system, in that one's words.
    pub system: String,
    /// The release of its kernel.
    pub kernel: String,
    /// Its kind of processor.
    pub architecture: String,
    /// `traditional` or `nixos`, where that was noted at installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
}

/// What a plugin saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// Resources by name.
    Resources(BTreeMap<String, Resource>),
    /// Why it could not look.
    Error(String),
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Whether it carries this agent's mark.
    pub ours: bool,
    /// Its state.
    pub state: Value,
}

/// The last entry of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Its place in the chain.
    #[schemars(range(min = 0))]
    pub id: i64,
    /// Its hash, which stands for the whole chain up to it.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub hash: String,
    /// When it was written: the time of this document.
    pub time: String,
    /// The newest signed checkpoint of the ledger's tree, as it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// Why a document is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnExport {
    /// It is larger than any export.
    #[error("it has more than {LARGEST} bytes, and no export is that large")]
    TooLarge,
    /// It does not even parse.
    #[error("it is no JSON, or cut off: {0}")]
    NotJson(String),
    /// It is something else.
    #[error("it is no export: `format` is not \"{FORMAT}\"")]
    SomethingElse,
    /// A later agent wrote it.
    #[error(
        "it has version {0} of the format, and this agent knows {VERSION}: restore it with the agent that wrote it, or a later one ({1})"
    )]
    Newer(u64, String),
    /// Something of it was changed since it was written.
    #[error(
        "it is damaged, or was changed since it was written: its sha256 should be {expected}, and it says {found}"
    )]
    Damaged {
        /// What is in it.
        found: String,
        /// What the content gives.
        expected: String,
    },
    /// It does not have the form of an export.
    #[error("it does not have the form of an export: {0}")]
    Form(String),
}

impl Export {
    /// The host as it is. A plugin that cannot look says so in the document.
    pub(crate) fn of(
        site: &Site,
        host: &Host,
        seen: impl Iterator<Item = (String, Result<BTreeMap<String, Observed>, String>)>,
    ) -> Result<Self, ToolError> {
        let state: BTreeMap<_, _> = seen.map(|(name, seen)| (name, Seen::of(seen))).collect();
        let declaration = json!(host.written());
        let containers = json!(ContainersFile::new(host.by_command.clone()))["containers"].take();
        let mut export = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            made_by: format!("op-dbus {}", env!("CARGO_PKG_VERSION")),
            host: Facts::of_this_machine(),
            secrets: secrets::of(&declaration),
            declaration,
            containers: serde_json::from_value(containers).unwrap_or_default(),
            templates: templates(&state),
            state,
            ledger: head(site, host)?,
            sha256: String::new(),
        };
        export.sha256 = export.hash();
        Ok(export)
    }

    /// Looks at the host through its plugins, and writes down what it is.
    pub fn now(site: &Site, host: &Host) -> Result<Self, ToolError> {
        let seen = host.plugins.iter().map(|plugin| {
            let seen = plugin.observe().map_err(|error| error.to_string());
            (plugin.name().to_owned(), seen)
        });
        Self::of(site, host, seen)
    }

    /// The document as text: canonical JSON in one line.
    pub fn text(&self) -> String {
        serde_json_canonicalizer::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads a document and finds out whether it is whole.
    pub fn parse(text: &[u8]) -> Result<Self, NotAnExport> {
        if text.len() > LARGEST {
            return Err(NotAnExport::TooLarge);
        }
        let value = serde_json::from_slice(text);
        Self::from_value(value.map_err(|error| NotAnExport::NotJson(error.to_string()))?)
    }

    /// Reads a file, no more of it than an export may have.
    pub fn read(path: &Path) -> Result<Self, ToolError> {
        let failed = |error| ToolError::failed(&format!("read {}", path.display()), error);
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut text = Vec::new();
        let bound = u64::try_from(LARGEST).unwrap_or(u64::MAX) + 1;
        file.take(bound).read_to_end(&mut text).map_err(failed)?;
        let export = Self::parse(&text);
        export.map_err(|error| ToolError::Invalid(format!("{}: {error}", path.display())))
    }

    /// The same, of a value that was parsed already.
    pub fn from_value(mut value: Value) -> Result<Self, NotAnExport> {
        if value["format"] != json!(FORMAT) {
            return Err(NotAnExport::SomethingElse);
        }
        // Before all else, since a later format may mean something else by the rest.
        if let Some(version) = value["version"]
            .as_u64()
            .filter(|version| *version > VERSION)
        {
            let by = value["made_by"].as_str().unwrap_or("unknown").to_owned();
            return Err(NotAnExport::Newer(version, by));
        }
        let found = value["sha256"].as_str().unwrap_or_default().to_owned();
        value["sha256"] = json!("");
        let expected = hash(&value);
        if found != expected {
            return Err(NotAnExport::Damaged { found, expected });
        }
        value["sha256"] = json!(found);
        let form = |error: serde_json::Error| NotAnExport::Form(error.to_string());
        serde_json::from_value(value).map_err(form)
    }

    /// The declaration in it, checked as any.
    pub(crate) fn declaration(&self, base: Option<&Path>) -> Result<Declaration, ToolError> {
        past::parse(&self.declaration.to_string(), base)
    }

    /// The containers that were made by command, checked as any.
    pub(crate) fn by_command(&self) -> Result<ByCommand, ToolError> {
        let file = json!({ "version": "1.0", "containers": self.containers });
        Ok(ContainersFile::parse(&file.to_string(), Format::Json)?.containers)
    }

    fn hash(&self) -> String {
        let mut value = json!(self);
        value["sha256"] = json!("");
        hash(&value)
    }
}

impl Seen {
    fn of(seen: Result<BTreeMap<String, Observed>, String>) -> Self {
        let resource = |seen: Observed| Resource {
            ours: seen.owner == Owner::Ours,
            state: seen.state,
        };
        match seen {
            Ok(seen) => Self::Resources(
                seen.into_iter()
                    .map(|(name, seen)| (name, resource(seen)))
                    .collect(),
            ),
            Err(error) => Self::Error(error),
        }
    }
}

/// The JSON Schema of the document.
pub fn schema() -> Value {
    let mut schema = crate::schema::of::<Export>();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("A host of op-dbus as one document");
    schema
}

fn templates(state: &BTreeMap<String, Seen>) -> BTreeMap<String, Value> {
    let Some(Seen::Resources(lxc)) = state.get("lxc") else {
        return BTreeMap::new();
    };
    lxc.iter()
        .filter(|(_, resource)| resource.ours)
        .filter_map(|(name, resource)| {
            let name = name.strip_prefix("template:")?;
            Some((name.to_owned(), resource.state.clone()))
        })
        .collect()
}

fn head(site: &Site, host: &Host) -> Result<Option<Head>, ToolError> {
    if !restoring::is_made(&host.paths) {
        return Ok(None);
    }
    let ledger = site.ledger()?;
    let head = ledger.head()?;
    let seconds = ledger.get(head.id)?.map_or(0, |entry| entry.timestamp);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    Ok(Some(Head {
        id: head.id,
        hash: head.hash.to_string(),
        time: time.to_string(),
        checkpoint: checkpoint(&host.paths.timing().join("checkpoint")),
    }))
}

/// The newest signed checkpoint, where there is one.
fn checkpoint(path: &Path) -> Option<String> {
    path.symlink_metadata().ok().filter(|file| file.is_file())?;
    let file = std::fs::File::open(path).ok()?;
    let mut text = String::new();
    file.take(LARGEST_CHECKPOINT)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

fn hash(value: &Value) -> String {
    let canonical = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(&canonical))
}

#[cfg(test)]
mod tests;
