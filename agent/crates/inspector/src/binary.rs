//! What can be told of bytes that are no text.

use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, elf};
use serde_json::{Map, Value, json};

use crate::error::Error;

/// How many sections, libraries or members are named.
const NAMED: usize = 64;
/// How many notes are looked through for the build ID, in at most `NAMED` sections.
const MOST_NOTES: usize = 10_000;

/// What an ELF file says of itself (System V ABI, gABI 4.1).
pub(crate) fn elf(bytes: &[u8]) -> Result<Value, Error> {
    match bytes.get(4) {
        Some(1) => described::<elf::FileHeader32<Endianness>>(bytes),
        Some(2) => described::<elf::FileHeader64<Endianness>>(bytes),
        _ => Err(Error::syntax(
            "ELF file",
            "its class is neither 32 nor 64 bits",
        )),
    }
}

fn described<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Value, Error> {
    let wrong = |error: object::read::Error| Error::syntax("ELF file", error);
    let header = H::parse(bytes).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    let mut told = Map::new();
    told.insert(
        "class".to_owned(),
        json!(if header.is_class_64() { 64 } else { 32 }),
    );
    told.insert(
        "byte_order".to_owned(),
        json!(match endian {
            Endianness::Little => "little",
            Endianness::Big => "big",
        }),
    );
    told.insert("machine".to_owned(), machine(header.e_machine(endian).0));
    told.insert("type".to_owned(), kind(header.e_type(endian).0));
    let entry: u64 = header.e_entry(endian).into();
    told.insert("entry".to_owned(), json!(format!("{entry:#x}")));
    // Each part may be damaged on its own; what can be read is told.
    let mut faults = Vec::new();
    for (key, part) in [
        ("sections", sections::<H>(header, endian, bytes)),
        ("interpreter", interpreter::<H>(header, endian, bytes)),
        ("needed", needed::<H>(header, endian, bytes)),
        ("build_id", build_id::<H>(header, endian, bytes)),
    ] {
        match part {
            Ok(Value::Null) => {}
            Ok(value) => drop(told.insert(key.to_owned(), value)),
            Err(error) => faults.push(format!("{key}: {error}")),
        }
    }
    if !faults.is_empty() {
        told.insert("faults".to_owned(), json!(faults));
    }
    Ok(Value::Object(told))
}

fn text(bytes: &[u8]) -> String {
    const LONGEST: usize = 256;
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned()
}

fn sections<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    bytes: &[u8],
) -> object::read::Result<Value> {
    let table = header.sections(endian, bytes)?;
    let mut list = Vec::new();
    for section in table.iter().skip(1).take(NAMED) {
        let name = table.section_name(endian, section).unwrap_or_default();
        let size: u64 = section.sh_size(endian).into();
        list.push(json!({ "name": text(name), "bytes": size }));
    }
    // By its type: a name may be long, and be that of every section.
    let mut types = table.iter().map(|section| section.sh_type(endian));
    let stripped = !types.any(|kind| kind == elf::SHT_SYMTAB);
    match list.is_empty() {
        true => Ok(Value::Null),
        false => Ok(
            json!({ "count": table.len().saturating_sub(1), "stripped": stripped, "first": list }),
        ),
    }
}

fn interpreter<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    bytes: &[u8],
) -> object::read::Result<Value> {
    for segment in header.program_headers(endian, bytes)? {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            return Ok(json!(text(path)));
        }
    }
    Ok(Value::Null)
}

fn needed<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    bytes: &[u8],
) -> object::read::Result<Value> {
    let sections = header.sections(endian, bytes)?;
    let Some((entries, link)) = sections.dynamic(endian, bytes)? else {
        return Ok(Value::Null);
    };
    let strings = sections.strings(endian, bytes, link)?;
    let mut libraries = Vec::new();
    for entry in entries {
        let tag = entry.d_tag(endian);
        if tag == elf::DT_NULL || libraries.len() >= NAMED {
            break;
        }
        if tag == elf::DT_NEEDED {
            libraries.push(text(entry.string(endian, strings)?));
        }
    }
    Ok(json!(libraries))
}

fn build_id<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    bytes: &[u8],
) -> object::read::Result<Value> {
    // Sections may overlap, so that their number and the bytes alone bound nothing.
    let sections = header.sections(endian, bytes)?;
    let noted = sections
        .iter()
        .filter(|section| section.sh_type(endian) == elf::SHT_NOTE);
    let mut left = MOST_NOTES;
    for section in noted.take(NAMED) {
        let Some(mut notes) = section.notes(endian, bytes)? else {
            continue;
        };
        while let Some(note) = notes.next()? {
            if left == 0 {
                return Ok(Value::Null);
            }
            left -= 1;
            if note.name() == b"GNU"
                && note.desc().len() <= 64
                && note.n_type(endian) == elf::NT_GNU_BUILD_ID
            {
                return Ok(json!(hex::encode(note.desc())));
            }
        }
    }
    Ok(Value::Null)
}

/// `e_machine` as people call it.
fn machine(number: u16) -> Value {
    match number {
        3 => json!("x86"),
        8 => json!("mips"),
        20 => json!("powerpc"),
        21 => json!("powerpc64"),
        22 => json!("s390x"),
        40 => json!("arm"),
        62 => json!("x86-64"),
        183 => json!("aarch64"),
        243 => json!("riscv"),
        247 => json!("bpf"),
        258 => json!("loongarch"),
        other => json!(other),
    }
}

/// `e_type` as people call it.
fn kind(number: u16) -> Value {
    match number {
        1 => json!("object"),
        2 => json!("executable"),
        3 => json!("shared object or position-independent executable"),
        4 => json!("core dump"),
        other => json!(other),
    }
}

/// What the header of an SQLite file says (sqlite.org/fileformat, section 1.3). The file is not opened as one.
pub(crate) fn sqlite(bytes: &[u8]) -> Result<Value, Error> {
    let short = || Error::syntax("SQLite database", "its header of 100 bytes is cut off");
    let number = |place: usize| -> Result<u32, Error> {
        let part = bytes.get(place..place + 4).ok_or_else(short)?;
        part.try_into().map(u32::from_be_bytes).map_err(|_| short())
    };
    let page = match (bytes.get(16), bytes.get(17)) {
        // 65536 does not fit into two bytes.
        (Some(0), Some(1)) => 65536,
        (Some(high), Some(low)) => u32::from_be_bytes([0, 0, *high, *low]),
        _ => return Err(short()),
    };
    let encoding = match number(56)? {
        1 => "utf-8",
        2 => "utf-16le",
        3 => "utf-16be",
        _ => "none yet",
    };
    Ok(json!({
        "page_bytes": page,
        "pages": number(28)?,
        "encoding": encoding,
        "write_ahead_log": bytes.get(18) == Some(&2),
        "user_version": number(60)?,
        "application_id": number(68)?,
    }))
}

/// What a file of another kind is, as its first bytes say.
pub(crate) fn other(bytes: &[u8]) -> Value {
    match infer::get(bytes) {
        Some(kind) => json!({ "media_type": kind.mime_type(), "extension": kind.extension() }),
        None => json!({
            "media_type": "application/octet-stream",
            "begins_with": hex::encode(bytes.get(..16).unwrap_or(bytes)),
        }),
    }
}

/// What a tape archive holds, by the headers of its members.
pub(crate) fn tar(bytes: &[u8], budget: &mut crate::Budget) -> Result<Value, Error> {
    let mut archive = tar::Archive::new(std::io::Cursor::new(bytes));
    let wrong = |error: std::io::Error| Error::syntax("tape archive", error);
    let mut first = Vec::new();
    let (mut members, mut total) = (0_u64, 0_u64);
    let mut fault = None;
    for member in archive.entries_with_seek().map_err(wrong)? {
        budget.take(1)?;
        budget.in_time()?;
        let member = match member {
            Ok(member) => member,
            Err(error) => {
                fault = Some(wrong(error).to_string());
                break;
            }
        };
        members += 1;
        total = total.saturating_add(member.size());
        if first.len() < NAMED {
            let kind = format!("{:?}", member.header().entry_type()).to_ascii_lowercase();
            first.push(
                json!({ "name": text(&member.path_bytes()), "bytes": member.size(), "kind": kind }),
            );
        }
    }
    let mut told = json!({ "members": members, "unpacked_bytes": total, "first": first });
    if let Some(fault) = fault {
        told["fault"] = json!(fault);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Budget, Limits};

    #[test]
    fn this_very_program_is_described() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let told = elf(&bytes).unwrap();
        assert_eq!(told["class"], 64);
        assert!(
            told["needed"]
                .as_array()
                .unwrap()
                .iter()
                .any(|name| name == "libc.so.6"),
            "{told}"
        );
        assert!(told["interpreter"].as_str().unwrap().contains("ld-linux"));
        assert!(told["build_id"].as_str().unwrap().len() >= 16);
        assert_eq!(told.get("faults"), None);
    }

    #[test]
    fn cut_and_damaged_programs_do_no_harm() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let head = &whole[..4096];
        for length in 0..head.len() {
            let _ = elf(&head[..length]);
        }
        // What lies at the end (the sections) is missing, and that is told.
        assert!(elf(head).unwrap().get("faults").is_some());
        for place in 0..64 {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = whole[..whole.len().min(1 << 20)].to_vec();
                damaged[place] = value;
                let _ = elf(&damaged);
            }
        }
    }

    /// An ELF file of 64 bits with sections that are all the same notes, and an end to those.
    fn of_notes(sections: u16, notes: usize, last: &[u8]) -> Vec<u8> {
        let body = [&[0; 12].repeat(notes), last].concat();
        let table = 64 + body.len() as u64;
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[40..48].copy_from_slice(&table.to_le_bytes());
        bytes[52..54].copy_from_slice(&64_u16.to_le_bytes());
        bytes[58..60].copy_from_slice(&64_u16.to_le_bytes());
        bytes[60..62].copy_from_slice(&(sections + 2).to_le_bytes());
        bytes[62] = 1;
        bytes.extend(&body);
        let mut names = [0; 64];
        names[4] = 3;
        bytes.extend([[0; 64], names].concat());
        let mut header = [0; 64];
        header[4..8].copy_from_slice(&7_u32.to_le_bytes());
        header[24..32].copy_from_slice(&64_u64.to_le_bytes());
        header[32..40].copy_from_slice(&(body.len() as u64).to_le_bytes());
        header[48..56].copy_from_slice(&4_u64.to_le_bytes());
        bytes.extend(header.repeat(sections.into()));
        bytes
    }

    #[test]
    fn only_so_many_notes_are_looked_through() {
        let build_id = b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab\xcd\0\0";
        let told = |sections, notes| elf(&of_notes(sections, notes, build_id)).unwrap();
        let found = told(1, MOST_NOTES - 1);
        assert_eq!(found["build_id"], "abcd", "{found}");
        let bounded = told(60_000, 500_000);
        assert_eq!(bounded.get("build_id"), None, "{bounded}");
        assert_eq!(bounded["sections"]["stripped"], true);
    }

    #[test]
    fn tars_with_absurd_sizes_are_told() {
        let mut header = tar::Header::new_ustar();
        header.set_path("huge").unwrap();
        header.set_size(u64::MAX / 2);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend([0; 1024]);
        let told = tar(&bytes, &mut Budget::new(Limits::default())).unwrap();
        assert_eq!(told["members"], 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut elf_like = b"\x7fELF\x02\x01\x01".to_vec();
            elf_like.extend(&bytes);
            let _ = elf(&elf_like);
            let _ = sqlite(&bytes);
            let _ = other(&bytes);
            let _ = tar(&bytes, &mut Budget::new(Limits::default()));
        }
    }
}
