//! What was learned, in an SQLite database: schemas, rules, templates and the digests of examples, by name.
//!
//! A name has versions: each time that something new is learned under it, the shapes are merged and the
//! result is the next version. Examples themselves are not kept.

mod lesson;
mod row;

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use serde::Serialize;
use serde_json::{Value, json};

pub use lesson::{Example, Lesson, Name, Taught};

use crate::recognise::Format;
use lesson::fits;
use row::{latest, latest_version, merged, stored, unseen, write_examples};

/// `knwl`, which tells the file from other databases.
const APPLICATION: i64 = 0x6b6e_776c;
/// The version of the tables.
const TABLES: i64 = 1;
/// The most names.
const MOST_NAMES: i64 = 1000;
/// The digests of examples that are kept of a name, the latest.
const EXAMPLES: i64 = 256;

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

    /// The latest version of a name and when it was learned (RFC 3339), even if what it says cannot be read any more.
    pub fn version(&self, name: &Name) -> Result<(i64, String), KnowledgeError> {
        let found = latest_version(&self.0, name)?;
        found.ok_or_else(|| KnowledgeError::Unknown(name.to_string()))
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
