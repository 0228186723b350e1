//! What was learned, in an SQLite database: schemas, rules, templates and the digests of examples, by name.
//!
//! A name has versions: each time that something new is learned under it, the shapes are merged and the
//! result is the next version. Examples themselves are not kept.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::recognise::Format;
use crate::shape::Shape;
use crate::validate::Checker;

/// `knwl`, which tells the file from other databases.
const APPLICATION: i64 = 0x6b6e_776c;
/// The version of the tables.
const TABLES: i64 = 1;
/// The most names.
const MOST_NAMES: i64 = 1000;
/// The versions that are kept of a name, the latest.
const VERSIONS: i64 = 16;
/// The digests of examples that are kept of a name, the latest.
const EXAMPLES: i64 = 256;
/// The largest shape, schema or set of rules, in bytes.
const LARGEST: usize = 1 << 20;
/// The longest note, in bytes.
const LONGEST_NOTE: usize = 4096;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// Nothing is known under a name.
    #[error("nothing is known as `{0}`: `op-dbus inspect --search WORDS` looks for what is")]
    Unknown(String),
    /// What is to be kept does not fit.
    #[error("{0}")]
    Invalid(String),
    /// The file is another database, or of a later version.
    #[error("{0} is no database of what the inspector learned, or one of a later version")]
    Foreign(String),
    /// What SQLite says.
    #[error("the database of what the inspector learned: {0}")]
    Database(#[from] rusqlite::Error),
    /// What was kept cannot be read any more.
    #[error("what is known as `{name}` is damaged: {reason}")]
    Damaged {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The name of something learned: letters, digits, `.`, `_`, `-`, at most 64, a letter or digit first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name(String);

impl std::str::FromStr for Name {
    type Err = KnowledgeError;

    fn from_str(text: &str) -> Result<Self, KnowledgeError> {
        let first = text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric);
        let all = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        match first && all && text.len() <= 64 {
            true => Ok(Self(text.to_owned())),
            false => Err(KnowledgeError::Invalid(format!(
                "`{}` is no name: it has letters, digits, `.`, `_` and `-`, at most 64, and begins with a letter or digit",
                text.escape_debug().take(80).collect::<String>()
            ))),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One example, without its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Where it came from.
    pub source: String,
    /// The SHA-256 of its bytes, as hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// One example, with what it looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taught {
    /// What it was.
    pub example: Example,
    /// What it looks like.
    pub shape: Shape,
}

/// What is to be learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// What the examples are.
    pub format: Format,
    /// The examples; those that were learned from before are passed over.
    pub examples: Vec<Taught>,
    /// A schema that values have to fit besides, written by a person; the one there is stays if this is none.
    #[serde(default)]
    pub rules: Option<Value>,
    /// What it is about, for the search; as for rules.
    #[serde(default)]
    pub note: Option<String>,
}

/// What is known under a name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Known {
    /// The name.
    pub name: String,
    /// Its version, counted from 1.
    pub version: i64,
    /// When that was learned (RFC 3339).
    pub learned: String,
    /// What the examples were.
    pub format: Format,
    /// What it is about.
    pub note: String,
    /// The schema that all examples fit.
    pub schema: Value,
    /// What values have to fit besides; null for nothing.
    pub rules: Value,
    /// A value to begin with.
    pub template: Value,
    /// The latest examples.
    pub examples: Vec<Example>,
}

impl Known {
    /// What values have to fit: the schema, and the rules where there are some.
    pub fn schemas(&self) -> impl Iterator<Item = &Value> {
        [&self.schema, &self.rules]
            .into_iter()
            .filter(|schema| !schema.is_null())
    }
}

/// A hit of the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The name.
    pub name: String,
    /// Its latest version.
    pub version: i64,
    /// When that was learned (RFC 3339).
    pub learned: String,
    /// What the examples were.
    pub format: Format,
    /// What it is about.
    pub note: String,
}

/// The database.
pub struct Knowledge(Connection);

impl Knowledge {
    /// Opens the database for writing, and makes it if there is none.
    pub fn open(path: &Path) -> Result<Self, KnowledgeError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        Self::connect(path, flags)?.prepare(path)
    }

    /// Opens the database for reading; nothing is known where there is none.
    pub fn read_only(path: &Path) -> Result<Option<Self>, KnowledgeError> {
        if !path.exists() {
            return Ok(None);
        }
        let knowledge = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match knowledge.is_ours()? {
            true => Ok(Some(knowledge)),
            false => Err(KnowledgeError::Foreign(path.display().to_string())),
        }
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, KnowledgeError> {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(Self(connection))
    }

    fn number(&self, pragma: &str) -> Result<i64, KnowledgeError> {
        Ok(self.0.pragma_query_value(None, pragma, |row| row.get(0))?)
    }

    fn is_ours(&self) -> Result<bool, KnowledgeError> {
        Ok(self.number("application_id")? == APPLICATION && self.number("user_version")? == TABLES)
    }

    fn prepare(mut self, path: &Path) -> Result<Self, KnowledgeError> {
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            transaction.execute_batch(
                "CREATE TABLE known (name TEXT NOT NULL, version INTEGER NOT NULL, learned TEXT NOT NULL,
                     format TEXT NOT NULL, note TEXT NOT NULL, shape TEXT NOT NULL, schema TEXT NOT NULL,
                     rules TEXT NOT NULL, PRIMARY KEY (name, version)) STRICT, WITHOUT ROWID;
                 CREATE TABLE example (name TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
                     source TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (name, sha256)) STRICT, WITHOUT ROWID;
                 CREATE VIRTUAL TABLE words USING fts5(name, note, keys, tokenize = 'porter unicode61');",
            )?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", TABLES)?;
        }
        transaction.commit()?;
        match self.is_ours()? {
            true => Ok(self),
            false => Err(KnowledgeError::Foreign(path.display().to_string())),
        }
    }

    /// Keeps what was learned under a name: merged with what is known. The version there is now, and whether it is
    /// a new one.
    pub fn learn(
        &mut self,
        name: &Name,
        lesson: &Lesson,
        now: &str,
    ) -> Result<(i64, bool), KnowledgeError> {
        fits(lesson)?;
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = latest(&transaction, name)?;
        if before.is_none() {
            let count: i64 =
                transaction.query_row("SELECT count(DISTINCT name) FROM known", [], |row| {
                    row.get(0)
                })?;
            if count >= MOST_NAMES {
                return Err(KnowledgeError::Invalid(format!(
                    "{MOST_NAMES} names are known, which is the most: forget one first"
                )));
            }
        }
        let new = unseen(&transaction, name, &lesson.examples)?;
        let after = merged(name, before.as_ref(), lesson, &new)?;
        let version = match &before {
            Some(before) if before.says_the_same(&after) && new.is_empty() => {
                return Ok((before.version, false));
            }
            Some(before) => before.version + 1,
            None => 1,
        };
        after.write(&transaction, name, version, now)?;
        write_examples(&transaction, name, version, &new)?;
        transaction.commit()?;
        Ok((version, true))
    }

    /// What is known under a name: the latest version, or another that is still kept.
    pub fn show(&self, name: &Name, version: Option<i64>) -> Result<Known, KnowledgeError> {
        let unknown = || KnowledgeError::Unknown(name.to_string());
        let row = match version {
            None => latest(&self.0, name)?,
            Some(version) => stored(&self.0, name, Some(version))?,
        };
        let row = row.ok_or_else(unknown)?;
        let mut statement = self.0.prepare(
            "SELECT source, sha256, bytes FROM example WHERE name = ?1 ORDER BY place DESC, sha256",
        )?;
        let examples = statement.query_map([&name.0], |row| {
            Ok(Example {
                source: row.get(0)?,
                sha256: row.get(1)?,
                bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            })
        })?;
        Ok(Known {
            name: name.to_string(),
            version: row.version,
            learned: row.learned,
            format: row.format,
            note: row.note,
            schema: row.schema,
            rules: row.rules,
            template: row.shape.template(),
            examples: examples.collect::<Result<_, _>>()?,
        })
    }

    /// What is known with all of some words in its name, note or keys, the best first; everything by name if there are
    /// no words.
    pub fn search(&self, words: &str, most: usize) -> Result<Vec<Hit>, KnowledgeError> {
        let quoted: Vec<_> = words
            .split_whitespace()
            .take(16)
            .map(|word| format!("\"{}\"*", word.replace('"', "\"\"")))
            .collect();
        let matched = match quoted.is_empty() {
            true => "SELECT name, 0 FROM words WHERE ?1 = ''",
            false => "SELECT name, rank FROM words WHERE words MATCH ?1",
        };
        let mut statement = self.0.prepare(&format!(
            "WITH found(name, rank) AS ({matched}),
             latest(name, version) AS (SELECT name, max(version) FROM known GROUP BY name)
             SELECT known.name, known.version, learned, format, note
             FROM found JOIN latest USING (name) JOIN known USING (name, version)
             ORDER BY found.rank, known.name LIMIT ?2"
        ))?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let hits = statement.query_map(params![quoted.join(" "), most], |row| {
            let format: String = row.get(3)?;
            Ok(Hit {
                name: row.get(0)?,
                version: row.get(1)?,
                learned: row.get(2)?,
                format: serde_json::from_value(json!(format)).unwrap_or(Format::Binary),
                note: row.get(4)?,
            })
        })?;
        Ok(hits.collect::<Result<_, _>>()?)
    }

    /// Forgets a name with all its versions.
    pub fn forget(&mut self, name: &Name) -> Result<(), KnowledgeError> {
        let transaction = self
            .0
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let gone = transaction.execute("DELETE FROM known WHERE name = ?1", [&name.0])?;
        transaction.execute("DELETE FROM example WHERE name = ?1", [&name.0])?;
        transaction.execute("DELETE FROM words WHERE name = ?1", [&name.0])?;
        if gone == 0 {
            return Err(KnowledgeError::Unknown(name.to_string()));
        }
        Ok(transaction.commit()?)
    }
}

/// A version of a name.
struct Row {
    version: i64,
    learned: String,
    format: Format,
    note: String,
    shape: Shape,
    schema: Value,
    rules: Value,
}

impl Row {
    fn says_the_same(&self, other: &Self) -> bool {
        self.format == other.format
            && self.note == other.note
            && self.schema == other.schema
            && self.rules == other.rules
    }

    fn write(
        &self,
        transaction: &Transaction<'_>,
        name: &Name,
        version: i64,
        now: &str,
    ) -> Result<(), KnowledgeError> {
        let text = |value: &Value| value.to_string();
        let shape = json!(self.shape);
        transaction.execute(
            "INSERT INTO known VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                name.0,
                version,
                now,
                self.format.as_str(),
                self.note,
                text(&shape),
                text(&self.schema),
                text(&self.rules)
            ],
        )?;
        transaction.execute(
            "DELETE FROM known WHERE name = ?1 AND version <= ?2",
            params![name.0, version - VERSIONS],
        )?;
        transaction.execute("DELETE FROM words WHERE name = ?1", [&name.0])?;
        let mut keys = Vec::new();
        collect_keys(&self.schema, &mut keys);
        transaction.execute(
            "INSERT INTO words (name, note, keys) VALUES (?1, ?2, ?3)",
            params![name.0, self.note, keys.join(" ")],
        )?;
        Ok(())
    }
}

fn latest(connection: &Connection, name: &Name) -> Result<Option<Row>, KnowledgeError> {
    stored(connection, name, None)
}

fn stored(
    connection: &Connection,
    name: &Name,
    version: Option<i64>,
) -> Result<Option<Row>, KnowledgeError> {
    type Texts = (i64, String, String, String, String, String, String);
    let found: Option<Texts> = connection
        .query_row(
            "SELECT version, learned, format, note, shape, schema, rules FROM known
             WHERE name = ?1 AND (?2 IS NULL OR version = ?2) ORDER BY version DESC LIMIT 1",
            params![name.0, version],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            },
        )
        .optional()?;
    let Some((version, learned, format, note, shape, schema, rules)) = found else {
        return Ok(None);
    };
    let damaged = |error: serde_json::Error| KnowledgeError::Damaged {
        name: name.to_string(),
        reason: error.to_string(),
    };
    Ok(Some(Row {
        version,
        learned,
        note,
        format: serde_json::from_value(json!(format)).map_err(damaged)?,
        shape: serde_json::from_str(&shape).map_err(damaged)?,
        schema: serde_json::from_str(&schema).map_err(damaged)?,
        rules: serde_json::from_str(&rules).map_err(damaged)?,
    }))
}

/// Whether a lesson is within the bounds, and makes sense.
fn fits(lesson: &Lesson) -> Result<(), KnowledgeError> {
    let invalid = |text: String| Err(KnowledgeError::Invalid(text));
    if lesson.examples.is_empty() || lesson.examples.len() > EXAMPLES as usize {
        return invalid(format!("there have to be 1 to {EXAMPLES} examples"));
    }
    let mut examples = lesson.examples.iter();
    if let Some(Taught { example, .. }) = examples.find(|Taught { example, shape }| {
        shape.count == 0
            || example.source.len() > 4096
            || example.sha256.len() != 64
            || !example.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
            || i64::try_from(example.bytes).is_err()
    }) {
        return invalid(format!(
            "the example {:?} is not described as one",
            example.source
        ));
    }
    if lesson
        .note
        .as_ref()
        .is_some_and(|note| note.len() > LONGEST_NOTE)
    {
        return invalid(format!("the note has more than {LONGEST_NOTE} bytes"));
    }
    if let Some(rules) = &lesson.rules {
        let checked = Checker::new(rules).map(drop);
        checked.map_err(|error: Error| KnowledgeError::Invalid(format!("the rules: {error}")))?;
    }
    Ok(())
}

/// What is known after a lesson.
fn merged(
    name: &Name,
    before: Option<&Row>,
    lesson: &Lesson,
    new: &[&Taught],
) -> Result<Row, KnowledgeError> {
    let mut shape = before.map(|row| row.shape.clone()).unwrap_or_default();
    for taught in new {
        shape.merge(taught.shape.clone());
    }
    let note = lesson.note.clone();
    let rules = lesson.rules.clone();
    let row = Row {
        version: 0,
        learned: String::new(),
        format: lesson.format,
        note: note
            .or_else(|| before.map(|row| row.note.clone()))
            .unwrap_or_default(),
        schema: shape.schema(),
        rules: rules
            .or_else(|| before.map(|row| row.rules.clone()))
            .unwrap_or_default(),
        shape,
    };
    for part in [&json!(row.shape), &row.schema, &row.rules] {
        if part.to_string().len() > LARGEST {
            return Err(KnowledgeError::Invalid(format!(
                "what `{name}` looks like takes more than {LARGEST} bytes to say"
            )));
        }
    }
    Ok(row)
}

fn unseen<'l>(
    transaction: &Transaction<'_>,
    name: &Name,
    examples: &'l [Taught],
) -> Result<Vec<&'l Taught>, KnowledgeError> {
    let mut statement =
        transaction.prepare("SELECT 1 FROM example WHERE name = ?1 AND sha256 = ?2")?;
    let mut new: Vec<&Taught> = Vec::new();
    for taught in examples {
        let sha256 = &taught.example.sha256;
        let known = statement.exists(params![name.0, sha256])?;
        if !known && !new.iter().any(|other| other.example.sha256 == *sha256) {
            new.push(taught);
        }
    }
    Ok(new)
}

fn write_examples(
    transaction: &Transaction<'_>,
    name: &Name,
    version: i64,
    examples: &[&Taught],
) -> Result<(), KnowledgeError> {
    for Taught { example, .. } in examples {
        let bytes = i64::try_from(example.bytes).unwrap_or(i64::MAX);
        transaction.execute(
            "INSERT INTO example VALUES (?1, ?2, ?3, ?4, ?5)",
            params![name.0, example.sha256, bytes, example.source, version],
        )?;
    }
    transaction.execute(
        "DELETE FROM example WHERE name = ?1 AND sha256 NOT IN
         (SELECT sha256 FROM example WHERE name = ?1 ORDER BY place DESC, sha256 LIMIT ?2)",
        params![name.0, EXAMPLES],
    )?;
    Ok(())
}

/// The names of properties, for the search.
fn collect_keys<'s>(schema: &'s Value, keys: &mut Vec<&'s str>) {
    const MOST: usize = 2000;
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                keys.extend(
                    properties
                        .keys()
                        .map(String::as_str)
                        .take(MOST - keys.len().min(MOST)),
                );
            }
            map.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}
