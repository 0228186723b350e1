//! A walk through a document that remembers all that is wrong with it.

use std::collections::BTreeMap;

use crate::form::Form;
use crate::problem::{DocumentPath, Findings, Problem, Step};
use crate::sections::UNKNOWN;
use crate::tree::{Node, Value};

/// Walks a document, and remembers what is wrong with it.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) path: DocumentPath,
    pub(crate) findings: Findings,
    /// Values that are missing only because their key is written wrong.
    pub(crate) misspelt: Vec<DocumentPath>,
    /// For lists with elements that could not be read: where in the document the others stand.
    pub(crate) kept: BTreeMap<DocumentPath, Vec<usize>>,
}

impl Reader {
    /// Decodes a value one step further into the document.
    pub(crate) fn step<T, F: Form<T>>(&mut self, step: Step, node: &Node) -> Option<T> {
        self.path.push(step);
        let value = F::decode(node, self);
        self.path.pop();
        value
    }

    /// Reports a problem with the value that is being decoded.
    pub(crate) fn report(
        &mut self,
        found: impl Into<String>,
        accepted: impl Into<String>,
        hint: Option<String>,
    ) {
        let problem = Problem::new(self.path.clone(), found, accepted).hint(hint);
        self.findings.push(problem);
    }

    /// Reports a value of the wrong type.
    pub(crate) fn wrong<T, F: Form<T>>(&mut self, node: &Node) {
        self.wrong_type(node, F::accepted(), None);
    }

    /// Reports a value of the wrong type, and what may have been meant.
    pub(crate) fn wrong_type(&mut self, node: &Node, accepted: String, hint: Option<String>) {
        self.report(node.describe(), accepted, hint);
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&mut self, key: &str, accepted: String) {
        let path = self.path.key(key);
        self.findings
            .push(Problem::new(path, "nothing: the key is missing", accepted));
    }

    /// The entries of a map with known keys, after all others have been reported. Without `required`
    /// keys, an empty map is good too.
    pub(crate) fn record<'n>(
        &mut self,
        node: &'n Node,
        keys: &[&str],
        required: bool,
    ) -> Option<&'n [(String, Node)]> {
        let Value::Map(entries) = &node.value else {
            let hint = (matches!(node.value, Value::Null) && !required)
                .then(|| "write `{}` if all its defaults are meant".to_owned());
            self.wrong_type(node, accepted_keys(keys), hint);
            return None;
        };
        for (key, _) in entries {
            if keys.contains(&key.as_str()) {
                continue;
            }
            // Looking for what was meant takes time, and nobody will see it.
            let nearest = if self.findings.is_full() {
                None
            } else {
                nearest(key, keys)
            };
            self.misspelt
                .extend(nearest.map(|known| self.path.key(known)));
            self.findings.push(
                Problem::new(self.path.key(key), UNKNOWN, accepted_keys(keys))
                    .hint(nearest.map(|known| format!("did you mean `{known}`?"))),
            );
        }
        Some(entries)
    }

    /// The value of a key, or its default: also if there is something wrong with the value, so that
    /// the rest can be looked at.
    pub(crate) fn field<T, F: Form<T>>(
        &mut self,
        entries: &[(String, Node)],
        key: &str,
        default: Option<fn() -> T>,
    ) -> Option<T> {
        let found = entries.iter().find(|(name, _)| name == key);
        let value = match found {
            Some((_, node)) => self.step::<T, F>(Step::Key(key.to_owned()), node),
            None => {
                if default.is_none() {
                    self.missing(key, F::accepted());
                }
                None
            }
        };
        value.or_else(|| default.map(|default| default()))
    }
}

fn accepted_keys(keys: &[&str]) -> String {
    let names: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match names.as_slice() {
        [only] => format!("a map with the key {only}"),
        names => format!("a map with the keys {}", names.join(", ")),
    }
}

/// The candidate that the text was most likely meant to be, if any is near.
pub(crate) fn nearest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // The distance takes time and memory in proportion to both lengths.
    const LONGEST: usize = 80;
    candidates
        .iter()
        .filter(|_| text.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(text, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
