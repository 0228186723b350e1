//! Which rows (RFC 7047, section 5.1, `<condition>` and `<function>`).

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::database::RowData;
use super::datum::Datum;
use super::fault::{Fault, Kind};
use super::schema::{ColumnId, TableSchema};
use super::symbols::Symbols;
use super::types::{AtomicType, Cardinality, compare};
use crate::value::{Atom, Uuid};

/// Clauses about one table's rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Condition(Vec<Clause>);

#[derive(Debug, Clone, PartialEq)]
enum Clause {
    Constant(bool),
    Test(ColumnId, Function, Datum),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    Greater,
    Includes,
    Excludes,
}

impl Function {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "<" => Self::Less,
            "<=" => Self::AtMost,
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            ">=" => Self::AtLeast,
            ">" => Self::Greater,
            "includes" => Self::Includes,
            "excludes" => Self::Excludes,
            _ => return None,
        })
    }

    fn is_order(self) -> bool {
        matches!(
            self,
            Self::Less | Self::AtMost | Self::AtLeast | Self::Greater
        )
    }

    fn holds(self, found: &Datum, wanted: &Datum) -> bool {
        let ordered = |test: fn(Ordering) -> bool| match (found.single(), wanted.single()) {
            (Some(found), Some(wanted)) => test(compare(found, wanted)),
            _ => false,
        };
        match self {
            Self::Less => ordered(Ordering::is_lt),
            Self::AtMost => ordered(Ordering::is_le),
            Self::AtLeast => ordered(Ordering::is_ge),
            Self::Greater => ordered(Ordering::is_gt),
            Self::Equal => found == wanted,
            Self::Unequal => found != wanted,
            Self::Includes => found.includes(wanted),
            Self::Excludes => found.excludes(wanted),
        }
    }
}

impl Condition {
    pub(crate) fn from_json(
        json: &Json,
        table: &TableSchema,
        mut symbols: Option<&mut Symbols>,
    ) -> Result<Self, Fault> {
        let clauses = json.as_array().into_iter().flatten();
        let clauses =
            clauses.map(|clause| Clause::from_json(clause, table, symbols.as_deref_mut()));
        Ok(Self(clauses.collect::<Result<_, _>>()?))
    }

    /// Whether every clause holds, as in a transaction.
    pub(crate) fn all(&self, uuid: &Uuid, row: &RowData) -> bool {
        self.0.iter().all(|clause| clause.holds(uuid, row))
    }

    /// Whether a clause holds, as in a monitor (`ovsdb-server(7)`, section 4.1.12); none is no condition.
    pub(crate) fn any(&self, uuid: &Uuid, row: &RowData) -> bool {
        self.0.is_empty() || self.0.iter().any(|clause| clause.holds(uuid, row))
    }

    /// The only row that can satisfy all clauses, if one of them names it.
    pub(crate) fn one_row(&self) -> Option<&Uuid> {
        self.0.iter().find_map(|clause| match clause {
            Clause::Test(ColumnId::Uuid, Function::Equal | Function::Includes, wanted) => {
                match wanted.single() {
                    Some(Atom::Uuid(uuid)) => Some(uuid),
                    _ => None,
                }
            }
            _ => None,
        })
    }
}

impl Clause {
    fn from_json(
        json: &Json,
        table: &TableSchema,
        symbols: Option<&mut Symbols>,
    ) -> Result<Self, Fault> {
        let [Json::String(name), Json::String(word), argument] =
            json.as_array().map_or(&[][..], Vec::as_slice)
        else {
            return match json {
                Json::Bool(truth) => Ok(Self::Constant(*truth)),
                _ => Err(Fault::syntax(json, "Parse error in condition.")),
            };
        };
        let column = table.column(name).ok_or_else(|| {
            let details = format!("No column {name} in table {}.", table.name);
            Fault::new(Kind::UnknownColumn, details).at(json)
        })?;
        let function = Function::from_word(word).ok_or_else(|| {
            Fault::new(Kind::UnknownFunction, format!("No function named {word}."))
        })?;
        let kind = table.kind_of(column);
        let is_number = matches!(kind.key.atomic, AtomicType::Integer | AtomicType::Real);
        if function.is_order() && !(kind.is_single() && is_number) {
            let details = format!(
                "Type mismatch: \"{word}\" operator may not be applied to column {name} of type {}.",
                kind.words()
            );
            return Err(Fault::syntax(json, details));
        }
        let several =
            matches!(function, Function::Includes | Function::Excludes) && !kind.is_scalar();
        let count = Cardinality {
            min: match several {
                true => 0,
                // An order needs something to compare.
                false if function.is_order() => 1,
                false => kind.count.min,
            },
            max: if several && function == Function::Excludes {
                None
            } else {
                kind.count.max
            },
        };
        let wanted = Datum::from_json(argument, &kind.key, kind.value.as_ref(), count, symbols)?;
        Ok(Self::Test(column, function, wanted))
    }

    fn holds(&self, uuid: &Uuid, row: &RowData) -> bool {
        match self {
            Self::Constant(truth) => *truth,
            Self::Test(column, function, wanted) => function.holds(&row.get(uuid, *column), wanted),
        }
    }
}
