//! The file of the vectors.
//!
//! All numbers are little-endian. A page of 4096 bytes comes first: `OPDBVEC` and a zero, the version of the
//! format (u32), the dimension (u32), the number of rows (u64), the name of the model (64 bytes, filled with zeros),
//! and the CRC-32 of all that. Then come blocks of 1024 rows, each in three parts: the vectors in bytes (384
//! bytes each), their marks (id i64, scale f32, error f32, CRC-32 of these and the bytes, CRC-32 of the numbers: 24
//! bytes each), and the numbers themselves (f32, 1536 bytes each). A scan reads the first two parts only. Rows are
//! only ever added; a file that is shorter than its blocks has holes at its end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::embedder::ModelId;
use crate::embedding::{DIMENSIONS, Embedding};

use super::code::Code;

const MAGIC: [u8; 8] = *b"OPDBVEC\0";
const FORMAT: u32 = 1;
const HEADER: usize = 4096;
const NAME: usize = 64;
const FIELDS: usize = 8 + 4 + 4 + 8 + NAME;

/// Rows of a block.
pub(crate) const ROWS: usize = 1024;
const MARK: usize = 24;
const NUMBERS: usize = 4 * DIMENSIONS;
const MARKS_AT: usize = ROWS * DIMENSIONS;
const NUMBERS_AT: usize = MARKS_AT + ROWS * MARK;
const BLOCK: usize = NUMBERS_AT + ROWS * NUMBERS;

/// What is wrong with a file of vectors, or the way to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(String),
}

/// What stands beside a vector in bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mark {
    pub(crate) id: i64,
    pub(crate) scale: f32,
    pub(crate) error: f32,
    codes: u32,
    numbers: u32,
}

/// An open file of vectors.
#[derive(Debug)]
pub(crate) struct VectorFile {
    file: File,
    model: ModelId,
    rows: usize,
}

impl VectorFile {
    /// Makes an empty file in the place of what is there.
    pub(crate) fn create(path: &Path, model: &ModelId) -> Result<Self, Fault> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .open(path)?;
        let made = Self {
            file,
            model: model.clone(),
            rows: 0,
        };
        made.write_header()?;
        Ok(made)
    }

    /// Opens a file of this model that has at least so many rows; the others are left over from a growth that
    /// was cut short.
    pub(crate) fn open(
        path: &Path,
        model: &ModelId,
        rows: usize,
        write: bool,
    ) -> Result<Self, Fault> {
        let file = OpenOptions::new().read(true).write(write).open(path)?;
        let mut header = [0; FIELDS + 4];
        file.read_exact_at(&mut header, 0)?;
        let expected = fields(model, 0);
        let kept = Bytes(&header[16..]).u64();
        let damaged = |what: &str| Err(Fault::Damaged(what.to_owned()));
        if Bytes(&header[FIELDS..]).u32() != crc32fast::hash(&header[..FIELDS]) {
            return damaged("its header does not fit its checksum");
        }
        if header[..16] != expected[..16] || header[24..FIELDS] != expected[24..] {
            return damaged("it is of another format or model");
        }
        if kept < rows as u64 || file.metadata()?.len() < end(rows) as u64 {
            return damaged("it lacks rows");
        }
        Ok(Self {
            file,
            model: model.clone(),
            rows,
        })
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds rows at the end; they are on the disk when this returns.
    pub(crate) fn append(&mut self, rows: &[(i64, Embedding)]) -> Result<(), Fault> {
        let mut rest = rows;
        while !rest.is_empty() {
            let room = ROWS - self.rows % ROWS;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.write(now)?;
            self.rows += now.len();
            rest = later;
        }
        self.write_header()?;
        Ok(self.file.sync_data()?)
    }

    /// Writes rows that fit into one block.
    fn write(&self, rows: &[(i64, Embedding)]) -> Result<(), Fault> {
        let mut codes = Vec::with_capacity(rows.len() * DIMENSIONS);
        let mut marks = Vec::with_capacity(rows.len() * MARK);
        let mut numbers = Vec::with_capacity(rows.len() * NUMBERS);
        for (id, embedding) in rows {
            let code = Code::of(embedding.numbers());
            let begin = numbers.len();
            numbers.extend(
                embedding
                    .as_slice()
                    .iter()
                    .flat_map(|number| number.to_le_bytes()),
            );
            let row = codes.len();
            codes.extend(code.numbers.iter().map(|code| code.cast_unsigned()));
            let mark = Mark {
                id: *id,
                scale: code.scale,
                error: code.error,
                codes: 0,
                numbers: crc32fast::hash(&numbers[begin..]),
            };
            let sum = mark.checksum(&codes[row..]);
            marks.extend(Mark { codes: sum, ..mark }.bytes());
        }
        let block = HEADER + self.rows / ROWS * BLOCK;
        let row = self.rows % ROWS;
        self.put(&codes, block + row * DIMENSIONS)?;
        self.put(&marks, block + MARKS_AT + row * MARK)?;
        self.put(&numbers, block + NUMBERS_AT + row * NUMBERS)
    }

    fn put(&self, bytes: &[u8], at: usize) -> Result<(), Fault> {
        Ok(self.file.write_all_at(bytes, at as u64)?)
    }

    fn write_header(&self) -> Result<(), Fault> {
        let mut header = fields(&self.model, self.rows as u64).to_vec();
        header.extend(crc32fast::hash(&header).to_le_bytes());
        header.resize(HEADER, 0);
        self.put(&header, 0)
    }

    /// How many blocks have rows.
    pub(crate) fn blocks(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Reads what a scan needs of a block: its vectors in bytes, and their marks.
    pub(crate) fn read<'a>(
        &self,
        block: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Part<'a>, Fault> {
        let rows = ROWS.min(self.rows - block * ROWS);
        buffer.resize(NUMBERS_AT, 0);
        let at = (HEADER + block * BLOCK) as u64;
        if rows == ROWS {
            self.file.read_exact_at(buffer, at)?;
        } else {
            let (codes, marks) = buffer.split_at_mut(MARKS_AT);
            self.file
                .read_exact_at(&mut codes[..rows * DIMENSIONS], at)?;
            self.file
                .read_exact_at(&mut marks[..rows * MARK], at + MARKS_AT as u64)?;
        }
        let (codes, marks) = buffer.split_at(MARKS_AT);
        Ok(Part {
            codes: &codes[..rows * DIMENSIONS],
            marks: &marks[..rows * MARK],
        })
    }

    /// Reads the numbers of a row, and sees that they are those that were written.
    pub(crate) fn numbers(&self, row: usize, mark: &Mark) -> Result<[f32; DIMENSIONS], Fault> {
        let mut bytes = [0; NUMBERS];
        let at = HEADER + row / ROWS * BLOCK + NUMBERS_AT + row % ROWS * NUMBERS;
        self.file.read_exact_at(&mut bytes, at as u64)?;
        if crc32fast::hash(&bytes) != mark.numbers {
            return Err(Fault::Damaged(format!(
                "row {row} does not fit its checksum"
            )));
        }
        let mut numbers = [0.0; DIMENSIONS];
        let (words, _) = bytes.as_chunks::<4>();
        for (number, word) in numbers.iter_mut().zip(words) {
            *number = f32::from_le_bytes(*word);
        }
        Ok(numbers)
    }

    /// Looks at every byte of every row.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let mut buffer = Vec::new();
        let mut last = i64::MIN;
        for block in 0..self.blocks() {
            let part = self.read(block, &mut buffer)?;
            let (codes, _) = part.codes.as_chunks::<DIMENSIONS>();
            for (row, code) in codes.iter().enumerate() {
                let mark = part.mark(row);
                let row = block * ROWS + row;
                self.numbers(row, &mark)?;
                if mark.checksum(code) != mark.codes || mark.id <= last {
                    return Err(Fault::Damaged(format!(
                        "row {row} does not fit its checksum"
                    )));
                }
                last = mark.id;
            }
        }
        Ok(())
    }
}

/// What a scan needs of a block.
pub(crate) struct Part<'a> {
    pub(crate) codes: &'a [u8],
    marks: &'a [u8],
}

impl Part<'_> {
    pub(crate) fn len(&self) -> usize {
        self.marks.len() / MARK
    }

    pub(crate) fn mark(&self, row: usize) -> Mark {
        let bytes = &self.marks[row * MARK..][..MARK];
        Mark {
            id: Bytes(bytes).u64().cast_signed(),
            scale: f32::from_bits(Bytes(&bytes[8..]).u32()),
            error: f32::from_bits(Bytes(&bytes[12..]).u32()),
            codes: Bytes(&bytes[16..]).u32(),
            numbers: Bytes(&bytes[20..]).u32(),
        }
    }
}

impl Mark {
    fn bytes(&self) -> [u8; MARK] {
        let mut bytes = [0; MARK];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.scale.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.error.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.codes.to_le_bytes());
        bytes[20..].copy_from_slice(&self.numbers.to_le_bytes());
        bytes
    }

    /// The checksum of the vector in bytes and of everything else in the mark.
    fn checksum(&self, codes: &[u8]) -> u32 {
        let bytes = self.bytes();
        let mut sum = crc32fast::Hasher::new();
        sum.update(codes);
        sum.update(&bytes[..16]);
        sum.update(&bytes[20..]);
        sum.finalize()
    }
}

/// Where the rows end, in bytes.
fn end(rows: usize) -> usize {
    match rows.checked_sub(1) {
        None => HEADER,
        Some(last) => HEADER + last / ROWS * BLOCK + NUMBERS_AT + (last % ROWS + 1) * NUMBERS,
    }
}

fn fields(model: &ModelId, rows: u64) -> [u8; FIELDS] {
    let mut fields = [0; FIELDS];
    fields[..8].copy_from_slice(&MAGIC);
    fields[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    fields[12..16].copy_from_slice(&(DIMENSIONS as u32).to_le_bytes());
    fields[16..24].copy_from_slice(&rows.to_le_bytes());
    let name = model.as_str().as_bytes();
    fields[24..24 + name.len()].copy_from_slice(name);
    fields
}

/// Numbers at the beginning of bytes, of which there are enough.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u32(&self) -> u32 {
        self.0
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    fn u64(&self) -> u64 {
        self.0
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed;

    fn rows(ids: std::ops::Range<i64>) -> Vec<(i64, Embedding)> {
        ids.map(|id| (id, embed(&format!("entry number {id}"))))
            .collect()
    }

    #[test]
    fn what_is_added_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        let model = ModelId::built_in();
        let mut file = VectorFile::create(&path, &model).unwrap();
        file.append(&rows(0..1000)).unwrap();
        file.append(&rows(1000..2500)).unwrap();
        drop(file);
        let file = VectorFile::open(&path, &model, 2500, false).unwrap();
        file.check().unwrap();
        assert_eq!(file.blocks(), 3);
        let mut buffer = Vec::new();
        let part = file.read(2, &mut buffer).unwrap();
        assert_eq!(part.len(), 2500 - 2048);
        let mark = part.mark(2);
        assert_eq!(mark.id, 2050);
        assert_eq!(
            &file.numbers(2050, &mark).unwrap(),
            embed("entry number 2050").numbers()
        );

        // A growth that was cut short: what it wrote is written over.
        let mut file = VectorFile::open(&path, &model, 1500, true).unwrap();
        file.append(&rows(1500..1501)).unwrap();
        VectorFile::open(&path, &model, 1501, false)
            .unwrap()
            .check()
            .unwrap();
        assert!(VectorFile::open(&path, &model, 1502, false).is_err());
        assert!(VectorFile::open(&path, &"other".parse().unwrap(), 1, false).is_err());
    }

    #[test]
    fn every_byte_is_looked_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        let model = ModelId::built_in();
        VectorFile::create(&path, &model)
            .unwrap()
            .append(&rows(0..3))
            .unwrap();
        let whole = std::fs::read(&path).unwrap();
        let sound = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let file = VectorFile::open(&path, &model, 3, false)?;
            file.check()?;
            let mut buffer = Vec::new();
            let part = file.read(0, &mut buffer)?;
            (0..3).try_for_each(|row| file.numbers(row, &part.mark(row)).map(drop))
        };
        sound(&whole).unwrap();
        let parts = [
            0..FIELDS + 4,
            HEADER..HEADER + 3 * DIMENSIONS,
            HEADER + MARKS_AT..HEADER + MARKS_AT + 3 * MARK,
            HEADER + NUMBERS_AT..HEADER + NUMBERS_AT + 3 * NUMBERS,
        ];
        for at in parts.into_iter().flatten().step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(sound(&bytes).is_err(), "{at}");
        }
        for length in [0, 10, HEADER, whole.len() - 1] {
            assert!(sound(&whole[..length]).is_err(), "{length}");
        }
    }
}
