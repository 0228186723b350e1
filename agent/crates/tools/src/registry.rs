//! The one list of tools, and the one way to call them.

use std::collections::BTreeMap;
use std::time::Instant;

use ledger::NewEntry;
use reconcile::{Plan, PlanHash};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::{Call, Cancel, Event, Options};
use crate::caller::{Caller, Door, Role};
use crate::engine::Site;
use crate::error::ToolError;
use crate::page::json_size;
use crate::record::{self, Ended};
use crate::refusals::Refusals;
use crate::tool::{Body, Domain, Effect, Tool};

/// The largest answer that a door carries, in bytes of JSON.
pub(crate) const LARGEST_ANSWER: usize = 16 << 20;

/// The longest name of a tool, which is what most clients accept.
const LONGEST_NAME: usize = 64;

/// All tools, and the host that they work on.
pub struct Registry {
    tools: BTreeMap<&'static str, Tool>,
    site: Site,
    refusals: Refusals,
}

/// A tool as doors show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// A few words for people.
    pub title: &'static str,
    /// What it does and gives.
    pub description: &'static str,
    /// What it is about.
    pub domain: Domain,
    /// What it does to the host.
    pub effect: Effect,
    /// The least role that may call it.
    pub role: Role,
    /// The schema of its arguments.
    pub input_schema: Value,
    /// The schema of its answer.
    pub output_schema: Value,
    /// Arguments that make sense.
    pub examples: Vec<Value>,
    /// What people say who want it.
    pub sentences: &'static [&'static str],
}

impl Description {
    /// What there is to say of a tool.
    pub fn of(tool: &Tool) -> Self {
        Self {
            name: tool.name,
            title: tool.title,
            description: tool.description,
            domain: tool.domain,
            effect: tool.effect,
            role: tool.role,
            input_schema: tool.input(),
            output_schema: tool.output(),
            examples: tool.examples.clone(),
            sentences: tool.sentences,
        }
    }
}

impl Registry {
    /// A registry of these tools. Of two with one name the first stays; a test sees that there are none.
    pub fn new(site: Site, tools: Vec<Tool>) -> Self {
        let mut map = BTreeMap::new();
        for tool in tools {
            map.entry(tool.name).or_insert(tool);
        }
        Self {
            tools: map,
            site,
            refusals: Refusals::default(),
        }
    }

    /// The built-in tools.
    pub fn built_in(site: Site) -> Self {
        Self::new(site, crate::builtin::all())
    }

    /// The host that the tools work on.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// All tools, by name.
    pub fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.tools.values()
    }

    /// All tools as doors show them, by name.
    pub fn descriptions(&self) -> impl Iterator<Item = Description> {
        self.tools().map(Description::of)
    }

    /// One tool.
    pub fn tool(&self, name: &str) -> Result<&Tool, ToolError> {
        if name.len() > LONGEST_NAME {
            return Err(ToolError::NotFound(format!(
                "the name of a tool has at most {LONGEST_NAME} characters"
            )));
        }
        self.tools.get(name).ok_or_else(|| {
            let names: Vec<_> = self.tools.keys().copied().collect();
            let near = nearest(name, &names);
            let hint = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
            ToolError::NotFound(format!(
                "there is no tool `{name}`: {hint}`op-dbus tool list` shows those there are"
            ))
        })
    }

    /// Writes an entry for what a door carries out by itself.
    pub fn record(&self, entry: NewEntry) -> Result<(), ToolError> {
        self.site.record(entry).map(drop)
    }

    /// Writes an entry for what was refused, unless the caller has too many of them: then the next one that is
    /// written says how many were left out. Gives the entry's id.
    pub fn record_refused(
        &self,
        caller: &Caller,
        mut entry: NewEntry,
    ) -> Result<Option<i64>, ToolError> {
        match self
            .refusals
            .admit(caller.uid, &caller.name, Instant::now())
        {
            None => {
                log::warn!(
                    "{} is refused {} again and again",
                    caller.name,
                    entry.operation
                );
                Ok(None)
            }
            Some(left_out) => {
                if left_out > 0 {
                    entry.metadata["left_out_before"] = json!(left_out);
                }
                self.site.record(entry)
            }
        }
    }

    /// Whether a caller has the right to call a tool. If not, that is recorded as a refused call would be: for
    /// doors that have to know before they begin to answer.
    pub fn may_call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: &Value,
    ) -> Result<(), ToolError> {
        let tool = self.tool(name)?;
        let Err(refused) = permit(tool, caller) else {
            return Ok(());
        };
        if tool.effect != Effect::Read {
            let ended = Ended {
                result: Err(&refused),
                plan_hash: None,
                duration_ms: 0,
            };
            self.record_refused(caller, record::entry(tool, caller, arguments, &ended))?;
        }
        Err(refused)
    }

    /// Whether a call that is to be carried out later could be carried out now: right, arguments, plan. A refusal
    /// is recorded as that of a call is.
    pub fn accept(
        &self,
        caller: &Caller,
        name: &str,
        arguments: &Value,
        options: Options,
    ) -> Result<Accepted, ToolError> {
        let tool = self.tool(name)?;
        let plan_hash = options.plan.clone();
        let call = Call {
            caller,
            site: &self.site,
            options,
            cancel: Cancel::default(),
            listener: &|_| {},
        };
        let begun = Instant::now();
        let may = may_begin(tool, &call, arguments);
        if let Err(error) = &may
            && error.is_refusal()
            && tool.effect != Effect::Read
        {
            let ended = Ended {
                result: Err(error),
                plan_hash: plan_hash.as_deref(),
                duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            let entry = record::entry(tool, caller, arguments, &ended);
            self.record_refused(caller, entry)?;
        }
        may.map(|()| Accepted {
            tool: tool.name,
            effect: tool.effect,
            shown: record::bounded(record::redacted(&tool.input(), arguments)),
        })
    }

    /// Calls a tool: right, arguments, plan, run, answer, record.
    pub fn call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: Value,
        options: Options,
        cancel: &Cancel,
        listener: &(dyn Fn(&Event) + Sync),
    ) -> Result<Value, ToolError> {
        let tool = self.tool(name)?;
        let arguments = match arguments {
            Value::Null => json!({}),
            arguments => arguments,
        };
        let call = Call {
            caller,
            site: &self.site,
            options,
            cancel: cancel.clone(),
            listener,
        };
        let begun = Instant::now();
        let mut plan_hash = call.options.plan.clone();
        let mut begun_work = false;
        let result = carry_out(
            tool,
            &call,
            arguments.clone(),
            &mut plan_hash,
            &mut begun_work,
        );
        let leaves_trace = match &result {
            Ok(answer) => answer.get("outcome") != Some(&json!("unchanged")),
            // What does not fit was not tried; and the daemon waits by itself for whoever is at work.
            Err(error) if !begun_work => {
                !matches!(error, ToolError::Invalid(_) | ToolError::NotFound(_))
            }
            Err(error) => !(error.is_refusal() && caller.door == Door::Daemon),
        };
        if tool.effect != Effect::Read && !call.options.dry_run && leaves_trace {
            let ended = Ended {
                result: result.as_ref(),
                plan_hash: plan_hash.as_deref(),
                duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            let entry = record::entry(tool, caller, &arguments, &ended);
            let refused = result.as_ref().is_err_and(ToolError::is_refusal);
            let recorded = match refused {
                true => self.record_refused(caller, entry),
                false => self.site.record(entry),
            };
            match recorded {
                Ok(entry) => cancel.recorded(entry),
                Err(error) => match &result {
                    Ok(_) => {
                        return Err(ToolError::Failed(format!(
                            "it was done, but not recorded: {error}"
                        )));
                    }
                    Err(why) if begun_work => {
                        return Err(ToolError::Failed(format!(
                            "{why}; and that was not recorded: {error}"
                        )));
                    }
                    // Nothing was done, and why not is what the caller has to know.
                    Err(_) => {
                        log::warn!("{name} was not begun, and that is not in the ledger: {error}")
                    }
                },
            }
            // The daemon looks by itself after what it did.
            if !refused && caller.door != Door::Daemon {
                self.site.changed();
            }
        }
        result
    }
}

/// What was found out about a call that is to be carried out later.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The tool's name.
    pub tool: &'static str,
    /// What it does to the host.
    pub effect: Effect,
    /// The arguments as they may be shown: without secrets and long texts.
    pub shown: Value,
}

/// Everything that is checked before a tool's work begins: right, arguments, and the plan of what destroys or is
/// bound to one.
fn may_begin(tool: &Tool, call: &Call<'_>, arguments: &Value) -> Result<(), ToolError> {
    permit(tool, call.caller)?;
    record::fits(&tool.checks()?.0, tool, arguments)?;
    call.check()?;
    let bound = tool.effect == Effect::Destroy || call.options.plan.is_some();
    match &tool.body {
        Body::Change { preview, .. } if bound => {
            let hash = preview(call, arguments.clone())?.hash();
            bind(call.options.plan.as_deref(), &hash)
        }
        Body::Change { .. } | Body::Read(_) => Ok(()),
    }
}

fn carry_out(
    tool: &Tool,
    call: &Call<'_>,
    arguments: Value,
    plan_hash: &mut Option<String>,
    begun: &mut bool,
) -> Result<Value, ToolError> {
    permit(tool, call.caller)?;
    let (input, output) = tool.checks()?;
    record::fits(input, tool, &arguments)?;
    call.check()?;
    let answer = match &tool.body {
        Body::Read(run) => run(call, arguments)?,
        Body::Change { preview, .. } if call.options.dry_run => {
            return Ok(shown(&preview(call, arguments)?));
        }
        Body::Change {
            preview,
            run,
            binds,
        } => {
            let needs_plan = tool.effect == Effect::Destroy || call.options.plan.is_some();
            if needs_plan && (!binds || call.options.plan.is_none()) {
                let hash = preview(call, arguments.clone())?.hash();
                bind(call.options.plan.as_deref(), &hash)?;
                *plan_hash = Some(hash.as_str().to_owned());
            }
            // The engine keeps what the first run does until the ledger has its place; nothing else does.
            call.site.can_record(*binds)?;
            *begun = true;
            call.cancel.begin();
            run(call, arguments)?
        }
    };
    if let Some(faults) = crate::schema::faults(output, &answer) {
        return Err(ToolError::Failed(format!(
            "{} gave an answer that its own schema does not allow:\n{faults}",
            tool.name
        )));
    }
    match json_size(&answer) {
        size if size > LARGEST_ANSWER => Err(ToolError::TooLarge(size)),
        _ => Ok(answer),
    }
}

fn permit(tool: &Tool, caller: &Caller) -> Result<(), ToolError> {
    if caller.role.is_some_and(|role| role >= tool.role) {
        return Ok(());
    }
    let has = match (&caller.refusal, caller.role) {
        // The door knows where that is decided.
        (Some(reason), _) => reason.clone(),
        (None, Some(role)) => format!(
            "{} has the role {role}. Roles are given in the declaration, under `access`",
            caller.name
        ),
        (None, None) => format!(
            "{} has no role on this host. Roles are given in the declaration, under `access`",
            caller.name
        ),
    };
    Err(ToolError::Refused(format!(
        "{} takes the role {}: {has}",
        tool.name, tool.role
    )))
}

/// Whether the plan that was shown is the one there is now.
pub(crate) fn bind(shown: Option<&str>, hash: &PlanHash) -> Result<(), ToolError> {
    match shown {
        Some(shown) if hash.matches(shown) => Ok(()),
        Some(shown) => Err(ToolError::PlanChanged {
            shown: shown.to_owned(),
            plan: hash.clone(),
        }),
        None => Err(ToolError::Unconfirmed {
            text: format!(
                "this loses data for good and has to be confirmed: look at the plan (dry_run), then call \
                 again with its hash, {hash}"
            ),
            plan: hash.clone(),
        }),
    }
}

/// A plan as doors show it.
pub(crate) fn shown(plan: &Plan) -> Value {
    json!({
        "plan_hash": plan.hash(),
        "changes": plan.changes,
        "notes": plan.notes,
        "summary": plan.summary(),
    })
}

/// The known name that is most like one that is not.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), *known));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > 0.85).then_some(best.1)
}
