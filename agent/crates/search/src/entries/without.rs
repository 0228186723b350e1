//! Answers without the index, where it cannot be used: the disk is full, or somebody else holds it.

use std::path::Path;

use jiff::Zoned;

use super::answer::{Answer, Asked, Likeness, Method};
use super::database::Database;
use super::record::Source;
use super::{EntryError, EntryIndex};

/// So many entries are looked through, the newest: about two seconds' work, and some 60 MB of memory.
const MOST: i64 = 20_000;

/// How many are read at once.
const AT_ONCE: usize = 1000;

impl EntryIndex {
    /// Answers a question from the entries themselves, by words and filters: of the newest 20,000 an index is made in
    /// memory. Touches no file.
    ///
    /// # Errors
    ///
    /// Where entries cannot be read.
    pub fn search_without(
        &self,
        source: &dyn Source,
        question: &str,
        now: &Zoned,
        limit: usize,
    ) -> Result<Answer, EntryError> {
        let mut database = Database::create(Path::new(":memory:")).map_err(self.database())?;
        let mut after = (source.head()?.id - MOST).max(-1);
        let all = after < 0;
        while let Some(batch) = source.after(after, AT_ONCE)? {
            after = batch.last.id;
            database
                .grow(&batch.records, Some(&batch.last), None)
                .map_err(self.database())?;
        }
        let asked = Asked {
            method: Method::Words,
            likeness: &Likeness::by(&[]),
            question,
            now,
            limit,
        };
        let mut answer = self.answer(&database, source, &asked)?;
        if !all {
            answer
                .notes
                .push(format!("only the newest {MOST} entries were looked at"));
        }
        Ok(answer)
    }
}
