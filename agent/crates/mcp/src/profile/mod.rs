//! Which of a backend's tools a client gets.
//!
//! Models choose badly among many tools, and each one costs room in every request. A profile is chosen where the
//! server is started, or by the address that a client connects to: it never changes under a client.

/// What a backend around another leaves as it is: everything but tools.
macro_rules! passed_on {
    () => {
        fn resources<'a>(
            &'a self,
            speaker: &'a Speaker,
        ) -> Answer<'a, Arc<Vec<rmcp::model::Resource>>> {
            self.backend.resources(speaker)
        }

        fn templates<'a>(
            &'a self,
            speaker: &'a Speaker,
        ) -> Answer<'a, Arc<Vec<rmcp::model::ResourceTemplate>>> {
            self.backend.templates(speaker)
        }

        fn read<'a>(
            &'a self,
            speaker: &'a Speaker,
            uri: &'a str,
        ) -> Answer<'a, Vec<rmcp::model::ResourceContents>> {
            self.backend.read(speaker, uri)
        }

        fn can_watch(&self) -> bool {
            self.backend.can_watch()
        }

        fn watch<'a>(
            &'a self,
            speaker: &'a Speaker,
            uri: &'a str,
        ) -> Answer<'a, futures_util::stream::BoxStream<'static, ()>> {
            self.backend.watch(speaker, uri)
        }

        fn prompts<'a>(
            &'a self,
            speaker: &'a Speaker,
        ) -> Answer<'a, Arc<Vec<rmcp::model::Prompt>>> {
            self.backend.prompts(speaker)
        }

        fn prompt<'a>(
            &'a self,
            speaker: &'a Speaker,
            name: &'a str,
            arguments: serde_json::Map<String, serde_json::Value>,
        ) -> Answer<'a, rmcp::model::GetPromptResult> {
            self.backend.prompt(speaker, name, arguments)
        }

        fn complete<'a>(
            &'a self,
            speaker: &'a Speaker,
            completion: $crate::backend::Completion,
        ) -> Answer<'a, Vec<String>> {
            self.backend.complete(speaker, completion)
        }
    };
}

mod compact;
mod pick;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use compact::Compact;
pub use pick::Picked;

use crate::backend::Backend;

/// The most tools that a profile serves one by one.
pub const MOST: usize = 40;

/// A set of tools with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// What shows how the host stands, and nothing that changes it: 10 tools or so.
    Minimal,
    /// Everything that only reads.
    #[default]
    Safe,
    /// Containers and what one looks at while one works with them.
    Developer,
    /// What keeps a host running: state, units, packages, containers, journal.
    Sysadmin,
    /// All tools, in compact mode.
    Full,
}

/// All profiles.
pub const PROFILES: [Profile; 5] = [
    Profile::Minimal,
    Profile::Safe,
    Profile::Developer,
    Profile::Sysadmin,
    Profile::Full,
];

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// A profile.
    Profile(Profile),
    /// The tools of these domains.
    Groups(Vec<String>),
}

impl Default for Selection {
    fn default() -> Self {
        Self::Profile(Profile::default())
    }
}

/// A name that is none of a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile `{0}`: there are minimal, safe, developer, sysadmin and full")]
pub struct NoProfile(String);

impl FromStr for Profile {
    type Err = NoProfile;

    fn from_str(name: &str) -> Result<Self, NoProfile> {
        let found = PROFILES
            .into_iter()
            .find(|profile| profile.to_string() == name);
        found.ok_or_else(|| NoProfile(name.to_owned()))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimal => "minimal",
            Self::Safe => "safe",
            Self::Developer => "developer",
            Self::Sysadmin => "sysadmin",
            Self::Full => "full",
        })
    }
}

/// What of a backend a client gets. `compact` gives the four tools that find and call the others.
pub fn select(backend: Arc<dyn Backend>, selection: Selection, compact: bool) -> Arc<dyn Backend> {
    let all = selection == Selection::Profile(Profile::Full);
    let picked: Arc<dyn Backend> = match all {
        true => backend,
        false => Arc::new(Picked::new(backend, selection, !compact)),
    };
    match compact || all {
        true => Arc::new(Compact::new(picked)),
        false => picked,
    }
}

/// What the HTTP path after `/mcp` asks for: nothing, the name of a profile, or `compact` (all tools).
pub fn of_path(
    backend: Arc<dyn Backend>,
    name: Option<&str>,
) -> Result<Arc<dyn Backend>, NoProfile> {
    let profile = match name {
        None => Profile::default(),
        Some("compact") => Profile::Full,
        Some(name) => name.parse()?,
    };
    Ok(select(backend, Selection::Profile(profile), false))
}

#[cfg(test)]
mod tests;
