//! The list of containers made by command, as part of a plan.

use std::collections::BTreeSet;

use declaration::ContainerName;
use reconcile::{Change, Verb};
use serde_json::json;

use crate::engine::past::ByCommand;

/// What the list of containers made by command says anew. It counts where the host is as wanted already: without it
/// the daemon brings back what was there before.
pub(super) fn kept_anew(before: &ByCommand, after: &ByCommand) -> Vec<Change> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |name: &ContainerName| {
        let (before, after) = (before.get(name), after.get(name));
        let verb = match (before, after) {
            (before, after) if before == after => return None,
            (None, _) => Verb::Create,
            (_, None) => Verb::Delete,
            _ => Verb::Update,
        };
        let resource = format!("record:{name}");
        Some(Change::new(
            "lxc",
            resource,
            verb,
            json!(before),
            json!(after),
        ))
    };
    names.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use declaration::{Container, Network, Size};
    use serde_json::Value;

    fn list(containers: &[(&str, bool)]) -> ByCommand {
        let container = |running: bool| Container {
            template: "busybox".parse().unwrap(),
            network: Network::Socket,
            running,
            bridge: None,
            address: None,
            gateway: None,
            cores: 2,
            memory: Size::from_mib(64),
            swap: Size::from_mib(64),
            unprivileged: true,
            autostart: true,
            after: Vec::new(),
            adopt: false,
        };
        let named = containers.iter();
        named
            .map(|(name, running)| (name.parse().unwrap(), container(*running)))
            .collect()
    }

    #[test]
    fn only_what_is_kept_anew_is_a_change() {
        let before = list(&[("same", true), ("stopped", true), ("gone", true)]);
        let after = list(&[("same", true), ("stopped", false), ("new", true)]);
        let changes = kept_anew(&before, &after);
        let told: Vec<_> = changes
            .iter()
            .map(|change| (change.resource.as_str(), change.verb))
            .collect();
        assert_eq!(
            told,
            [
                ("record:gone", Verb::Delete),
                ("record:new", Verb::Create),
                ("record:stopped", Verb::Update)
            ]
        );
        assert_eq!(
            (&changes[0].after, &changes[1].before),
            (&Value::Null, &Value::Null)
        );
        assert!(changes.iter().all(|change| !change.destroys));
        assert!(kept_anew(&before, &before).is_empty());
    }
}
