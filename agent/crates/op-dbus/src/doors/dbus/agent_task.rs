//! Tasks as callers of an agent write them.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tools::{Agent, Submission, Tool};

use super::error::Error;
use super::options::brief;

/// The longest task, in bytes of JSON: a file that is written, and room to spare.
const LONGEST: usize = 2 << 20;

/// Arguments that say what an operation is about, the most telling first.
const SUBJECTS: [&str; 8] = [
    "path", "unit", "name", "bridge", "packages", "query", "pid", "id",
];

/// A task, and whether its caller waits for its end.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    pub(super) submission: Submission,
    pub(super) wait: bool,
}

/// The keys of a task that are not arguments.
#[derive(Deserialize)]
struct Text {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(alias = "action")]
    operation: String,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
    #[serde(default = "yes")]
    wait: bool,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    priority: i8,
    #[serde(default)]
    deadline_s: Option<u32>,
    #[serde(default)]
    retries: u8,
    #[serde(default)]
    idempotent: bool,
    #[serde(flatten)]
    others: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// Reads a task for an agent. Arguments stand under `arguments`, or beside the other keys as the documents have it.
pub(super) fn parse(agent: &Agent, text: &str) -> Result<Order, Error> {
    if text.len() > LONGEST {
        return Err(Error::Invalid(format!(
            "a task has more than {LONGEST} bytes"
        )));
    }
    let text: Text = serde_json::from_str(text).map_err(|error| {
        Error::Invalid(format!("this is no task: {}", brief(&error.to_string())))
    })?;
    let kinds = [Some(agent.name), agent.kind];
    if let Some(kind) = &text.kind
        && !kinds.contains(&Some(kind.as_str()))
    {
        return Err(Error::Invalid(format!(
            "`type` is `{}`, and this agent is for `{}`",
            brief(kind),
            agent.name
        )));
    }
    let arguments = match (text.arguments, text.others) {
        (None, others) => others,
        (Some(arguments), others) if others.is_empty() => arguments,
        (Some(_), others) => {
            let keys: Vec<_> = others
                .keys()
                .take(10)
                .map(|key| format!("`{}`", brief(key)))
                .collect();
            return Err(Error::Invalid(format!(
                "arguments stand under `arguments` or beside it, not both: {} are beside it",
                keys.join(", ")
            )));
        }
    };
    Ok(Order {
        submission: Submission {
            agent: Some(agent.name.to_owned()),
            operation: text.operation,
            arguments,
            plan: text.plan,
            priority: text.priority,
            deadline_s: text.deadline_s,
            retries: text.retries,
            idempotent: text.idempotent,
        },
        wait: text.wait,
    })
}

/// An operation about something, with its other arguments as JSON. `plan` among them binds it to a plan.
pub(super) fn about(agent: &Agent, tool: &Tool, subject: &str, rest: &str) -> Result<Order, Error> {
    let mut arguments: Map<String, Value> = match rest.trim() {
        "" => Map::new(),
        text if text.len() > LONGEST => {
            return Err(Error::Invalid(format!(
                "the arguments have more than {LONGEST} bytes"
            )));
        }
        text => serde_json::from_str(text).map_err(|error| {
            Error::Invalid(format!(
                "`args` is no JSON object: {}",
                brief(&error.to_string())
            ))
        })?,
    };
    let input = tool.input();
    let plan = match input["properties"]["plan"].is_null() {
        true => arguments
            .remove("plan")
            .and_then(|plan| plan.as_str().map(str::to_owned)),
        false => None,
    };
    if !subject.is_empty() {
        let known = SUBJECTS
            .iter()
            .find(|key| !input["properties"][**key].is_null());
        let Some(key) = known else {
            return Err(Error::Invalid(format!(
                "{} is about nothing in particular: leave `path` empty",
                tool.name
            )));
        };
        let value = match input["properties"][*key]["type"].as_str() {
            Some("array") => json!([subject]),
            Some("integer") => subject
                .parse::<u64>()
                .map_or_else(|_| json!(subject), |number| json!(number)),
            _ => json!(subject),
        };
        if arguments.insert((*key).to_owned(), value).is_some() {
            return Err(Error::Invalid(format!(
                "`{key}` is in `path` and in `args`"
            )));
        }
    }
    Ok(Order {
        submission: Submission {
            agent: Some(agent.name.to_owned()),
            operation: tool.name.to_owned(),
            arguments,
            plan,
            ..Submission::default()
        },
        wait: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packagekit(text: &str) -> Result<Order, Error> {
        parse(Agent::of("packagekit").unwrap(), text)
    }

    #[test]
    fn a_task_of_the_documents_is_read() {
        let text =
            r#"{"type": "package", "action": "install", "packages": ["nginx", "redis-server"]}"#;
        let Order { submission, wait } = packagekit(text).unwrap();
        assert!(wait);
        assert_eq!(submission.operation, "install");
        assert_eq!(
            json!(submission.arguments),
            json!({ "packages": ["nginx", "redis-server"] })
        );
    }

    #[test]
    fn both_places_of_arguments_are_the_same() {
        let one =
            packagekit(r#"{"operation": "search", "query": "x", "wait": false, "priority": -3}"#)
                .unwrap();
        let other = r#"{"operation": "search", "arguments": {"query": "x"}, "wait": false, "priority": -3}"#;
        assert_eq!(packagekit(other).unwrap(), one);
    }

    #[test]
    fn what_is_no_task_is_told() {
        for (text, what) in [
            ("", "no task"),
            ("[]", "no task"),
            (r#"{"packages": []}"#, "operation"),
            (r#"{"type": "file", "action": "list"}"#, "this agent is for"),
            (
                r#"{"action": "list", "arguments": {}, "name": "x"}"#,
                "not both",
            ),
            (r#"{"action": "list", "priority": 1000}"#, "no task"),
        ] {
            let error = packagekit(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
        let long = format!(r#"{{"action": "{}"}}"#, "x".repeat(LONGEST));
        assert!(packagekit(&long).is_err());
    }
}
