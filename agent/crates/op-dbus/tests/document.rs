//! The doors that need no host: check, schema, completions, man, and how bad input ends.

#![allow(clippy::unwrap_used)]

mod rig;

use std::io::Write;

use serde_json::Value;

use rig::op_dbus;

fn file(text: &str, suffix: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_good_declaration_is_valid_in_both_formats() {
    let yaml = file(
        "version: 1\nplugins:\n  lxc:\n    templates: {busybox: {recipe: busybox}}\n",
        ".yaml",
    );
    let json = file(
        r#"{"version": "1.0", "plugins": {"lxc": {"templates": {"busybox": {"recipe": "busybox"}}}}}"#,
        ".json",
    );
    let read = |path: &std::path::Path| {
        let ended = op_dbus(&["--json", "check", path.to_str().unwrap()]).expect(0);
        ended.json()
    };
    let (yaml, json) = (read(yaml.path()), read(json.path()));
    assert_eq!(yaml["declaration"], json["declaration"]);
    assert_eq!(yaml["valid"], true);
}

#[test]
fn every_problem_is_reported_in_one_run_with_its_path() {
    let bad = file(
        "version: \"1.0\"\nplugins:\n  lxc:\n    templates: {busybox: {recipe: busybox}}\n    containers:\n      web-01: {template: busybox, network: none, memory: lots, corse: 2}\n      ../x: {template: busybox}\n",
        ".yaml",
    );
    let ended = op_dbus(&["--json", "check", bad.path().to_str().unwrap()]).expect(2);
    let error = ended.json()["error"].clone();
    let paths: Vec<_> = error["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["path"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        paths
            .iter()
            .any(|path| path == "plugins.lxc.containers.web-01.memory"),
        "{paths:?}"
    );
    let corse = error["problems"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["path"].as_str().unwrap().ends_with("corse"));
    assert!(
        corse.unwrap()["hint"].as_str().unwrap().contains("cores"),
        "{error:#}"
    );
    assert!(paths.len() >= 3, "{paths:?}");
    let people = op_dbus(&["check", bad.path().to_str().unwrap()]).expect(2);
    assert!(
        people.err.contains("plugins.lxc.containers.web-01.memory"),
        "{people:?}"
    );
}

#[test]
fn broken_text_is_a_bad_declaration() {
    for (text, suffix) in [
        ("{\"version\": ", ".json"),
        ("version: [1\n", ".yaml"),
        ("\u{0}\u{1}", ".yaml"),
        ("- a\n- b\n", ".yaml"),
        ("{\"version\": 1, \"version\": 1}", ".json"),
        ("a: &a [*a]\n", ".yaml"),
    ] {
        let bad = file(text, suffix);
        let ended = op_dbus(&["check", bad.path().to_str().unwrap()]).expect(2);
        assert!(!ended.err.is_empty(), "{text}");
    }
}

#[test]
fn a_missing_declaration_is_explained() {
    let ended = op_dbus(&["--file", "/nonexistent/state.json", "plan"]).expect(2);
    assert!(
        ended.err.contains("/nonexistent/state.json") && ended.err.contains("op-dbus schema"),
        "{ended:?}"
    );
}

#[test]
fn usage_errors_end_with_2() {
    op_dbus(&["frobnicate"]).expect(2);
    op_dbus(&["container", "create", "UPPER/../case", "--template", "x"]).expect(2);
    op_dbus(&["apply", "--confirm", "soon"]).expect(2);
}

#[test]
fn schema_completions_and_manual_are_printed() {
    let schema = op_dbus(&["schema"]).expect(0).json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            op_dbus(&["completions", shell])
                .expect(0)
                .out
                .contains("op-dbus")
        );
    }
    assert!(op_dbus(&["man"]).expect(0).out.starts_with(".ie"));
}

#[test]
fn a_ledger_that_is_not_there_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let ended = op_dbus(&["--base", dir.path().to_str().unwrap(), "ledger", "verify"]).expect(2);
    assert!(
        ended.err.contains("the first `op-dbus apply` makes it"),
        "{ended:?}"
    );
}

/// Every command that people see.
const COMMANDS: [&[&str]; 35] = [
    &[],
    &["check"],
    &["schema"],
    &["plan"],
    &["apply"],
    &["confirm"],
    &["rollback"],
    &["status"],
    &["verify"],
    &["query"],
    &["container"],
    &["container", "create"],
    &["container", "list"],
    &["container", "show"],
    &["container", "start"],
    &["container", "stop"],
    &["container", "exec"],
    &["container", "destroy"],
    &["template"],
    &["template", "list"],
    &["template", "build"],
    &["template", "destroy"],
    &["ledger"],
    &["ledger", "log"],
    &["ledger", "show"],
    &["ledger", "verify"],
    &["tool"],
    &["tool", "list"],
    &["tool", "show"],
    &["tool", "call"],
    &["daemon"],
    &["doctor"],
    &["completions"],
    &["man"],
    &["help"],
];

/// `WRITE_EXPECTED=1` writes the page anew.
#[test]
fn the_reference_of_the_command_line_is_current() {
    let mut page =
        "# The command line\n\nMade from the command's own help; a test compares the two.\n"
            .to_owned();
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let ended = op_dbus(&arguments);
        if ended.status != 0 {
            // `help --help` is no command of its own.
            continue;
        }
        let title = ["op-dbus"]
            .iter()
            .chain(command)
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        let help: Vec<_> = ended.out.lines().map(str::trim_end).collect();
        page.push_str(&format!(
            "\n## {title}\n\n```\n{}\n```\n",
            help.join("\n").trim_end()
        ));
    }
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/cli.md");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/cli.md is not what the command says: run this test with WRITE_EXPECTED=1"
    );
}

/// `WRITE_EXPECTED=1` writes the page anew.
#[test]
fn the_reference_of_the_tools_is_current() {
    let listed = op_dbus(&["--here", "--json", "tool", "list"])
        .expect(0)
        .json();
    let mut tools = listed["tools"].as_array().unwrap().clone();
    let word = |tool: &Value, key: &str| tool[key].as_str().unwrap_or_default().to_owned();
    tools.sort_by_key(|tool| (word(tool, "domain"), word(tool, "name")));
    let mut page = "# The tools\n\nMade from the registry; a test compares the two. Every door serves all of them: \
        [permissions](../permissions.md) says who may call which, `op-dbus tool show NAME --json` gives the JSON Schemas \
        of arguments and answer.\n"
        .to_owned();
    let mut domain = String::new();
    for tool in &tools {
        if word(tool, "domain") != domain {
            domain = word(tool, "domain");
            page.push_str(&format!("\n## {domain}\n"));
        }
        page.push_str(&format!(
            "\n### {}\n\n{}\n\nEffect: {}. Role: {}.\n",
            word(tool, "name"),
            word(tool, "description"),
            word(tool, "effect"),
            word(tool, "role")
        ));
        let schema = &tool["input_schema"];
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"].as_object();
        if let Some(properties) = properties.filter(|properties| !properties.is_empty()) {
            page.push_str("\n| argument | | |\n|---|---|---|\n");
            for (key, property) in properties {
                let need = if required.iter().any(|name| name == key) {
                    "required"
                } else {
                    ""
                };
                let meaning = word(property, "description")
                    .replace('\n', " ")
                    .replace('|', "\\|");
                page.push_str(&format!("| `{key}` | {need} | {meaning} |\n"));
            }
        }
        for example in tool["examples"].as_array().unwrap() {
            page.push_str(&format!(
                "\n```\nop-dbus tool call {} '{example}'\n```\n",
                word(tool, "name")
            ));
        }
    }
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/reference/tools.md");
    if std::env::var_os("WRITE_EXPECTED").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/reference/tools.md is not what the registry has: run this test with WRITE_EXPECTED=1"
    );
}

/// Every command that reads the declaration, with arguments that are otherwise good.
const READERS: [&str; 31] = [
    "check",
    "plan",
    "apply",
    "apply --allow-destroy",
    "apply --wait",
    "confirm",
    "rollback",
    "status",
    "verify",
    "query",
    "query btrfs",
    "container list",
    "container show web",
    "container start web",
    "container stop web",
    "container exec web -- true",
    "container create web --template busybox",
    "container destroy web",
    "template list",
    "template build busybox",
    "template destroy busybox",
    "plugin list",
    "plugin show systemd1",
    "plugin disable systemd1",
    "ledger log",
    "ledger show 1",
    "ledger verify",
    "tool call state_plan",
    "tool call state_apply",
    "inspect --search x",
    "web",
];

#[test]
fn a_bad_declaration_ends_every_command_that_reads_it_with_2() {
    let Some(_machine) = lab::Machine::new("needs root") else {
        return;
    };
    let bad = file("version: 1\nplugins:\n  btrfs: {bse: /nowhere}\n", ".yaml");
    let path = bad.path().to_str().unwrap();
    let mut wrong = Vec::new();
    for command in READERS {
        let mut arguments = vec!["--json", "--yes", "--file", path];
        arguments.extend(command.split(' '));
        let ended = op_dbus(&arguments);
        let said: Value = serde_json::from_str(&ended.out).unwrap_or_default();
        let error = &said["error"];
        let problem = error["problems"][0]["path"] == "plugins.btrfs.bse";
        if ended.status != 2 || error["code"] != "bad-declaration" || !problem {
            wrong.push((command, ended));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
