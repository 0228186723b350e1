//! Server-sent events (WHATWG HTML, §9.2.6 "Interpreting an event stream"), from pieces of any size.

use crate::bounds;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The data; several lines are joined by line feeds.
    pub(crate) data: String,
}

/// A line or an event is longer than [`bounds::EVENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Finds the events in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    after_return: bool,
    begun: bool,
    data: Option<String>,
}

impl Decoder {
    /// Takes a piece, and gives the events that are complete with it.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in piece {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()?),
                _ if self.line.len() < bounds::EVENT => self.line.push(byte),
                _ => return Err(TooLong),
            }
        }
        Ok(events)
    }

    /// The event that the stream ended in, which servers that forget the last empty line leave.
    pub(crate) fn finish(mut self) -> Result<Option<Event>, TooLong> {
        let event = match self.line.is_empty() {
            true => None,
            false => self.end_of_line()?,
        };
        Ok(event.or_else(|| self.dispatch()))
    }

    fn end_of_line(&mut self) -> Result<Option<Event>, TooLong> {
        let line = std::mem::take(&mut self.line);
        let line = match std::mem::replace(&mut self.begun, true) {
            true => &line[..],
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
        };
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        // All else are comments and fields (`event`, `id`, `retry`) that say nothing here.
        if field != "data" {
            return Ok(None);
        }
        match &mut self.data {
            Some(data) if data.len() + value.len() >= bounds::EVENT => return Err(TooLong),
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.data.take().map(|data| Event { data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::default();
        let fed = pieces.iter().flat_map(|piece| decoder.feed(piece).unwrap());
        let mut events: Vec<_> = fed.collect();
        events.extend(decoder.finish().unwrap());
        events
    }

    fn data(text: &str) -> Vec<String> {
        let events = all(&[text.as_bytes()]);
        events.into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn lines_end_in_three_ways() {
        for end in ["\n", "\r", "\r\n"] {
            let text =
                "\u{feff}data: a\ndata:b\n\n: note\nevent: x\ndata\n\ndata: c".replace('\n', end);
            assert_eq!(data(&text), ["a\nb", "", "c"], "{end:?}");
        }
        assert_eq!(data("event: x\n\nid: 1\n\n"), [""; 0]);
    }

    #[test]
    fn what_never_ends_is_too_long() {
        let piece = vec![b'x'; bounds::EVENT];
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&piece), Ok(Vec::new()));
        assert_eq!(decoder.feed(b"x"), Err(TooLong));
        let mut decoder = Decoder::default();
        let line = [b"data: ", &piece[..bounds::EVENT / 2], b"\n"].concat();
        assert!(decoder.feed(&line).is_ok());
        assert_eq!(decoder.feed(&line), Err(TooLong));
    }

    proptest! {
        #[test]
        fn how_it_is_cut_does_not_matter(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), Just(b' '), any::<u8>()], 0..200),
            head in prop::sample::select(vec!["", "data: é\n\n", "data: {\r\n\r\ndata: x\r\r"]),
            size in 1usize..7,
        ) {
            let text = [head.as_bytes(), &bytes].concat();
            let pieces: Vec<_> = text.chunks(size).collect();
            prop_assert_eq!(all(&pieces), all(&[&text]));
        }
    }
}
