//! What is wrong with a declaration, said so that a person can mend it.

use std::fmt;

use serde::{Serialize, Serializer};

/// The most problems that are listed; the rest are counted.
const LISTED: usize = 1000;

/// One step into the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into an element of a list, counted from 0.
    Index(usize),
}

/// A place in the document, written `plugins.openflow.bridges.ovsbr0.flows[0].table`.
///
/// A key of other characters than letters, digits, `_`, `-` and `@` is written as a JSON string.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentPath(Vec<Step>);

impl DocumentPath {
    /// A path of keys.
    pub fn of<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| Step::Key(key.as_ref().to_owned()))
                .collect(),
        )
    }

    /// The path to a key of the value at this path.
    pub fn key(&self, key: impl AsRef<str>) -> Self {
        let mut path = self.clone();
        path.push(Step::Key(key.as_ref().to_owned()));
        path
    }

    /// The path to an element of the list at this path.
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.push(Step::Index(index));
        path
    }

    /// The path to what is at `below`, counted from the value at this path.
    pub fn join(&self, below: &Self) -> Self {
        Self([self.0.as_slice(), &below.0].concat())
    }

    /// The steps from the document's root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.0.starts_with(&ancestor.0)
    }

    /// The path of the value that this one is in; the root's is the root.
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    pub(crate) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl fmt::Display for DocumentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the document");
        }
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    if is_plain(key) {
                        f.write_str(key)?;
                    } else {
                        f.write_str(&serde_json::Value::from(key.as_str()).to_string())?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-@".contains(&byte))
}

impl Serialize for DocumentPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it is.
    pub path: DocumentPath,
    /// The line, counted from 1, if it is known: of YAML always, of JSON only where the syntax is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is there.
    pub found: String,
    /// What would be accepted.
    pub accepted: String,
    /// What may have been meant, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a line and a hint.
    pub fn new(path: DocumentPath, found: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self {
            path,
            line: None,
            found: found.into(),
            accepted: accepted.into(),
            hint: None,
        }
    }

    /// The same with a hint, or without.
    #[must_use]
    pub fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        // Of broken syntax, `found` says the line with its column.
        if let Some(line) = self.line.filter(|_| !self.path.0.is_empty()) {
            write!(f, " (line {line})")?;
        }
        write!(
            f,
            "\n  found:    {}\n  accepted: {}",
            self.found, self.accepted
        )?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint:     {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a document, in the document's order; never empty.
///
/// Its text is for people: one block a problem, an empty line between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// The first 1000 of them.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub omitted: usize,
}

impl Problems {
    /// The problems that are listed.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.problems.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
            omitted: 0,
        }
    }
}

/// Problems while they are looked for: as many as will be listed, and the number of the others.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    omitted: usize,
}

impl Findings {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.is_full() {
            self.omitted += 1;
        } else {
            self.problems.push(problem);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= LISTED
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.omitted += other.omitted;
        other
            .problems
            .into_iter()
            .for_each(|problem| self.push(problem));
    }

    /// Succeeds if nothing was found.
    pub(crate) fn verdict(self) -> Result<(), Problems> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(Problems {
            problems: self.problems,
            omitted: self.omitted,
        })
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
