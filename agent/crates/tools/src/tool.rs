//! One thing that may be asked.

use std::fmt;
use std::sync::OnceLock;

use jsonschema::Validator;
use reconcile::Plan;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::Call;
use crate::caller::Role;
use crate::error::ToolError;
use crate::schema;

/// What a tool does to the host.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing.
    Read,
    /// It changes something that can be changed back.
    Write,
    /// Something may be lost for good.
    Destroy,
}

impl Effect {
    /// The role that it takes at least.
    pub fn role(self) -> Role {
        match self {
            Self::Read => Role::Viewer,
            Self::Write => Role::Operator,
            Self::Destroy => Role::Admin,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
        })
    }
}

/// What part of the host a tool is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// The declared state as a whole.
    State,
    /// Containers and their templates.
    Containers,
    /// The ledger.
    Ledger,
    /// What is kept of what was computed.
    Cache,
    /// Open vSwitch's bridges, ports and flows.
    Ovs,
    /// Links, addresses, routes, neighbours.
    Network,
    /// Units of systemd.
    Systemd,
    /// The journal.
    Journal,
    /// Processes.
    Processes,
    /// Files and directories.
    Files,
    /// Declared commands.
    Commands,
    /// Software packages.
    Packages,
    /// The machine itself.
    Host,
    /// What is on the machine, as far as it can be seen from the outside.
    Introspection,
    /// Data of any form, and what was learned of it.
    Inspection,
    /// Other servers of the Model Context Protocol.
    Mcp,
    /// Tasks, and the agents that do them.
    Tasks,
    /// Plugins made from D-Bus services.
    Plugins,
    /// Snapshots that are sent elsewhere.
    Replication,
    /// Snapshots of subvolumes.
    Snapshots,
}

type Run = dyn Fn(&Call<'_>, Value) -> Result<Value, ToolError> + Send + Sync;
type Preview = dyn Fn(&Call<'_>, Value) -> Result<Plan, ToolError> + Send + Sync;

/// How a tool does its work.
pub(crate) enum Body {
    Read(Box<Run>),
    Change {
        preview: Box<Preview>,
        run: Box<Run>,
        /// It compares the plan that was shown itself, at the moment when nothing can come between.
        binds: bool,
    },
}

/// Something that may be asked, with all that doors need to offer it.
pub struct Tool {
    /// Matches `^[a-zA-Z0-9_-]{1,64}$`.
    pub name: &'static str,
    /// A few words for people.
    pub title: &'static str,
    /// What it does and gives, in sentences.
    pub description: &'static str,
    /// What it is about.
    pub domain: Domain,
    /// What it does to the host.
    pub effect: Effect,
    /// The least role that may call it.
    pub role: Role,
    /// Arguments that make sense.
    pub examples: Vec<Value>,
    /// What people say who want it.
    pub sentences: &'static [&'static str],
    pub(crate) body: Body,
    input: fn() -> Value,
    output: fn() -> Value,
    checks: OnceLock<Result<(Validator, Validator), String>>,
}

impl Tool {
    /// A tool that changes nothing.
    pub fn read<I, O>(
        domain: Domain,
        name: &'static str,
        title: &'static str,
        description: &'static str,
        run: impl Fn(&Call<'_>, I) -> Result<O, ToolError> + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema,
        O: Serialize + JsonSchema,
    {
        let body = Body::Read(boxed(run));
        Self::new::<I, O>(domain, name, title, description, Effect::Read, body)
    }

    /// A tool that changes something that can be changed back. `preview` says what it would do.
    pub fn write<I, O>(
        domain: Domain,
        name: &'static str,
        title: &'static str,
        description: &'static str,
        preview: impl Fn(&Call<'_>, I) -> Result<Plan, ToolError> + Send + Sync + 'static,
        run: impl Fn(&Call<'_>, I) -> Result<O, ToolError> + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema,
        O: Serialize + JsonSchema,
    {
        let body = change(preview, run);
        Self::new::<I, O>(domain, name, title, description, Effect::Write, body)
    }

    /// A tool that may lose something for good: it runs only with the hash of what `preview` says.
    pub fn destroy<I, O>(
        domain: Domain,
        name: &'static str,
        title: &'static str,
        description: &'static str,
        preview: impl Fn(&Call<'_>, I) -> Result<Plan, ToolError> + Send + Sync + 'static,
        run: impl Fn(&Call<'_>, I) -> Result<O, ToolError> + Send + Sync + 'static,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema,
        O: Serialize + JsonSchema,
    {
        let body = change(preview, run);
        Self::new::<I, O>(domain, name, title, description, Effect::Destroy, body)
    }

    fn new<I: JsonSchema, O: JsonSchema>(
        domain: Domain,
        name: &'static str,
        title: &'static str,
        description: &'static str,
        effect: Effect,
        body: Body,
    ) -> Self {
        Self {
            name,
            title,
            description,
            domain,
            effect,
            role: effect.role(),
            examples: Vec::new(),
            sentences: &[],
            body,
            input: schema::of_input::<I>,
            output: schema::of::<O>,
            checks: OnceLock::new(),
        }
    }

    /// Takes a higher role than its effect asks for.
    #[must_use]
    pub fn for_role(mut self, role: Role) -> Self {
        self.role = self.role.max(role);
        self
    }

    /// Adds an example of its arguments.
    #[must_use]
    pub fn example(mut self, arguments: Value) -> Self {
        self.examples.push(arguments);
        self
    }

    /// Says what people say who want it: two to six sentences that lead to it.
    #[must_use]
    pub fn says(mut self, sentences: &'static [&'static str]) -> Self {
        self.sentences = sentences;
        self
    }

    /// Compares the plan that was shown itself, under the lock that keeps others out.
    #[must_use]
    pub(crate) fn binds(mut self) -> Self {
        if let Body::Change { binds, .. } = &mut self.body {
            *binds = true;
        }
        self
    }

    /// The schema of its arguments.
    pub fn input(&self) -> Value {
        (self.input)()
    }

    /// The schema of its answer.
    pub fn output(&self) -> Value {
        (self.output)()
    }

    /// Validators of arguments and answer, made when they are first needed.
    pub(crate) fn checks(&self) -> Result<&(Validator, Validator), ToolError> {
        let make = || {
            Ok((
                schema::validator(&self.input())?,
                schema::validator(&self.output())?,
            ))
        };
        let checks = self.checks.get_or_init(make);
        let failed = |error: &String| ToolError::failed("read the tool's schema", error);
        checks.as_ref().map_err(failed)
    }
}

fn boxed<I: DeserializeOwned, O: Serialize>(
    run: impl Fn(&Call<'_>, I) -> Result<O, ToolError> + Send + Sync + 'static,
) -> Box<Run> {
    Box::new(move |call, arguments| {
        let output = run(call, parse(arguments)?)?;
        serde_json::to_value(output).map_err(|error| ToolError::failed("write the answer", error))
    })
}

fn change<I: DeserializeOwned, O: Serialize>(
    preview: impl Fn(&Call<'_>, I) -> Result<Plan, ToolError> + Send + Sync + 'static,
    run: impl Fn(&Call<'_>, I) -> Result<O, ToolError> + Send + Sync + 'static,
) -> Body {
    Body::Change {
        preview: Box::new(move |call, arguments| preview(call, parse(arguments)?)),
        run: boxed(run),
        binds: false,
    }
}

fn parse<I: DeserializeOwned>(arguments: Value) -> Result<I, ToolError> {
    serde_json::from_value(arguments).map_err(|error| ToolError::Invalid(error.to_string()))
}
