//! JSON-RPC 1.0 over a stream (RFC 7047, section 4): messages follow each other with nothing in between.

use std::cell::Cell;
use std::io::{self, BufReader, ErrorKind, Read};
use std::rc::Rc;

use serde_json::{Deserializer, StreamDeserializer, Value as Json, de::IoRead};

use crate::error::Error;

/// The largest message that is read, in bytes.
pub(crate) const LARGEST: usize = 256 << 20;

/// Reads messages off a stream until it ends or something comes that is no message.
pub(crate) struct Messages<R: Read> {
    stream: StreamDeserializer<'static, IoRead<Bounded<BufReader<R>>>, Json>,
    largest: usize,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Messages<R> {
    /// Messages of at most `largest` bytes.
    pub(crate) fn new(reader: R, largest: usize) -> Self {
        let left = Rc::new(Cell::new(largest));
        let bounded = Bounded {
            reader: BufReader::with_capacity(64 << 10, reader),
            left: Rc::clone(&left),
        };
        Self {
            stream: Deserializer::from_reader(bounded).into_iter(),
            largest,
            left,
        }
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = Result<Json, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left.set(self.largest);
        match self.stream.next()? {
            Ok(message) => Some(Ok(message)),
            Err(error) if error.io_error_kind() == Some(ErrorKind::FileTooLarge) => {
                let largest = self.largest;
                Some(Err(Error::Garbage(format!(
                    "a message of more than {largest} bytes"
                ))))
            }
            // The stream's end in the middle of a message is the peer's end, not nonsense.
            Err(error) if error.is_eof() || error.is_io() => None,
            Err(error) => Some(Err(Error::Garbage(error.to_string()))),
        }
    }
}

/// A reader that fails after so many bytes.
struct Bounded<R> {
    reader: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.get().checked_sub(read);
        self.left.set(left.ok_or(ErrorKind::FileTooLarge)?);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_need_no_separator() {
        let text = r#"{"id":1,"result":[],"error":null}{"id":2}"#;
        let read: Vec<_> = Messages::new(text.as_bytes(), LARGEST)
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            read,
            [
                json!({ "id": 1, "result": [], "error": null }),
                json!({ "id": 2 })
            ]
        );
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = "[".repeat(100_000);
        assert!(
            Messages::new(text.as_bytes(), LARGEST)
                .next()
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn the_bound_is_for_each_message() {
        let text = "[1,2][3,4]";
        assert_eq!(
            Messages::new(text.as_bytes(), 5)
                .filter(Result::is_ok)
                .count(),
            2
        );
        let error = Messages::new(text.as_bytes(), 4).next().unwrap();
        assert!(error.unwrap_err().to_string().contains("more than 4 bytes"));
    }

    #[test]
    fn an_end_in_the_middle_is_an_end() {
        assert!(Messages::new(&b"{\"id\":"[..], LARGEST).next().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // A stream that has failed once does not go on for ever.
            prop_assert!(Messages::new(bytes.as_slice(), LARGEST).take(1000).take_while(Result::is_ok).count() < 1000);
        }
    }
}
