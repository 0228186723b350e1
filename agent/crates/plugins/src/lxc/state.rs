//! The states of containers and templates, in the one normal form of desired and observed.

use std::net::IpAddr;
use std::path::PathBuf;

use declaration::{Bootstrap, BridgeName, Container, ContainerName, Network, Recipe, TemplateName};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Key of the state of something that is not ours: what it is.
const FOUND: &str = "found";
/// The one foreign thing that can be taken over.
pub(super) const ROOT_FILE_SYSTEM: &str = "root file system";
/// Key that a container's state has when its configuration is not as rendered.
const CONFIG: &str = "config";

/// A container as declared, or as its configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContainerState {
    pub(super) template: TemplateName,
    #[serde(with = "word")]
    pub(super) network: Network,
    pub(super) running: bool,
    pub(super) bridge: Option<BridgeName>,
    pub(super) address: Option<IpNet>,
    pub(super) gateway: Option<IpAddr>,
    /// Its link computes the checksums of what it sends, since the bridge's datapath, in user space,
    /// does not.
    pub(super) software_checksum: bool,
    pub(super) cores: u32,
    /// In bytes.
    pub(super) memory: u64,
    /// In bytes.
    pub(super) swap: u64,
    pub(super) unprivileged: bool,
    pub(super) autostart: bool,
    pub(super) after: Vec<ContainerName>,
}

impl ContainerState {
    /// The state that a declared container should be in.
    pub(super) fn desired(container: &Container, software_checksum: bool) -> Self {
        let mut after = container.after.clone();
        after.sort();
        after.dedup();
        Self {
            template: container.template.clone(),
            network: container.network,
            running: container.running,
            bridge: container.bridge.clone(),
            address: container.address,
            gateway: container.gateway,
            software_checksum: software_checksum && container.network != Network::None,
            cores: container.cores,
            memory: container.memory.bytes(),
            swap: container.swap.bytes(),
            unprivileged: container.unprivileged,
            autostart: container.autostart,
            after,
        }
    }

    /// From a state in a plan; `None` if its configuration was beyond reading, or it is not ours.
    pub(super) fn parse(state: &Value) -> Option<Self> {
        Self::deserialize(state).ok()
    }

    pub(super) fn to_value(&self) -> Value {
        // Text keys and plain values: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether a container that runs as `self` need not be started again to run as `other`.
    pub(super) fn runs_like(&self, other: &Self) -> bool {
        let seen_within = |state: &Self| Self {
            running: true,
            bridge: None,
            cores: 0,
            memory: 0,
            swap: 0,
            autostart: true,
            after: Vec::new(),
            ..state.clone()
        };
        seen_within(self) == seen_within(other)
    }

    /// Whether both are limited in the same way; limits change while a container runs.
    pub(super) fn is_limited_like(&self, other: &Self) -> bool {
        let limits = |state: &Self| (state.cores, state.memory, state.swap);
        limits(self) == limits(other)
    }
}

/// What a container's configuration is beside what it should be for the state in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Configuration {
    /// Just that.
    AsRendered,
    /// What another version of this program, or this one under other circumstances, rendered.
    Outdated,
    /// Changed by somebody else.
    Edited,
}

/// The state of a container that is there.
pub(super) fn observed(
    state: Option<&ContainerState>,
    running: bool,
    configuration: Configuration,
) -> Value {
    let mut value = match state {
        Some(state) => ContainerState {
            running,
            ..state.clone()
        }
        .to_value(),
        None => json!({ "running": running }),
    };
    match configuration {
        Configuration::AsRendered => {}
        Configuration::Outdated => value[CONFIG] = "outdated".into(),
        Configuration::Edited => value[CONFIG] = "edited".into(),
    }
    value
}

/// Whether the state is that of a container whose configuration was changed by somebody else.
pub(super) fn is_edited(state: &Value) -> bool {
    state.get(CONFIG).and_then(Value::as_str) == Some("edited")
}

/// The state of something that is not ours.
pub(super) fn foreign(found: &str) -> Value {
    json!({ FOUND: found })
}

/// What is found, if the state is that of something that is not ours.
pub(super) fn found(state: &Value) -> Option<&str> {
    state.get(FOUND)?.as_str()
}

/// How a template is made; also what is written into it, as `template.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "recipe", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum TemplateState {
    Busybox {},
    Debian(Packages),
    Ubuntu(Packages),
    Tarball { path: PathBuf, sha256: String },
}

/// What a Debian or Ubuntu is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Packages {
    pub(super) suite: String,
    /// Sorted, each once.
    pub(super) packages: Vec<String>,
    pub(super) mirror: Option<String>,
}

impl Packages {
    fn desired(bootstrap: &Bootstrap) -> Self {
        let mut packages = bootstrap.packages.clone();
        packages.sort();
        packages.dedup();
        Self {
            suite: bootstrap.suite.clone(),
            packages,
            mirror: bootstrap.mirror.clone(),
        }
    }
}

impl TemplateState {
    /// The state that a declared template should be in.
    pub(super) fn desired(recipe: &Recipe) -> Self {
        match recipe {
            Recipe::Busybox => Self::Busybox {},
            Recipe::Debian(bootstrap) => Self::Debian(Packages::desired(bootstrap)),
            Recipe::Ubuntu(bootstrap) => Self::Ubuntu(Packages::desired(bootstrap)),
            Recipe::Tarball { path, sha256 } => Self::Tarball {
                path: path.clone(),
                sha256: sha256.clone(),
            },
        }
    }

    pub(super) fn parse(state: &Value) -> Option<Self> {
        Self::deserialize(state).ok()
    }

    pub(super) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether both make the same root file system: where an archive lies does not matter.
    pub(super) fn makes_the_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tarball { sha256: one, .. }, Self::Tarball { sha256: two, .. }) => one == two,
            _ => self == other,
        }
    }
}

/// The state of a template whose description cannot be read.
pub(super) fn damaged_template() -> Value {
    json!({ "recipe": null })
}

/// A value that the declaration writes as a word.
mod word {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use declaration::Declaration;

    use super::*;

    pub(in super::super) fn container(extra: &str) -> ContainerState {
        let text = format!(
            "version: 1\nplugins:\n  ovs: {{bridges: {{br0: {{addresses: [10.0.0.1/24]}}}}}}\n  \
             lxc:\n    templates: {{busybox: {{recipe: busybox}}}}\n    \
             containers: {{a: {{template: busybox, {extra}}}, b: {{template: busybox}}}}\n"
        );
        let declaration = Declaration::from_yaml(&text).unwrap();
        let lxc = declaration.plugins.lxc.unwrap();
        ContainerState::desired(&lxc.containers["a"], true)
    }

    #[test]
    fn a_state_survives_the_way_through_a_plan() {
        let state = container("address: 10.0.0.2/24, gateway: 10.0.0.1, memory: 1GiB, after: [b]");
        assert_eq!(
            ContainerState::parse(&state.to_value()),
            Some(state.clone())
        );
        assert_eq!(state.to_value()["network"], "socket");
        assert_eq!(state.to_value()["memory"], 1 << 30);
        let edited = observed(Some(&state), false, Configuration::Edited);
        assert!(is_edited(&edited) && !is_edited(&state.to_value()));
        let read = ContainerState::parse(&edited).unwrap();
        assert!(!read.running && read.runs_like(&state));
    }

    #[test]
    fn without_a_network_there_is_no_checksum_to_compute() {
        assert!(container("network: socket").software_checksum);
        assert!(!container("network: none").software_checksum);
    }

    #[test]
    fn only_what_the_container_sees_needs_a_new_start() {
        let state = container("cores: 1");
        assert!(state.runs_like(&container(
            "cores: 1, running: false, autostart: false, after: [b]"
        )));
        let wider = container("cores: 2");
        assert!(state.runs_like(&wider) && !state.is_limited_like(&wider));
        assert!(!state.runs_like(&container("cores: 1, address: 10.0.0.2/24")));
    }

    #[test]
    fn an_archive_is_what_it_holds_and_not_where_it_lies() {
        let tarball = |path: &str, sha256: &str| TemplateState::Tarball {
            path: path.into(),
            sha256: sha256.into(),
        };
        assert!(tarball("/a", "1").makes_the_same_as(&tarball("/b", "1")));
        assert!(!tarball("/a", "1").makes_the_same_as(&tarball("/a", "2")));
        let state = tarball("/a", "1");
        assert_eq!(
            state.to_value(),
            json!({"recipe": "tarball", "path": "/a", "sha256": "1"})
        );
        assert_eq!(TemplateState::parse(&state.to_value()), Some(state));
        assert_eq!(
            TemplateState::parse(&json!({"recipe": "busybox"})),
            Some(TemplateState::Busybox {})
        );
        assert_eq!(TemplateState::parse(&damaged_template()), None);
    }
}
