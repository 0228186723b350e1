//! Containers: create, list, show, start, stop, restart, destroy. Thin sentences over plan and apply.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use declaration::{BridgeName, Container, ContainerName, Network, Size, TemplateName};
use ipnet::IpNet;
use reconcile::{Change, Key, Observed, Plan, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kept::kept_anew;
use super::program::{self, Finished};
use crate::call::Call;
use crate::caller::Role;
use crate::engine::host::no_container;
use crate::engine::{Changed, Host, Limits, Session};
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::tool::{Domain, Tool};

/// How many seconds a command may run in a container where the caller does not say.
const EXEC_LIMIT: u64 = 60;

/// One container.
#[derive(Clone, Deserialize, JsonSchema)]
struct Named {
    /// Its name.
    #[schemars(with = "String")]
    name: ContainerName,
}

#[derive(Clone, Deserialize, JsonSchema)]
struct Create {
    /// Its name: small letters, digits and `-`, at most 63 characters.
    #[schemars(with = "String")]
    name: ContainerName,
    /// The template that it is made from; the declaration's only one if there is one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    template: Option<TemplateName>,
    /// How it is reached.
    #[serde(default)]
    network: Reached,
    /// The bridge; the declaration's only one if there is one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    bridge: Option<BridgeName>,
    /// Its address with prefix length, such as 10.0.0.11/24.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    address: Option<IpNet>,
    /// Its default gateway.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    gateway: Option<IpAddr>,
    /// CPU cores, 1 to 8192.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 8192))]
    cores: u32,
    /// Memory: MiB, or a text with a unit such as `2GiB`.
    #[serde(default = "memory")]
    #[schemars(with = "Amount")]
    memory: Size,
    /// Swap: MiB, or a text with a unit.
    #[serde(default = "swap")]
    #[schemars(with = "Amount")]
    swap: Size,
    /// Run it with the host's user ids; takes the role admin.
    #[serde(default)]
    privileged: bool,
    /// Make it, but do not start it.
    #[serde(default)]
    stopped: bool,
}

/// A size as it may be written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Amount {
    Mib(u64),
    Text(String),
}

fn two() -> u32 {
    2
}

fn memory() -> Size {
    Size::from_mib(2048)
}

fn swap() -> Size {
    Size::from_mib(512)
}

/// How a container is reached.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Reached {
    /// By the bridge, and by the sockets of the containers on this host.
    #[default]
    Socket,
    /// By the mesh.
    Mesh,
    /// Not at all.
    None,
}

impl From<Reached> for Network {
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Socket => Self::Socket,
            Reached::Mesh => Self::Mesh,
            Reached::None => Self::None,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Exec {
    /// The container's name.
    #[schemars(with = "String")]
    name: ContainerName,
    /// The program and its arguments.
    #[schemars(length(min = 1, max = 1000))]
    command: Vec<String>,
    /// How many seconds it may run, 1 to 600; 60 if not given. After that it is killed.
    #[serde(default)]
    #[schemars(range(min = 1, max = 600))]
    timeout_seconds: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
struct Listed {
    /// The containers, by name.
    containers: Vec<Item>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One of the containers there are.
#[derive(Serialize, JsonSchema)]
struct Item {
    /// Its name.
    name: String,
    /// `command` or `declaration`.
    made_by: &'static str,
    /// How it is: running or not, template, network, address, limits.
    state: Value,
}

/// One container, whole.
#[derive(Serialize, JsonSchema)]
struct Whole {
    /// Its name.
    name: String,
    /// How it is.
    state: Value,
    /// How it should be; null where nothing declares it.
    declared: Value,
    /// The host's end of its link.
    port: Option<String>,
    /// Where it lies.
    directory: String,
    /// What it uses now; null where it does not run.
    uses: Option<Uses>,
}

/// What a container that runs uses; null where the kernel does not count it.
#[derive(Serialize, JsonSchema)]
struct Uses {
    /// Memory, with what holds its files, in bytes.
    memory_bytes: Option<u64>,
    /// Time of all processors since its start, in seconds.
    cpu_seconds: Option<f64>,
    /// Processes and threads.
    tasks: Option<u64>,
}

impl From<plugins::lxc::Usage> for Uses {
    fn from(usage: plugins::lxc::Usage) -> Self {
        Self {
            memory_bytes: usage.memory,
            cpu_seconds: usage.processor.map(|time| time.as_secs_f64()),
            tasks: usage.tasks,
        }
    }
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::Containers;
    let mut tools = vec![
        Tool::read(
            domain,
            "container_list",
            "List containers",
            "Lists the containers of this host, with their state as LXC has it.",
            list,
        )
.says(&["show me all containers", "list containers", "which containers are running?", "how many containers are there?"])
        .example(json!({})),
        Tool::read(
            domain,
            "container_show",
            "Show a container",
            "Shows one container: how it is, how it is declared, its port, its directory, and what memory and processor \
             time it uses.",
            show,
        )
.says(&["show container web-01", "how is web-01 doing?", "details of container web-01", "how much memory does web-01 use?"])
        .example(json!({ "name": "web-01" })),
        Tool::write(
            domain,
            "container_create",
            "Create a container",
            "Makes a container from a template and starts it.",
            |call, input: Create| {
                may_be_privileged(call, &input)?;
                preview(call, |host| create(host, &input))
            },
            |call, input: Create| {
                may_be_privileged(call, &input)?;
                carry_out(call, "container_create", &Limits::default(), |host| {
                    create(host, &input)
                })
            },
        )
.says(&["create container web-01 with socket networking", "create debian container named db-01 with netmaker mesh", "create three containers named web-1 to web-3", "create container web-01 from debian-base with 4 GB memory and 2 cores", "create container web-01 at address 10.0.0.11/24"])
        .binds()
        .example(json!({ "name": "web-01", "template": "debian-base", "address": "10.0.0.11/24" })),
        Tool::write(
            domain,
            "container_exec",
            "Run a command in a container",
            "Runs a program in a container that runs, as its root, with nothing to read. There is no shell but one \
             that is named. Gives its exit status and what it wrote.",
            exec_preview,
            exec,
        )
.says(&["run uname -r in web-01", "exec df -h in container web-01"])
        .for_role(Role::Admin)
        .example(json!({ "name": "web-01", "command": ["uname", "-r"] })),
        Tool::destroy(
            domain,
            "container_destroy",
            "Destroy a container",
            "Removes a container that was made by command, and all its data. One that the declaration has is \
             taken out there.",
            |call, input: Named| preview(call, |host| destroy(host, &input.name)),
            |call, input: Named| {
                let limits = Limits {
                    allow_destroy: true,
                    ..Limits::default()
                };
                carry_out(call, "container_destroy", &limits, |host| {
                    destroy(host, &input.name)
                })
            },
        )
.says(&["destroy container web-01", "delete container web-01", "get rid of container web-01"])
        .binds()
        .example(json!({ "name": "web-01" })),
    ];
    tools.extend(running::tools());
    tools
}

/// The container that a call is about, as it is or will be declared.
type Subject = (ContainerName, Container);

/// The resources of one container: itself, its port, and the flows of its bridge, which change with it.
fn resources(plan: &Plan, (name, container): &Subject) -> BTreeSet<Key> {
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

/// The plan of a call that alters what is declared in memory.
fn preview(
    call: &Call<'_>,
    alter: impl FnOnce(&mut Host) -> Result<Subject, ToolError>,
) -> Result<Plan, ToolError> {
    let mut host = Host::new(&*call.site.declaration_if_any()?)?;
    let before = host.by_command.clone();
    let subject = alter(&mut host)?;
    let plan = reconcile::plan(&host.plugins)?;
    let wanted = resources(&plan, &subject);
    let mut plan = plan.only(&wanted);
    if plan.is_empty() {
        plan.changes = kept_anew(&before, &host.by_command);
    }
    Ok(plan)
}

/// Applies what concerns one container; keeps the list of containers made by command only if that works.
fn carry_out(
    call: &Call<'_>,
    command: &str,
    limits: &Limits,
    alter: impl FnOnce(&mut Host) -> Result<Subject, ToolError>,
) -> Result<Changed, ToolError> {
    let mut session = Session::open(call, &*call.site.declaration_if_any()?, command)?;
    let before = session.host.by_command.clone();
    let subject = alter(&mut session.host)?;
    // Written first: after a crash in between the next apply makes the container.
    let kept = session.host.by_command != before;
    if kept {
        session.host.save_by_command()?;
    }
    let limits = Limits {
        beside: kept_anew(&before, &session.host.by_command),
        ..limits.clone()
    };
    let changed = session.change(Some(&|plan| resources(plan, &subject)), &limits);
    if changed.is_err() && kept {
        session.host.set_by_command(before)?;
        session.host.save_by_command()?;
    }
    changed
}

/// Root of a container with the host's user ids is root of the host for whoever finds a way out.
fn may_be_privileged(call: &Call<'_>, input: &Create) -> Result<(), ToolError> {
    match input.privileged && call.caller.role < Some(Role::Admin) {
        true => Err(ToolError::Refused(format!(
            "a container with the host's user ids takes the role {}",
            Role::Admin
        ))),
        false => Ok(()),
    }
}

fn create(host: &mut Host, input: &Create) -> Result<Subject, ToolError> {
    let name = &input.name;
    if host.is_written(name) || host.by_command.contains_key(name) {
        return Err(ToolError::Refused(format!(
            "there is a container `{name}` already; `op-dbus container show {name}` shows it"
        )));
    }
    let template = match &input.template {
        Some(template) => template.clone(),
        None => only_template(host)?,
    };
    let container = Container {
        template,
        network: input.network.into(),
        running: !input.stopped,
        bridge: input.bridge.clone(),
        address: input.address,
        gateway: input.gateway,
        cores: input.cores,
        memory: input.memory,
        swap: input.swap,
        unprivileged: !input.privileged,
        autostart: true,
        after: Vec::new(),
        adopt: false,
    };
    let mut by_command = host.by_command.clone();
    by_command.insert(name.clone(), container);
    host.set_by_command(by_command)?;
    // As the whole declaration has it: with its bridge, if there is only one.
    subject(host, name)
}

/// The template of a container for which none is named.
fn only_template(host: &Host) -> Result<TemplateName, ToolError> {
    let lxc = host.declaration.plugins.lxc.as_ref();
    let names: Vec<_> = lxc.iter().flat_map(|lxc| lxc.templates.keys()).collect();
    match names[..] {
        [only] => Ok(only.clone()),
        [] => Err(ToolError::Invalid(
            "no template is declared that a container could be made from".to_owned(),
        )),
        _ => {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            Err(ToolError::Invalid(format!(
                "say which template it is made from: there are {}",
                names.join(", ")
            )))
        }
    }
}

fn destroy(host: &mut Host, name: &ContainerName) -> Result<Subject, ToolError> {
    if host.is_written(name) {
        return Err(ToolError::Refused(format!(
            "the declaration has `{name}`: take it out there, then run `op-dbus apply --allow-destroy`"
        )));
    }
    if !host.by_command.contains_key(name) {
        return Err(no_container(name));
    }
    let subject = subject(host, name)?;
    let mut by_command = host.by_command.clone();
    by_command.remove(name);
    host.set_by_command(by_command)?;
    Ok(subject)
}

fn find(host: &Host, name: &ContainerName) -> Option<Container> {
    let lxc = host.declaration.plugins.lxc.as_ref()?;
    lxc.containers.get(name).cloned()
}

fn subject(host: &Host, name: &ContainerName) -> Result<Subject, ToolError> {
    let container = find(host, name).ok_or_else(|| no_container(name))?;
    Ok((name.clone(), container))
}

/// What LXC has, by container.
fn observed(host: &Host) -> Result<BTreeMap<String, Observed>, ToolError> {
    let lxc = plugins::all(&host.declaration)
        .into_iter()
        .find(|plugin| plugin.name() == "lxc")
        .map(|plugin| plugin.observe());
    let seen = lxc.transpose()?.unwrap_or_default();
    let containers = seen.into_iter().filter_map(|(resource, observed)| {
        Some((resource.strip_prefix("container:")?.to_owned(), observed))
    });
    Ok(containers.collect())
}

fn list(call: &Call<'_>, cut: Page) -> Result<Listed, ToolError> {
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    let origin = |name: &str| match host.by_command.keys().any(|key| key.as_str() == name) {
        true => "command",
        false => "declaration",
    };
    let items = observed(&host)?
        .into_iter()
        .map(|(name, seen)| Item {
            made_by: origin(&name),
            name,
            state: seen.state,
        })
        .collect();
    let (containers, next_cursor) = page(items, &cut)?;
    Ok(Listed {
        containers,
        next_cursor,
    })
}

fn show(call: &Call<'_>, input: Named) -> Result<Whole, ToolError> {
    let name = &input.name;
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    let Some(seen) = observed(&host)?.remove(name.as_str()) else {
        return Err(no_container(name));
    };
    let declared = find(&host, name);
    let port = declared.as_ref().and_then(|it| name.port(it.network));
    let directory = host.paths.base.join("@containers").join(name.as_str());
    // It may end in between.
    let uses = match seen.state["running"] == json!(true) {
        true => plugins::lxc::usage(&host.paths.base, name),
        false => None,
    };
    Ok(Whole {
        name: name.to_string(),
        state: seen.state,
        declared: json!(declared),
        port: port.map(|port| port.to_string()),
        directory: directory.display().to_string(),
        uses: uses.map(Into::into),
    })
}

fn exec_preview(call: &Call<'_>, input: Exec) -> Result<Plan, ToolError> {
    let whole = show(
        call,
        Named {
            name: input.name.clone(),
        },
    )?;
    Ok(Plan {
        changes: vec![Change::new(
            "lxc",
            format!("container:{}", input.name),
            Verb::Update,
            whole.state,
            json!({ "command": input.command }),
        )],
        notes: Vec::new(),
    })
}

fn exec(call: &Call<'_>, input: Exec) -> Result<Finished, ToolError> {
    let host = Host::new(&*call.site.declaration_if_any()?)?;
    let Some(seen) = observed(&host)?.remove(input.name.as_str()) else {
        return Err(no_container(&input.name));
    };
    if seen.state["running"] != json!(true) {
        let name = &input.name;
        return Err(ToolError::Refused(format!(
            "container `{name}` does not run: `op-dbus container start {name}` starts it"
        )));
    }
    let command = plugins::lxc::attach_command(&host.paths.base, &input.name, &input.command);
    let limit = Duration::from_secs(input.timeout_seconds.unwrap_or(EXEC_LIMIT));
    program::run(call, input.name.as_str(), command, limit)
}
