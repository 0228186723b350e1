//! The files that a declaration names and that hold what must not be in it.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file that a host needs beside its declaration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Where it has to be.
    pub path: String,
    /// What uses it: its place in the declaration.
    pub used_by: String,
}

impl Secret {
    /// Whether it is there, and a file with something in it.
    pub fn is_there(&self) -> bool {
        let file = std::fs::metadata(Path::new(&self.path));
        file.is_ok_and(|file| file.is_file() && file.len() > 0)
    }
}

/// The files that a declaration names: an absolute path under a key `file`, or one that ends so. The declaration
/// names every file that way, so a section that comes later is found too.
pub(crate) fn of(declaration: &Value) -> Vec<Secret> {
    let mut found = Vec::new();
    walk(declaration, &mut String::new(), &mut found);
    found.sort();
    found
}

fn walk(value: &Value, place: &mut String, found: &mut Vec<Secret>) {
    let mut below = |name: &str, value: &Value| {
        let length = place.len();
        if length > 0 {
            place.push('.');
        }
        place.push_str(name);
        if let Value::String(path) = value
            && path.starts_with('/')
            && names_a_secret(name)
        {
            found.push(Secret {
                path: path.clone(),
                used_by: place.clone(),
            });
        }
        walk(value, place, found);
        place.truncate(length);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(place, value)| below(&place.to_string(), value));
        }
        _ => {}
    }
}

fn names_a_secret(key: &str) -> bool {
    // Public keys of other hosts are no secret, but ssh needs them all the same.
    key == "file" || key.ends_with("_file") || key.ends_with("File")
}

#[cfg(test)]
mod tests {
    use declaration::{Declaration, EXAMPLE};
    use serde_json::json;

    use super::*;

    #[test]
    fn every_file_of_the_example_is_found() {
        let declaration = Declaration::from_yaml(EXAMPLE).unwrap();
        let found: Vec<_> = of(&json!(declaration))
            .into_iter()
            .map(|secret| (secret.path, secret.used_by))
            .collect();
        let expected = [
            (
                "/etc/op-dbus/secrets/files-token",
                "mcp.upstreams.files.environment.API_TOKEN.file",
            ),
            (
                "/etc/op-dbus/secrets/weather-token",
                "mcp.upstreams.weather.token_file",
            ),
            ("/etc/op-dbus/tokens/laptop", "web.tokens.laptop.file"),
        ];
        for (path, place) in expected {
            let secret = (path.to_owned(), place.to_owned());
            assert!(found.contains(&secret), "{place} is not in {found:?}");
        }
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = Secret {
            path: file.path().display().to_string(),
            used_by: "here".to_owned(),
        };
        assert!(!secret.is_there());
        std::fs::write(file.path(), "x").unwrap();
        assert!(secret.is_there());
    }
}
