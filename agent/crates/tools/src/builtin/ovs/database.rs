//! Reading Open vSwitch's database.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use declaration::Ovs;
use ovsdb::{Atom, Client, Done, Error, Operation, Row, Uuid, Value, Where};

use crate::call::Call;
use crate::error::ToolError;

/// The name of Open vSwitch's database.
const DATABASE: &str = "Open_vSwitch";
/// How long the database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The directory of Open vSwitch's sockets: the declared one, or the default.
pub(in crate::builtin) fn run_dir(call: &Call<'_>) -> Result<PathBuf, ToolError> {
    let declaration = call.site.declaration_if_any()?;
    let declared = declaration.plugins.ovs.as_ref();
    Ok(declared.map_or_else(|| Ovs::default().run_dir, |ovs| ovs.run_dir.clone()))
}

/// The database at one moment.
pub(super) struct Database {
    tables: BTreeMap<&'static str, Vec<(Uuid, Row)>>,
}

impl Database {
    /// Reads columns of tables in one transaction, so that they fit together.
    pub(super) fn read(
        call: &Call<'_>,
        wanted: &[(&'static str, &[&'static str])],
    ) -> Result<Self, ToolError> {
        let socket = run_dir(call)?.join("db.sock");
        let client = Client::connect(&socket, TIMEOUT).map_err(unanswered)?;
        let select = |(table, columns): &(&'static str, &[&'static str])| Operation::Select {
            table,
            rows: Where::all(),
            columns: std::iter::once(&"_uuid").chain(*columns).copied().collect(),
        };
        let operations: Vec<_> = wanted.iter().map(select).collect();
        let done = client
            .transact(DATABASE, &operations)
            .map_err(|error| ToolError::failed("read Open vSwitch's database", error))?;
        let rows = |done: Done| match done {
            Done::Rows(rows) => rows
                .into_iter()
                .filter_map(|row| Some((row.get("_uuid")?.uuids().pop()?, row)))
                .collect(),
            Done::Inserted(_) | Done::Done => Vec::new(),
        };
        let tables = wanted.iter().map(|(table, _)| *table);
        Ok(Self {
            tables: tables.zip(done.into_iter().map(rows)).collect(),
        })
    }

    pub(super) fn rows(&self, table: &str) -> impl Iterator<Item = &(Uuid, Row)> {
        self.tables.get(table).into_iter().flatten()
    }

    /// The rows that a column refers to.
    pub(super) fn referred<'a>(
        &'a self,
        row: &Row,
        column: &str,
        table: &str,
    ) -> impl Iterator<Item = &'a Row> {
        let uuids: BTreeSet<_> = row
            .get(column)
            .map(Value::uuids)
            .into_iter()
            .flatten()
            .collect();
        let rows = self.rows(table);
        rows.filter_map(move |(uuid, row)| uuids.contains(uuid).then_some(row))
    }

    /// The bridges by name; only the one that is asked for, if one is.
    pub(super) fn bridges(
        &self,
        only: Option<&String>,
    ) -> Result<BTreeMap<String, &Row>, ToolError> {
        let all = self.rows("Bridge").map(|(_, row)| (text(row, "name"), row));
        let Some(only) = only else {
            return Ok(all.collect());
        };
        let found: BTreeMap<_, _> = all.filter(|(name, _)| name == only).collect();
        match found.is_empty() {
            false => Ok(found),
            true => Err(no_bridge(only)),
        }
    }

    /// The ports of these bridges by bridge and name.
    pub(super) fn ports<'a>(
        &'a self,
        bridges: BTreeMap<String, &Row>,
    ) -> BTreeMap<(String, String), &'a Row> {
        let ports = bridges.into_iter().flat_map(|(bridge, row)| {
            let ports = self.referred(row, "ports", "Port");
            ports.map(move |port| ((bridge.clone(), text(port, "name")), port))
        });
        ports.collect()
    }
}

/// There is no such bridge.
pub(in crate::builtin) fn no_bridge(name: &str) -> ToolError {
    ToolError::NotFound(format!(
        "there is no bridge `{name}`: ovs_list_bridges shows those there are"
    ))
}

fn unanswered(error: Error) -> ToolError {
    let fix = match &error {
        Error::Connect { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "run this as root"
        }
        _ => {
            "install and start it (`apt-get install openvswitch-switch`, `systemctl start \
             openvswitch-switch`); if it runs elsewhere, name its run directory in \
             `plugins.ovs.run_dir` of the declaration"
        }
    };
    ToolError::Unavailable(format!("Open vSwitch does not answer ({error}): {fix}"))
}

pub(super) fn text(row: &Row, column: &str) -> String {
    optional(row, column).unwrap_or_default()
}

pub(super) fn optional(row: &Row, column: &str) -> Option<String> {
    row.get(column).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn integer(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}

pub(super) fn strings(row: &Row, column: &str) -> BTreeMap<String, String> {
    row.get(column).map(Value::strings).unwrap_or_default()
}

pub(super) fn texts(row: &Row, column: &str) -> Vec<String> {
    atoms(row, column, |atom| match atom {
        Atom::String(text) => Some(text.clone()),
        _ => None,
    })
}

pub(super) fn atoms<T>(row: &Row, column: &str, read: impl Fn(&Atom) -> Option<T>) -> Vec<T> {
    match row.get(column) {
        Some(Value::Set(atoms)) => atoms.iter().filter_map(read).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn counters(row: &Row, column: &str) -> BTreeMap<String, i64> {
    let pairs = match row.get(column) {
        Some(Value::Map(pairs)) => pairs.as_slice(),
        _ => &[],
    };
    let counter = |pair: &(Atom, Atom)| match pair {
        (Atom::String(name), Atom::Integer(count)) => Some((name.clone(), *count)),
        _ => None,
    };
    pairs.iter().filter_map(counter).collect()
}
