//! Bounds on what is looked at. Everything that is read may be hostile.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::Error;

/// How much is looked at, whatever the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes, packed and unpacked.
    pub bytes: usize,
    /// The deepest nesting.
    pub depth: usize,
    /// The most values, those that aliases repeat included.
    pub nodes: usize,
    /// The longest time for one source.
    pub time: Duration,
}

impl Default for Limits {
    /// 16 MiB, 64 levels, a million values, 10 s.
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            depth: 64,
            nodes: 1_000_000,
            time: Duration::from_secs(10),
        }
    }
}

/// What is left of the limits while one source is looked at.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    begun: Instant,
    nodes: usize,
}

impl Budget {
    /// All of it, from now on.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            begun: Instant::now(),
            nodes: 0,
        }
    }

    /// What it began with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes values; looks at the clock now and then.
    pub(crate) fn take(&mut self, nodes: usize) -> Result<(), Error> {
        const LOOK: usize = 1024;
        let before = self.nodes;
        self.nodes = before.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            return Err(Error::TooMany(self.limits.nodes));
        }
        match before / LOOK == self.nodes / LOOK {
            true => Ok(()),
            false => self.in_time(),
        }
    }

    /// Takes all values of a tree that came from elsewhere than a parser of this crate.
    pub fn take_all(&mut self, value: &Value) -> Result<(), Error> {
        self.take(1)?;
        match value {
            Value::Array(values) => values.iter().try_for_each(|value| self.take_all(value)),
            Value::Object(map) => map.values().try_for_each(|value| self.take_all(value)),
            _ => Ok(()),
        }
    }

    /// Begins to count anew, for another attempt at the same bytes; the clock goes on.
    pub(crate) fn again(&mut self) {
        self.nodes = 0;
    }

    /// How much time is left, if any is.
    pub fn left(&self) -> Result<Duration, Error> {
        self.in_time()?;
        Ok(self.limits.time.saturating_sub(self.begun.elapsed()))
    }

    /// Whether there is time left.
    pub fn in_time(&self) -> Result<(), Error> {
        match self.begun.elapsed() > self.limits.time {
            true => Err(Error::TimedOut(self.limits.time)),
            false => Ok(()),
        }
    }

    /// Whether something may be nested that deep.
    pub(crate) fn deep(&self, depth: usize) -> Result<(), Error> {
        match depth > self.limits.depth {
            true => Err(Error::TooDeep(self.limits.depth)),
            false => Ok(()),
        }
    }

    /// Reads to the end, within the bytes and the time.
    pub fn read(&self, mut from: impl Read) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut part = vec![0; 64 << 10];
        loop {
            self.in_time()?;
            let count = match from.read(&mut part) {
                Ok(0) => return Ok(bytes),
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Error::syntax("complete data", error));
                }
            };
            if bytes.len() + count > self.limits.bytes {
                return Err(Error::TooLarge(self.limits.bytes));
            }
            bytes.extend_from_slice(&part[..count]);
        }
    }
}
