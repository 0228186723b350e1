//! The declared state: plan, apply, confirm, roll back, verify, query, status.

use std::collections::BTreeMap;
use std::time::Duration;

use declaration::Declaration;
use reconcile::{
    Change, Drift, Journal, Key, Note, Owner, Plan, PlanHash, RunLock, Stage, Story, Summary,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Call;
use crate::engine::mark;
use crate::engine::{Changed, Host, LedgerWitness, Limits, Session};
use crate::error::ToolError;
use crate::page::{Page, page};
use crate::replication::{self, Standing};
use crate::tool::{Domain, Tool};

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// What apply would change.
#[derive(Serialize, JsonSchema)]
struct Shown {
    /// Binds apply to this very plan.
    plan_hash: PlanHash,
    /// The changes, in order.
    changes: Vec<Change>,
    /// What people should know besides.
    notes: Vec<Note>,
    /// How many changes of each kind.
    summary: Summary,
}

impl From<Plan> for Shown {
    fn from(plan: Plan) -> Self {
        Self {
            plan_hash: plan.hash(),
            summary: plan.summary(),
            changes: plan.changes,
            notes: plan.notes,
        }
    }
}

#[derive(Default, Deserialize, JsonSchema)]
struct Apply {
    /// Allow changes that destroy data. Takes the role admin, and the plan's hash.
    #[serde(default)]
    allow_destroy: bool,
    /// Undo the changes unless they are confirmed within so many seconds; 0 for no window. Without it, changes
    /// of the management path get 60.
    #[serde(default)]
    #[schemars(range(max = 86400))]
    confirm_s: Option<u64>,
    /// Nobody is there who could confirm: no window while the machine starts.
    #[serde(default)]
    unattended: bool,
    /// Leave alone what would destroy data or touch the management path.
    #[serde(default)]
    careful: bool,
    /// Resources that are left alone, such as `lxc/container:web-01`.
    #[serde(default)]
    except: Vec<String>,
}

/// How a run was ended that waited to be confirmed.
#[derive(Serialize, JsonSchema)]
struct Settled {
    /// The run's id.
    run: String,
    /// `applied`.
    outcome: &'static str,
    /// How long that took, in milliseconds.
    duration_ms: u64,
}

/// Whether the host is in its declared state.
#[derive(Serialize, JsonSchema)]
struct Verified {
    /// It is.
    converged: bool,
    /// What is not as it should be.
    drift: Vec<Drift>,
    /// What people should know besides.
    notes: Vec<Note>,
}

#[derive(Deserialize, JsonSchema)]
struct Query {
    /// One plugin, such as `btrfs` or `lxc`, or what it looks after, such as `containers`; all without it.
    #[serde(default)]
    plugin: Option<String>,
    #[serde(flatten)]
    page: Page,
}

/// What the host has.
#[derive(Serialize, JsonSchema)]
struct Queried {
    /// By plugin, then by resource: whose it is and how it is. A plugin that cannot look says why.
    plugins: BTreeMap<String, Value>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Where the host stands.
#[derive(Serialize, JsonSchema)]
struct Status {
    /// The declaration's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    declaration: Option<String>,
    /// The base directory.
    base: String,
    /// What is done about drift.
    reconcile: String,
    /// When the host was last seen in its declared state, and by which run.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Value>,
    /// A run that waits to be confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting: Option<Awaiting>,
    /// How the last transfer to each target of replication ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    replication: BTreeMap<String, Standing>,
}

/// A run that waits to be confirmed.
#[derive(Serialize, JsonSchema)]
struct Awaiting {
    /// The run's id.
    run: String,
    /// When it is undone, in milliseconds since 1970-01-01 UTC.
    deadline_ms: u64,
}

pub(super) fn tools() -> Vec<Tool> {
    let domain = Domain::State;
    vec![
        Tool::read(
            domain,
            "state_plan",
            "Plan",
            "Says what apply would change to bring the host to its declared state, in order, and changes nothing.",
            |call, Nothing {}| Ok(Shown::from(plan(call)?)),
        )
.says(&["show the plan", "what would apply change?", "preview the changes", "what is to be done?"])
        .example(json!({})),
        Tool::write(
            domain,
            "state_apply",
            "Apply",
            "Brings the host to its declared state: all changes, or none if one fails. Changes of the management \
             path are undone unless they are confirmed with state_confirm in time.",
            |call, _: Apply| plan(call),
            apply,
        )
.says(&["apply the declared state", "apply the pending changes", "bring the host to its declared state"])
        .binds()
        .example(json!({}))
        .example(json!({ "confirm_s": 120 })),
        Tool::write(
            domain,
            "state_confirm",
            "Confirm",
            "Keeps the changes of the run that waits to be confirmed.",
            |call, Nothing {}| awaiting_plan(call),
            |call, Nothing {}| confirm(call),
        )
.says(&["confirm the changes", "keep the changes", "confirm the last run"])
        .example(json!({})),
        Tool::read(
            domain,
            "state_verify",
            "Verify",
            "Reads the system again and says whether it is in its declared state, and what is not.",
            |call, Nothing {}| verify(call),
        )
.says(&["is there any drift?", "verify the host", "does the host match its declaration?"])
        .example(json!({})),
        Tool::read(
            domain,
            "state_query",
            "Query",
            "Says what the host has of everything that plugins look after: whose each resource is, and its state.",
            query,
        )
.says(&["query the state", "query the state of plugin lxc"])
        .example(json!({ "plugin": "lxc" })),
        Tool::read(
            domain,
            "state_status",
            "Status",
            "Says which declaration the host follows, when it was last seen in its declared state, and whether a \
             run waits to be confirmed.",
            |call, Nothing {}| status(call),
        )
.says(&["status", "is everything ok?", "how is the host's state?"])
        .example(json!({})),
    ]
}

fn plan(call: &Call<'_>) -> Result<Plan, ToolError> {
    let host = Host::new(&*call.site.declaration()?)?;
    Ok(reconcile::plan(&host.plugins)?)
}

fn apply(call: &Call<'_>, input: Apply) -> Result<Changed, ToolError> {
    let except: Result<_, _> = input.except.iter().map(|key| key.parse::<Key>()).collect();
    let except = except.map_err(|error| ToolError::Invalid(error.to_string()))?;
    let written = call.site.declaration()?;
    let session = Session::open(call, &written, "apply")?;
    still_wanted(call, &written, &session.host, input.careful)?;
    let limits = Limits {
        allow_destroy: input.allow_destroy,
        confirm: input.confirm_s.map(Duration::from_secs),
        unattended: input.unattended,
        careful: input.careful,
        except,
        ..Limits::default()
    };
    session.change(None, &limits)
}

/// While a call waited for its turn somebody may have rolled back what it was for.
fn still_wanted(
    call: &Call<'_>,
    written: &Declaration,
    host: &Host,
    careful: bool,
) -> Result<(), ToolError> {
    if *call.site.declaration()? != *written {
        return Err(ToolError::Refused(
            "the declaration was changed in the meantime: look at the plan again".to_owned(),
        ));
    }
    match mark::undone(&host.paths, &host.declaration).filter(|_| careful) {
        None => Ok(()),
        Some(undone) => Err(ToolError::Refused(format!(
            "{} was undone, and is not done again unasked: `op-dbus apply` does",
            undone.run
        ))),
    }
}

/// The run that waits, as its journal tells it.
fn awaiting(host: &Host) -> Result<Option<(Story, u64)>, ToolError> {
    let records = Journal::read(&host.paths.journal())
        .map_err(|error| ToolError::failed("read the journal", error))?;
    let last = Story::all(&records).pop().map(|(story, _)| story);
    Ok(last.and_then(|story| match story.stage {
        Stage::Awaiting(deadline_ms) => Some((story, deadline_ms)),
        _ => None,
    }))
}

fn host(call: &Call<'_>) -> Result<Host, ToolError> {
    Host::new(&*call.site.declaration_if_any()?)
}

fn awaiting_plan(call: &Call<'_>) -> Result<Plan, ToolError> {
    let Some((story, _)) = awaiting(&host(call)?)? else {
        return Err(ToolError::Refused(
            "no run waits to be confirmed".to_owned(),
        ));
    };
    Ok(Plan {
        changes: story.changes,
        notes: Vec::new(),
    })
}

fn confirm(call: &Call<'_>) -> Result<Settled, ToolError> {
    let _turn = call.site.turn(call)?;
    let host = host(call)?;
    let _lock = RunLock::acquire(&host.paths.lock(), "confirm")?;
    let witness = LedgerWitness::new(&host.paths, call.listener);
    let (run, report) = reconcile::confirm(&host.plugins, &host.paths.journal(), &witness)?;
    if reconcile::plan(&host.plugins).is_ok_and(|plan| plan.is_empty()) {
        crate::engine::converged(call.site, &host);
    }
    Ok(Settled {
        run,
        outcome: "applied",
        duration_ms: report.duration_ms,
    })
}

fn verify(call: &Call<'_>) -> Result<Verified, ToolError> {
    let plan = plan(call)?;
    let drift = reconcile::drift(&plan);
    Ok(Verified {
        converged: drift.is_empty(),
        drift,
        notes: plan.notes,
    })
}

/// Plugins, for who knows only what they look after.
const LOOKED_AFTER: [(&str, &str); 5] = [
    ("bridges", "ovs"),
    ("containers", "lxc"),
    ("flows", "openflow"),
    ("subvolumes", "btrfs"),
    ("templates", "lxc"),
];

fn query(call: &Call<'_>, input: Query) -> Result<Queried, ToolError> {
    let host = host(call)?;
    let asked = input.plugin.as_deref().map(|asked| {
        let found = LOOKED_AFTER.iter().find(|(what, _)| *what == asked);
        found.map_or(asked, |(_, plugin)| plugin)
    });
    let every = plugins::views(&host.declaration, asked);
    if let Some(only) = asked
        && !every.iter().any(|plugin| plugin.name() == only)
    {
        let names: Vec<_> = every.iter().map(|plugin| plugin.name()).collect();
        return Err(ToolError::NotFound(format!(
            "no plugin is called `{only}`; there are {}",
            names.join(", ")
        )));
    }
    let mut found = Vec::new();
    let mut plugins = BTreeMap::new();
    for plugin in &every {
        let name = plugin.name();
        if asked.is_some_and(|only| only != name) {
            continue;
        }
        call.check()?;
        match plugin.observe() {
            Ok(seen) => {
                plugins.insert(name.to_owned(), json!({}));
                found.extend(
                    seen.into_iter()
                        .map(|(resource, seen)| (name, resource, seen)),
                );
            }
            // Asked for by name it must answer; among all, what it lacks is its answer.
            Err(error) if asked.is_none() => {
                plugins.insert(name.to_owned(), json!({ "error": error.to_string() }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (found, next_cursor) = page(found, &input.page)?;
    for (name, resource, seen) in found {
        let owner = match seen.owner {
            Owner::Ours => "ours",
            Owner::Foreign => "foreign",
        };
        if let Some(of_plugin) = plugins.get_mut(name) {
            of_plugin[resource] = json!({ "owner": owner, "state": seen.state });
        }
    }
    Ok(Queried {
        plugins,
        next_cursor,
    })
}

fn status(call: &Call<'_>) -> Result<Status, ToolError> {
    let host = host(call)?;
    let last = std::fs::read(host.paths.heartbeat()).ok();
    let awaiting = awaiting(&host)?.map(|(story, deadline_ms)| Awaiting {
        run: story.run,
        deadline_ms,
    });
    Ok(Status {
        declaration: call.site.file().map(|file| file.display().to_string()),
        base: host.paths.base.display().to_string(),
        reconcile: host.declaration.reconcile.to_string(),
        last: last.and_then(|text| serde_json::from_slice(&text).ok()),
        awaiting,
        replication: replication::standings(&host.paths),
    })
}
