//! Snapshots sent to another btrfs file system.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;

use declaration::Target;
use reconcile::{Change, Note, Plan, Verb};
use replication::{Name, Observer, Progress, Reach, Session, Ssh, Want};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::ToolError;
use crate::registry::bind;
use crate::replication::ended;
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Replicate {
    /// The target's name in the declaration.
    #[schemars(length(min = 1, max = 64))]
    target: String,
    /// This snapshot alone. Without it, all that are newer than the newest one that both ends have.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128))]
    snapshot: Option<String>,
}

/// What was sent.
#[derive(Serialize, JsonSchema)]
struct Replicated {
    /// `done`, or `unchanged` if there was nothing to send and to remove.
    outcome: &'static str,
    /// Each subvolume that was sent, in order.
    sent: Vec<Sent>,
    /// The snapshots that were removed there, since `keep` says so.
    removed: Vec<String>,
    /// The newest snapshot that both ends have.
    newest: Option<String>,
}

/// A subvolume that was sent, received and verified.
#[derive(Serialize, JsonSchema)]
struct Sent {
    /// The snapshot.
    snapshot: String,
    /// The subvolume.
    subvolume: String,
    /// The snapshot that the stream built on; none if the whole was sent.
    parent: Option<String>,
    /// Bytes of the stream.
    bytes: u64,
    /// How long it took with the verification at the far end, in milliseconds.
    duration_ms: u64,
    /// What the far end found in it.
    checked: Option<String>,
}

pub(super) fn tools() -> Vec<Tool> {
    vec![
        Tool::write(
            Domain::Replication,
            "replicate",
            "Send snapshots",
            "Sends snapshots to a declared target: a directory of another btrfs file system, here or on another host. \
             Each stream builds on the nearest snapshot that both ends have, is verified there, and appears there \
             whole or not at all. Then the oldest ones there are removed, if the declaration says how many are kept.",
            |call, input: Replicate| preview(call, &input),
            |call, input: Replicate| replicate(call, &input),
        )
.says(&["replicate to offsite", "send before-upgrade to offsite"])
        .binds()
        .example(json!({ "target": "offsite" }))
        .example(json!({ "target": "disk", "snapshot": "daily_2026-01-31" })),
    ]
}

/// A call as the transfer sees it.
struct Watched<'a, 'b> {
    call: &'a Call<'b>,
    /// Why it was stopped: a transfer knows only that it was.
    stopped: Mutex<Option<ToolError>>,
}

impl Observer for Watched<'_, '_> {
    fn go_on(&self) -> replication::Result<()> {
        self.call.check().map_err(|error| {
            if let Ok(mut stopped) = self.stopped.lock() {
                *stopped = Some(error);
            }
            replication::Error::Stopped
        })
    }

    fn progress(&self, progress: &Progress<'_>) {
        let mut text = format!("{}/{}: ", progress.snapshot, progress.subvolume);
        text.push_str(&size(progress.bytes));
        if let Some(total) = progress.total {
            text.push_str(&format!(" of about {}", size(total)));
        }
        text.push_str(&format!(", {}/s", size(progress.rate)));
        if let Some(left) = progress.left() {
            text.push_str(&format!(", about {} s left", left.as_secs()));
        }
        let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let total = progress.total.map_or(0, count);
        self.call.progress(text, count(progress.bytes), total);
    }
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0..MIB => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

impl<'a, 'b> Watched<'a, 'b> {
    fn new(call: &'a Call<'b>) -> Self {
        Self {
            call,
            stopped: Mutex::new(None),
        }
    }

    fn told(&self, error: replication::Error) -> ToolError {
        use replication::Error as E;
        let stopped = self.stopped.lock().ok().and_then(|mut it| it.take());
        match error {
            E::Stopped => stopped.unwrap_or(ToolError::Cancelled),
            E::NotFound(text) => ToolError::NotFound(text),
            E::Refused(text) => ToolError::Failed(text),
            E::Unreachable(_) => ToolError::Unavailable(error.to_string()),
            other => ToolError::Failed(other.to_string()),
        }
    }
}

/// Everything that a transfer to a target needs.
struct Job {
    target: Target,
    reach: Reach,
    want: Want,
}

impl Job {
    fn of(call: &Call<'_>, input: &Replicate) -> Result<Self, ToolError> {
        if !rustix::process::geteuid().is_root() {
            return Err(ToolError::Refused(
                "snapshots are sent with root's rights: run it with sudo, or start the daemon"
                    .to_owned(),
            ));
        }
        let declaration = call.site.declaration_if_any()?;
        let targets = &declaration.replication.targets;
        let found = targets
            .iter()
            .find(|(name, _)| name.as_str() == input.target);
        let Some((_, target)) = found else {
            let names: Vec<_> = targets.keys().map(|name| name.as_str()).collect();
            return Err(ToolError::NotFound(match names.is_empty() {
                true => {
                    "no targets are declared: `replication.targets` of the declaration has them"
                        .to_owned()
                }
                false => format!(
                    "there is no target `{}` in the declaration; it has {}",
                    input.target,
                    names.join(", ")
                ),
            }));
        };
        let names = |text: &str| text.parse::<Name>();
        let invalid = |error: replication::NameError| ToolError::Invalid(error.to_string());
        let only = input.snapshot.as_deref().map(names).transpose();
        let subvolumes = target.subvolumes.iter().map(|name| names(name.as_str()));
        let want = Want {
            only: only.map_err(invalid)?,
            subvolumes: subvolumes.collect::<Result<_, _>>().map_err(invalid)?,
            keep: target.keep,
        };
        Ok(Self {
            reach: reach(target, &call.site.paths()?.snapshots())?,
            target: target.clone(),
            want,
        })
    }

    fn plan(
        &self,
        snapshots: &Path,
        session: &Session<'_>,
    ) -> replication::Result<replication::Plan> {
        replication::plan(
            &replication::snapshots(snapshots)?,
            session.held(),
            &self.want,
        )
    }
}

fn reach(target: &Target, snapshots: &Path) -> Result<Reach, ToolError> {
    if let Some(ssh) = &target.ssh {
        return Ok(Reach::There {
            ssh: Ssh {
                host: ssh.host.clone(),
                user: ssh.user.to_string(),
                port: ssh.port,
                identity_file: ssh.identity_file.clone(),
                known_hosts_file: ssh.known_hosts_file.clone(),
            },
            path: target.path.clone(),
        });
    }
    let source = |path: &Path| btrfs::mounts::holding(path).ok().flatten();
    let (ours, far) = (source(snapshots), source(&target.path));
    if far.is_some() && ours.map(|it| it.source) == far.map(|it| it.source) {
        return Err(ToolError::Failed(format!(
            "{} is on the file system of the base, and would be lost with it: is the other one mounted?",
            target.path.display()
        )));
    }
    // This very program, even where another one has taken its name since.
    let program = OsString::from("/proc/self/exe");
    Ok(Reach::Here {
        program: vec![program, OsString::from("receive")],
        path: target.path.clone(),
    })
}

fn preview(call: &Call<'_>, input: &Replicate) -> Result<Plan, ToolError> {
    let job = Job::of(call, input)?;
    let watched = Watched::new(call);
    let snapshots = call.site.paths()?.snapshots();
    let plan = Session::open(&job.reach, &watched).and_then(|it| job.plan(&snapshots, &it));
    let plan = plan.map_err(|error| watched.told(error))?;
    Ok(shown(input, &plan))
}

fn shown(input: &Replicate, plan: &replication::Plan) -> Plan {
    let mut changes = Vec::new();
    for step in &plan.steps {
        for transfer in &step.transfers {
            let parent = transfer.parent.as_ref().map(|(name, ..)| name.as_str());
            changes.push(Change::new(
                "replication",
                format!("{}:{}/{}", input.target, step.snapshot, transfer.subvolume),
                Verb::Create,
                Value::Null,
                json!({ "uuid": transfer.identity.to_string(), "builds_on": parent }),
            ));
        }
    }
    Plan {
        changes,
        notes: Vec::<Note>::new(),
    }
}

fn replicate(call: &Call<'_>, input: &Replicate) -> Result<Replicated, ToolError> {
    let job = Job::of(call, input)?;
    let paths = call.site.paths()?;
    call.site.can_record(false)?;
    let result = transfer(call, input, &job);
    match &result {
        // What the caller took back says nothing about the target.
        Err(ToolError::Cancelled | ToolError::PlanChanged { .. }) => {}
        Err(error) => ended(&paths, &input.target, Err(error))?,
        Ok(done) => ended(&paths, &input.target, Ok(done.newest.clone()))?,
    }
    result
}

fn transfer(call: &Call<'_>, input: &Replicate, job: &Job) -> Result<Replicated, ToolError> {
    let watched = Watched::new(call);
    let told = |error| watched.told(error);
    let snapshots = call.site.paths()?.snapshots();
    let mut session = Session::open(&job.reach, &watched).map_err(told)?;
    let plan = job.plan(&snapshots, &session).map_err(told)?;
    if call.options.plan.is_some() {
        bind(call.options.plan.as_deref(), &shown(input, &plan).hash())?;
    }
    let mut sent = Vec::new();
    for step in &plan.steps {
        let done = session.send(&snapshots, step).map_err(told)?;
        sent.extend(done.into_iter().map(|done| Sent {
            snapshot: step.snapshot.to_string(),
            subvolume: done.subvolume.to_string(),
            parent: done.parent.map(|name| name.to_string()),
            bytes: done.bytes,
            duration_ms: u64::try_from(done.time.as_millis()).unwrap_or(u64::MAX),
            checked: done.checked,
        }));
        call.note(format!("{} is there, whole", step.snapshot));
    }
    let removed = match job.target.keep {
        Some(keep) => {
            let spare = plan.common.iter().cloned().collect();
            session.prune(keep, spare).map_err(told)?
        }
        None => Vec::new(),
    };
    Ok(Replicated {
        outcome: match sent.is_empty() && removed.is_empty() {
            true => "unchanged",
            false => "done",
        },
        sent,
        removed: removed.iter().map(Name::to_string).collect(),
        newest: plan.common.map(|name| name.to_string()),
    })
}
