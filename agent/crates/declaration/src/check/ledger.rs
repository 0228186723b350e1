//! Witnesses and origins: each key once, since a second name for the same one is no second witness.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Ledger;
use crate::problem::DocumentPath;

use super::Check;

pub(super) fn check(ledger: &Ledger, check: &mut Check<'_>) {
    let mut keys = BTreeMap::new();
    for (name, witness) in &ledger.witnesses {
        let path = DocumentPath::of(["ledger", "witnesses", name.as_str()]);
        if !check.intact(&path) {
            continue;
        }
        if let Some(other) = keys.insert(witness.key.to_string(), name) {
            let found = format!("the key of `{other}`");
            check.report(
                path.key("key"),
                found,
                "a key of its own: the same witness twice is one witness",
                None,
            );
        }
    }
    let path = DocumentPath::of(["ledger", "witness", "origins"]);
    if !check.intact(&path) {
        return;
    }
    let origins = ledger.witness.iter().flat_map(|witness| &witness.origins);
    let mut seen = BTreeSet::new();
    for (position, key) in origins.enumerate() {
        if !seen.insert(key.name()) {
            let found = format!("`{}` a second time", key.name());
            check.report(path.index(position), found, "each ledger once", None);
        }
    }
}
