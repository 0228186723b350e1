//! A TOML file against its schema: all problems at once, each with its line.

use std::collections::BTreeMap;

use declaration::{DocumentPath, Problem, Problems, Step};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read, in bytes.
pub(crate) const LARGEST: u64 = 256 << 10;
/// How many problems of one file are listed.
const LISTED: usize = 100;

/// A text as what it should hold. `schema` is the published one of the type.
pub(crate) fn read<T: DeserializeOwned>(
    text: &str,
    schema: &Value,
) -> Result<(T, Lines), Problems> {
    let source = Source::new(text);
    let document = DeTable::parse(text).map_err(|error| syntax(&source, &error))?;
    let mut lines = Lines::default();
    let value = table(
        document.get_ref(),
        &DocumentPath::default(),
        &source,
        &mut lines,
    );
    let whole = |error: &dyn std::fmt::Display| {
        Problem::new(
            DocumentPath::default(),
            error.to_string(),
            "what the published schema says",
        )
    };
    let validator = jsonschema::draft202012::new(schema).map_err(|error| whole(&error))?;
    let mut errors = validator.iter_errors(&value);
    let mut problems: Vec<_> = errors
        .by_ref()
        .take(LISTED)
        .flat_map(|error| problems_of(&error))
        .collect();
    if !problems.is_empty() {
        problems.iter_mut().for_each(|problem| lines.place(problem));
        problems.sort_by_key(|problem| problem.line);
        let omitted = errors.count() + problems.len().saturating_sub(LISTED);
        problems.truncate(LISTED);
        return Err(Problems { problems, omitted });
    }
    drop(errors);
    let read = serde_json::from_value(value).map_err(|error| whole(&error))?;
    Ok((read, lines))
}

/// The text with the place of each line.
struct Source<'t> {
    text: &'t str,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl<'t> Source<'t> {
    fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            text,
            ends: ends.map(|(at, _)| at).collect(),
        }
    }

    /// The line of a byte, counted from 1.
    fn line(&self, at: usize) -> u64 {
        self.ends.partition_point(|end| *end < at) as u64 + 1
    }

    /// Its place in the line, in bytes, counted from 1.
    fn column(&self, at: usize) -> usize {
        let before = self.ends.partition_point(|end| *end < at);
        let start = before.checked_sub(1).map_or(0, |last| self.ends[last] + 1);
        at.min(self.text.len()).saturating_sub(start) + 1
    }
}

/// The line of each value, by its path.
#[derive(Debug, Default)]
pub(crate) struct Lines(BTreeMap<DocumentPath, u64>);

impl Lines {
    /// Gives a problem the line of its value, or of what that should stand in.
    pub(crate) fn place(&self, problem: &mut Problem) {
        let mut path = problem.path.clone();
        loop {
            if let Some(line) = self.0.get(&path) {
                problem.line = Some(*line);
                return;
            }
            if path.steps().is_empty() {
                return;
            }
            path = path.parent();
        }
    }
}

fn syntax(source: &Source<'_>, error: &toml::de::Error) -> Problem {
    let at = error.span().map_or(0, |span| span.start);
    let (line, column) = (source.line(at), source.column(at));
    let message = error.message().lines().next().unwrap_or_default();
    Problem {
        line: Some(line),
        ..Problem::new(
            DocumentPath::default(),
            format!("line {line}, column {column}: {message}"),
            "TOML 1.0",
        )
    }
}

fn table(
    table: &DeTable<'_>,
    path: &DocumentPath,
    source: &Source<'_>,
    lines: &mut Lines,
) -> Value {
    let entries = table.iter().map(|(key, node)| {
        let below = path.key(key.get_ref());
        lines.0.insert(below.clone(), source.line(key.span().start));
        (
            key.get_ref().to_string(),
            value(node, &below, source, lines),
        )
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

fn value(
    node: &Spanned<DeValue<'_>>,
    path: &DocumentPath,
    source: &Source<'_>,
    lines: &mut Lines,
) -> Value {
    match node.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.into(),
            // What does not fit is text, which no number's place accepts.
            Err(_) => number.as_str().into(),
        },
        DeValue::Float(number) => match number.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => number.into(),
            None => number.as_str().into(),
        },
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| {
                let below = path.index(index);
                lines
                    .0
                    .insert(below.clone(), source.line(item.span().start));
                value(item, &below, source, lines)
            });
            items.collect()
        }
        DeValue::Table(entries) => table(entries, path, source, lines),
    }
}

/// What the validator says, as we say it: each unknown key is a problem of its own.
fn problems_of(error: &jsonschema::ValidationError<'_>) -> Vec<Problem> {
    use jsonschema::error::ValidationErrorKind as Kind;
    let path = document_path(error.instance_path().as_str());
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let unknown = |key: &String| {
                let accepted = "one of the keys that the published schema names";
                Problem::new(path.key(key), "an unknown key", accepted)
            };
            unexpected.iter().map(unknown).collect()
        }
        _ => vec![problem(error, path)],
    }
}

fn problem(error: &jsonschema::ValidationError<'_>, path: DocumentPath) -> Problem {
    use jsonschema::error::ValidationErrorKind as Kind;
    match error.kind() {
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            Problem::new(
                path.key(key),
                "nothing: the key is missing",
                format!("a value for `{key}`"),
            )
        }
        Kind::Pattern { pattern } => Problem::new(
            path,
            shown(error.instance()),
            format!("text of the form {pattern}"),
        ),
        Kind::Enum { options } => {
            Problem::new(path, shown(error.instance()), format!("one of {options}"))
        }
        Kind::Type { kind } => {
            let accepted = match kind {
                jsonschema::error::TypeKind::Single(kind) => format!("a value of type {kind}"),
                jsonschema::error::TypeKind::Multiple(_) => "a value of another type".to_owned(),
            };
            Problem::new(path, shown(error.instance()), accepted)
        }
        _ => Problem::new(
            path,
            shown(error.instance()),
            error.masked_with("it").to_string(),
        ),
    }
}

/// A value on one line, and not longer than people like to read.
fn shown(value: &Value) -> String {
    const SHOWN: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// A JSON Pointer (RFC 6901) as a path. Digits are taken for the place in a list: keys of these files are names.
fn document_path(pointer: &str) -> DocumentPath {
    let steps = pointer.split('/').skip(1).map(|step| match step.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(step.replace("~1", "/").replace("~0", "~")),
    });
    steps.fold(DocumentPath::default(), |path, step| match step {
        Step::Key(key) => path.key(key),
        Step::Index(index) => path.index(index),
    })
}
