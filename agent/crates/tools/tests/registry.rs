//! What holds for every tool, and what the registry does around a call.
#![allow(clippy::unwrap_used)]

mod fixture;

use std::collections::BTreeSet;

use fixture::{call, call_with, registry};
use serde_json::{Value, json};
use tools::{Options, Role, Tool, ToolError};

/// A tool's examples; one that needs no argument may do without.
fn examples(tool: &Tool) -> Vec<Value> {
    let needs = tool.input()["required"]
        .as_array()
        .is_some_and(|keys| !keys.is_empty());
    assert!(
        !needs || !tool.examples.is_empty(),
        "{} has no example",
        tool.name
    );
    match tool.examples.is_empty() {
        true => vec![json!({})],
        false => tool.examples.clone(),
    }
}

#[test]
fn every_tool_is_described_and_its_examples_fit() {
    let registry = registry("/nonexistent".as_ref(), "");
    let mut names = BTreeSet::new();
    for tool in registry.tools() {
        let name = tool.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(
            (1..=64).contains(&name.len()) && name.chars().all(plain),
            "{name}"
        );
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            !tool.title.is_empty() && tool.description.ends_with('.'),
            "{name}"
        );
        assert!(tool.role >= tool.effect.role(), "{name}: {:?}", tool.role);
        let (input, output) = (tool.input(), tool.output());
        assert_eq!(input["type"], "object", "{name}");
        assert_eq!(input["additionalProperties"], false, "{name}");
        let undescribed = input["properties"].as_object().into_iter().flatten();
        let undescribed: Vec<_> = undescribed
            .filter(|(_, property)| property["description"].as_str().is_none())
            .map(|(key, _)| key)
            .collect();
        assert!(undescribed.is_empty(), "{name}: {undescribed:?}");
        let check = jsonschema::draft202012::new(&input).unwrap();
        jsonschema::draft202012::new(&output).unwrap();
        for example in examples(tool) {
            let faults: Vec<_> = check
                .iter_errors(&example)
                .map(|fault| fault.to_string())
                .collect();
            assert!(faults.is_empty(), "{name} {example}: {faults:?}");
        }
        // Formats of Rust's own are no business of a client.
        for schema in [input.to_string(), output.to_string()] {
            assert!(
                !schema.contains("\"format\":\"uint") && !schema.contains("\"format\":\"int"),
                "{name}"
            );
        }
    }
    assert!(names.len() > 60, "{}", names.len());
}

#[test]
fn the_names_that_were_promised_are_there() {
    let registry = registry("/nonexistent".as_ref(), "");
    for name in [
        "state_plan",
        "state_apply",
        "state_verify",
        "state_query",
        "state_rollback",
        "state_export",
        "state_restore",
        "container_create",
        "container_list",
        "container_show",
        "container_start",
        "container_stop",
        "container_restart",
        "container_exec",
        "container_destroy",
        "template_list",
        "template_build",
        "template_destroy",
        "ledger_log",
        "ledger_show",
        "ledger_verify",
        "ovs_list_bridges",
        "ovs_list_ports",
        "ovs_dump_flows",
        "systemd_list_units",
        "systemd_unit_status",
        "systemd_start_unit",
        "systemd_stop_unit",
        "systemd_restart_unit",
        "systemd_enable_unit",
        "journal_read",
        "net_list_links",
        "net_list_addresses",
        "net_list_routes",
        "net_list_neighbours",
        "net_list_peers",
        "process_list",
        "file_read",
        "file_list",
        "file_search",
        "file_write",
        "host_info",
        "dbus_packagekit_install_packages",
        "dbus_packagekit_remove_packages",
        "command_run",
    ] {
        assert!(registry.tool(name).is_ok(), "{name}");
    }
}

#[test]
fn below_its_role_a_tool_refuses() {
    let registry = registry("/nonexistent".as_ref(), "");
    for tool in registry.tools() {
        let below: &[Role] = match tool.role {
            Role::Viewer => &[],
            Role::Operator => &[Role::Viewer],
            Role::Admin => &[Role::Viewer, Role::Operator],
        };
        for role in below {
            let arguments = examples(tool).remove(0);
            let refused = call(&registry, *role, tool.name, arguments).unwrap_err();
            assert!(
                matches!(refused, ToolError::Refused(_)),
                "{}: {refused}",
                tool.name
            );
        }
    }
}

#[test]
fn a_template_is_asked_for_where_there_are_several() {
    let dir = tempfile::tempdir().unwrap();
    let templates =
        "plugins: {lxc: {templates: {one: {recipe: busybox}, two: {recipe: busybox}}}}\n";
    let registry = registry(dir.path(), templates);
    let arguments = json!({ "name": "web-01", "network": "none" });
    let error = call(&registry, Role::Admin, "container_create", arguments).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("there are one, two"), "{text}");
}

#[test]
fn arguments_that_do_not_fit_are_named() {
    let registry = registry("/nonexistent".as_ref(), "");
    let wrong = json!({ "name": 5, "template": 5, "cores": 0, "colour": "red" });
    let error = call(&registry, Role::Admin, "container_create", wrong).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ToolError::Invalid(_)), "{text}");
    for word in ["/name", "/cores", "colour", "/template"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let error = call(&registry, Role::Admin, "container_crate", json!({})).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("did you mean `container_create`"),
        "{error}"
    );
}

#[test]
fn a_deadline_that_has_passed_and_a_cancelled_call_end_before_they_begin() {
    let registry = registry("/nonexistent".as_ref(), "");
    let late = Options {
        deadline: Some(std::time::Instant::now()),
        ..Options::default()
    };
    let error = call_with(&registry, Role::Viewer, "process_list", json!({}), late).unwrap_err();
    assert!(matches!(error, ToolError::TimedOut), "{error}");
    let cancel = tools::Cancel::default();
    cancel.cancel();
    let caller = fixture::caller(Role::Viewer);
    let ended = registry.call(
        &caller,
        "process_list",
        json!({}),
        Options::default(),
        &cancel,
        &|_| {},
    );
    assert!(matches!(ended, Err(ToolError::Cancelled)));
}
