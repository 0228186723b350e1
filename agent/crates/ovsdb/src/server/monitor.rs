//! What a client watches (RFC 7047, section 4.1.5; `ovsdb-server(7)`, sections 4.1.12 to 4.1.15).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::condition::Condition;
use super::fault::{Fault, Kind};
use super::members::Members;
use super::schema::{ColumnId, Schema, TableSchema};

/// How updates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// `monitor` and `update`.
    One,
    /// `monitor_cond` and `update2`.
    Two,
    /// `monitor_cond_since` and `update3`.
    Three,
}

impl Version {
    pub(crate) fn notification(self) -> &'static str {
        match self {
            Self::One => "update",
            Self::Two => "update2",
            Self::Three => "update3",
        }
    }
}

/// What happens to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Initial,
    Insert,
    Delete,
    Modify,
}

/// The events that are wanted, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Select(u8);

impl Select {
    const NAMES: [(&'static str, Event); 4] = [
        ("initial", Event::Initial),
        ("insert", Event::Insert),
        ("delete", Event::Delete),
        ("modify", Event::Modify),
    ];

    fn bit(event: Event) -> u8 {
        1 << event as u8
    }

    pub(crate) fn has(self, event: Event) -> bool {
        self.0 & Self::bit(event) != 0
    }

    fn read(json: Option<&Json>, table: &str) -> Result<Self, Fault> {
        let Some(json) = json else {
            return Ok(Self(0b1111));
        };
        let mut members = Members::of(json, format!("table {table} select"))?;
        let mut select = Self(0);
        for (name, event) in Self::NAMES {
            if members.optional_bool(name)?.unwrap_or(true) {
                select.0 |= Self::bit(event);
            }
        }
        members.finish()?;
        Ok(select)
    }
}

/// What is watched of one table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Watched {
    /// Each with the events for which it is sent.
    pub(crate) columns: Vec<(ColumnId, Select)>,
    /// The events for which any is sent.
    pub(crate) select: Select,
    pub(crate) condition: Condition,
}

/// What a monitor watches. Monitors that watch the same share it, and with it the work for each commit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spec {
    pub(crate) schema: Arc<Schema>,
    pub(crate) version: Version,
    /// By the number of the table.
    pub(crate) tables: BTreeMap<usize, Watched>,
}

/// The `<monitor-request>`s of one table: an object, or an array of them.
fn requests(json: &Json) -> &[Json] {
    match json {
        Json::Array(requests) => requests,
        one => std::slice::from_ref(one),
    }
}

impl Spec {
    pub(crate) fn read(
        schema: &Arc<Schema>,
        version: Version,
        wanted: &Json,
    ) -> Result<Self, Fault> {
        let wanted = wanted
            .as_object()
            .ok_or_else(|| Fault::syntax(wanted, "monitor-requests must be object"))?;
        let mut tables = BTreeMap::new();
        for (name, json) in wanted {
            let number = schema.table(name).ok_or_else(|| no_table(name, ""))?;
            let mut watched = Watched {
                columns: Vec::new(),
                select: Select(0),
                condition: Condition::default(),
            };
            for (place, request) in requests(json).iter().enumerate() {
                let condition = watched.add(&schema.tables[number], version, request)?;
                // Several requests for a table have one condition: that of the first.
                if place == 0 {
                    watched.condition = condition;
                }
            }
            tables.insert(number, watched);
        }
        Ok(Self {
            schema: Arc::clone(schema),
            version,
            tables,
        })
    }

    /// The same with other conditions, as `monitor_cond_change` asks.
    pub(crate) fn with_conditions(&self, wanted: &Json) -> Result<Self, Fault> {
        let wanted = wanted.as_object().ok_or_else(|| {
            let details = "monitor-cond-change-requests must be object";
            Fault::new(Kind::Syntax, details)
        })?;
        let mut spec = self.clone();
        for (name, json) in wanted {
            spec.change(name, json)?;
        }
        Ok(spec)
    }

    fn change(&mut self, name: &str, json: &Json) -> Result<(), Fault> {
        let number = self.schema.table(name).ok_or_else(|| no_table(name, ""))?;
        let watched = self
            .tables
            .get_mut(&number)
            .ok_or_else(|| no_table(name, " in monitor session"))?;
        let requests = json.as_array().ok_or_else(|| {
            let details = format!("table {name} no monitor-cond-change JSON array");
            Fault::new(Kind::Syntax, details)
        })?;
        for request in requests {
            let mut members = Members::of(request, format!("table {name}"))?;
            let wanted = members.optional_array("where")?;
            let columns = members.optional_array("columns")?;
            members.finish()?;
            if columns.is_some() {
                return Err(Fault::syntax(request, "changing columns is unsupported"));
            }
            let none = Json::Array(Vec::new());
            let table = &self.schema.tables[number];
            let condition = Condition::from_json(wanted.unwrap_or(&none), table, None)?;
            // A monitor without conditions stays one.
            if self.version != Version::One {
                watched.condition = condition;
            }
        }
        Ok(())
    }
}

fn no_table(name: &str, place: &str) -> Fault {
    Fault::new(Kind::Syntax, format!("no table named {name}{place}"))
}

impl Watched {
    /// Adds the columns of a request; returns its condition.
    fn add(
        &mut self,
        table: &TableSchema,
        version: Version,
        json: &Json,
    ) -> Result<Condition, Fault> {
        let mut members = Members::of(json, format!("table {}", table.name))?;
        let wanted = match version {
            Version::One => None,
            Version::Two | Version::Three => members.optional_array("where")?,
        };
        let columns = members.optional_array("columns")?;
        let select = members.optional_object("select")?;
        members.finish()?;
        let select = Select::read(select, &table.name)?;
        self.select.0 |= select.0;
        match columns {
            Some(columns) => {
                for column in named(table, columns)? {
                    self.column(table, column, select, columns)?;
                }
            }
            None => {
                let all = table.all_columns().into_iter();
                for column in all.filter(|column| *column != ColumnId::Uuid) {
                    self.column(table, column, select, json)?;
                }
            }
        }
        wanted.map_or_else(
            || Ok(Condition::default()),
            |wanted| Condition::from_json(wanted, table, None),
        )
    }

    fn column(
        &mut self,
        table: &TableSchema,
        column: ColumnId,
        select: Select,
        json: &Json,
    ) -> Result<(), Fault> {
        if self.columns.iter().any(|(one, _)| *one == column) {
            let details = format!("column {} mentioned more than once", table.name_of(column));
            return Err(Fault::syntax(json, details));
        }
        self.columns.push((column, select));
        Ok(())
    }
}

fn named(table: &TableSchema, json: &Json) -> Result<Vec<ColumnId>, Fault> {
    let wrong = || Fault::syntax(json, "array of column names expected");
    let names = json.as_array().ok_or_else(wrong)?;
    let column = |name: &Json| {
        let name = name.as_str().ok_or_else(wrong)?;
        let unknown = || Fault::syntax(json, format!("{name} is not a valid column name"));
        table.column(name).ok_or_else(unknown)
    };
    names.iter().map(column).collect()
}

/// `<table-updates>` under way: the rows of each table by name.
#[derive(Debug, Default)]
pub(crate) struct Updates(Map<String, Json>);

impl Updates {
    pub(crate) fn add(&mut self, table: &str, row: String, update: Json) {
        let rows = self
            .0
            .entry(table)
            .or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(rows) = rows {
            rows.insert(row, update);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_json(self) -> Json {
        Json::Object(self.0)
    }
}
