//! Containers and images, as their files describe them. Nothing is unpacked to disk, and nothing is run.

mod files;
mod image;
mod lxc;

pub use files::{Directory, Files, TarFiles};
pub use image::image;
pub use lxc::lxc;

use serde_json::{Map, Value};

use crate::secret::{MASK, sounds_secret};

/// Variables of an environment (`NAME=value`), without the values of those that sound secret, and without passwords in
/// URLs.
fn environment<'e>(variables: impl Iterator<Item = &'e str>) -> Value {
    const MOST: usize = 256;
    let entries = variables.take(MOST).map(|variable| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        (name.to_owned(), Value::from(plain(name, value)))
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

/// A value as it may be shown.
fn plain(name: &str, value: &str) -> String {
    if sounds_secret(name) && !value.is_empty() {
        return MASK.to_owned();
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{MASK}{}", &rest[user.len()..]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_an_environment_are_not_shown() {
        let variables = [
            "PATH=/bin",
            "DB_PASSWORD=x",
            "URL=postgres://me:pw@db/x?a=b",
            "EMPTY",
        ];
        assert_eq!(
            environment(variables.into_iter()),
            json!({ "PATH": "/bin", "DB_PASSWORD": "…", "URL": "postgres://…@db/x?a=b", "EMPTY": "" })
        );
    }
}
