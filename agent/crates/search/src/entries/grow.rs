//! Taking in what was recorded, and mending what is damaged.

use std::fs::File;
use std::ops::ControlFlow;

use serde::Serialize;

use crate::embedder::{EmbedError, Embedder, ModelId};
use crate::embedding::Embedding;

use super::database::Database;
use super::file::VectorFile;
use super::record::{Batch, Record, Source};
use super::{EntryError, EntryIndex};

/// How many entries are taken in at once; a growth can be stopped after each such number.
const AT_ONCE: usize = 1000;

/// How far a growth is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries taken in since it began.
    pub done: usize,
    /// Entries to be taken in, as far as known.
    pub total: usize,
}

/// What a growth did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// Entries taken in.
    pub taken_in: usize,
    /// Why the index, or a part of it, was made anew.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rebuilt: Vec<String>,
    /// It was stopped before the end; the next one goes on from there.
    pub stopped: bool,
}

/// How far an index goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Id of the last entry whose words are in it, −1 before there is one.
    pub words: i64,
    /// For each model, the id of the last entry whose vector is in it.
    pub vectors: Vec<(String, i64)>,
    /// Id of the last entry that there is.
    pub head: i64,
}

/// The open files of an index, under its lock.
pub(super) struct Open {
    pub(super) database: Database,
    _lock: File,
}

impl EntryIndex {
    /// Takes in all entries that it does not have yet, with the vectors of one model. `on` hears how far it is and
    /// may stop it; what was done by then is kept.
    ///
    /// # Errors
    ///
    /// Where entries cannot be read, vectors cannot be made, or files cannot be written.
    pub fn grow(
        &self,
        source: &dyn Source,
        embedder: &dyn Embedder,
        on: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Growth, EntryError> {
        let mut growth = Growth::default();
        let mut total = None;
        loop {
            let mut open = self.open_to_write(source, &mut growth.rebuilt)?;
            let Some(batch) = self.next(&open.database, source, embedder)? else {
                return Ok(growth);
            };
            let left = || Some(source.head().ok()?.id - batch.records.first()?.id + 1);
            let total = *total.get_or_insert_with(|| {
                left()
                    .and_then(|left| usize::try_from(left).ok())
                    .unwrap_or(0)
            });
            self.take_in(&mut open.database, &batch, embedder, &mut growth.rebuilt)?;
            drop(open.database);
            growth.taken_in += batch.records.len();
            let progress = Progress {
                done: growth.taken_in,
                total: total.max(growth.taken_in),
            };
            if on(progress).is_break() {
                growth.stopped = true;
                return Ok(growth);
            }
        }
    }

    /// Id of the last entry whose words are in it, as it says itself; none where it cannot be read.
    pub fn reach(&self) -> Option<i64> {
        let _lock = self.place.shared().ok()?;
        let database = Database::open(&self.place.database(), false).ok()??;
        Some(database.mark().ok()?.id)
    }

    /// How far it goes.
    ///
    /// # Errors
    ///
    /// Where there is no sound index, or entries cannot be read.
    pub fn status(&self, source: &dyn Source) -> Result<Status, EntryError> {
        let open = self.open_to_read(source)?;
        let of = |model: String| {
            let id = model.parse::<ModelId>().ok();
            let vectors = id.and_then(|id| open.database.vectors(&id).ok().flatten());
            (model, vectors.map_or(-1, |(_, last)| last))
        };
        let models = open.database.models().map_err(self.database())?;
        Ok(Status {
            words: open.database.mark().map_err(self.database())?.id,
            vectors: models.into_iter().map(of).collect(),
            head: source.head()?.id,
        })
    }

    /// Removes the vectors of all other models.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn forget_others(&self, source: &dyn Source, keep: &[ModelId]) -> Result<(), EntryError> {
        let open = self.open_to_write(source, &mut Vec::new())?;
        let models = open.database.models().map_err(self.database())?;
        for model in models
            .iter()
            .filter(|model| keep.iter().all(|keep| keep.as_str() != *model))
        {
            open.database.forget(model).map_err(self.database())?;
            self.place.remove_vectors(model).map_err(self.file())?;
        }
        self.seal(&open.database)
    }

    /// The entries after the last one of which words and vectors are there.
    fn next(
        &self,
        database: &Database,
        source: &dyn Source,
        embedder: &dyn Embedder,
    ) -> Result<Option<Batch>, EntryError> {
        let words = database.mark().map_err(self.database())?.id;
        let vectors = database.vectors(&embedder.id()).map_err(self.database())?;
        // The lock is held meanwhile: a slow model takes fewer.
        let at_once = AT_ONCE.min(4 * embedder.batch().max(1));
        let after = vectors.map_or(-1, |(_, last)| last).min(words);
        Ok(source.after(after, at_once)?)
    }

    fn take_in(
        &self,
        database: &mut Database,
        batch: &Batch,
        embedder: &dyn Embedder,
        rebuilt: &mut Vec<String>,
    ) -> Result<(), EntryError> {
        let model = embedder.id();
        let words = database.mark().map_err(self.database())?;
        let (rows, last) = database
            .vectors(&model)
            .map_err(self.database())?
            .unwrap_or((0, -1));
        let for_words = after(&batch.records, words.id);
        let for_vectors = after(&batch.records, last);
        let vectors = embed_all(embedder, for_vectors)?;
        let mut file = match rows {
            0 => VectorFile::create(&self.place.vectors(&model), &model).map_err(self.file())?,
            rows => match VectorFile::open(&self.place.vectors(&model), &model, rows, true) {
                Ok(file) => file,
                Err(fault) => {
                    rebuilt.push(format!("the vectors of {model}: {fault}"));
                    database.forget(model.as_str()).map_err(self.database())?;
                    return self.seal(database);
                }
            },
        };
        file.append(&vectors).map_err(self.file())?;
        let last = last.max(batch.last.id);
        let mark = (batch.last.id > words.id).then_some(&batch.last);
        database
            .grow(for_words, mark, Some((&model, file.rows(), last)))
            .map_err(self.database())?;
        self.seal(database)
    }

    fn seal(&self, database: &Database) -> Result<(), EntryError> {
        let models = database.models().map_err(self.database())?;
        self.place.seal(&models).map_err(self.file())
    }

    /// Opens it for writing; what is absent, damaged, or of another chain is made anew, and said.
    fn open_to_write(
        &self,
        source: &dyn Source,
        rebuilt: &mut Vec<String>,
    ) -> Result<Open, EntryError> {
        let lock = self.place.exclusive().map_err(self.lock())?;
        let path = self.place.database();
        let found = match path.exists() {
            true => self.believed(source)?,
            false => Err(None),
        };
        let database = match found {
            Ok(database) => database,
            Err(reason) => {
                rebuilt.extend(reason);
                self.place.remove_database().map_err(self.lock())?;
                self.place.remove_all_vectors().map_err(self.lock())?;
                let made = Database::create(&path).map_err(self.database())?;
                self.seal(&made)?;
                made
            }
        };
        self.mend_vectors(&database, rebuilt)?;
        Ok(Open {
            database,
            _lock: lock,
        })
    }

    /// The database, if it can be believed; else why not.
    fn believed(
        &self,
        source: &dyn Source,
    ) -> Result<Result<Database, Option<String>>, EntryError> {
        let damaged = |detail: &str| Ok(Err(Some(format!("the index: {detail}"))));
        let database = match Database::open(&self.place.database(), true) {
            Ok(Some(database)) => database,
            Ok(None) => return damaged("it is of another format"),
            Err(error) if is_damage(&error) => return damaged(&error.to_string()),
            Err(error) => return Err(self.database()(error)),
        };
        let looked = || {
            let models = database.models()?;
            let sound = self.place.is_sealed(&models) || database.is_sound()?;
            Ok::<_, rusqlite::Error>((sound, database.mark()?))
        };
        let mark = match looked() {
            Ok((true, mark)) => mark,
            Ok((false, _)) => return damaged("it is damaged"),
            Err(error) if is_damage(&error) => return damaged(&error.to_string()),
            Err(error) => return Err(self.database()(error)),
        };
        let same = mark.id < 0 || source.hash(mark.id)?.unwrap_or_default() == mark.hash;
        match same {
            true => Ok(Ok(database)),
            false => damaged("the ledger is not the one that it was made of"),
        }
    }

    /// Forgets vectors that are not as they were written.
    fn mend_vectors(
        &self,
        database: &Database,
        rebuilt: &mut Vec<String>,
    ) -> Result<(), EntryError> {
        let models = database.models().map_err(self.database())?;
        if self.place.is_sealed(&models) {
            return Ok(());
        }
        for model in &models {
            let Ok(id) = model.parse::<ModelId>() else {
                continue;
            };
            let rows = database
                .vectors(&id)
                .map_err(self.database())?
                .map_or(0, |(rows, _)| rows);
            let file = VectorFile::open(&self.place.vectors(&id), &id, rows, false);
            if let Err(fault) = file.and_then(|file| file.check()) {
                rebuilt.push(format!("the vectors of {model}: {fault}"));
                database.forget(model).map_err(self.database())?;
                self.place.remove_vectors(model).map_err(self.file())?;
            }
        }
        self.seal(database)
    }

    /// Opens it for reading; mends it first where it is not as it was written.
    pub(super) fn open_to_read(&self, source: &dyn Source) -> Result<Open, EntryError> {
        for _ in 0..3 {
            let lock = self.place.shared().map_err(self.lock())?;
            let sealed = |database: &Database| {
                Ok::<_, rusqlite::Error>(self.place.is_sealed(&database.models()?))
            };
            if self.place.database().exists()
                && let Ok(Some(database)) = Database::open(&self.place.database(), false)
                && sealed(&database).unwrap_or(false)
            {
                return Ok(Open {
                    database,
                    _lock: lock,
                });
            }
            drop(lock);
            self.open_to_write(source, &mut Vec::new())?;
        }
        Err(self.file()("it changes all the time"))
    }
}

/// Records with a greater id.
fn after(records: &[Record], id: i64) -> &[Record] {
    let begin = records.partition_point(|record| record.id <= id);
    &records[begin..]
}

fn embed_all(
    embedder: &dyn Embedder,
    records: &[Record],
) -> Result<Vec<(i64, Embedding)>, EmbedError> {
    let mut all = Vec::with_capacity(records.len());
    for some in records.chunks(embedder.batch().max(1)) {
        let texts: Vec<String> = some.iter().map(Record::text).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder.embed(&texts)?;
        if vectors.len() != some.len() {
            return Err(EmbedError(format!(
                "{} gave {} vectors for {} texts",
                embedder.id(),
                vectors.len(),
                some.len()
            )));
        }
        all.extend(some.iter().map(|record| record.id).zip(vectors));
    }
    Ok(all)
}

/// Whether an error says that the file is not as it was written.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            // A table or a column that is not there is an unknown error to SQLite.
            matches!(failure.code, DatabaseCorrupt | NotADatabase)
                || (failure.code == rusqlite::ErrorCode::Unknown && failure.extended_code == 1)
        }
        rusqlite::Error::QueryReturnedNoRows
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        _ => false,
    }
}
