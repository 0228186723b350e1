//! JSON-RPC 1.0 over a stream (RFC 7047, section 4): messages follow each other with nothing in between.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Deserializer, Value as Json};

/// The largest message that is read, in bytes.
pub(crate) const LARGEST: usize = 256 << 20;

/// Reads messages off a stream until it ends or something comes that is no message.
pub(crate) struct Messages<R: Read> {
    stream: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<Bounded<BufReader<R>>>,
        Json,
    >,
    left: Arc<AtomicUsize>,
}

impl<R: Read> Messages<R> {
    pub(crate) fn new(reader: R) -> Self {
        let left = Arc::new(AtomicUsize::new(LARGEST));
        let bounded = Bounded {
            reader: BufReader::with_capacity(64 << 10, reader),
            left: Arc::clone(&left),
        };
        Self {
            stream: Deserializer::from_reader(bounded).into_iter(),
            left,
        }
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = Result<Json, serde_json::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left.store(LARGEST, Ordering::Relaxed);
        self.stream.next()
    }
}

/// A reader that fails after so many bytes.
pub(crate) struct Bounded<R> {
    reader: R,
    left: Arc<AtomicUsize>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let left = self.left.load(Ordering::Relaxed);
        if read > left {
            return Err(io::Error::other(format!(
                "a message of more than {LARGEST} bytes"
            )));
        }
        self.left.store(left - read, Ordering::Relaxed);
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
        let read: Vec<_> = Messages::new(text.as_bytes()).map(Result::unwrap).collect();
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
        assert!(Messages::new(text.as_bytes()).next().unwrap().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // A stream that has failed once does not go on for ever.
            prop_assert!(Messages::new(bytes.as_slice()).take(1000).take_while(Result::is_ok).count() < 1000);
        }
    }
}
