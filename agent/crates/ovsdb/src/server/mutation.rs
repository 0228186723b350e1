//! Changes of a column in place (RFC 7047, section 5.1, `<mutation>` and `<mutator>`).

use serde_json::Value as Json;

use super::datum::Datum;
use super::fault::{Fault, Kind};
use super::schema::{ColumnId, ColumnSchema, TableSchema};
use super::symbols::Symbols;
use super::types::{AtomicType, BaseType, Cardinality, ColumnType};
use crate::value::Atom;

/// One `<mutation>`, fit for its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mutation {
    /// The number of the column.
    pub(crate) column: usize,
    action: Action,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Arithmetic(Arithmetic, Atom),
    Insert(Datum),
    Delete(Datum),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arithmetic {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "+=" => Self::Add,
            "-=" => Self::Subtract,
            "*=" => Self::Multiply,
            "/=" => Self::Divide,
            "%=" => Self::Modulo,
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Subtract => "-=",
            Self::Multiply => "*=",
            Self::Divide => "/=",
            Self::Modulo => "%=",
        }
    }

    fn integers(self, one: i64, other: i64) -> Option<i64> {
        match self {
            Self::Add => one.checked_add(other),
            Self::Subtract => one.checked_sub(other),
            Self::Multiply => one.checked_mul(other),
            Self::Divide => one.checked_div(other),
            Self::Modulo => one.checked_rem(other),
        }
    }

    fn reals(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Add => one + other,
            Self::Subtract => one - other,
            Self::Multiply => one * other,
            Self::Divide => one / other,
            Self::Modulo => one % other,
        }
    }

    fn apply(self, one: &Atom, other: &Atom) -> Result<Atom, Fault> {
        let divides = matches!(self, Self::Divide | Self::Modulo);
        let zero = matches!(other, Atom::Integer(0)) || *other == Atom::Real(0.0);
        if divides && zero {
            return Err(Fault::new(Kind::Domain, "Division by zero."));
        }
        let result = match (one, other) {
            (Atom::Integer(one), Atom::Integer(other)) => {
                self.integers(*one, *other).map(Atom::Integer)
            }
            (Atom::Real(one), Atom::Real(other)) => Some(self.reals(*one, *other))
                .filter(|number| number.is_finite())
                .map(Atom::Real),
            _ => None,
        };
        result.ok_or_else(|| {
            let details = format!("Result of \"{}\" operation is out of range.", self.word());
            Fault::new(Kind::Range, details)
        })
    }
}

impl Mutation {
    pub(crate) fn from_json(
        json: &Json,
        table: &TableSchema,
        symbols: &mut Symbols,
    ) -> Result<Self, Fault> {
        let [Json::String(name), Json::String(word), argument] =
            json.as_array().map_or(&[][..], Vec::as_slice)
        else {
            return Err(Fault::syntax(json, "Parse error in mutation."));
        };
        let column = table.column(name).ok_or_else(|| {
            let details = format!("No column {name} in table {}.", table.name);
            Fault::new(Kind::UnknownColumn, details).at(json)
        })?;
        let (number, column) = match column {
            ColumnId::Own(number) if table.columns[number].mutable => {
                (number, &table.columns[number])
            }
            _ => {
                let details = format!(
                    "Cannot mutate immutable column {name} in table {}.",
                    table.name
                );
                return Err(Fault::new(Kind::Constraint, details).at(json));
            }
        };
        let action = match word.as_str() {
            "insert" => Action::Insert(elements(column, false, json, argument, symbols)?),
            "delete" => Action::Delete(elements(column, true, json, argument, symbols)?),
            word => arithmetic(column, word, json, argument)?,
        };
        Ok(Self {
            column: number,
            action,
        })
    }

    /// Carries it out on the column's value.
    pub(crate) fn apply(&self, datum: &mut Datum, kind: &ColumnType) -> Result<(), Fault> {
        match &self.action {
            Action::Arithmetic(arithmetic, argument) => {
                let changed = datum.each(|atom| {
                    let result = arithmetic.apply(atom, argument)?;
                    kind.key.check(&result)?;
                    Ok(result)
                });
                return changed.map_err(|fault| match fault.kind() {
                    Kind::Duplicate => {
                        let word = arithmetic.word();
                        let details =
                            format!("Result of \"{word}\" operation contains duplicates.");
                        Fault::new(Kind::Constraint, details)
                    }
                    _ => fault,
                });
            }
            Action::Insert(more) => datum.insert(more),
            Action::Delete(less) => datum.delete(less),
        }
        let count = datum.len();
        kind.count.check(count).map_err(|_| {
            let kind = kind.describe();
            let details = format!("Attempted to store {count} elements in {kind}.");
            Fault::new(Kind::Constraint, details)
        })
    }
}

fn mismatch(json: &Json, column: &ColumnSchema, word: &str) -> Fault {
    let details = format!(
        "Type mismatch: \"{word}\" operator may not be applied to column {} of type {}.",
        column.name,
        column.kind.words()
    );
    Fault::syntax(json, details)
}

fn arithmetic(
    column: &ColumnSchema,
    word: &str,
    json: &Json,
    argument: &Json,
) -> Result<Action, Fault> {
    let arithmetic = Arithmetic::from_word(word)
        .ok_or_else(|| Fault::new(Kind::UnknownMutator, format!("No mutator named {word}.")))?;
    let atomic = column.kind.key.atomic;
    let fits = match atomic {
        AtomicType::Integer => true,
        AtomicType::Real => arithmetic != Arithmetic::Modulo,
        _ => false,
    };
    if !fits || column.kind.value.is_some() {
        return Err(mismatch(json, column, word));
    }
    let argument = Datum::from_json(
        argument,
        &BaseType::plain(atomic),
        None,
        Cardinality::ONE,
        None,
    )?;
    let argument = argument
        .single()
        .cloned()
        .ok_or_else(|| mismatch(json, column, word))?;
    Ok(Action::Arithmetic(arithmetic, argument))
}

/// The elements to insert or delete; a map's may be deleted by their keys.
fn elements(
    column: &ColumnSchema,
    deletes: bool,
    json: &Json,
    argument: &Json,
    symbols: &mut Symbols,
) -> Result<Datum, Fault> {
    let kind = &column.kind;
    if kind.is_scalar() {
        return Err(mismatch(
            json,
            column,
            if deletes { "delete" } else { "insert" },
        ));
    }
    let count = Cardinality {
        min: 0,
        max: if deletes { None } else { kind.count.max },
    };
    let pairs = Datum::from_json(
        argument,
        &kind.key,
        kind.value.as_ref(),
        count,
        Some(symbols),
    );
    match (pairs, &kind.value) {
        (Err(_), Some(_)) if deletes => {
            Datum::from_json(argument, &kind.key, None, count, Some(symbols))
        }
        (pairs, _) => pairs,
    }
}
