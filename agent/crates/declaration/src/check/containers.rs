//! What containers refer to: templates, bridges, each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, meant, path, some_of};
use crate::document::Plugins;
use crate::lxc::{Container, Lxc, Network};
use crate::names::ContainerName;
use crate::problem::DocumentPath;

pub(super) fn check(plugins: &Plugins, check: &mut Check<'_>) {
    let Some(lxc) = &plugins.lxc else { return };
    for (name, container) in &lxc.containers {
        let place = path(["lxc", "containers", name.as_str()]);
        template(lxc, container, &place, check);
        if container.network == Network::None {
            without_network(container, &place, check);
        } else {
            bridge(plugins, container, &place, check);
        }
        after(lxc, name, container, &place, check);
    }
    cycles(lxc, check);
}

fn template(lxc: &Lxc, container: &Container, place: &DocumentPath, check: &mut Check<'_>) {
    let name = &container.template;
    let declared = path(["lxc", "templates", name.as_str()]);
    if !lxc.templates.contains_key(name) && check.intact(&declared) {
        check.report(
            place.key("template"),
            format!("`{name}`, which is not declared"),
            some_of(
                "a template of `plugins.lxc.templates`",
                lxc.templates.keys(),
            ),
            meant(
                name.as_str(),
                lxc.templates.keys().map(|name| name.as_str()),
            ),
        );
    }
}

fn bridge(plugins: &Plugins, container: &Container, place: &DocumentPath, check: &mut Check<'_>) {
    let place = place.key("bridge");
    let declared = plugins.ovs.as_ref().map(|ovs| &ovs.bridges);
    let names = || declared.into_iter().flat_map(|bridges| bridges.keys());
    let accepted = || some_of("a bridge of `plugins.ovs.bridges`", names());
    match &container.bridge {
        Some(bridge) => {
            let known = declared.is_some_and(|bridges| bridges.contains_key(bridge));
            if !known && check.intact(&path(["ovs", "bridges", bridge.as_str()])) {
                let hint = meant(bridge.as_str(), names().map(|name| name.as_str()));
                let found = format!("`{bridge}`, which is not declared");
                check.report(place, found, accepted(), hint);
            }
        }
        None => {
            let network = place.parent().key("network");
            let known = [&place, &network, &path(["ovs", "bridges"])]
                .iter()
                .all(|path| check.intact(path));
            if known {
                let found = match names().count() {
                    0 => format!(
                        "nothing, while no bridge is declared for `network: {}`",
                        container.network
                    ),
                    count => format!("nothing, while {count} bridges are declared"),
                };
                let hint = "name the bridge, or write `network: none`".to_owned();
                check.report(place, found, accepted(), hint);
            }
        }
    }
}

fn without_network(container: &Container, place: &DocumentPath, check: &mut Check<'_>) {
    let given = [
        ("bridge", container.bridge.is_some()),
        ("address", container.address.is_some()),
        ("gateway", container.gateway.is_some()),
    ];
    for (key, _) in given.iter().filter(|(_, given)| *given) {
        check.report(
            place.key(key),
            format!("a value for `{key}`, although the container has no network"),
            format!("`{key}` only with `network: socket` or `network: mesh`"),
            None,
        );
    }
}

fn after(
    lxc: &Lxc,
    name: &ContainerName,
    container: &Container,
    place: &DocumentPath,
    check: &mut Check<'_>,
) {
    let list = place.key("after");
    let mut seen = BTreeSet::new();
    for (index, other) in container.after.iter().enumerate() {
        let place = check.element(&list, index);
        let declared = path(["lxc", "containers", other.as_str()]);
        let accepted = "another container that is declared, each once";
        if other == name {
            check.report(place, "the container itself", accepted, None);
        } else if !seen.insert(other) {
            check.report(place, format!("`{other}` a second time"), accepted, None);
        } else if !lxc.containers.contains_key(other) && check.intact(&declared) {
            let hint = meant(
                other.as_str(),
                lxc.containers.keys().map(|name| name.as_str()),
            );
            let found = format!("`{other}`, which is not declared");
            check.report(place, found, accepted, hint);
        }
    }
}

/// How far the search has come with a container.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// On the way from the start to where the search is.
    Open,
    /// No cycle goes through it that has not been reported.
    Done,
}

/// Reports each cycle that the search meets, depth first and without recursion: chains may be long.
fn cycles(lxc: &Lxc, check: &mut Check<'_>) {
    let mut marks = BTreeMap::new();
    for start in lxc.containers.keys() {
        if marks.contains_key(start) {
            continue;
        }
        marks.insert(start, Mark::Open);
        let mut way = vec![(start, 0)];
        while let Some((name, next)) = way.last_mut() {
            let name = *name;
            let Some(other) = successor(lxc, name, *next) else {
                marks.insert(name, Mark::Done);
                way.pop();
                continue;
            };
            *next += 1;
            match marks.get(other) {
                None => {
                    marks.insert(other, Mark::Open);
                    way.push((other, 0));
                }
                Some(Mark::Open) if other != name => {
                    let names = way.iter().map(|(name, _)| *name);
                    report_cycle(names.skip_while(|name| *name != other), check);
                }
                Some(_) => {}
            }
        }
    }
}

/// The container at a position of the `after` of another, as the declaration's key.
fn successor<'a>(lxc: &'a Lxc, name: &ContainerName, position: usize) -> Option<&'a ContainerName> {
    lxc.containers.get(name)?.after.get(position)
}

fn report_cycle<'a>(names: impl Iterator<Item = &'a ContainerName>, check: &mut Check<'_>) {
    const SHOWN: usize = 8;
    let names: Vec<_> = names.map(ContainerName::as_str).collect();
    let Some(first) = names.first() else { return };
    let way = if names.len() > SHOWN {
        let shown = names[..SHOWN].join(" → ");
        format!("{shown} → … → {first} ({} containers)", names.len())
    } else {
        format!("{} → {first}", names.join(" → "))
    };
    check.report(
        path(["lxc", "containers", first, "after"]),
        format!("a cycle: {way}"),
        "an order in which each container can wait for the others",
        None,
    );
}
