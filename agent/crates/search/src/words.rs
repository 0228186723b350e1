//! Matching by words: SQLite's FTS5 (<https://www.sqlite.org/fts5.html>), in memory.

use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, params};

use crate::concepts;
use crate::index::{Document, Error};
use crate::tokens::{joined, stems};

/// How much more a word in the title counts than one in the text.
const TITLE: f64 = 3.0;

/// How much a word counts that means much the same as one in the title.
const KIN: f64 = 1.5;

/// The word that stands for all that mean much the same.
pub(crate) fn kin(stem: &str) -> Option<String> {
    concepts::group(stem).map(concepts::word)
}

pub(crate) fn spread(stems: &[String]) -> String {
    let all: Vec<String> = stems.iter().cloned().chain(joined(stems)).collect();
    all.join(" ")
}

/// Documents by their words.
pub(crate) struct Words(Mutex<Connection>);

impl Words {
    pub(crate) fn new(documents: &[Document]) -> Result<Self, Error> {
        let mut database = Connection::open_in_memory()?;
        // Words come as stems already, split as names of programs are.
        database.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(title, text, kin, tokenize = 'unicode61')",
        )?;
        let transaction = database.transaction()?;
        {
            let mut insert = transaction
                .prepare("INSERT INTO words (rowid, title, text, kin) VALUES (?, ?, ?, ?)")?;
            for (row, document) in (0_i64..).zip(documents) {
                let (title, text) = (stems(&document.title), stems(&document.text));
                let kin: Vec<_> = title.iter().filter_map(|stem| kin(stem)).collect();
                insert.execute(params![row, spread(&title), spread(&text), kin.join(" ")])?;
            }
        }
        transaction.commit()?;
        Ok(Self(Mutex::new(database)))
    }

    /// Places of the documents that have any of the question's words, best first, with BM25's score.
    pub(crate) fn search(&self, question: &str, limit: usize) -> Result<Vec<(usize, f64)>, Error> {
        let mut stems = stems(question);
        stems.extend(joined(&stems).collect::<Vec<_>>());
        stems.extend(
            stems
                .iter()
                .filter_map(|stem| kin(stem))
                .collect::<Vec<_>>(),
        );
        stems.sort_unstable();
        stems.dedup();
        if stems.is_empty() {
            return Ok(Vec::new());
        }
        // Stems are letters and digits; in quotation marks they are words and never operators.
        let quoted: Vec<_> = stems.iter().map(|stem| format!("\"{stem}\"")).collect();
        let database = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = database.prepare_cached(
            "SELECT rowid, -bm25(words, ?1, 1.0, ?4) FROM words WHERE words MATCH ?2 ORDER BY 2 DESC, 1 LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(params![TITLE, quoted.join(" OR "), limit, KIN], |row| {
            Ok((row.get::<_, i64>(0)?, row.get(1)?))
        })?;
        rows.map(|row| {
            let (row, score) = row?;
            Ok((usize::try_from(row).unwrap_or_default(), score))
        })
        .collect()
    }
}
