//! Whether a container runs: start, stop, restart.

use declaration::{ContainerName, Reconcile};
use reconcile::{Key, Note, Plan};
use serde_json::json;

use super::{Named, Subject, carry_out, preview, subject};
use crate::call::Call;
use crate::engine::{Changed, Host, Limits};
use crate::error::ToolError;
use crate::tool::{Domain, Tool};

/// What a container is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Start,
    Stop,
    Restart,
}

impl Way {
    fn tool(self) -> &'static str {
        match self {
            Self::Start => "container_start",
            Self::Stop => "container_stop",
            Self::Restart => "container_restart",
        }
    }

    /// Whether it runs in the end.
    fn runs(self) -> bool {
        self != Self::Stop
    }
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        tool(
            Way::Start,
            "Start a container",
            "Starts a container that is there and does not run.",
        )
        .says(&[
            "start container web-01",
            "boot web-01",
            "start web-01 and db-01",
        ]),
        tool(
            Way::Stop,
            "Stop a container",
            "Stops a container that runs; its data stays. One that is declared to run is started again by the \
             daemon: the plan says so.",
        )
        .says(&[
            "stop container web-01",
            "turn web-01 off",
            "shut down container web-01",
        ]),
        tool(
            Way::Restart,
            "Restart a container",
            "Stops a container that runs, for which it has 30 seconds before it is killed, and starts it again. One \
             that does not run is started. Data and address stay.",
        )
        .says(&[
            "restart container web-01",
            "reboot container web-01",
            "bounce web-01",
        ]),
    ]
}

fn tool(way: Way, title: &'static str, description: &'static str) -> Tool {
    Tool::write(
        Domain::Containers,
        way.tool(),
        title,
        description,
        move |call, input: Named| shown(call, &input.name, way),
        move |call, input: Named| switch(call, &input.name, way),
    )
    .binds()
    .example(json!({ "name": "web-01" }))
}

fn turn(host: &mut Host, name: &ContainerName, way: Way) -> Result<Subject, ToolError> {
    let subject = subject(host, name)?;
    match way {
        Way::Restart => host.restart(name)?,
        Way::Start | Way::Stop => host.set_running(name, way.runs())?,
    }
    Ok(subject)
}

/// The plan, with what will come of it where the declaration says otherwise.
fn shown(call: &Call<'_>, name: &ContainerName, way: Way) -> Result<Plan, ToolError> {
    let mut contradiction = None;
    let mut plan = preview(call, |host| {
        contradiction = contradicted(host, name, way);
        turn(host, name, way)
    })?;
    plan.notes.extend(contradiction.map(|text| Note {
        resource: Key::new("lxc", format!("container:{name}")),
        text,
    }));
    Ok(plan)
}

fn switch(call: &Call<'_>, name: &ContainerName, way: Way) -> Result<Changed, ToolError> {
    let mut contradiction = None;
    let changed = carry_out(call, way.tool(), &Limits::default(), |host| {
        contradiction = contradicted(host, name, way);
        turn(host, name, way)
    })?;
    if let Some(text) = contradiction {
        call.note(format!("{name}: {text}."));
    }
    Ok(changed)
}

/// What becomes of a container that its declaration wants otherwise than it is told, and what to do instead.
fn contradicted(host: &Host, name: &ContainerName, way: Way) -> Option<String> {
    let lxc = host.declaration.plugins.lxc.as_ref()?;
    let declared = lxc.containers.get(name)?.running;
    if !host.is_written(name) || declared == way.runs() {
        return None;
    }
    let (does, is) = match declared {
        true => ("starts", "stopped"),
        false => ("stops", "running"),
    };
    let who = match host.declaration.reconcile {
        Reconcile::Enforce => format!("the daemon {does} it again within seconds"),
        Reconcile::Observe => format!("the next apply {does} it again"),
    };
    Some(format!(
        "the declaration has `running: {declared}`, so {who}. To keep it {is}, declare `running: {}` and apply",
        way.runs(),
    ))
}
