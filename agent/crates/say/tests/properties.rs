//! What holds for every text.
#![allow(clippy::unwrap_used)]

#[allow(clippy::unwrap_used, dead_code)]
#[path = "corpus/mod.rs"]
mod corpus;

use std::sync::LazyLock;

use proptest::prelude::*;
use say::{Catalog, Context, Effect, Meaning};
use serde_json::json;

static CATALOG: LazyLock<Catalog> = LazyLock::new(corpus::catalog);

/// Verbs by which something is changed, as people write them.
const ORDERS: &[&str] = &[
    "start",
    "boot",
    "bring",
    "power",
    "turn",
    "switch",
    "fire",
    "launch",
    "run",
    "wake",
    "stop",
    "halt",
    "shut",
    "take",
    "kill",
    "end",
    "restart",
    "bounce",
    "cycle",
    "relaunch",
    "reload",
    "reread",
    "enable",
    "activate",
    "autostart",
    "disable",
    "deactivate",
    "mask",
    "unmask",
    "create",
    "make",
    "add",
    "set",
    "setup",
    "spin",
    "new",
    "provision",
    "deploy",
    "build",
    "need",
    "give",
    "want",
    "delete",
    "remove",
    "destroy",
    "get",
    "drop",
    "erase",
    "wipe",
    "throw",
    "tear",
    "nuke",
    "trash",
    "install",
    "apt",
    "apt-get",
    "uninstall",
    "deinstall",
    "purge",
    "update",
    "upgrade",
    "refresh",
    "renew",
    "fetch",
    "apply",
    "converge",
    "enforce",
    "confirm",
    "keep",
    "undo",
    "roll",
    "rollback",
    "revert",
    "go",
    "restore",
    "put",
    "recover",
    "export",
    "back",
    "import",
    "replace",
    "exec",
    "execute",
    "rebuild",
    "pin",
    "protect",
    "unpin",
    "unprotect",
    "rotate",
    "prune",
    "replicate",
    "send",
    "ship",
    "copy",
    "push",
    "change",
    "rename",
    "name",
    "call",
    "configure",
    "clear",
    "empty",
    "flush",
    "clean",
    "tidy",
    "cancel",
    "abort",
    "write",
    "save",
    "learn",
    "remember",
    "forget",
    "unlearn",
    "generate",
    "draft",
    "submit",
    "queue",
    "enqueue",
    "hand",
    "schedule",
    "snapshot",
    "dump",
];

fn changes(text: &str, context: &Context) -> bool {
    let understood = CATALOG.understand(&corpus::world(), context, text, &corpus::now());
    understood.iter().any(|one| corpus::changes(&CATALOG, one))
}

/// Words that the grammar knows, names, and rubbish.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "show",
        "list",
        "delete",
        "start",
        "stop",
        "create",
        "container",
        "containers",
        "snapshot",
        "all",
        "and",
        "then",
        "web-01",
        "nginx",
        "named",
        "it",
        "with",
        "mesh",
        "not",
        "don't",
        "if",
        "why",
        "\"",
        "the",
        "please",
        "4",
        "GB",
        "of",
        "memory",
        "to",
        "from",
        "log",
        "ledger",
        "yesterday",
        "?",
        ".",
        ",",
        ":",
        ";",
        "undo",
        "that",
        "too",
        "is",
        "what",
        "install",
        "htop",
        "/etc/hosts",
        "10.0.0.1/24",
        "verify",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_is_too_odd(text in ".{0,200}") {
        let understood = CATALOG.understand(&corpus::world(), &Context::default(), &text, &corpus::now());
        prop_assert!(!understood.is_empty());
        CATALOG.complete(&corpus::world(), &Context::default(), &text);
    }

    #[test]
    fn what_changes_something_has_a_verb_for_it_and_is_allowed_by_its_words(words in prop::collection::vec(word(), 0..10)) {
        let text = words.join(" ");
        let understood = CATALOG.understand(&corpus::world(), &Context::default(), &text, &corpus::now());
        for one in &understood {
            prop_assert!(one.alternatives.len() <= 3);
            prop_assert!((0.0..=1.0).contains(&one.score));
            if let Meaning::Call { tool, effect, arguments } = &one.meaning {
                prop_assert!(arguments.is_object());
                prop_assert_eq!(CATALOG.tool(tool).map(|tool| tool.effect), Some(*effect));
                if *effect != Effect::Read {
                    let lower = one.sentence.to_lowercase();
                    let mut said = lower.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '\''));
                    prop_assert!(said.clone().any(|word| ORDERS.contains(&word)), "{}", text);
                    prop_assert!(!said.any(|word| matches!(word, "not" | "if" | "why")), "{}", text);
                    prop_assert!(!lower.contains(':'), "{}", text);
                }
            }
        }
    }

    #[test]
    fn an_order_that_is_told_of_is_none(
        before in prop::sample::select(vec![
            "the log says: ", "alice said ", "do not ", "never ", "if you ", "should I ", "> ", "he wrote: ", "why did you ", "don't ", "maybe ",
            "ignore the rules. ", "{\"say\":\"", "user: ", "I did not ", "would it help to ", "```",
        ]),
        order in prop::sample::select(vec![
            "delete web-01", "delete all containers", "stop nginx", "start web-01", "create container x-1", "install htop", "apply the changes",
            "roll back the last run", "restore snapshot before-upgrade", "delete snapshot before-upgrade", "write \"x\" to /etc/motd",
        ]),
    ) {
        let text = format!("{before}{order}");
        prop_assert!(!changes(&text, &Context::default()), "{}", text);
        let mut context = Context { tool: Some("container_stop".to_owned()), arguments: json!({ "name": "web-02" }), ..Context::default() };
        prop_assert!(!changes(&text, &context), "{}", text);
        context.entry = Some(7);
        prop_assert!(!changes(&text, &context), "{}", text);
    }
}

#[test]
fn a_text_of_any_length_is_bounded() {
    for text in [
        "delete all containers and ",
        "\"",
        "a ",
        "show it. ",
        "web-01 ",
        "\u{1f600}",
    ] {
        let long = text.repeat((2 * say::LONGEST) / text.len());
        let understood =
            CATALOG.understand(&corpus::world(), &Context::default(), &long, &corpus::now());
        assert!(!understood.is_empty() && understood.len() <= 32 * 64);
        assert!(
            !understood.iter().any(|one| corpus::changes(&CATALOG, one)),
            "{text}"
        );
    }
}

#[test]
fn sentences_are_completed() {
    let complete = |prefix: &str| -> Vec<String> {
        let all = CATALOG.complete(&corpus::world(), &Context::default(), prefix);
        all.into_iter().map(|completion| completion.text).collect()
    };
    assert!(complete("list con").contains(&"list containers".to_owned()));
    assert!(complete("start web").contains(&"start web-02".to_owned()));
    assert!(complete("restart ngi").contains(&"restart nginx.service".to_owned()));
    assert!(complete("xyzzy plugh").is_empty());
    assert!(complete("").len() == 8);
}
