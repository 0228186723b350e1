//! Column values that fit their type: sorted, distinct, checked (RFC 7047, section 5.1, `<value>`).

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::fault::{Fault, Kind};
use super::symbols::Symbols;
use super::types::{BaseType, Cardinality, ColumnType, compare, plain};
use crate::value::{Atom, Value};

/// A column's value: elements in order, none twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Datum(Value);

impl Datum {
    /// What a column holds that an insert does not mention.
    pub(crate) fn default_of(kind: &ColumnType) -> Self {
        let one = kind.count.min > 0;
        Self(match &kind.value {
            None => Value::Set(if one {
                vec![kind.key.atomic.default()]
            } else {
                vec![]
            }),
            Some(value) => Value::Map(if one {
                vec![(kind.key.atomic.default(), value.atomic.default())]
            } else {
                vec![]
            }),
        })
    }

    /// Whether an insert need not mention it.
    pub(crate) fn is_default(&self, kind: &ColumnType) -> bool {
        *self == Self::default_of(kind)
    }

    /// One atom.
    pub(crate) fn of(atom: Atom) -> Self {
        Self(Value::Set(vec![atom]))
    }

    /// A value of a column's type.
    pub(crate) fn of_type(
        json: &Json,
        kind: &ColumnType,
        symbols: Option<&mut Symbols>,
    ) -> Result<Self, Fault> {
        Self::from_json(json, &kind.key, kind.value.as_ref(), kind.count, symbols)
    }

    /// Any number of elements in place of those that a column's type asks for.
    pub(crate) fn from_json(
        json: &Json,
        key: &BaseType,
        value: Option<&BaseType>,
        count: Cardinality,
        symbols: Option<&mut Symbols>,
    ) -> Result<Self, Fault> {
        match value {
            Some(value) => Self::map_from_json(json, key, value, count, symbols),
            None => Self::set_from_json(json, key, count, symbols),
        }
    }

    fn set_from_json(
        json: &Json,
        key: &BaseType,
        count: Cardinality,
        mut symbols: Option<&mut Symbols>,
    ) -> Result<Self, Fault> {
        let is_set = matches!(json.as_array().map(Vec::as_slice), Some([tag, ..]) if tag == "set");
        if !is_set {
            return Ok(Self::of(key.atom(json, symbols)?));
        }
        let items = tagged(json, "set")?;
        let fits = count.check(items.len());
        fits.map_err(|why| Fault::syntax(json, format!("set {why}")))?;
        let atoms = items
            .iter()
            .map(|item| key.atom(item, symbols.as_deref_mut()));
        Self::set(atoms.collect::<Result<_, _>>()?)
    }

    fn map_from_json(
        json: &Json,
        key: &BaseType,
        value: &BaseType,
        count: Cardinality,
        mut symbols: Option<&mut Symbols>,
    ) -> Result<Self, Fault> {
        let items = tagged(json, "map")?;
        let fits = count.check(items.len());
        fits.map_err(|why| Fault::syntax(json, format!("map {why}")))?;
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            let [first, second] = item.as_array().map_or(&[][..], Vec::as_slice) else {
                return Err(Fault::syntax(item, "expected 2-element array"));
            };
            let first = key.atom(first, symbols.as_deref_mut())?;
            pairs.push((first, value.atom(second, symbols.as_deref_mut())?));
        }
        pairs.sort_by(|one, other| compare(&one.0, &other.0));
        if pairs.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(Fault::new(Kind::Duplicate, "map contains duplicate key"));
        }
        Ok(Self(Value::Map(pairs)))
    }

    /// A set of atoms of one type, in any order.
    pub(crate) fn set(mut atoms: Vec<Atom>) -> Result<Self, Fault> {
        atoms.sort_by(compare);
        if atoms.windows(2).any(|two| two[0] == two[1]) {
            return Err(Fault::new(Kind::Duplicate, "set contains duplicate"));
        }
        Ok(Self(Value::Set(atoms)))
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Json {
        self.0.to_json()
    }

    /// As texts for people show it.
    pub(crate) fn plain(&self, kind: &ColumnType) -> String {
        let (elements, brackets): (Vec<String>, _) = match &self.0 {
            Value::Set(atoms) => (atoms.iter().map(plain).collect(), ('[', ']')),
            Value::Map(pairs) => {
                let pairs = pairs.iter();
                let pairs = pairs.map(|(key, value)| format!("{}={}", plain(key), plain(value)));
                (pairs.collect(), ('{', '}'))
            }
        };
        match elements.as_slice() {
            [one] if kind.is_single() => one.clone(),
            elements => format!("{}{}{}", brackets.0, elements.join(", "), brackets.1),
        }
    }

    /// The elements.
    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// How many elements.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Value::Set(atoms) => atoms.len(),
            Value::Map(pairs) => pairs.len(),
        }
    }

    /// The only element of a set.
    pub(crate) fn single(&self) -> Option<&Atom> {
        match &self.0 {
            Value::Set(atoms) => match atoms.as_slice() {
                [atom] => Some(atom),
                _ => None,
            },
            Value::Map(_) => None,
        }
    }

    /// Whether an atom is among the elements, or the keys.
    pub(crate) fn has(&self, atom: &Atom) -> bool {
        match &self.0 {
            Value::Set(atoms) => atoms.binary_search_by(|one| compare(one, atom)).is_ok(),
            Value::Map(_) => self.at(atom).is_some(),
        }
    }

    fn at(&self, key: &Atom) -> Option<&Atom> {
        match &self.0 {
            Value::Set(_) => None,
            Value::Map(pairs) => {
                let place = pairs.binary_search_by(|pair| compare(&pair.0, key)).ok()?;
                Some(&pairs[place].1)
            }
        }
    }

    /// How many elements of `other` are among these.
    fn common(&self, other: &Self) -> usize {
        match &other.0 {
            Value::Set(atoms) => atoms.iter().filter(|atom| self.has(atom)).count(),
            Value::Map(pairs) => {
                let same = |(key, value): &&(Atom, Atom)| self.at(key) == Some(value);
                pairs.iter().filter(same).count()
            }
        }
    }

    /// The order in which a `select` sorts: by size, then by elements.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let elements = |of_values| {
            let pairs = self.atoms(of_values).zip(other.atoms(of_values));
            pairs
                .map(|(one, other)| compare(one, other))
                .fold(Ordering::Equal, Ordering::then)
        };
        let sizes = self.len().cmp(&other.len());
        sizes
            .then_with(|| elements(false))
            .then_with(|| elements(true))
    }

    /// Whether every element of `other` is among these.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.common(other) == other.len()
    }

    /// Whether no element of `other` is among these.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        self.common(other) == 0
    }

    /// Whether each value satisfies its constraints.
    pub(crate) fn check(&self, kind: &ColumnType) -> Result<(), Fault> {
        match &self.0 {
            Value::Set(atoms) => atoms.iter().try_for_each(|atom| kind.key.check(atom)),
            Value::Map(pairs) => pairs.iter().try_for_each(|(key, value)| {
                kind.key.check(key)?;
                kind.value.as_ref().map_or(Ok(()), |base| base.check(value))
            }),
        }
    }

    /// The values that a reference's base type describes: keys first.
    pub(crate) fn atoms(&self, of_values: bool) -> Box<dyn Iterator<Item = &Atom> + '_> {
        match &self.0 {
            Value::Set(_) if of_values => Box::new(std::iter::empty()),
            Value::Set(atoms) => Box::new(atoms.iter()),
            Value::Map(pairs) => Box::new(pairs.iter().map(
                move |(key, value)| {
                    if of_values { value } else { key }
                },
            )),
        }
    }

    /// Keeps the elements for which a test of key and value holds.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Atom, Option<&Atom>) -> bool) {
        match &mut self.0 {
            Value::Set(atoms) => atoms.retain(|atom| keep(atom, None)),
            Value::Map(pairs) => pairs.retain(|(key, value)| keep(key, Some(value))),
        }
    }

    /// Adds elements; keys that are there keep their values (RFC 7047, section 5.1, mutator `insert`).
    pub(crate) fn insert(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Value::Set(mine), Value::Set(more)) => merge(mine, more, compare),
            (Value::Map(mine), Value::Map(more)) => {
                merge(mine, more, |one, other| compare(&one.0, &other.0));
            }
            _ => {}
        }
    }

    /// Takes elements away: those given, or those whose keys are given (mutator `delete`).
    pub(crate) fn delete(&mut self, other: &Self) {
        let by_key = matches!(other.0, Value::Set(_));
        self.retain(|key, value| {
            let gone = if by_key {
                other.has(key)
            } else {
                other.at(key).is_some_and(|old| Some(old) == value)
            };
            !gone
        });
    }

    /// Changes every element of a set of numbers.
    pub(crate) fn each(
        &mut self,
        mut change: impl FnMut(&Atom) -> Result<Atom, Fault>,
    ) -> Result<(), Fault> {
        if let Value::Set(atoms) = &self.0 {
            let changed = atoms.iter().map(&mut change);
            *self = Self::set(changed.collect::<Result<_, _>>()?)?;
        }
        Ok(())
    }

    /// What turns `self` into `new` by symmetric difference, with a changed key's new value
    /// (`ovsdb-server(7)`, section 4.1.14, `<row>` of `modify`). A column of at most one element is replaced.
    pub(crate) fn difference(&self, new: &Self, kind: &ColumnType) -> Self {
        if kind.is_single() {
            return new.clone();
        }
        match (&self.0, &new.0) {
            (Value::Set(_), Value::Set(_)) => {
                let mut changed = self.clone();
                changed.retain(|atom, _| !new.has(atom));
                let mut more = new.clone();
                more.retain(|atom, _| !self.has(atom));
                changed.insert(&more);
                changed
            }
            _ => {
                let mut changed = new.clone();
                changed.retain(|key, value| self.at(key) != value);
                let mut gone = self.clone();
                gone.retain(|key, _| new.at(key).is_none());
                changed.insert(&gone);
                changed
            }
        }
    }
}

/// Merges sorted `more` into sorted `mine`; of equal elements that of `mine` stays.
fn merge<T: Clone>(mine: &mut Vec<T>, more: &[T], order: impl Fn(&T, &T) -> Ordering) {
    if let [one] = more {
        if let Err(place) = mine.binary_search_by(|each| order(each, one)) {
            mine.insert(place, one.clone());
        }
        return;
    }
    let old = mine.len();
    let new = more.iter();
    let new: Vec<T> = new
        .filter(|one| mine.binary_search_by(|each| order(each, one)).is_err())
        .cloned()
        .collect();
    mine.extend(new);
    if mine.len() > old {
        mine.sort_by(order);
    }
}

/// The array in `[tag, array]`.
fn tagged<'a>(json: &'a Json, tag: &str) -> Result<&'a [Json], Fault> {
    match json.as_array().map(Vec::as_slice) {
        Some([found, Json::Array(items)]) if found == tag => Ok(items),
        _ => Err(Fault::syntax(
            json,
            format!("expected [\"{tag}\", <array>]"),
        )),
    }
}
