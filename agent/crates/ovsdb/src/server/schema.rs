//! The schema of a database (RFC 7047, section 3.2).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use super::fault::Fault;
use super::members::{Members, is_id};
use super::types::{AtomicType, Bounds, ColumnType, Strength, is_free_name};

/// What is not a schema.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not a database schema: {0}")]
pub struct SchemaError(#[from] pub(crate) Fault);

/// A `<database-schema>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    name: String,
    version: String,
    cksum: String,
    /// Sorted by name; the place of a table is its number.
    pub(crate) tables: Vec<TableSchema>,
    /// Every table is a root.
    all_roots: bool,
}

/// A `<table-schema>`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableSchema {
    pub(crate) name: String,
    /// Sorted by name; the place of a column is its number.
    pub(crate) columns: Vec<ColumnSchema>,
    pub(crate) max_rows: Option<usize>,
    pub(crate) is_root: bool,
    /// Numbers of columns.
    pub(crate) indexes: Vec<Vec<usize>>,
}

/// A `<column-schema>`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnSchema {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
    pub(crate) mutable: bool,
    ephemeral: bool,
}

/// A column that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ColumnId {
    /// `_uuid`.
    Uuid,
    /// `_version`.
    Version,
    /// The number of a column of the schema.
    Own(usize),
}

impl Schema {
    /// Reads and checks a schema.
    pub fn parse(json: &Json) -> Result<Self, SchemaError> {
        Ok(Self::read(json)?)
    }

    fn read(json: &Json) -> Result<Self, Fault> {
        let mut members = Members::of(json, "database schema")?;
        let name = members.id("name")?.to_owned();
        let version = members
            .optional_string("version")?
            .unwrap_or_default()
            .to_owned();
        if !version.is_empty() && !is_version(&version) {
            return Err(Fault::syntax(
                json,
                format!("schema version {version:?} is not x.y.z"),
            ));
        }
        let cksum = members
            .optional_string("cksum")?
            .unwrap_or_default()
            .to_owned();
        let tables = members.object("tables")?;
        members.finish()?;
        let tables = tables.as_object().into_iter().flatten();
        let mut tables = tables
            .map(|(name, json)| TableSchema::read(name, json))
            .collect::<Result<Vec<_>, _>>()?;
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        // If no table says that it is a root, all are.
        let all_roots = !tables.iter().any(|table| table.is_root);
        for table in &mut tables {
            table.is_root |= all_roots;
        }
        let all_roots = tables.iter().all(|table| table.is_root);
        let schema = Self {
            name,
            version,
            cksum,
            tables,
            all_roots,
        };
        schema.check_references(json)?;
        Ok(schema.with_persistent_references())
    }

    fn check_references(&self, json: &Json) -> Result<(), Fault> {
        for table in &self.tables {
            for column in &table.columns {
                for base in column.kind.bases() {
                    if let Some((target, _)) = base.reference()
                        && self.table(target).is_none()
                    {
                        let (table, column) = (&table.name, &column.name);
                        return Err(Fault::syntax(
                            json,
                            format!(
                                "table {table} column {column} refers to undefined table {target}"
                            ),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// A strong reference is stored whatever the schema says: rows live by it.
    fn with_persistent_references(mut self) -> Self {
        for column in self.tables.iter_mut().flat_map(|table| &mut table.columns) {
            let strong = |bounds: &Bounds| matches!(bounds, Bounds::Reference(_, Strength::Strong));
            if column.kind.bases().any(|base| strong(&base.bounds)) {
                column.ephemeral = false;
            }
        }
        self
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the tables.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|table| table.name.as_str())
    }

    /// The number of a table.
    pub(crate) fn table(&self, name: &str) -> Option<usize> {
        self.tables
            .binary_search_by(|table| table.name.as_str().cmp(name))
            .ok()
    }

    /// As `get_schema` answers (RFC 7047, section 4.1.2).
    pub fn to_json(&self) -> Json {
        let tables = self.tables.iter();
        let tables = tables.map(|table| (table.name.clone(), table.to_json(self.all_roots)));
        let mut schema = json!({ "name": self.name, "tables": tables.collect::<Map<_, _>>() });
        for (name, text) in [("version", &self.version), ("cksum", &self.cksum)] {
            if !text.is_empty() {
                schema[name] = json!(text);
            }
        }
        schema
    }
}

/// `x.y.z`.
fn is_version(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(number)
}

impl TableSchema {
    fn read(name: &str, json: &Json) -> Result<Self, Fault> {
        if !is_free_name(name) {
            return Err(Fault::syntax(
                json,
                format!("{name:?} may not name a table"),
            ));
        }
        let mut members = Members::of(json, "table schema")?;
        let columns = members.object("columns")?.as_object();
        let max_rows = members.optional_integer("maxRows")?.map(|max| {
            let max = usize::try_from(max).ok().filter(|max| *max >= 1);
            max.ok_or_else(|| Fault::syntax(json, "maxRows must be at least 1"))
        });
        let is_root = members.optional_bool("isRoot")?.unwrap_or(false);
        let indexes = members.optional_array("indexes")?;
        members.finish()?;
        let columns = columns.into_iter().flatten();
        let columns: BTreeMap<_, _> = columns
            .map(|(name, json)| Ok((name.clone(), ColumnSchema::read(name, json)?)))
            .collect::<Result<_, Fault>>()?;
        if columns.is_empty() {
            return Err(Fault::syntax(json, "table must have at least one column"));
        }
        let mut table = Self {
            name: name.to_owned(),
            columns: columns.into_values().collect(),
            max_rows: max_rows.transpose()?,
            is_root,
            indexes: Vec::new(),
        };
        for index in indexes.and_then(Json::as_array).into_iter().flatten() {
            table.indexes.push(table.index(index)?);
        }
        Ok(table)
    }

    fn index(&self, json: &Json) -> Result<Vec<usize>, Fault> {
        let columns = self.column_set(json)?;
        if columns.is_empty() {
            return Err(Fault::syntax(json, "index must have at least one column"));
        }
        let number = |column| match column {
            ColumnId::Own(number) => Ok(number),
            _ => Err(Fault::syntax(json, "an index cannot cover this column")),
        };
        columns.into_iter().map(number).collect()
    }

    /// The `<column-set>` in a request: distinct columns in their order.
    pub(crate) fn column_set(&self, json: &Json) -> Result<Vec<ColumnId>, Fault> {
        let wrong = || Fault::syntax(json, "array of distinct column names expected");
        let names = json.as_array().ok_or_else(wrong)?;
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_str().ok_or_else(wrong)?;
            let column = self.column(name);
            let column = column
                .ok_or_else(|| Fault::syntax(json, format!("{name} is not a valid column name")))?;
            if columns.contains(&column) {
                return Err(wrong());
            }
            columns.push(column);
        }
        Ok(columns)
    }

    /// The column of that name.
    pub(crate) fn column(&self, name: &str) -> Option<ColumnId> {
        match name {
            "_uuid" => Some(ColumnId::Uuid),
            "_version" => Some(ColumnId::Version),
            _ => {
                let place = self
                    .columns
                    .binary_search_by(|column| column.name.as_str().cmp(name));
                place.ok().map(ColumnId::Own)
            }
        }
    }

    /// Every column, `_uuid` and `_version` first.
    pub(crate) fn all_columns(&self) -> Vec<ColumnId> {
        let own = (0..self.columns.len()).map(ColumnId::Own);
        [ColumnId::Uuid, ColumnId::Version]
            .into_iter()
            .chain(own)
            .collect()
    }

    /// The column's name.
    pub(crate) fn name_of(&self, column: ColumnId) -> &str {
        match column {
            ColumnId::Uuid => "_uuid",
            ColumnId::Version => "_version",
            ColumnId::Own(number) => &self.columns[number].name,
        }
    }

    pub(crate) fn kind_of(&self, column: ColumnId) -> &ColumnType {
        static IDENTITY: LazyLock<ColumnType> =
            LazyLock::new(|| ColumnType::scalar(AtomicType::Uuid));
        match column {
            ColumnId::Uuid | ColumnId::Version => &IDENTITY,
            ColumnId::Own(number) => &self.columns[number].kind,
        }
    }

    pub(crate) fn is_mutable(&self, column: ColumnId) -> bool {
        match column {
            ColumnId::Uuid | ColumnId::Version => false,
            ColumnId::Own(number) => self.columns[number].mutable,
        }
    }

    fn to_json(&self, all_roots: bool) -> Json {
        let columns = self.columns.iter();
        let columns = columns.map(|column| (column.name.clone(), column.to_json()));
        let mut table = json!({ "columns": columns.collect::<Map<_, _>>() });
        if let Some(max) = self.max_rows {
            table["maxRows"] = json!(max);
        }
        if self.is_root && !all_roots {
            table["isRoot"] = json!(true);
        }
        if !self.indexes.is_empty() {
            let names = |index: &Vec<usize>| -> Json {
                index
                    .iter()
                    .map(|column| self.columns[*column].name.clone())
                    .collect()
            };
            table["indexes"] = self.indexes.iter().map(names).collect();
        }
        table
    }
}

impl ColumnSchema {
    fn read(name: &str, json: &Json) -> Result<Self, Fault> {
        if !is_free_name(name) || !is_id(name) {
            return Err(Fault::syntax(
                json,
                format!("{name:?} may not name a column"),
            ));
        }
        let mut members = Members::of(json, "column schema")?;
        let mutable = members.optional_bool("mutable")?.unwrap_or(true);
        let ephemeral = members.optional_bool("ephemeral")?.unwrap_or(false);
        let kind = members.any("type");
        let kind = kind.ok_or_else(|| Fault::syntax(json, "required 'type' member is missing"))?;
        let kind = ColumnType::from_json(kind)?;
        members.finish()?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            mutable,
            ephemeral,
        })
    }

    fn to_json(&self) -> Json {
        let mut column = json!({ "type": self.kind.to_json() });
        if !self.mutable {
            column["mutable"] = json!(false);
        }
        if self.ephemeral {
            column["ephemeral"] = json!(true);
        }
        column
    }
}
