//! The cache: nodes only where a policy has a use for them.

use std::collections::BTreeSet;

use crate::cache::{Cache, Numa, NumaPolicy, NumaStrategy};
use crate::problem::DocumentPath;

use super::Check;

pub(super) fn check(cache: &Cache, check: &mut Check<'_>) {
    let path = DocumentPath::of(["cache", "numa"]);
    if !check.intact(&path) {
        return;
    }
    let Numa {
        strategy,
        policy,
        nodes,
    } = &cache.numa;
    if *strategy == NumaStrategy::Disabled && *policy != NumaPolicy::Default {
        check.report(
            path.key("policy"),
            "a policy, and `strategy` is `disabled`",
            "`default`",
            "choose a strategy, such as `local-node`: without one no thread is placed".to_owned(),
        );
    }
    let given = path.key("nodes");
    match (policy, nodes.len()) {
        (NumaPolicy::Default, 1..) => check.report(
            given.clone(),
            "nodes, and `policy` is `default`",
            "an empty list",
            "choose a policy, such as `bind`: the default takes no nodes".to_owned(),
        ),
        (NumaPolicy::Preferred, 2..) => check.report(
            given.clone(),
            format!("{} nodes", nodes.len()),
            "one node, since only one can be preferred",
            None,
        ),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (index, node) in nodes.iter().enumerate() {
        if !seen.insert(node) {
            check.report(
                check.element(&given, index),
                format!("node {node} again"),
                "each node once",
                None,
            );
        }
    }
}
