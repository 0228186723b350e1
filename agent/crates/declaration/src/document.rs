//! The declaration as a whole: from text to a value that is known to be sound, and back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::access::{Access, Reconcile};
use crate::cache::Cache;
use crate::chat::Chat;
use crate::check::{self, Damage};
use crate::define::record;
use crate::flow::Openflow;
use crate::form::Form;
use crate::ledger::Ledger;
use crate::lxc::{Container, Lxc, Network};
use crate::mcp::Mcp;
use crate::ml::Ml;
use crate::names::{ContainerName, PluginName};
use crate::network::Ovs;
use crate::packagekit::Packagekit;
use crate::problem::{DocumentPath, Problem, Problems};
use crate::reader::Reader;
use crate::replication::Replication;
use crate::schema::Definitions;
use crate::sections::{self, NoSections, Sections};
use crate::snapshots::Snapshots;
use crate::storage::Btrfs;
use crate::systemd::Systemd;
use crate::tree::{LARGEST, Node, Value};
use crate::web::Web;
use crate::{json as json_text, yaml as yaml_text};

/// What a host should have: a whole declaration, checked.
///
/// One that was read has no contradictions; code that makes or changes one by hand answers for that
/// itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Declaration {
    /// What is done about drift.
    pub reconcile: Reconcile,
    /// Who may do what through the doors.
    pub access: Access,
    /// The HTTP doors, and who may speak at them.
    pub web: Option<Web>,
    /// The chat, and the language model that it asks.
    pub chat: Chat,
    /// The Model Context Protocol.
    pub mcp: Mcp,
    /// How the ledger proves itself to others.
    pub ledger: Ledger,
    /// Snapshots that are sent elsewhere.
    pub replication: Replication,
    /// Snapshots that are made without being asked for.
    pub snapshots: Snapshots,
    /// The model that the search in the ledger uses.
    pub ml: Ml,
    /// What is kept of what was computed.
    pub cache: Cache,
    /// What each plugin is to do.
    pub plugins: Plugins,
    /// The sections under `plugins` that mappings of D-Bus services answer for, as they were written.
    pub derived: BTreeMap<PluginName, Json>,
}

record! {
    /// What each plugin is to do.
    pub struct Plugins: Default {
        /// Subvolumes of a btrfs file system; always there, since the ledger is kept in one of them.
        btrfs: Btrfs = Btrfs::default(),
        /// Bridges of Open vSwitch.
        ovs: Option<Ovs> = None,
        /// Flow tables of these bridges.
        openflow: Option<Openflow> = None,
        /// Software packages of the host.
        packagekit: Option<Packagekit> = None,
        /// Units of the host's systemd.
        systemd: Option<Systemd> = None,
        /// Templates and containers.
        lxc: Option<Lxc> = None,
    }
}

record! {
    /// What a host should have.
    pub(crate) struct Document {
        /// The version of this format: "1.0".
        version: Version,
        /// What the daemon does about a host that is no longer in its declared state.
        reconcile: Reconcile = Reconcile::Enforce,
        /// Who may do what through the doors, and what files and commands they reach.
        access: Access = Access::default(),
        /// The HTTP doors, and who may speak at them.
        web: Option<Web> = None,
        /// The chat of the web server, and the language model that it may ask.
        chat: Chat = Chat::default(),
        /// Other servers of the Model Context Protocol whose tools this host passes on.
        mcp: Mcp = Mcp::default(),
        /// How the ledger proves itself to others, and whose ledgers this host watches over.
        ledger: Ledger = Ledger::default(),
        /// Snapshots that are sent to other file systems.
        replication: Replication = Replication::default(),
        /// Snapshots that are made without being asked for, and for how long they are kept.
        snapshots: Snapshots = Snapshots::default(),
        /// The model that the search in the ledger uses.
        ml: Ml = Ml::default(),
        /// What is kept of what was computed.
        cache: Cache = Cache::default(),
        /// What each plugin is to do.
        plugins: Plugins = Plugins::default(),
    }
}

record! {
    /// Containers that were made by command. They are kept apart from the declaration.
    pub struct ContainersFile: Default {
        /// The version of this format: "1.0".
        version: Version = Version,
        /// Containers by name.
        containers: BTreeMap<ContainerName, Container>
            = BTreeMap::new(),
    }
}

/// The version of the format; there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Version;

impl Form<Version> for Version {
    fn accepted() -> String {
        "\"1.0\"".to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Version> {
        match &node.value {
            Value::Integer(1) => Some(Version),
            Value::Float(number) if *number == 1.0 => Some(Version),
            Value::Text(text) if text == "1.0" || text == "1" => Some(Version),
            _ => {
                reader.wrong::<Version, Self>(node);
                None
            }
        }
    }

    fn encode(_: &Version) -> Json {
        "1.0".into()
    }

    fn schema(_: &mut Definitions) -> Json {
        json!({ "enum": ["1.0", "1", 1] })
    }
}

/// How a document is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// YAML 1.2.
    Yaml,
}

impl Format {
    /// By the name's extension (`json`, `yaml`, `yml`), else by the text: JSON if it begins with a
    /// brace.
    pub fn of(path: &Path, text: &str) -> Self {
        let extension = path
            .extension()
            .map(|extension| extension.to_ascii_lowercase());
        match extension
            .as_deref()
            .and_then(|extension| extension.to_str())
        {
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            _ if text.trim_start().starts_with('{') => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// A file could not be read as what it should hold.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system did not give it out.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is wrong.
    #[error("{} is not a good declaration:\n\n{problems}", .path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        problems: Problems,
    },
}

impl Declaration {
    /// Reads YAML 1.2, with all problems in one go.
    pub fn from_yaml(text: &str) -> Result<Self, Problems> {
        Self::parse(text, Format::Yaml)
    }

    /// Reads JSON, with all problems in one go.
    pub fn from_json(text: &str) -> Result<Self, Problems> {
        Self::parse(text, Format::Json)
    }

    /// Reads a file; its name or its content says which format it has.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        Self::read_with(path, &NoSections)
    }

    /// Reads a file that may have sections which `sections` answers for.
    pub fn read_with(path: &Path, sections: &dyn Sections) -> Result<Self, ReadError> {
        read(path, |text, format| {
            Self::parse_with(text, format, sections)
        })
    }

    /// Reads a text, with all problems in one go.
    pub fn parse(text: &str, format: Format) -> Result<Self, Problems> {
        Self::parse_with(text, format, &NoSections)
    }

    /// Reads a text that may have sections which `sections` answers for, with all problems in one go.
    pub fn parse_with(
        text: &str,
        format: Format,
        sections: &dyn Sections,
    ) -> Result<Self, Problems> {
        let node = tree(text, format)?;
        let mut reader = Reader::default();
        let document = Document::decode(&node, &mut reader);
        let mut declaration = match document {
            Some(document) => Self {
                reconcile: document.reconcile,
                access: document.access,
                web: document.web,
                chat: document.chat,
                mcp: document.mcp,
                ledger: document.ledger,
                replication: document.replication,
                snapshots: document.snapshots,
                ml: document.ml,
                cache: document.cache,
                plugins: document.plugins,
                derived: BTreeMap::new(),
            },
            None => Self::default(),
        };
        let base = &declaration.plugins.btrfs.base.path;
        declaration.derived = sections::collect(&node, &mut reader, base, sections);
        let mut findings = node.repeated_keys();
        let damage = Damage::of(&reader);
        findings.extend(reader.findings);
        if damage.spares(&check::path(["ovs", "bridges"])) {
            declaration.connect();
        }
        findings.extend(check::declaration(&declaration, &damage));
        node.place(&mut findings.problems);
        findings.verdict()?;
        Ok(declaration)
    }

    /// Adds the containers that were made by command. One that the declaration names itself is left
    /// as it is there. Everything is checked again, as if it had been one document.
    pub fn merge_containers(
        &mut self,
        containers: &BTreeMap<ContainerName, Container>,
    ) -> Result<(), Problems> {
        if containers.is_empty() {
            return Ok(());
        }
        let mut merged = self.clone();
        let lxc = merged.plugins.lxc.get_or_insert_default();
        for (name, container) in containers {
            lxc.containers
                .entry(name.clone())
                .or_insert_with(|| container.clone());
        }
        merged.connect();
        check::declaration(&merged, &Damage::default()).verdict()?;
        *self = merged;
        Ok(())
    }

    /// Connects the containers that name no bridge to the only one there is.
    fn connect(&mut self) {
        let only = self.plugins.ovs.as_ref().and_then(|ovs| {
            let mut names = ovs.bridges.keys();
            names.next().filter(|_| names.next().is_none()).cloned()
        });
        let containers = self
            .plugins
            .lxc
            .iter_mut()
            .flat_map(|lxc| &mut lxc.containers);
        for (_, container) in containers {
            if container.network != Network::None && container.bridge.is_none() {
                container.bridge.clone_from(&only);
            }
        }
    }
}

/// The document's form, complete with all defaults.
impl Serialize for Declaration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = Document::encode(&Document {
            version: Version,
            reconcile: self.reconcile,
            access: self.access.clone(),
            web: self.web.clone(),
            chat: self.chat.clone(),
            mcp: self.mcp.clone(),
            ledger: self.ledger.clone(),
            replication: self.replication.clone(),
            snapshots: self.snapshots.clone(),
            ml: self.ml.clone(),
            cache: self.cache.clone(),
            plugins: self.plugins.clone(),
        });
        for (name, section) in &self.derived {
            document["plugins"][name.as_str()] = section.clone();
        }
        document.serialize(serializer)
    }
}

impl ContainersFile {
    /// A file with these containers.
    pub fn new(containers: BTreeMap<ContainerName, Container>) -> Self {
        Self {
            containers,
            ..Self::default()
        }
    }

    /// Reads a text, with all problems in one go. Whether the containers fit the declaration is seen
    /// by [`Declaration::merge_containers`].
    pub fn parse(text: &str, format: Format) -> Result<Self, Problems> {
        let node = tree(text, format)?;
        let mut reader = Reader::default();
        let file = Self::decode(&node, &mut reader);
        let mut findings = node.repeated_keys();
        findings.extend(reader.findings);
        node.place(&mut findings.problems);
        findings.verdict()?;
        Ok(file.unwrap_or_default())
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        read(path, Self::parse)
    }
}

fn tree(text: &str, format: Format) -> Result<Node, Problems> {
    if text.len() > LARGEST {
        return Err(too_large().into());
    }
    // A byte order mark, as some editors put at the start.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let node = match format {
        Format::Json => json_text::parse(text),
        Format::Yaml => yaml_text::parse(text),
    };
    node.map_err(Problems::from)
}

fn too_large() -> Problem {
    let accepted = format!("at most {} MiB", LARGEST >> 20);
    Problem::new(DocumentPath::default(), "a larger file", accepted)
}

fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str, Format) -> Result<T, Problems>,
) -> Result<T, ReadError> {
    let unreadable = |source| ReadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let bad = |problems| ReadError::Bad {
        path: path.to_owned(),
        problems,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > LARGEST {
        return Err(bad(too_large().into()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let found = format!("byte {} is not of UTF-8", error.utf8_error().valid_up_to());
        bad(Problem::new(DocumentPath::default(), found, "text in UTF-8").into())
    })?;
    parse(&text, Format::of(path, &text)).map_err(bad)
}
