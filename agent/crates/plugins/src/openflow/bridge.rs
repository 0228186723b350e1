//! One bridge over its management socket.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use declaration::BridgeName;
use openflow::{Connection, Cookie, Error, Flow, FlowFilter, FlowMod, Match, Port};
use reconcile::{Owner, PluginError};

use super::names::PortNames;
use super::rule::Rule;
use super::translate::{MARK, TranslateError};

/// How long the switch may keep silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// Our flows.
const OURS: Cookie = Cookie {
    value: MARK,
    mask: 0xffff_ffff << 32,
};

/// Whose a flow is.
pub(super) fn owner(flow: &Flow) -> Owner {
    match OURS.covers(flow.cookie) {
        true => Owner::Ours,
        false => Owner::Foreign,
    }
}

/// What is to happen to one rule.
#[derive(Debug)]
pub(super) enum Edit {
    /// It is to be there, as it is here.
    Write(Rule),
    /// It is not to be there.
    Delete(Rule),
}

impl Edit {
    pub(super) fn deletes(&self) -> bool {
        matches!(self, Self::Delete(_))
    }

    fn rule(&self) -> &Rule {
        match self {
            Self::Write(rule) | Self::Delete(rule) => rule,
        }
    }

    fn flow_mod(&self, ports: &PortNames) -> Result<FlowMod, TranslateError> {
        Ok(match self {
            Self::Write(rule) => FlowMod::Add(rule.flow(ports)?),
            Self::Delete(rule) => FlowMod::DeleteStrict {
                table: rule.table,
                priority: rule.priority,
                matches: rule.matches(ports)?,
                cookie: OURS,
            },
        })
    }
}

/// A foreign flow stands where one of ours should.
#[derive(Debug, thiserror::Error)]
#[error("a flow that is not ours stands there; delete it, or declare another priority")]
struct Taken;

/// A connection to one bridge.
pub(super) struct Bridge<'a> {
    name: &'a BridgeName,
    connection: Connection,
}

impl<'a> Bridge<'a> {
    /// Connects; `None` if the bridge is not there.
    pub(super) fn open(run_dir: &Path, name: &'a BridgeName) -> Result<Option<Self>, PluginError> {
        let socket = socket(run_dir, name);
        match Connection::connect(&socket, PATIENCE) {
            Ok(connection) => Ok(Some(Self { name, connection })),
            Err(Error::Connect { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreachable(name, &socket, error)),
        }
    }

    pub(super) fn name(&self) -> &'a BridgeName {
        self.name
    }

    /// The ports that the bridge has now.
    pub(super) fn ports(&mut self) -> Result<Vec<Port>, PluginError> {
        let name = self.name;
        let failed = |error| PluginError::failed(format!("read the ports of bridge {name}"), error);
        self.connection.ports().map_err(failed)
    }

    /// The flows that the bridge has now; all, or ours.
    pub(super) fn flows(&mut self, ours_only: bool) -> Result<Vec<Flow>, PluginError> {
        let name = self.name;
        let failed = |error| PluginError::failed(format!("read the flows of bridge {name}"), error);
        let cookie = match ours_only {
            true => OURS,
            false => Cookie::ANY,
        };
        let filter = FlowFilter {
            table: None,
            cookie,
        };
        let flows = self.connection.flows(&filter).map_err(failed)?;
        Ok(flows.into_iter().map(|entry| entry.flow).collect())
    }

    /// Makes all edits in one bundle, or none. Foreign flows stay as they are.
    pub(super) fn change(&mut self, edits: &[Edit], ports: &PortNames) -> Result<(), PluginError> {
        let failed = |edit: &Edit, error: Box<dyn std::error::Error + Send + Sync>| {
            let verb = match edit.deletes() {
                true => "delete",
                false => "write",
            };
            PluginError::failed(format!("{verb} flow {}", edit.rule()), error)
        };
        let taken = self.foreign_places()?;
        let (mut changes, mut causes) = (Vec::new(), Vec::new());
        for edit in edits {
            let change = match edit.flow_mod(ports) {
                Ok(change) => change,
                // What is left of it has a number in place of the name, and is another rule.
                Err(TranslateError::NoPort { .. }) if edit.deletes() => continue,
                Err(error) => return Err(failed(edit, error.into())),
            };
            if let FlowMod::Add(flow) = &change
                && taken.contains(&place(flow))
            {
                return Err(failed(edit, Taken.into()));
            }
            changes.push(change);
            causes.push(edit);
        }
        self.connection.bundle(&changes).map_err(|error| {
            let cause = match error {
                Error::Rejected { index, .. } | Error::TooLong { index } => causes.get(index),
                _ => None,
            };
            match (cause, error) {
                (Some(edit), Error::Rejected { error, .. }) => {
                    failed(edit, format!("the switch refused it: {error}").into())
                }
                (Some(edit), error) => failed(edit, error.into()),
                (None, error) => {
                    PluginError::failed(format!("change the flows of bridge {}", self.name), error)
                }
            }
        })
    }

    /// Where flows stand that are not ours.
    fn foreign_places(&mut self) -> Result<HashSet<(u8, u16, Match)>, PluginError> {
        let flows = self.flows(false)?;
        let foreign = flows.iter().filter(|flow| owner(flow) == Owner::Foreign);
        Ok(foreign.map(place).collect())
    }
}

fn place(flow: &Flow) -> (u8, u16, Match) {
    (flow.table, flow.priority, flow.matches.clone())
}

fn socket(run_dir: &Path, name: &BridgeName) -> PathBuf {
    run_dir.join(format!("{name}.mgmt"))
}

/// The bridge is not there, and should be.
pub(super) fn missing(run_dir: &Path, name: &BridgeName) -> PluginError {
    PluginError::unavailable(
        format!(
            "bridge {name} has no management socket {}",
            socket(run_dir, name).display()
        ),
        "see with `ovs-vsctl show` whether the bridge is there, and whether ovs-vswitchd runs",
    )
}

fn unreachable(name: &BridgeName, socket: &Path, error: Error) -> PluginError {
    let kind = match &error {
        Error::Connect { source, .. } => source.kind(),
        _ => ErrorKind::Other,
    };
    let what = format!("bridge {name} does not answer at {}", socket.display());
    match kind {
        ErrorKind::ConnectionRefused => PluginError::unavailable(
            format!("{what}: ovs-vswitchd does not run"),
            "start it with `systemctl start openvswitch-switch`",
        ),
        ErrorKind::PermissionDenied => {
            PluginError::unavailable(format!("{what}: permission denied"), "run it as root")
        }
        _ => PluginError::failed(format!("connect to bridge {name}"), error),
    }
}
