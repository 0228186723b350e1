//! The NonNet database: what plugins see that is not of the network, for OVSDB's clients.
//!
//! `Host`, `Plugin` and `Resource` show what the daemon found when it last looked, and only the daemon writes
//! them. `Record` is for others: names with values that they want to keep, saved with the host's state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ovsdb::Value as Datum;
use ovsdb::server::{Options, Schema, Server, Session, Waker};
use reconcile::{Key, Observed, Owner, Plan};
use serde_json::{Value, json};

use crate::daemon::Report;

/// The name of the database.
pub(crate) const NAME: &str = "NonNet";
/// Tables that only the daemon writes.
const MIRRORED: [&str; 3] = ["Host", "Plugin", "Resource"];
/// The plugins that are about the network: Open vSwitch's own database shows theirs.
const NETWORK: [&str; 2] = ["ovs", "openflow"];
/// Operations that write (RFC 7047 §5.2).
const WRITING: [&str; 4] = ["insert", "update", "mutate", "delete"];
/// Most bytes that wait for a client that is slow to read its updates.
const WAITING: usize = 8 << 20;

/// The database and what it last showed.
pub(crate) struct NonNet {
    server: Server,
}

/// What the plugins see, in the order of their names.
pub(crate) type Seen<'a> = BTreeMap<&'a str, &'a BTreeMap<String, Observed>>;

impl NonNet {
    /// An empty database.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let server = Server::new().map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let schema: Value = serde_json::from_str(include_str!("nonnet.ovsschema"))?;
        let added = server.add(Schema::parse(&schema)?);
        added.map_err(|fault| anyhow::anyhow!("{fault}"))?;
        Ok(Self { server })
    }

    /// Tells clients that they reach Open vSwitch's database here too, or that they do not any more.
    pub(crate) fn announce(&self, name: &str, schema: Option<&Value>) {
        self.server.announce(name, schema);
    }

    /// A client that begins; `may_write` says whether it may write records.
    pub(crate) fn connect(&self, may_write: bool, waker: Waker) -> Session {
        let options = Options {
            read_only: !may_write,
            largest_message: super::frame::LARGEST,
            largest_queue: WAITING,
        };
        self.server.connect(options, waker)
    }

    /// Shows how the host stands.
    pub(crate) fn show_host(&self, report: &Report, declaration: Option<&Path>) {
        let row = json!({
            "status": json!(report.state),
            "text": report.text,
            "reconcile": report.reconcile,
            "declaration": declaration.map(|path| path.display().to_string()).unwrap_or_default(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let there = self.server.read(NAME, |database| {
            let mut rows = database.rows("Host");
            rows.next().map(|(_, shown)| same(&shown, &row))
        });
        match there.flatten() {
            Some(true) => {}
            Some(false) => {
                self.write(&[json!({ "op": "update", "table": "Host", "where": [], "row": row })])
            }
            None => self.write(&[json!({ "op": "insert", "table": "Host", "row": row })]),
        }
    }

    /// Shows what the plugins see and what of it is not as declared: one transaction of what is new.
    pub(crate) fn show_resources(&self, seen: &Seen<'_>, plan: &Plan) {
        let drift: BTreeSet<Key> = plan.changes.iter().map(reconcile::Change::key).collect();
        let mut wanted = BTreeMap::new();
        for (plugin, resources) in seen.iter().filter(|(plugin, _)| !NETWORK.contains(plugin)) {
            for (name, observed) in *resources {
                let owner = match observed.owner {
                    Owner::Ours => "ours",
                    Owner::Foreign => "foreign",
                };
                let row = json!({
                    "plugin": plugin,
                    "name": name,
                    "owner": owner,
                    "state": observed.state.to_string(),
                    "drift": drift.contains(&Key::new(*plugin, name.as_str())),
                });
                wanted.insert(((*plugin).to_owned(), name.clone()), row);
            }
        }
        let plugins = seen.keys().filter(|plugin| !NETWORK.contains(plugin));
        let operations = self.difference(&wanted, plugins.copied().collect());
        if !operations.is_empty() {
            self.write(&operations);
        }
    }

    /// The operations that turn what is shown into what is wanted.
    fn difference(
        &self,
        wanted: &BTreeMap<(String, String), Value>,
        plugins: BTreeSet<&str>,
    ) -> Vec<Value> {
        let shown = self.server.read(NAME, |database| {
            let resources = database.rows("Resource").map(|(id, row)| {
                let key = (text(&row, "plugin"), text(&row, "name"));
                let unchanged = wanted.get(&key).is_some_and(|wanted| same(&row, wanted));
                (key, (id.to_string(), unchanged))
            });
            let resources: BTreeMap<_, _> = resources.collect();
            let plugins = database.rows("Plugin").map(|(_, row)| text(&row, "name"));
            (resources, plugins.collect::<BTreeSet<_>>())
        });
        let (resources, known) = shown.unwrap_or_default();
        let mut operations = Vec::new();
        for plugin in plugins.iter().filter(|plugin| !known.contains(**plugin)) {
            operations
                .push(json!({ "op": "insert", "table": "Plugin", "row": { "name": plugin } }));
        }
        // A resource that its plugin does not name any more is collected (RFC 7047 §3.2, isRoot).
        for ((plugin, _), (id, _)) in resources
            .iter()
            .filter(|(key, _)| !wanted.contains_key(*key))
        {
            let gone = json!(["resources", "delete", ["uuid", id]]);
            operations.push(json!({
                "op": "mutate", "table": "Plugin",
                "where": [["name", "==", plugin]], "mutations": [gone],
            }));
        }
        for (number, (key, row)) in wanted.iter().enumerate() {
            match resources.get(key) {
                Some((_, true)) => {}
                Some((id, false)) => operations.push(json!({
                    "op": "update", "table": "Resource",
                    "where": [["_uuid", "==", ["uuid", id]]], "row": row,
                })),
                None => {
                    let name = format!("new{number}");
                    operations.push(json!({
                        "op": "insert", "table": "Resource", "row": row, "uuid-name": name,
                    }));
                    let added = json!(["resources", "insert", ["named-uuid", name]]);
                    operations.push(json!({
                        "op": "mutate", "table": "Plugin",
                        "where": [["name", "==", key.0]], "mutations": [added],
                    }));
                }
            }
        }
        operations
    }

    fn write(&self, operations: &[Value]) {
        let results = self.server.transact(NAME, operations);
        let refused = match &results {
            Ok(results) => results
                .iter()
                .find(|result| result.get("error").is_some())
                .cloned(),
            Err(fault) => Some(json!(fault.to_string())),
        };
        if let Some(refused) = refused {
            log::error!("the NonNet database does not take what is to be shown: {refused}");
        }
    }

    /// The records that others keep, as they are saved.
    pub(crate) fn records(&self) -> Value {
        let records = self.server.read(NAME, |database| {
            let rows = database.rows("Record");
            rows.map(|(_, row)| (text(&row, "name"), pairs(&row, "values")))
                .collect::<BTreeMap<_, _>>()
        });
        json!(records.unwrap_or_default())
    }

    /// Takes saved records in.
    pub(crate) fn load(&self, saved: &Value) {
        let records = saved.as_object().into_iter().flatten();
        let operations: Vec<_> = records
            .map(|(name, values)| {
                let values: Vec<_> = values.as_object().into_iter().flatten().collect();
                let row = json!({ "name": name, "values": ["map", values] });
                json!({ "op": "insert", "table": "Record", "row": row })
            })
            .collect();
        if !operations.is_empty() {
            self.write(&operations);
        }
    }
}

/// Whether operations write at all.
pub(crate) fn writes(operations: &[Value]) -> bool {
    operations.iter().any(|operation| {
        let word = operation["op"].as_str();
        word.is_some_and(|word| WRITING.contains(&word))
    })
}

/// The place of the first operation that writes what only the daemon writes.
pub(crate) fn trespass(operations: &[Value]) -> Option<usize> {
    operations.iter().position(|operation| {
        let table = operation["table"].as_str().unwrap_or_default();
        writes(std::slice::from_ref(operation)) && MIRRORED.contains(&table)
    })
}

fn text(row: &ovsdb::Row, column: &str) -> String {
    match row.get(column).map(Datum::to_json) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn pairs(row: &ovsdb::Row, column: &str) -> BTreeMap<String, String> {
    let Some(Datum::Map(pairs)) = row.get(column) else {
        return BTreeMap::new();
    };
    let text = |atom: &ovsdb::Atom| match atom.to_json() {
        Value::String(text) => text,
        other => other.to_string(),
    };
    pairs
        .iter()
        .map(|(key, value)| (text(key), text(value)))
        .collect()
}

/// Whether a row has these values.
fn same(row: &ovsdb::Row, wanted: &Value) -> bool {
    let wanted = wanted.as_object().into_iter().flatten();
    wanted
        .into_iter()
        .all(|(column, value)| row.get(column).map(Datum::to_json).as_ref() == Some(value))
}
