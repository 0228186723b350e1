//! The key that a server wants: read from its file at use, shown nowhere.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use reqwest::header::HeaderValue;

use crate::bounds;
use crate::error::Error;

/// A key.
pub struct Key(String);

impl Key {
    /// Reads the key from its file; space around it is left out.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |cause: String| Error::Key {
            path: path.to_owned(),
            cause,
        };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(bounds::KEY as u64 + 1).read_to_string(&mut text))
            .map_err(|error| failed(error.to_string()))?;
        let key = text.trim();
        if key.is_empty() {
            return Err(failed("it is empty".to_owned()));
        }
        if text.len() > bounds::KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed("it holds something else than one key".to_owned()));
        }
        Ok(Self(key.to_owned()))
    }

    /// The value of the header `Authorization` (RFC 6750 §2.1).
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A text without the key in it.
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Key, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, content).unwrap();
        Key::read(&path)
    }

    #[test]
    fn a_key_is_one_word_and_never_shown() {
        let key = read(" sk-123\n").unwrap();
        assert_eq!(key.header().unwrap().to_str().unwrap(), "Bearer sk-123");
        assert_eq!(
            format!("{key:?} {:?}", key.header()),
            "Key(…) Some(Sensitive)"
        );
        assert_eq!(key.hidden_in("no: sk-123!"), "no: [key]!");
        for bad in ["", " \n", "a b", "a\nb", "ä", &"x".repeat(bounds::KEY + 1)] {
            let error = read(bad).unwrap_err().to_string();
            assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
        }
        assert!(Key::read(Path::new("/nonexistent/key")).is_err());
    }
}
