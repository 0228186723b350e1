//! A language model that answers by way of the host's tools.
//!
//! It is asked again and again with what its tools returned, within budgets: steps, tokens of a message, tokens of a
//! day, time. What changes the host is only proposed by it; the turn makes a plan of it that waits for a person.

mod context;
mod data;
mod meter;
mod offer;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use declaration::{ChatModel, ModelWhen};
use llm::{Client, Settings};

use crate::thinker::{Soon, Thinker, Thought, Turn, When};
use meter::Meter;
pub use offer::ALWAYS;
use steps::Steps;

/// How long a server that was away is left alone, so that not every message waits for it.
const REST: Duration = Duration::from_secs(30);
/// The name of the key among the credentials that systemd hands over (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "model-key";

/// The declared model.
#[derive(Debug)]
pub struct Model {
    client: Client,
    declared: ChatModel,
    meter: Meter,
    /// Since when it is away, and why.
    away: Mutex<Option<(Instant, String)>>,
}

impl Model {
    /// The declared model; nothing is asked yet. What was used today is kept in the state directory.
    pub fn new(declared: &ChatModel, state: Option<&Path>) -> Result<Self, llm::Error> {
        Ok(Self {
            client: client(declared)?,
            meter: Meter::new(state, declared.daily_tokens),
            declared: declared.clone(),
            away: Mutex::default(),
        })
    }

    /// Why it is not asked for now.
    fn resting(&self) -> Option<String> {
        let away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = away.as_ref().filter(|(since, _)| since.elapsed() < REST);
        recent.map(|(_, why)| why.clone())
    }

    fn note(&self, failed: Option<&llm::Error>) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        *away = failed
            .filter(|error| matches!(error, llm::Error::Away { .. } | llm::Error::TimedOut { .. }))
            .map(|error| (Instant::now(), error.to_string()));
    }
}

impl Thinker for Model {
    fn when(&self) -> When {
        match self.declared.when {
            ModelWhen::Unknown => When::Unknown,
            ModelWhen::Always => When::Always,
        }
    }

    fn answer<'a>(&'a self, turn: &'a mut dyn Turn) -> Soon<'a, Thought> {
        Box::pin(async move {
            if let Some(why) = self.resting() {
                return Thought::Away { why };
            }
            Steps::new(self, turn).run().await
        })
    }
}

/// A client of the declared model's server.
pub fn client(declared: &ChatModel) -> Result<Client, llm::Error> {
    let whole = Duration::from_secs(declared.timeout_seconds.into());
    Client::new(Settings {
        key_file: declared.key_file.as_deref().map(key_file),
        whole,
        idle: whole,
        ..Settings::new(&declared.url, &declared.name)
    })
}

/// The file with the key: what systemd handed over, or the one that is declared.
fn key_file(declared: &Path) -> PathBuf {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let handed = credentials.map(|directory| directory.join(CREDENTIAL));
    let handed = handed.filter(|file| file.exists());
    handed.unwrap_or_else(|| declared.to_owned())
}

#[cfg(test)]
mod tests;
