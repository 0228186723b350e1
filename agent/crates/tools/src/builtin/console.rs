//! What containers write to their consoles.

use anstream::adapter::strip_str;
use declaration::ContainerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::Call;
use crate::engine::host::no_container;
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// How many lines are given where the caller does not say.
const DEFAULT: usize = 100;

#[derive(Deserialize, JsonSchema)]
struct Asked {
    /// The container's name.
    #[schemars(with = "String")]
    name: ContainerName,
    /// How many lines at most, 1 to 10000; the last 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10000))]
    limit: Option<usize>,
}

/// The end of what a container wrote to its console.
#[derive(Serialize, JsonSchema)]
struct Log {
    /// The container.
    name: String,
    /// The last lines, without the sequences that move a cursor or set a colour.
    text: String,
    /// Whether there are lines before them.
    more: bool,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::read(
            Domain::Containers,
            "container_log",
            "Show a container's console",
            "Shows what a container wrote to its console last: what its init and its services said while they started \
             and stopped. LXC keeps up to 512 KiB of it, also when the container is stopped.",
            log,
        )
        .says(&[
            "show the console of web-01",
            "logs of container web-01",
            "last 20 lines of web-01's console",
        ])
        .example(json!({ "name": "web-01", "limit": 50 })),
    ]
}

fn log(call: &Call<'_>, asked: Asked) -> Result<Log, ToolError> {
    let base = call.site.paths()?.base;
    let name = asked.name;
    let written = plugins::lxc::console(&base, &name).map_err(|error| {
        ToolError::failed(&format!("read the console of container {name}"), error)
    })?;
    if written.is_empty() && !base.join("@containers").join(name.as_str()).is_dir() {
        return Err(no_container(&name));
    }
    let (text, more) = last_lines(&readable(&written), asked.limit.unwrap_or(DEFAULT));
    Ok(Log {
        name: name.to_string(),
        text,
        more,
    })
}

/// The text of what a terminal was sent.
fn readable(written: &[u8]) -> String {
    let text = String::from_utf8_lossy(written);
    let text = strip_str(&text).to_string();
    let is_text = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(is_text).collect()
}

/// The last lines of a text, and whether there are others before them.
fn last_lines(text: &str, limit: usize) -> (String, bool) {
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(limit);
    (lines[from..].join("\n"), from > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_moves_a_cursor_is_left_out() {
        let written = b"\x1b[0;32m  OK  \x1b[0m] Started \x1b]0;title\x07getty.\r\n\xff\x00login: ";
        let text = readable(written);
        assert_eq!(text, "  OK  ] Started getty.\n\u{fffd}login: ");
    }

    #[test]
    fn the_last_lines_are_given() {
        assert_eq!(last_lines("a\nb\nc\n", 2), ("b\nc".to_owned(), true));
        assert_eq!(last_lines("a\nb\nc", 3), ("a\nb\nc".to_owned(), false));
        assert_eq!(last_lines("", 3), (String::new(), false));
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_is_left(written: Vec<u8>) {
            let text = readable(&written);
            prop_assert!(!text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), "{text:?}");
        }
    }
}
