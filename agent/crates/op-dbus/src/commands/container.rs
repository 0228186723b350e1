//! container: thin sentences over plan, apply and the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;

use declaration::{Container, ContainerName};
use reconcile::{Change, Key, Observed, Plan};
use serde_json::{Value, json};

use super::apply::report;
use crate::actor::actor;
use crate::change::Session;
use crate::cli::{self, Apply, Cli};
use crate::failure::Failure;
use crate::host::{Host, no_container, read_declaration_if_any};
use crate::screen::{Screen, table};
use crate::witness::LedgerWitness;

pub(super) fn run(cli: &Cli, screen: &Screen, command: &cli::Container) -> Result<u8, Failure> {
    match command {
        cli::Container::Create(create) => make(cli, screen, create),
        cli::Container::List => list(cli, screen),
        cli::Container::Show { name } => show(cli, screen, name),
        cli::Container::Start { name } => set_running(cli, screen, name, true),
        cli::Container::Stop { name } => set_running(cli, screen, name, false),
        cli::Container::Exec { name, command } => exec(cli, name, command),
        cli::Container::Destroy { name } => destroy(cli, screen, name),
    }
}

/// LXC's hook; see the lxc plugin for what it prepares.
pub(super) fn started(arguments: &[String]) -> Result<u8, Failure> {
    plugins::lxc::container_started(arguments).map_err(anyhow::Error::new)?;
    Ok(0)
}

/// The resources of one container: itself, its port, and the flows of its bridge, which change with it.
fn resources(plan: &Plan, name: &ContainerName, container: &Container) -> BTreeSet<Key> {
    let mut keys = BTreeSet::from([Key::new("lxc", format!("container:{name}"))]);
    if let (Some(bridge), Some(port)) = (&container.bridge, name.port(container.network)) {
        keys.insert(Key::new("ovs", format!("port:{port}")));
        let of_bridge = format!("{bridge}/");
        let flows = plan.changes.iter().filter(|change| {
            change.plugin == "openflow" && change.resource.starts_with(&of_bridge)
        });
        keys.extend(flows.map(Change::key));
    }
    keys
}

fn make(cli: &Cli, screen: &Screen, create: &cli::Create) -> Result<u8, Failure> {
    let mut session = Session::open(read_declaration_if_any(cli)?, screen, "container_create")?;
    let name = &create.name;
    let refuse = |session: &Session<'_>, text: String| {
        let witness = LedgerWitness::new(&session.host.paths, screen);
        witness.refused("container_create", name.as_str(), &actor(), &text);
        Err(Failure::Refused(text))
    };
    if session.host.is_written(name) || session.host.by_command.contains_key(name) {
        let text = format!(
            "there is a container `{name}` already; `op-dbus container show {name}` shows it"
        );
        return refuse(&session, text);
    }
    let before = session.host.by_command.clone();
    let mut by_command = before.clone();
    let container = Container {
        template: create.template.clone(),
        network: create.network.into(),
        running: !create.stopped,
        bridge: create.bridge.clone(),
        address: create.address,
        gateway: create.gateway,
        cores: create.cores,
        memory: create.memory,
        swap: create.swap,
        unprivileged: !create.privileged,
        autostart: true,
        after: Vec::new(),
        adopt: false,
    };
    by_command.insert(name.clone(), container);
    session.host.set_by_command(by_command)?;
    // As the whole declaration has it: with its bridge, if there is only one.
    let container = find(&session.host, name).ok_or_else(|| no_container(name))?;
    let options = Apply::default();
    with_containers(screen, session, before, (name, &container), &options)
}

/// Applies what concerns one container; keeps the list of containers made by command only if that works.
fn with_containers(
    screen: &Screen,
    mut session: Session<'_>,
    before: BTreeMap<ContainerName, Container>,
    (name, container): (&ContainerName, &Container),
    options: &Apply,
) -> Result<u8, Failure> {
    // Written first: after a crash in between the next apply makes the container.
    let kept = session.host.by_command != before;
    if kept {
        session.host.save_by_command()?;
    }
    let changed = session.change(Some(&|plan| resources(plan, name, container)), options);
    let failed = !matches!(&changed, Ok(changed) if changed.succeeded());
    if failed && kept {
        session.host.set_by_command(before)?;
        session.host.save_by_command()?;
    }
    let changed = changed?;
    Ok(report(screen, &changed))
}

fn find(host: &Host, name: &ContainerName) -> Option<Container> {
    let lxc = host.declaration.plugins.lxc.as_ref()?;
    lxc.containers.get(name).cloned()
}

fn set_running(
    cli: &Cli,
    screen: &Screen,
    name: &ContainerName,
    running: bool,
) -> Result<u8, Failure> {
    let verb = if running {
        "container_start"
    } else {
        "container_stop"
    };
    let mut session = Session::open(read_declaration_if_any(cli)?, screen, verb)?;
    let before = session.host.by_command.clone();
    let declared = session.host.is_written(name);
    let container = find(&session.host, name).ok_or_else(|| no_container(name))?;
    let contradicts = declared && container.running != running;
    session.host.set_running(name, running)?;
    let options = Apply::default();
    let status = with_containers(screen, session, before, (name, &container), &options)?;
    if contradicts && status == 0 {
        screen.say(&format!(
            "The declaration says `running: {}` for {name}: the next apply follows it again.",
            !running
        ));
    }
    Ok(status)
}

fn destroy(cli: &Cli, screen: &Screen, name: &ContainerName) -> Result<u8, Failure> {
    let mut session = Session::open(read_declaration_if_any(cli)?, screen, "container_destroy")?;
    let witness = LedgerWitness::new(&session.host.paths, screen);
    let refuse = |text: String| {
        witness.refused("container_destroy", name.as_str(), &actor(), &text);
        Err(Failure::Refused(text))
    };
    if session.host.is_written(name) {
        return refuse(format!(
            "the declaration has `{name}`: take it out there, then run `op-dbus apply --allow-destroy`"
        ));
    }
    let made = session.host.by_command.contains_key(name);
    let Some(container) = find(&session.host, name).filter(|_| made) else {
        return Err(no_container(name));
    };
    if !screen.agrees(&format!("Remove container {name} and all its data?")) {
        return refuse(format!(
            "removing {name} loses its data and was not confirmed; --yes confirms it"
        ));
    }
    let before = session.host.by_command.clone();
    let mut by_command = before.clone();
    by_command.remove(name);
    session.host.set_by_command(by_command)?;
    let options = Apply {
        allow_destroy: true,
        ..Apply::default()
    };
    with_containers(screen, session, before, (name, &container), &options)
}

/// What LXC has of one container, or of all.
fn observed(host: &Host) -> Result<Vec<(String, Observed)>, Failure> {
    let lxc = plugins::all(&host.declaration)
        .into_iter()
        .find(|plugin| plugin.name() == "lxc")
        .map(|plugin| plugin.observe());
    let seen = lxc
        .transpose()
        .map_err(anyhow::Error::new)?
        .unwrap_or_default();
    let containers = seen.into_iter().filter_map(|(resource, observed)| {
        Some((resource.strip_prefix("container:")?.to_owned(), observed))
    });
    Ok(containers.collect())
}

fn list(cli: &Cli, screen: &Screen) -> Result<u8, Failure> {
    let host = Host::new(read_declaration_if_any(cli)?)?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let seen = observed(&host)?;
    let origin = |name: &str| match host.by_command.keys().any(|key| key.as_str() == name) {
        true => "command",
        false => "declaration",
    };
    let entries: Vec<_> = seen
        .iter()
        .map(|(name, seen)| json!({ "name": name, "made_by": origin(name), "state": seen.state }))
        .collect();
    screen.result(&json!({ "containers": entries }), || {
        let row = |(name, seen): &(String, Observed)| {
            let state = &seen.state;
            vec![
                name.clone(),
                match state["running"].as_bool() {
                    Some(true) => "running",
                    _ => "stopped",
                }
                .to_owned(),
                text(&state["template"]),
                text(&state["network"]),
                text(&state["address"]),
                origin(name).to_owned(),
            ]
        };
        let rows: Vec<_> = seen.iter().map(row).collect();
        table(
            &["NAME", "STATE", "TEMPLATE", "NETWORK", "ADDRESS", "MADE BY"],
            &rows,
        )
    });
    Ok(0)
}

fn show(cli: &Cli, screen: &Screen, name: &ContainerName) -> Result<u8, Failure> {
    let host = Host::new(read_declaration_if_any(cli)?)?;
    let seen = observed(&host)?;
    let Some((_, seen)) = seen.into_iter().find(|(found, _)| found == name.as_str()) else {
        return Err(no_container(name));
    };
    let declared = find(&host, name);
    let port = declared.as_ref().and_then(|it| name.port(it.network));
    let result = json!({
        "name": name,
        "state": seen.state,
        "declared": declared,
        "port": port.map(|port| port.to_string()),
        "directory": host.paths.base.join("@containers").join(name.as_str()),
    });
    screen.result(&result, || {
        let lines = result["state"].as_object().into_iter().flatten();
        let mut rows: Vec<_> = lines
            .map(|(key, value)| vec![key.clone(), value.to_string()])
            .collect();
        rows.push(vec!["port".to_owned(), result["port"].to_string()]);
        rows.push(vec![
            "directory".to_owned(),
            result["directory"].to_string(),
        ]);
        table(&["CONTAINER", name.as_str()], &rows)
    });
    Ok(0)
}

fn exec(cli: &Cli, name: &ContainerName, command: &[String]) -> Result<u8, Failure> {
    let host = Host::new(read_declaration_if_any(cli)?)?;
    if !observed(&host)?
        .iter()
        .any(|(found, _)| found == name.as_str())
    {
        return Err(no_container(name));
    }
    let error = plugins::lxc::attach_command(&host.paths.base, name, command).exec();
    Err(anyhow::Error::new(error).context("run lxc-attach").into())
}
