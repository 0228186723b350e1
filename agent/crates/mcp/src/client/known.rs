//! Servers that the programs on this machine know of, from the files where these keep them.
//!
//! | program | files | key |
//! |---|---|---|
//! | Claude Desktop | `claude_desktop_config.json` in `~/.config/Claude` or `~/Library/Application Support/Claude` | `mcpServers` |
//! | Claude Code | `~/.claude.json` (for the person, and for each directory), `.mcp.json` in a project | `mcpServers` |
//! | Cursor | `~/.cursor/mcp.json`, `.cursor/mcp.json` in a project | `mcpServers` |
//! | VS Code | `mcp.json` in `~/.config/Code/User`, `.vscode/mcp.json` in a project | `servers` |

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::relaxed;
use crate::upstream::{clean, regular};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// What stands in for a secret.
const MASK: &str = "…";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places {
    /// The home directory.
    pub home: PathBuf,
    /// The project's directory.
    pub project: PathBuf,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Known {
    /// The servers, in the order of the files.
    pub servers: Vec<Found>,
    /// Files that could not be read.
    pub problems: Vec<Problem>,
}

/// A server that a program knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The program, such as `cursor`.
    pub client: &'static str,
    /// The file that names it.
    pub file: PathBuf,
    /// Whether that file lies in the project's directory: whoever made the project wrote it, not the person.
    pub of_project: bool,
    /// Its name there.
    pub name: String,
    /// The program and its arguments; empty for a server that is reached by a URL.
    pub command: Vec<String>,
    /// What is set in the program's environment. May be secret.
    pub environment: BTreeMap<String, String>,
    /// Its URL. May hold a secret.
    pub url: Option<String>,
    /// What is sent with each request. May be secret.
    pub headers: BTreeMap<String, String>,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

impl Known {
    /// Reads the files there are. Nothing is started and nothing is changed.
    pub fn read(places: &Places) -> Self {
        let mut known = Self::default();
        let mut seen = BTreeSet::new();
        for (client, file, key, of_project) in files(places) {
            // The home may be the project.
            if !seen.insert(file.clone()) {
                continue;
            }
            let document = match read(&file) {
                Ok(Some(document)) => document,
                Ok(None) => continue,
                Err(reason) => {
                    known.problems.push(Problem { file, reason });
                    continue;
                }
            };
            known.take((client, &file, of_project), &document[key]);
            // Claude Code keeps the servers of a directory in the same file.
            let project = places.project.to_string_lossy();
            let servers = &document["projects"][&*project][key];
            known.take((client, &file, of_project), servers);
        }
        known
    }

    /// The servers with this name, which may have the program before it: `cursor:files`.
    pub fn named(&self, name: &str) -> Vec<&Found> {
        let fits = |found: &&Found| {
            found.name == name
                || name
                    .strip_prefix(found.client)
                    .and_then(|rest| rest.strip_prefix(':'))
                    == Some(&found.name)
        };
        self.servers.iter().filter(fits).collect()
    }

    fn take(&mut self, origin: Origin<'_>, servers: &Value) {
        for (name, entry) in servers.as_object().into_iter().flatten() {
            match found(origin, name, entry) {
                Some(found) => self.servers.push(found),
                None => self.problems.push(Problem {
                    file: origin.1.to_owned(),
                    reason: format!(
                        "the server `{}` has neither command nor url",
                        clean(name, 100)
                    ),
                }),
            }
        }
    }
}

/// The program, its file, and whether that is one of the project.
type Origin<'a> = (&'static str, &'a Path, bool);

/// Programs, their files, the key there, and whether it is a file of the project.
fn files(places: &Places) -> Vec<(&'static str, PathBuf, &'static str, bool)> {
    let home = |path: &str| places.home.join(path);
    let project = |path: &str| places.project.join(path);
    vec![
        (
            "claude-desktop",
            home(".config/Claude/claude_desktop_config.json"),
            "mcpServers",
            false,
        ),
        (
            "claude-desktop",
            home("Library/Application Support/Claude/claude_desktop_config.json"),
            "mcpServers",
            false,
        ),
        ("claude", home(".claude.json"), "mcpServers", false),
        ("claude", project(".mcp.json"), "mcpServers", true),
        ("cursor", home(".cursor/mcp.json"), "mcpServers", false),
        ("cursor", project(".cursor/mcp.json"), "mcpServers", true),
        (
            "vscode",
            home(".config/Code/User/mcp.json"),
            "servers",
            false,
        ),
        (
            "vscode",
            home("Library/Application Support/Code/User/mcp.json"),
            "servers",
            false,
        ),
        ("vscode", project(".vscode/mcp.json"), "servers", true),
    ]
}

/// The document in a file; nothing where there is no such file.
fn read(file: &Path) -> Result<Option<Value>, String> {
    let opened = match regular(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| error.to_string())?,
    };
    let mut text = String::new();
    opened
        .take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST {
        return Err("it has more than 16 MiB".to_owned());
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    relaxed::parse(&text)
        .map(Some)
        .map_err(|error| error.to_string())
}

fn found((client, file, of_project): Origin<'_>, name: &str, entry: &Value) -> Option<Found> {
    let text = |key: &str| entry[key].as_str().map(str::to_owned);
    let texts = |key: &str| -> BTreeMap<String, String> {
        let entries = entry[key].as_object().into_iter().flatten();
        entries
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    };
    let arguments = entry["args"].as_array().into_iter().flatten();
    let arguments = arguments.filter_map(Value::as_str).map(str::to_owned);
    let command: Vec<_> = text("command").into_iter().chain(arguments).collect();
    let url = text("url").or_else(|| text("serverUrl"));
    (url.is_some() || text("command").is_some()).then(|| Found {
        client,
        file: file.to_owned(),
        of_project,
        name: name.to_owned(),
        command: if url.is_some() { Vec::new() } else { command },
        environment: texts("env"),
        url,
        headers: texts("headers"),
    })
}

/// A server for people and programs to see: without the values that may be secret.
pub fn masked(found: &Found) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    put("client", found.client.into());
    put("name", clean(&found.name, 200).into());
    put("file", found.file.to_string_lossy().into_owned().into());
    if !found.command.is_empty() {
        put("command", masked_arguments(&found.command).into());
    }
    if let Some(url) = &found.url {
        put("url", masked_url(url).into());
    }
    for (key, values) in [
        ("environment", &found.environment),
        ("headers", &found.headers),
    ] {
        if !values.is_empty() {
            let names = values
                .keys()
                .map(|name| (clean(name, 100), Value::from(MASK)));
            put(key, Value::Object(names.collect()));
        }
    }
    Value::Object(shown)
}

/// Arguments without the values of options that sound like secrets, and without what looks like a token.
fn masked_arguments(arguments: &[String]) -> Vec<String> {
    let mut after_secret = false;
    let mask = |argument: &String| {
        let hides = std::mem::take(&mut after_secret);
        let (name, value) = match argument.split_once(['=', ':']) {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        let sounds = sounds_secret(name);
        after_secret = sounds && value.is_none() && argument.starts_with('-');
        match value {
            _ if hides => MASK.to_owned(),
            Some(_) if sounds => format!("{name}={MASK}"),
            Some(_) if argument.contains("://") => masked_url(argument),
            _ if looks_secret(argument) => MASK.to_owned(),
            _ => clean(argument, 500),
        }
    };
    arguments.iter().map(mask).collect()
}

fn sounds_secret(name: &str) -> bool {
    tools::may_be_secret(name)
}

/// Whether it is long, with letters and digits and nothing that paths and packages have.
fn looks_secret(argument: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    argument.len() >= 24
        && argument.bytes().all(plain)
        && argument.bytes().any(|byte| byte.is_ascii_digit())
        && argument.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// A URL without user, password, query and what in its path looks like a token.
fn masked_url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else {
        return MASK.to_owned();
    };
    if !url.username().is_empty() || url.password().is_some() {
        let _ = url.set_username(MASK);
        let _ = url.set_password(None);
    }
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    url.set_fragment(None);
    let path: Vec<_> = url
        .path()
        .split('/')
        .map(|part| if looks_secret(part) { MASK } else { part })
        .collect();
    let path = path.join("/");
    url.set_path(&path);
    clean(url.as_str(), 500).replace("%E2%80%A6", MASK)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(dir: &Path, file: &str, text: &str) {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_files_of_each_program_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (home, project) = (dir.path().join("home"), dir.path().join("project"));
        let local = json!({
            "mcpServers": { "a": { "command": "npx", "args": ["-y", "a"] } },
            "projects": { project.to_str().unwrap(): { "mcpServers": { "b": { "type": "http", "url": "https://b/mcp" } } } },
        });
        write(&home, ".claude.json", &local.to_string());
        write(
            &home,
            ".config/Claude/claude_desktop_config.json",
            r#"{"mcpServers": {"d": {"command": "d"}}}"#,
        );
        write(
            &project,
            ".mcp.json",
            r#"{"mcpServers": {"c": {"url": "https://c/mcp", "headers": {"Authorization": "Bearer x"}}}}"#,
        );
        write(
            &project,
            ".cursor/mcp.json",
            r#"{"mcpServers": {"a": {"command": "a", "env": {"K": "v"}}, "e": {}}}"#,
        );
        write(
            &project,
            ".vscode/mcp.json",
            "{ // mine\n \"servers\": {\"v\": {\"type\": \"stdio\", \"command\": \"v\",}},}",
        );
        write(&home, ".cursor/mcp.json", "{ broken");
        let known = Known::read(&Places { home, project });
        let names: Vec<_> = known
            .servers
            .iter()
            .map(|it| format!("{}:{}", it.client, it.name))
            .collect();
        assert_eq!(
            names,
            [
                "claude-desktop:d",
                "claude:a",
                "claude:b",
                "claude:c",
                "cursor:a",
                "vscode:v"
            ]
        );
        assert_eq!(known.problems.len(), 2, "{:?}", known.problems);
        assert_eq!(known.named("a").len(), 2);
        assert_eq!(known.named("cursor:a").len(), 1);
        assert_eq!(known.named("x").len(), 0);
        let foreign = known.servers.iter().filter(|it| it.of_project);
        let foreign: Vec<_> = foreign.map(|it| it.name.as_str()).collect();
        assert_eq!(foreign, ["c", "a", "v"]);
    }

    #[test]
    fn a_pipe_is_no_file_of_servers() {
        use rustix::fs::{CWD, FileType, Mode};
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join(".mcp.json");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let places = Places {
            home: dir.path().to_owned(),
            project: dir.path().to_owned(),
        };
        assert_eq!(Known::read(&places).problems[0].reason, "it is no file");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let secret = "hunter2hunter2hunter2hunter2";
        let found = Found {
            client: "cursor",
            file: "/x".into(),
            of_project: false,
            name: "n\u{1b}[2J".to_owned(),
            command: [
                "npx",
                "--token",
                "hunter2",
                "--api-key=hunter2",
                "-y",
                "some-server@1.2",
                secret,
                "https://u:hunter2@h/p?k=hunter2",
            ]
            .map(str::to_owned)
            .to_vec(),
            environment: BTreeMap::from([("K".to_owned(), "hunter2".to_owned())]),
            url: Some(format!(
                "https://alice:hunter2@h/{secret}/mcp?key=hunter2#hunter2"
            )),
            headers: BTreeMap::from([("Authorization".to_owned(), "Bearer hunter2".to_owned())]),
        };
        let shown = masked(&found).to_string();
        assert!(
            !shown.contains("hunter2") && !shown.contains("alice"),
            "{shown}"
        );
        assert!(
            shown.contains("some-server@1.2") && shown.contains("/mcp"),
            "{shown}"
        );
    }
}
