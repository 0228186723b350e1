//! Introspection XML (D-Bus specification, "Introspection Data Format"), from peers that nobody vouches for.
//!
//! The text is read event by event. Nothing in it is fetched, no entity but the five of XML is known, and the
//! number and depth of elements are bounded. A member with a bad name or type is left out, with a warning.

mod build;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::model::Node;
use build::Builder;

/// How much of a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The text, in bytes.
    pub bytes: usize,
    /// Elements inside each other.
    pub depth: usize,
    /// Elements, arguments and annotations included.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            depth: 32,
            elements: 100_000,
        }
    }
}

/// The longest piece of documentation and the longest value of an annotation that are kept, in bytes.
pub const LONGEST_TEXT: usize = 16 << 10;

/// How many warnings are kept of one text.
pub const MOST_WARNINGS: usize = 32;

/// Why a text was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too long.
    #[error("the XML has {bytes} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is read at most.
        limit: usize,
    },
    /// Its elements are too deep inside each other.
    #[error("the XML has elements more than {0} deep inside each other")]
    TooDeep(usize),
    /// It has too many elements.
    #[error("the XML has more than {0} elements")]
    TooMany(usize),
    /// It is no XML.
    #[error("not XML at byte {at}: {text}")]
    Malformed {
        /// Where.
        at: u64,
        /// What is wrong there.
        text: String,
    },
    /// It is XML, but not of an object.
    #[error("the XML has no `node` at its top")]
    NoNode,
}

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The object.
    pub node: Node,
    /// What was left out and why, at most [`MOST_WARNINGS`].
    pub warnings: Vec<String>,
}

/// Reads introspection XML.
pub fn parse(text: &str, limits: &Limits) -> Result<Parsed, Error> {
    if text.len() > limits.bytes {
        return Err(Error::TooLong {
            bytes: text.len(),
            limit: limits.bytes,
        });
    }
    let mut reader = Reader::from_str(text);
    // A lone `&` in somebody's documentation is no reason to know nothing of an object.
    reader.config_mut().allow_dangling_amp = true;
    let mut builder = Builder::default();
    let mut elements = 0_usize;
    let mut count = |depth: usize| {
        elements += 1;
        match () {
            () if depth >= limits.depth => Err(Error::TooDeep(limits.depth)),
            () if elements > limits.elements => Err(Error::TooMany(limits.elements)),
            () => Ok(()),
        }
    };
    loop {
        let event = reader.read_event().map_err(|error| Error::Malformed {
            at: reader.error_position(),
            text: error.to_string(),
        })?;
        match event {
            Event::Start(element) => {
                count(builder.depth())?;
                builder.open(&element);
            }
            Event::Empty(element) => {
                count(builder.depth())?;
                builder.open(&element);
                builder.close();
            }
            Event::End(_) => builder.close(),
            Event::Text(text) => builder.text(&text),
            Event::CData(text) => builder.text(&text),
            Event::GeneralRef(reference) => builder.reference(&reference),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => return builder.finish(reader.buffer_position()),
        }
    }
}

#[cfg(test)]
mod tests;
