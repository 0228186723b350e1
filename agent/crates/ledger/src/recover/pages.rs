//! Reads rows straight from the pages of a damaged file, without SQLite.
//!
//! SQLite finds a row through the pages above it, so that one bad page hides all below. Here every page of the
//! file and of its write-ahead log is looked at by itself. What is read may be anything: an entry proves by its
//! hash that it is one. Formats: <https://www.sqlite.org/fileformat2.html>, sections 1.3, 1.6, 2.1 and 4.1.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Columns of the table, the id among them.
const COLUMNS: usize = 8;
/// Longest row that is read, in bytes: the largest entry, and its hashes and embedding.
const LONGEST: usize = 20 << 20;
/// The page size that is taken where the file does not say.
const PAGE: usize = 4096;
/// Bytes before the pages of a write-ahead log, and before each of them.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// First bytes of a write-ahead log but for their last bit, which is about checksums.
const LOG_MAGIC: u32 = 0x377f_0682;

/// A value as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// A row that may be of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) timestamp: Stored,
    pub(super) operation: Stored,
    pub(super) target: Stored,
    pub(super) previous_hash: Stored,
    pub(super) current_hash: Stored,
    pub(super) embedding: Stored,
    pub(super) metadata: Stored,
}

/// A database file, seen with its write-ahead log or without.
struct View<'a> {
    main: Option<&'a File>,
    pages: u32,
    size: usize,
    usable: usize,
    log: Option<(&'a File, HashMap<u32, u64>)>,
}

/// Gives every row of eight columns that lies in the file or its log, some of them twice.
pub(super) fn scan<E: From<io::Error>>(
    path: &Path,
    log: &Path,
    mut each: impl FnMut(Found) -> Result<(), E>,
) -> Result<(), E> {
    let main = open(path)?;
    let log = open(log)?;
    let (size, usable) = page_size(main.as_ref(), log.as_ref())?;
    let pages = match &main {
        Some(file) => u32::try_from(file.metadata()?.len() / size as u64).unwrap_or(u32::MAX),
        None => 0,
    };
    let bare = View {
        main: main.as_ref(),
        pages,
        size,
        usable,
        log: None,
    };
    if let Some(log) = &log {
        let frames = committed(log, size)?;
        let view = View {
            log: Some((log, frames)),
            ..bare
        };
        view.rows(&mut each)?;
    }
    View { log: None, ..bare }.rows(&mut each)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The size of a page, and how much of it is used.
fn page_size(main: Option<&File>, log: Option<&File>) -> io::Result<(usize, usize)> {
    let mut header = [0; 32];
    if let Some(main) = main {
        let read = read_at(main, &mut header, 0)?;
        let size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            size => usize::from(size),
        };
        let reserved = usize::from(header[20]);
        if read == header.len() && is_size(size) && size - reserved >= 480 {
            return Ok((size, size - reserved));
        }
    }
    if let Some(log) = log {
        let read = read_at(log, &mut header, 0)?;
        let size = number(&header, 8) as usize;
        if read == header.len() && is_size(size) {
            return Ok((size, size));
        }
    }
    Ok((PAGE, PAGE))
}

fn is_size(size: usize) -> bool {
    size.is_power_of_two() && (512..=65_536).contains(&size)
}

/// Where the newest committed form of each page lies in the log.
fn committed(log: &File, size: usize) -> io::Result<HashMap<u32, u64>> {
    let mut header = [0; LOG_HEADER];
    let mut frames = HashMap::new();
    let read = read_at(log, &mut header, 0)?;
    if read < LOG_HEADER || number(&header, 0) & !1 != LOG_MAGIC {
        return Ok(frames);
    }
    let mut at = LOG_HEADER as u64;
    let mut open = Vec::new();
    let mut frame = [0; FRAME_HEADER];
    let length = log.metadata()?.len();
    while at + (FRAME_HEADER + size) as u64 <= length {
        read_at(log, &mut frame, at)?;
        // Frames of a time before the log was begun anew have other salts.
        if frame[8..16] == header[16..24] {
            open.push((number(&frame, 0), at + FRAME_HEADER as u64));
            if number(&frame, 4) != 0 {
                frames.extend(open.drain(..));
            }
        }
        at += (FRAME_HEADER + size) as u64;
    }
    Ok(frames)
}

impl View<'_> {
    fn rows<E: From<io::Error>>(
        &self,
        each: &mut impl FnMut(Found) -> Result<(), E>,
    ) -> Result<(), E> {
        let beyond = self.log.iter().flat_map(|(_, frames)| frames.keys());
        let mut beyond: Vec<_> = beyond.copied().filter(|page| *page > self.pages).collect();
        beyond.sort_unstable();
        for number in (1..=self.pages).chain(beyond) {
            let page = self.page(number)?;
            for row in self.leaf(number, &page)? {
                each(row)?;
            }
        }
        Ok(())
    }

    /// A page, filled up with zeros where the file ends before it does.
    fn page(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.size];
        let logged = self
            .log
            .as_ref()
            .and_then(|(log, frames)| Some((*log, *frames.get(&number)?)));
        let (file, at) = match (logged, self.main) {
            (Some(logged), _) => logged,
            (None, Some(main)) => (main, u64::from(number - 1) * self.size as u64),
            (None, None) => return Ok(page),
        };
        match read_at(file, &mut page, at) {
            // A sector that the disk cannot read any more holds nothing.
            Err(error) if error.raw_os_error() == Some(EIO) => Ok(vec![0; self.size]),
            read => read.map(|_| page),
        }
    }

    /// The rows of a page, if it is a leaf of a table, or of no known type: that may be the very damage.
    fn leaf(&self, number: u32, page: &[u8]) -> io::Result<Vec<Found>> {
        let header = if number == 1 { 100 } else { 0 };
        // Inner and leaf pages of an index, inner pages of a table.
        if let Some(2 | 5 | 10) | None = page.get(header) {
            return Ok(Vec::new());
        }
        let cells = short(page, header + 3);
        let mut rows = Vec::new();
        for cell in 0..cells {
            let at = short(page, header + 8 + 2 * cell);
            if let Some((id, payload)) = self.cell(page, at)? {
                rows.extend(row(id, &payload));
            }
        }
        Ok(rows)
    }

    /// The row id and the payload of a cell, put together from its overflow pages.
    fn cell(&self, page: &[u8], at: usize) -> io::Result<Option<(i64, Vec<u8>)>> {
        let mut at = at;
        let Some((length, id)) = varint(page, &mut at).zip(varint(page, &mut at)) else {
            return Ok(None);
        };
        let Some(length) = usize::try_from(length).ok().filter(|l| *l <= LONGEST) else {
            return Ok(None);
        };
        let most = self.usable - 35;
        let least = (self.usable - 12) * 32 / 255 - 23;
        let local = match length {
            length if length <= most => length,
            length => match least + (length - least) % (self.usable - 4) {
                local if local <= most => local,
                _ => least,
            },
        };
        let Some(begin) = page.get(at..at + local) else {
            return Ok(None);
        };
        let mut payload = begin.to_vec();
        let mut next = match length > local {
            true => number(page, at + local),
            false => 0,
        };
        while payload.len() < length && next != 0 {
            let overflow = self.page(next)?;
            let left = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(&overflow[4..4 + left]);
            next = number(&overflow, 0);
        }
        Ok((payload.len() == length).then_some((id, payload)))
    }
}

/// The row in a record, if it has the columns of a ledger.
fn row(id: i64, payload: &[u8]) -> Option<Found> {
    let mut at = 0;
    let header = usize::try_from(varint(payload, &mut at)?).ok()?;
    let mut types = Vec::with_capacity(COLUMNS);
    while at < header && types.len() <= COLUMNS {
        types.push(varint(payload, &mut at)?);
    }
    if types.len() != COLUMNS || at != header {
        return None;
    }
    let mut values = types.into_iter().map(|kind| value(payload, &mut at, kind));
    let mut next = || values.next().flatten();
    // The id is the number of the row, and null in the record.
    let Stored::Null = next()? else { return None };
    Some(Found {
        id,
        timestamp: next()?,
        operation: next()?,
        target: next()?,
        previous_hash: next()?,
        current_hash: next()?,
        embedding: next()?,
        metadata: next()?,
    })
}

fn value(payload: &[u8], at: &mut usize, kind: i64) -> Option<Stored> {
    let length = match kind {
        0 | 8 | 9 => 0,
        1..=4 => usize::try_from(kind).ok()?,
        5 => 6,
        6 | 7 => 8,
        12.. => usize::try_from((kind - 12) / 2).ok()?,
        _ => return None,
    };
    let bytes = payload.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(match kind {
        0 => Stored::Null,
        8 => Stored::Integer(0),
        9 => Stored::Integer(1),
        7 => Stored::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        1..=6 => {
            let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
            let start = if negative { -1 } else { 0 };
            Stored::Integer(
                bytes
                    .iter()
                    .fold(start, |sum, byte| sum << 8 | i64::from(*byte)),
            )
        }
        kind if kind % 2 == 0 => Stored::Blob(bytes.to_vec()),
        _ => Stored::Text(bytes.to_vec()),
    })
}

/// A number of one to nine bytes; moves `at` behind it.
fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut number: i64 = 0;
    for place in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if place == 8 {
            return Some(number << 8 | i64::from(byte));
        }
        number = number << 7 | i64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn short(page: &[u8], at: usize) -> usize {
    match page.get(at..at + 2) {
        Some(bytes) => usize::from(u16::from_be_bytes([bytes[0], bytes[1]])),
        None => 0,
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// `EIO` of `errno.h`.
const EIO: i32 = 5;

/// Reads as much as there is.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(path: &Path) -> Vec<Found> {
        let mut rows = Vec::new();
        let log = path.with_file_name("t.db-wal");
        scan::<io::Error>(path, &log, |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
        rows
    }

    #[test]
    fn long_rows_negative_numbers_and_every_page_size_are_read() {
        for size in [512, 1024, 4096, 65_536] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("t.db");
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection.pragma_update(None, "page_size", size).unwrap();
            connection
                .execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d, e, f, g)")
                .unwrap();
            let mut expected = Vec::new();
            for (id, length) in [3, 470, 480, 4000, 5000, 70_000, 300_000]
                .into_iter()
                .enumerate()
            {
                let text = "x".repeat(length);
                let time = [0, 1, -1, 127, -40_000, 1 << 40, i64::MIN][id];
                let row = (id as i64, time, "op", 0.5, &text, vec![1_u8, 2], &text);
                connection
                    .execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, NULL, ?, ?)", row)
                    .unwrap();
                expected.push((id as i64, time, length));
            }
            let found: Vec<_> = rows(&path)
                .into_iter()
                .map(|row| match (row.timestamp, row.metadata, row.embedding) {
                    (Stored::Integer(time), Stored::Text(text), Stored::Blob(_)) => {
                        (row.id, time, text.len())
                    }
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(found, expected, "pages of {size} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            main in proptest::collection::vec(any::<u8>(), 0..9000),
            log in proptest::collection::vec(any::<u8>(), 0..5000),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("t.db");
            let mut main = main;
            if let Some(first) = main.get_mut(100) {
                *first = 13;
            }
            std::fs::write(&path, main).unwrap();
            std::fs::write(dir.path().join("t.db-wal"), log).unwrap();
            rows(&path);
        }
    }
}
