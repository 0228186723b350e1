//! The common jobs, as prompts that a person can pick.

use rmcp::model::{GetPromptResult, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::{Map, Value};

use crate::backend::Fault;

/// A job: what it is called, what it takes, and what is asked of the model, with `{argument}` where those go.
struct Job {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    /// Name, description, and what stands there without it; what has nothing is required.
    arguments: &'static [(&'static str, &'static str, Option<&'static str>)],
    text: &'static str,
}

const JOBS: [Job; 5] = [
    Job {
        name: "create_container",
        title: "Create a container",
        description: "Choose a template and a network, show the plan, then create it",
        arguments: &[
            ("name", "The container's name", None),
            ("template", "The template", Some("the one that fits best")),
            ("purpose", "What it is for", Some("not said")),
        ],
        text: "Create the container `{name}` on this host. Its purpose: {purpose}. Template: {template}.\n\
            1. template_list and container_list: what is there, and which names and addresses are taken.\n\
            2. container_create with dry_run: show me the plan and wait for my word.\n\
            3. container_create, then container_show: say whether it runs and how it is reached.",
    },
    Job {
        name: "find_why_unit_fails",
        title: "Find out why a unit fails",
        description: "Read a unit's state and journal, and name the cause",
        arguments: &[("unit", "The unit, such as nginx.service", None)],
        text: "Find out why `{unit}` fails. Change nothing.\n\
            1. systemd_unit_status: its state, result and exit status.\n\
            2. journal_read for the unit, newest first: the first error of the last start, not the last one.\n\
            3. Follow what it names: files (file_read), processes, other units, free space (host_info).\n\
            Say the cause with the lines that show it, then the smallest remedy, and what it would change.",
    },
    Job {
        name: "review_drift",
        title: "Review drift",
        description: "Say where the host differs from its declared state, since when, and what to do",
        arguments: &[("plugin", "One plugin, such as lxc", Some("all"))],
        text: "Review how this host differs from its declared state (plugins: {plugin}). Change nothing.\n\
            1. state_verify: every resource that differs.\n\
            2. state_plan: what an apply would do about each; mark what destroys data or cuts a connection.\n\
            3. ledger_log: who changed them last, and whether that was meant.\n\
            For each, advise: apply, or change the declaration.",
    },
    Job {
        name: "audit_changes",
        title: "Audit what changed",
        description: "Tell from the ledger who changed what, and whether the ledger holds together",
        arguments: &[
            (
                "since",
                "From when on, such as 2h, 3d or 2026-01-31",
                Some("1d"),
            ),
            ("actor", "One person, by login name", Some("everybody")),
        ],
        text: "Audit what changed on this host since {since} (by: {actor}).\n\
            1. ledger_verify: whether the chain holds together. If not, say so first.\n\
            2. ledger_log, all pages: group by person and door; refused and failed ones apart.\n\
            3. ledger_show for what destroyed data, changed rights or was refused again and again.\n\
            End with what somebody should look into, by entry id.",
    },
    Job {
        name: "free_disk_space",
        title: "Free disk space",
        description: "Find what takes the space, and what can go without harm",
        arguments: &[("path", "Where to look", Some("/"))],
        text: "Find out what takes the disk space below `{path}`, and what can go. Change nothing yet.\n\
            1. host_info: file systems and their free space.\n\
            2. container_list, template_list and state_query: containers and templates that nothing uses.\n\
            3. file_list where it grows: logs, caches, old packages.\n\
            List what can go, the largest first, with its size and what would be lost. Wait for my word before \
            each removal.",
    },
];

/// All of them.
pub(super) fn listed() -> Vec<Prompt> {
    let listed = |job: &Job| {
        let arguments = job.arguments.iter().map(|(name, description, without)| {
            PromptArgument::new(*name)
                .with_description(*description)
                .with_required(without.is_none())
        });
        Prompt::new(job.name, Some(job.description), Some(arguments.collect()))
            .with_title(job.title)
    };
    JOBS.iter().map(listed).collect()
}

/// One with its arguments.
pub(super) fn filled(name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, Fault> {
    let job = JOBS.iter().find(|job| job.name == name);
    let job = job.ok_or_else(|| Fault::NotFound(format!("there is no prompt `{name}`")))?;
    let known = |key: &String| job.arguments.iter().any(|(name, ..)| name == key);
    if let Some(other) = arguments.keys().find(|key| !known(key)) {
        return Err(Fault::Invalid(format!(
            "the prompt `{name}` takes no argument `{other}`"
        )));
    }
    let mut text = String::new();
    let mut rest = job.text;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        let argument = job.arguments.iter().find(|(name, ..)| *name == key);
        let without = argument
            .and_then(|(_, _, without)| *without)
            .unwrap_or_default();
        let value = arguments.get(key).and_then(Value::as_str).map(str::trim);
        text.push_str(before);
        text.push_str(value.filter(|value| !value.is_empty()).unwrap_or(without));
        rest = after;
    }
    text.push_str(rest);
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(job.description))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prompts_name_tools_that_there_are() {
        let all = tools::builtin::all();
        let prefixes = [
            "container_",
            "template_",
            "state_",
            "ledger_",
            "journal_",
            "file_",
            "host_",
            "systemd_",
        ];
        for job in &JOBS {
            let words = job
                .text
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for word in words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
            {
                assert!(
                    all.iter().any(|tool| tool.name == word),
                    "{}: {word}",
                    job.name
                );
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let arguments = json!({ "name": "{purpose}", "purpose": "web" });
        let filled = filled("create_container", arguments.as_object().unwrap()).unwrap();
        let text = &filled.messages[0].content.as_text().unwrap().text;
        assert!(text.starts_with(
            "Create the container `{purpose}` on this host. Its purpose: web. Template: the one"
        ));
    }

    #[test]
    fn an_argument_that_it_does_not_take_is_an_error() {
        let arguments = json!({ "units": "x" });
        assert!(filled("find_why_unit_fails", arguments.as_object().unwrap()).is_err());
        assert!(filled("nope", &Map::new()).is_err());
    }
}
