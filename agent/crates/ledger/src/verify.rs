//! Proving that a ledger is what was written.

mod chain;
mod index;
mod report;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rusqlite::{Connection, ErrorCode};

pub use report::{Bad, Reason, Verification};

use crate::database::{Database, quick_check};
use crate::error::Result;
use crate::ledger::{Ledger, lock};
use chain::{Span, Survey, Walked};
pub(crate) use chain::{is_genesis, seals};
use index::{Index, Sum};
use report::Expected;

impl Ledger {
    /// Checks the whole ledger: every entry and its place in the chain, and the indexes and pages by
    /// which searches find entries. Entries that are appended meanwhile are left for the next time.
    ///
    /// `expected` is the hash of an entry, or `ID:HASH`, that must be in the chain. A chain proves that
    /// nothing *before* a known head was changed; without one, a tail that was cut off, and a chain that
    /// was written anew as a whole, cannot be told from a true one.
    ///
    /// Uses all processors, and the same little memory for any length.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotAHead`], and those of reading. What is found to be bad is no error but the result.
    pub fn verify(&self, expected: Option<&str>) -> Result<Verification> {
        self.check(expected, true)
    }

    /// Checks the entries alone, in less time: not the indexes and pages by which they are found.
    ///
    /// # Errors
    ///
    /// Those of [`Ledger::verify`].
    pub fn verify_chain(&self, expected: Option<&str>) -> Result<Verification> {
        self.check(expected, false)
    }

    fn check(&self, expected: Option<&str>, whole: bool) -> Result<Verification> {
        let expected = expected.map(Expected::read).transpose()?;
        let ends = chain::ends(&self.database.reader()?);
        let last = match or_damage(&self.database, ends)? {
            Ok(Some((0.., last))) => last,
            Ok(Some((first, _))) => return Ok(Verification::bad_from(first, Reason::Inserted)),
            Ok(None) => return Ok(Verification::bad_from(0, Reason::Deleted)),
            Err(damage) => return Ok(Verification::bad_from(0, Reason::Unreadable(damage))),
        };
        let survey = Survey::new(last, expected.as_ref(), whole);
        let mut tasks = Vec::new();
        if whole {
            tasks.push(Task::Pages);
            tasks.extend(Index::ALL.map(Task::Index));
        }
        tasks.extend(Span::split(last, processors()).map(Task::Walk));
        let found = run(&self.database, &survey, &tasks)?;
        Ok(Verification::conclude(
            last,
            expected.as_ref(),
            whole.then_some(found.search),
            found.walked,
        ))
    }
}

/// One part of the work; any thread may do it at any time.
enum Task {
    Pages,
    Index(Index),
    Walk(Span),
}

/// What the parts found.
#[derive(Default)]
struct Found {
    walked: Vec<Walked>,
    search: Search,
}

/// What is known of the means by which entries are found.
#[derive(Default)]
struct Search {
    pages: Option<String>,
    indexes: Vec<(Index, std::result::Result<Sum, String>)>,
}

/// Works through the tasks on all processors.
fn run(database: &Database, survey: &Survey, tasks: &[Task]) -> Result<Found> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Found::default());
    let work = || {
        let connection = database.reader()?;
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            perform(database, &connection, survey, task, &found)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..processors().min(tasks.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let mut results = vec![work()];
        results.extend(others.into_iter().map(|other| match other.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        results.into_iter().collect::<Result<()>>()
    })?;
    Ok(found
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn perform(
    database: &Database,
    connection: &Connection,
    survey: &Survey,
    task: &Task,
    found: &Mutex<Found>,
) -> Result<()> {
    match task {
        Task::Pages => {
            let pages = match or_damage(database, quick_check(connection))? {
                Ok(pages) => pages,
                Err(damage) => Some(damage),
            };
            lock(found).search.pages = pages;
        }
        Task::Index(index) => {
            let sum = or_damage(database, index.sum(connection, survey))?;
            lock(found)
                .search
                .indexes
                .push((*index, sum.and_then(|sum| sum)));
        }
        Task::Walk(span) => {
            let walked = survey
                .walk(connection, *span)
                .map_err(|error| database.explain(error))?;
            lock(found).walked.push(walked);
        }
    }
    Ok(())
}

/// Tells damage of the file, which is a finding, from what keeps it from being read.
fn or_damage<T>(
    database: &Database,
    result: rusqlite::Result<T>,
) -> Result<std::result::Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if is_damage(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(database.explain(error)),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
