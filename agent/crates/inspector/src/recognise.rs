//! What a format something has: by its content first, and by its name where the content leaves it open.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::limits::Budget;
use crate::parse;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Nothing at all.
    Empty,
    /// JSON (RFC 8259).
    Json,
    /// One JSON value a line.
    JsonLines,
    /// XML 1.0.
    Xml,
    /// YAML 1.2.
    Yaml,
    /// TOML 1.1.
    Toml,
    /// INI, units of systemd and files of `KEY=value`.
    Ini,
    /// An ELF program, library or object.
    Elf,
    /// A tape archive.
    Tar,
    /// An SQLite database.
    Sqlite,
    /// Text of another kind.
    Text,
    /// Bytes of another kind.
    Binary,
    /// The properties of an object on a message bus.
    DbusObject,
    /// An LXC container.
    LxcContainer,
    /// An OCI or Docker image.
    OciImage,
}

impl Format {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Json => "json",
            Self::JsonLines => "json-lines",
            Self::Xml => "xml",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
            Self::Ini => "ini",
            Self::Elf => "elf",
            Self::Tar => "tar",
            Self::Sqlite => "sqlite",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::DbusObject => "dbus-object",
            Self::LxcContainer => "lxc-container",
            Self::OciImage => "oci-image",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was found out about bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// What they are.
    pub format: Format,
    /// How their text is encoded, if they are text.
    pub encoding: Option<&'static str>,
    /// The text, if they are text.
    pub text: Option<String>,
    /// What they say, if the format has values.
    pub value: Option<Value>,
    /// What is wrong with them, if their name or beginning promises a format that they have not.
    pub fault: Option<String>,
}

impl Recognised {
    fn bytes(format: Format) -> Self {
        Self {
            format,
            encoding: None,
            text: None,
            value: None,
            fault: None,
        }
    }
}

/// Finds out what bytes are. Fails only when a bound is met.
pub fn recognise(bytes: &[u8], name: &str, budget: &mut Budget) -> Result<Recognised, Error> {
    if bytes.is_empty() {
        return Ok(Recognised::bytes(Format::Empty));
    }
    if let Some(format) = magic(bytes) {
        return Ok(Recognised::bytes(format));
    }
    let Some((text, encoding)) = text(bytes) else {
        return Ok(Recognised::bytes(Format::Binary));
    };
    let mut found = Recognised {
        encoding: Some(encoding),
        ..Recognised::bytes(Format::Text)
    };
    let mut attempts = Vec::new();
    let begins = text.trim_start().bytes().next();
    let named = by_name(name);
    match begins {
        Some(b'{' | b'[') => attempts.extend([Format::Json, Format::JsonLines]),
        Some(b'<') => attempts.push(Format::Xml),
        _ => {}
    }
    attempts.extend(named);
    attempts.extend([Format::Toml, Format::Ini, Format::Yaml]);
    for format in attempts {
        let sure = named == Some(format);
        if !sure && !may_be(format, &text) {
            continue;
        }
        budget.again();
        match value(format, &text, budget) {
            Ok(value) if sure || convincing(format, &value) => {
                found.format = format;
                found.value = Some(value);
                found.fault = None;
                break;
            }
            Ok(_) => {}
            Err(error) if error.is_limit() => return Err(error),
            Err(error) if sure => found.fault = Some(error.to_string()),
            Err(error) if found.fault.is_none() && begun_as(format, &text) => {
                found.fault = Some(error.to_string());
            }
            Err(_) => {}
        }
    }
    found.text = Some(text);
    Ok(found)
}

fn value(format: Format, text: &str, budget: &mut Budget) -> Result<Value, Error> {
    match format {
        Format::Json => parse::json(text, budget),
        Format::JsonLines => parse::json_lines(text, budget),
        Format::Xml => parse::xml(text, budget),
        Format::Yaml => parse::yaml(text, budget),
        Format::Toml => parse::toml(text, budget),
        _ => parse::ini(text, budget),
    }
}

/// Formats that are known by their first bytes.
fn magic(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"\x7fELF") {
        Some(Format::Elf)
    } else if bytes.starts_with(b"SQLite format 3\0") {
        Some(Format::Sqlite)
    } else if bytes.get(257..262) == Some(b"ustar".as_slice()) {
        Some(Format::Tar)
    } else {
        None
    }
}

/// Bytes as text, and how it is encoded; nothing if they look like no text.
fn text(bytes: &[u8]) -> Option<(String, &'static str)> {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return Some((str::from_utf8(rest).ok()?.to_owned(), "utf-8 with a mark"));
    }
    for (mark, name) in [(b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be")] {
        if let Some(rest) = bytes.strip_prefix(mark) {
            let unit = |pair: &[u8]| match name {
                "utf-16le" => u16::from_le_bytes([pair[0], pair[1]]),
                _ => u16::from_be_bytes([pair[0], pair[1]]),
            };
            let units: Vec<_> = rest.chunks_exact(2).map(unit).collect();
            return Some((String::from_utf16(&units).ok()?, name));
        }
    }
    let odd = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    if bytes.iter().any(odd) {
        return None;
    }
    match str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Some((text.to_owned(), "us-ascii")),
        Ok(text) => Some((text.to_owned(), "utf-8")),
        // No text of ISO 8859 has bytes from 0x80 to 0x9f, and binary data soon has one.
        Err(_) if bytes.iter().all(|byte| !(0x80..0xa0).contains(byte)) => {
            let text = bytes.iter().map(|byte| char::from(*byte)).collect();
            Some((text, "iso-8859-1, probably"))
        }
        Err(_) => None,
    }
}

fn by_name(name: &str) -> Option<Format> {
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let ending = name.rsplit('/').next()?.rsplit_once('.')?.1;
    match ending.to_ascii_lowercase().as_str() {
        "json" | "webmanifest" | "geojson" => Some(Format::Json),
        "jsonl" | "ndjson" => Some(Format::JsonLines),
        "xml" | "xsd" | "svg" | "xhtml" | "rss" | "atom" | "plist" => Some(Format::Xml),
        "yaml" | "yml" => Some(Format::Yaml),
        "toml" => Some(Format::Toml),
        "ini" | "service" | "socket" | "timer" | "mount" | "target" | "network" | "netdev"
        | "link" | "desktop" | "nmconnection" => Some(Format::Ini),
        _ => None,
    }
}

/// A look at the text that spares most attempts.
fn may_be(format: Format, text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let counts = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    match format {
        Format::JsonLines => {
            let mut lines = lines.filter(counts);
            let value = |line: Option<&str>| line.is_some_and(|line| line.starts_with(['{', '[']));
            value(lines.next()) && value(lines.next())
        }
        Format::Toml => lines
            .filter(counts)
            .any(|line| line.contains('=') || line.starts_with('[')),
        Format::Ini => {
            let section = |line: &str| line.starts_with('[') && line.ends_with(']');
            let mut lines = lines.filter(counts).peekable();
            lines.peek().is_some_and(|line| section(line))
                || lines.all(|line| {
                    line.split_once('=')
                        .is_some_and(|(key, _)| is_word(key.trim()))
                })
        }
        Format::Yaml => {
            let first = lines.find(counts);
            first.is_some_and(|line| {
                line.starts_with("---")
                    || line.starts_with("%YAML")
                    || line.starts_with("- ")
                    || line.split_once(':').is_some_and(|(key, rest)| {
                        is_word(key.trim_matches(['"', '\'']))
                            && (rest.is_empty() || rest.starts_with(' '))
                    })
            })
        }
        _ => true,
    }
}

fn is_word(key: &str) -> bool {
    let plain = |char: char| char.is_alphanumeric() || "_-./@".contains(char);
    !key.is_empty() && key.len() <= 128 && key.chars().all(plain)
}

/// Whether a text begins so that nothing else can be meant.
fn begun_as(format: Format, text: &str) -> bool {
    let text = text.trim_start();
    match format {
        Format::Json => {
            text.starts_with("{\"") || text.starts_with("{\n") || text.starts_with("[{")
        }
        Format::Xml => text.starts_with("<?xml"),
        _ => false,
    }
}

/// Whether a value is what somebody would write in that format, and no accident.
fn convincing(format: Format, value: &Value) -> bool {
    match (format, value) {
        (Format::Yaml, Value::Object(map)) => !map.is_empty() && map.keys().all(|key| is_word(key)),
        (Format::Yaml, Value::Array(list)) => !list.is_empty(),
        (Format::Yaml, _) => false,
        (Format::Toml | Format::Ini, Value::Object(map)) => !map.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Limits;

    fn found(bytes: &[u8], name: &str) -> Recognised {
        recognise(bytes, name, &mut Budget::new(Limits::default())).unwrap()
    }

    #[test]
    fn content_says_what_something_is() {
        for (text, format) in [
            ("", Format::Empty),
            ("{\"a\": 1}", Format::Json),
            (" [1, 2]\n", Format::Json),
            ("{\"a\":1}\n{\"a\":2}\n", Format::JsonLines),
            ("<?xml version='1.0'?><a/>", Format::Xml),
            ("<a><b/></a>", Format::Xml),
            ("a: 1\nb: [x]\n", Format::Yaml),
            ("---\n- a\n- b\n", Format::Yaml),
            ("a = 1\n[b]\nc = \"x\"\n", Format::Toml),
            (
                "[Unit]\nDescription=A thing\n[Service]\nExecStart=/bin/true\n",
                Format::Ini,
            ),
            (
                "NAME=\"NixOS\"\nID=nixos\nHOME_URL=https://nixos.org/\n",
                Format::Ini,
            ),
            ("Dear reader,\nthis is text: nothing else.\n", Format::Text),
            ("Nov 21 14:42:16 host sshd[1]: x\n", Format::Text),
            ("<p>no <b>end\n", Format::Text),
            ("[section without end\n", Format::Text),
        ] {
            assert_eq!(found(text.as_bytes(), "-").format, format, "{text}");
        }
    }

    #[test]
    fn a_name_decides_only_where_the_content_leaves_it_open() {
        assert_eq!(found(b"word", "a.yaml").format, Format::Yaml);
        assert_eq!(found(b"{\"a\": 1}", "a.toml").format, Format::Json);
        assert_eq!(found(b"\x7fELF", "a.json").format, Format::Elf);
        let wrong = found(b"{\"a\": 1,,}", "a.json");
        assert_eq!(wrong.format, Format::Text);
        assert!(wrong.fault.unwrap().contains("JSON"));
    }

    #[test]
    fn text_is_known_by_its_bytes() {
        assert_eq!(found("Grüße".as_bytes(), "-").encoding, Some("utf-8"));
        assert_eq!(
            found(b"Gr\xfc\xdfe", "-").encoding,
            Some("iso-8859-1, probably")
        );
        assert_eq!(found(b"\xff\xfe{\0}\0", "-").format, Format::Json);
        assert_eq!(found(b"a\0b", "-").format, Format::Binary);
    }

    #[test]
    fn bounds_are_told_and_not_taken_for_text() {
        let deep = "[".repeat(100);
        let met = recognise(deep.as_bytes(), "-", &mut Budget::new(Limits::default()));
        assert!(met.unwrap_err().is_limit());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), name in "[a-z]{0,3}\\.(json|xml|yaml|toml|ini)") {
            let _ = recognise(&bytes, &name, &mut Budget::new(Limits::default()));
        }
    }
}
