//! `vector-index.db`: words (FTS5), what entries are filtered by, and how far the index goes.
//!
//! Tables: `entries` (a row for each entry; operation, target, actor and outcome by the number of their `names`),
//! `words` (FTS5 without its own copy of the text), `mark` (the head to which all that goes), and `vectors` (how far
//! the vectors of each model go). It is written under a lock, and in one file: no write-ahead log stands beside it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params, params_from_iter};

use crate::embedder::ModelId;
use crate::tokens::{joined, stems};
use crate::words::{kin, spread};

use super::grow::is_damage;
use super::idset::IdSet;
use super::record::{Mark, Record};

/// Says that the file is ours (PRAGMA application_id), and of which format (PRAGMA user_version).
const APPLICATION: i32 = 0x6f70_7378;
const FORMAT: i32 = 1;

const TABLES: &str = "\
CREATE TABLE mark (id INTEGER NOT NULL, hash TEXT NOT NULL, unreadable INTEGER NOT NULL);
CREATE TABLE vectors (model TEXT PRIMARY KEY, rows INTEGER NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE names (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, short TEXT NOT NULL, UNIQUE (kind, name));
CREATE INDEX names_short ON names (kind, short);
CREATE TABLE entries (id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, operation INTEGER NOT NULL, target INTEGER NOT NULL, actor INTEGER, outcome INTEGER);
CREATE INDEX entries_timestamp ON entries (timestamp);
CREATE INDEX entries_target ON entries (target);
CREATE VIRTUAL TABLE words USING fts5(operation, target, details, kin, content = '', tokenize = 'unicode61');
";

/// How much a word counts in operation, target, details, and as one that means much the same.
const WEIGHTS: [f64; 4] = [2.0, 2.5, 1.0, 0.5];

/// So many letters may stand for a longer word that begins with them.
const PREFIX: usize = 5;

/// Endings that people leave out of targets: types of systemd's units, and the parts of a name of a host.
const ENDINGS: [&str; 7] = [
    ".service", ".socket", ".timer", ".target", ".mount", ".path", ".slice",
];

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Operation = 0,
    Target = 1,
    Actor = 2,
    Outcome = 3,
}

/// The open database.
pub(crate) struct Database {
    connection: Connection,
    names: HashMap<(i64, String), i64>,
}

/// What entries have to have; an empty list asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) operations: Vec<String>,
    pub(crate) targets: Vec<String>,
    /// Words by which entries that name a target elsewhere are known.
    pub(crate) mentions: Vec<String>,
    pub(crate) actors: Vec<String>,
    pub(crate) outcomes: Vec<String>,
}

type Result<T> = rusqlite::Result<T>;

impl Database {
    /// Makes an empty one; there is no file at the path.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let made = Self::connect(path, flags)?;
        made.connection.execute_batch(&format!(
            "PRAGMA page_size = 8192; BEGIN; {TABLES} INSERT INTO mark VALUES (-1, '', 0); \
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}; COMMIT;"
        ))?;
        Ok(made)
    }

    /// Opens one that is there; `None` if it is none of ours, or of another format.
    pub(crate) fn open(path: &Path, write: bool) -> Result<Option<Self>> {
        let flags = match write {
            true => OpenFlags::SQLITE_OPEN_READ_WRITE,
            false => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let open = Self::connect(path, flags)?;
        let pragma = |name| {
            open.connection
                .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
        };
        let ours = pragma("application_id")? == APPLICATION && pragma("user_version")? == FORMAT;
        Ok(ours.then_some(open))
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self> {
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self {
            connection,
            names: HashMap::new(),
        })
    }

    /// Whether everything in it fits together.
    pub(crate) fn is_sound(&self) -> Result<bool> {
        let found: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Ok(false);
        }
        let words = self
            .connection
            .execute("INSERT INTO words(words) VALUES ('integrity-check')", []);
        let count = |table: &str| {
            let select = format!("SELECT count(*) FROM {table}");
            self.connection
                .query_row(&select, [], |row| row.get::<_, i64>(0))
        };
        match words {
            Ok(_) => Ok(count("entries")? == count("words_docsize")?),
            Err(error) if is_damage(&error) => Ok(false),
            // Such as a full disk, which says nothing of what is there.
            Err(error) => Err(error),
        }
    }

    /// How far it goes.
    pub(crate) fn mark(&self) -> Result<Mark> {
        let select = "SELECT id, hash FROM mark";
        self.connection.query_row(select, [], |row| {
            Ok(Mark {
                id: row.get(0)?,
                hash: row.get(1)?,
            })
        })
    }

    /// How many entries are in it, and the times of the first and the last.
    pub(crate) fn extent(&self) -> Result<(i64, Option<i64>, Option<i64>)> {
        let select = "SELECT (SELECT count(*) FROM entries), (SELECT min(timestamp) FROM entries), (SELECT max(timestamp) FROM entries)";
        self.connection.query_row(select, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
    }

    /// How many rows the vectors of a model have, and the id of the last one.
    pub(crate) fn vectors(&self, model: &ModelId) -> Result<Option<(usize, i64)>> {
        let select = "SELECT rows, last FROM vectors WHERE model = ?";
        let found = self.connection.query_row(select, [model.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        });
        let found = found.optional()?;
        Ok(found.map(|(rows, last)| (usize::try_from(rows).unwrap_or_default(), last)))
    }

    /// The models of which there are vectors.
    pub(crate) fn models(&self) -> Result<Vec<String>> {
        let mut select = self
            .connection
            .prepare("SELECT model FROM vectors ORDER BY model")?;
        select.query_map([], |row| row.get(0))?.collect()
    }

    /// Forgets the vectors of a model.
    pub(crate) fn forget(&self, model: &str) -> Result<()> {
        self.connection
            .execute("DELETE FROM vectors WHERE model = ?", [model])?;
        Ok(())
    }

    /// Adds records and says how far it goes now, all or nothing.
    pub(crate) fn grow(
        &mut self,
        records: &[Record],
        mark: Option<&Mark>,
        vectors: Option<(&ModelId, usize, i64)>,
    ) -> Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let added = self.add(records, mark, vectors);
        let end = match &added {
            Ok(()) => "COMMIT",
            Err(_) => "ROLLBACK",
        };
        let ended = self.connection.execute_batch(end);
        added.and(ended)
    }

    fn add(
        &mut self,
        records: &[Record],
        mark: Option<&Mark>,
        vectors: Option<(&ModelId, usize, i64)>,
    ) -> Result<()> {
        for record in records {
            let operation_name = self.name(Kind::Operation, &record.operation)?;
            let target_name = self.name(Kind::Target, &record.target)?;
            let actor = record
                .actor()
                .map(|name| self.name(Kind::Actor, name))
                .transpose()?;
            let outcome = record
                .outcome()
                .map(|name| self.name(Kind::Outcome, name))
                .transpose()?;
            self.connection
                .prepare_cached("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    record.id,
                    record.timestamp,
                    operation_name,
                    target_name,
                    actor,
                    outcome
                ])?;
            let operation = stems(&record.operation);
            let mut details = record.details();
            for more in [
                record.actor(),
                record.outcome(),
                record.metadata["run"].as_str(),
            ] {
                details.push(' ');
                details.push_str(more.unwrap_or_default());
            }
            let (target, details) = (stems(&record.target), stems(&details));
            let mut like: Vec<_> = operation
                .iter()
                .chain(&target)
                .chain(&details)
                .filter_map(|stem| kin(stem))
                .collect();
            like.sort_unstable();
            like.dedup();
            self.connection
                .prepare_cached("INSERT INTO words (rowid, operation, target, details, kin) VALUES (?, ?, ?, ?, ?)")?
                .execute(params![
                    record.id,
                    spread(&operation),
                    spread(&target),
                    spread(&details),
                    like.join(" ")
                ])?;
        }
        if let Some(mark) = mark {
            self.connection.execute(
                "UPDATE mark SET id = ?, hash = ?",
                params![mark.id, mark.hash],
            )?;
        }
        if let Some((model, rows, last)) = vectors {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            self.connection.execute(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                params![model.as_str(), rows, last],
            )?;
        }
        Ok(())
    }

    fn name(&mut self, kind: Kind, name: &str) -> Result<i64> {
        let key = (kind as i64, name.to_owned());
        if let Some(id) = self.names.get(&key) {
            return Ok(*id);
        }
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO names (kind, name, short) VALUES (?, ?, ?)")?
            .execute(params![key.0, name, short(name)])?;
        let id = self
            .connection
            .prepare_cached("SELECT id FROM names WHERE kind = ? AND name = ?")?
            .query_row(params![key.0, name], |row| row.get(0))?;
        self.names.insert(key, id);
        Ok(id)
    }

    /// Names of a kind that a word may stand for.
    pub(crate) fn named(&self, kind: Kind, word: &str) -> Result<Vec<String>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT name FROM names WHERE kind = ?1 AND (name = ?2 OR short = ?3) ORDER BY name LIMIT 20")?;
        select
            .query_map(params![kind as i64, word, short(word)], |row| row.get(0))?
            .collect()
    }

    /// All names of a kind, up to a number that no ledger of ours reaches with operations.
    pub(crate) fn all_named(&self, kind: Kind) -> Result<Vec<String>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT name FROM names WHERE kind = ? ORDER BY name LIMIT 5000")?;
        select.query_map([kind as i64], |row| row.get(0))?.collect()
    }

    /// The entries that have what is wanted; `None` if that is all of them.
    pub(crate) fn select(&self, wanted: &Wanted) -> Result<Option<IdSet>> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (condition, second) in [
            ("timestamp >= ?", wanted.since),
            ("timestamp <= ?", wanted.until),
        ] {
            if let Some(second) = second {
                conditions.push(condition.to_owned());
                values.push(Value::Integer(second));
            }
        }
        let lists = [
            ("operation", Kind::Operation, &wanted.operations),
            ("target", Kind::Target, &wanted.targets),
            ("actor", Kind::Actor, &wanted.actors),
            ("outcome", Kind::Outcome, &wanted.outcomes),
        ];
        for (column, kind, names) in lists {
            if names.is_empty() {
                continue;
            }
            let places = vec!["?"; names.len()].join(", ");
            let among = format!(
                "{column} IN (SELECT id FROM names WHERE kind = {} AND name IN ({places}))",
                kind as i64
            );
            values.extend(names.iter().cloned().map(Value::Text));
            conditions.push(match column {
                // Who asks for a target means entries that name it elsewhere too.
                "target" => {
                    let mentions: Vec<_> = wanted
                        .mentions
                        .iter()
                        .filter_map(|word| phrase(word))
                        .collect();
                    values.push(Value::Text(mentions.join(" OR ")));
                    match mentions.is_empty() {
                        true => {
                            values.pop();
                            among
                        }
                        false => format!(
                            "({among} OR id IN (SELECT rowid FROM words WHERE words MATCH ?))"
                        ),
                    }
                }
                _ => among,
            });
        }
        if conditions.is_empty() {
            return Ok(None);
        }
        let select = format!(
            "SELECT id FROM entries WHERE {} ORDER BY id",
            conditions.join(" AND ")
        );
        let mut select = self.connection.prepare(&select)?;
        let ids: Vec<i64> = select
            .query_map(params_from_iter(values), |row| row.get(0))?
            .collect::<Result<_>>()?;
        Ok(Some(IdSet::new(ids)))
    }

    /// The newest entries, newest first.
    pub(crate) fn newest(&self, limit: usize) -> Result<Vec<i64>> {
        let mut select = self
            .connection
            .prepare_cached("SELECT id FROM entries ORDER BY id DESC LIMIT ?")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        select.query_map([limit], |row| row.get(0))?.collect()
    }

    /// The entries that have any of the question's words, best first, with BM25's score; of equal ones the newest.
    pub(crate) fn words(
        &self,
        question: &[String],
        limit: usize,
        only: Option<&IdSet>,
    ) -> Result<Vec<(i64, f64)>> {
        let mut terms = question.to_vec();
        terms.extend(joined(question));
        terms.extend(question.iter().filter_map(|stem| kin(stem)));
        terms.sort_unstable();
        terms.dedup();
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        // Stems are letters and digits; in quotation marks they are words and never operators.
        let mut quoted: Vec<_> = terms.iter().map(|term| format!("\"{term}\"")).collect();
        // The beginning of a longer name: `postgres` of `postgresql-16`.
        let long = question
            .iter()
            .filter(|stem| stem.chars().count() >= PREFIX);
        quoted.extend(long.map(|stem| format!("\"{stem}\"*")));
        let [operation, target, details, kin] = WEIGHTS;
        let mut select = self.connection.prepare_cached(
            "SELECT rowid, -bm25(words, ?2, ?3, ?4, ?5) FROM words WHERE words MATCH ?1 ORDER BY 2 DESC, 1 DESC",
        )?;
        let rows = select.query_map(
            params![quoted.join(" OR "), operation, target, details, kin],
            |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
        )?;
        let passes = |row: &Result<(i64, f64)>| match (row, only) {
            (Ok((id, _)), Some(only)) => only.contains(*id),
            _ => true,
        };
        rows.filter(passes).take(limit).collect()
    }
}

/// A name as people write it: in lower case, without an ending that goes without saying.
fn short(name: &str) -> String {
    let name = name.to_lowercase();
    let ending = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    ending.map(str::to_owned).unwrap_or(name)
}

/// The words of a name in their order, for FTS5.
fn phrase(name: &str) -> Option<String> {
    let stems = stems(name);
    (!stems.is_empty()).then(|| format!("{{target details}} : \"{}\"", stems.join(" ")))
}
