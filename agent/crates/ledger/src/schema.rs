//! The table, its indexes and its first row.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};

use crate::hash::Hash;

/// Makes the table and its indexes.
const TABLES: &str = "\
CREATE TABLE operations (
    id INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    operation TEXT NOT NULL,
    target TEXT NOT NULL,
    previous_hash TEXT,
    current_hash TEXT NOT NULL,
    embedding BLOB,
    metadata JSON
);
CREATE INDEX idx_timestamp ON operations(timestamp);
CREATE INDEX idx_operation ON operations(operation);
CREATE INDEX idx_target ON operations(target);
";

pub(crate) const GENESIS_OPERATION: &str = "genesis";
pub(crate) const GENESIS_TARGET: &str = "system";
/// What the genesis row says: as we write it, and with the spaces of a hand-written `INSERT`.
pub(crate) const GENESIS_METADATA: [&str; 2] = [
    r#"{"deployment":"operation-dbus","version":"1.0"}"#,
    r#"{"version": "1.0", "deployment": "operation-dbus"}"#,
];

/// What a database file holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Nothing, and nothing was ever in it.
    Empty,
    /// A ledger.
    Ledger,
    /// Something else.
    Other(String),
}

/// Looks what a database holds, without changing it.
pub(crate) fn inspect(connection: &Connection) -> rusqlite::Result<Contents> {
    let mut found = Vec::new();
    let mut select = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let sql: Option<String> = row.get(1)?;
        found.push((row.get::<_, String>(0)?, spelling(&sql.unwrap_or_default())));
    }
    if found.is_empty() {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        return Ok(match pages {
            0 | 1 => Contents::Empty,
            _ => Contents::Other("it has no tables, but had some".into()),
        });
    }
    let expected: Vec<_> = TABLES.split_terminator(";\n").map(spelling).collect();
    if let Some((name, _)) = found.iter().find(|(_, sql)| !expected.contains(sql)) {
        return Ok(Contents::Other(format!(
            "`{name}` in it is not of a ledger"
        )));
    }
    if let Some(missing) = expected
        .iter()
        .find(|sql| !found.iter().any(|(_, s)| s == *sql))
    {
        return Ok(Contents::Other(format!("it lacks `{missing}`")));
    }
    Ok(Contents::Ledger)
}

/// SQL without comments, spacing and case, so that a table made by hand from documentation is known again.
fn spelling(sql: &str) -> String {
    let code = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    code.flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Makes the table, its indexes and the genesis row. The caller holds the transaction.
pub(crate) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.execute(
        "INSERT INTO operations VALUES (0, ?, ?, ?, NULL, ?, NULL, ?)",
        params![
            now(),
            GENESIS_OPERATION,
            GENESIS_TARGET,
            Hash::ZERO.to_string(),
            GENESIS_METADATA[0]
        ],
    )?;
    Ok(())
}

/// Seconds since 1970-01-01 UTC by the clock of this machine, which may go backwards.
pub(crate) fn now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs().cast_signed(),
        Err(before) => -before.duration().as_secs().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    #[test]
    fn a_ledger_is_known_however_it_was_spelled() {
        let ledger = database("");
        create(&ledger).unwrap();
        assert_eq!(inspect(&ledger).unwrap(), Contents::Ledger);
        let by_hand = TABLES
            .replace("TABLE ", "TABLE IF NOT EXISTS ")
            .replace("NOT NULL,", "NOT NULL,     -- e.g. a comment\n")
            .replace("INTEGER", "integer");
        assert_eq!(inspect(&database(&by_hand)).unwrap(), Contents::Ledger);
    }

    #[test]
    fn anything_else_is_not() {
        assert_eq!(inspect(&database("")).unwrap(), Contents::Empty);
        let others = [
            "CREATE TABLE t(a);".to_owned(),
            TABLES.replace("target TEXT NOT NULL", "target TEXT"),
            TABLES.replace("CREATE INDEX idx_target ON operations(target);\n", ""),
            TABLES.replace("operations(target)", "operations(operation)"),
            format!(
                "{TABLES}CREATE TRIGGER t AFTER INSERT ON operations BEGIN DELETE FROM operations; END;"
            ),
            format!("{TABLES}CREATE VIEW v AS SELECT 1;"),
        ];
        for other in others {
            let contents = inspect(&database(&other)).unwrap();
            assert!(
                matches!(contents, Contents::Other(_)),
                "{other}: {contents:?}"
            );
        }
    }

    #[test]
    fn a_database_that_lost_its_tables_is_not_empty() {
        let lost = database("CREATE TABLE t(a); DROP TABLE t;");
        assert!(matches!(inspect(&lost).unwrap(), Contents::Other(_)));
    }
}
