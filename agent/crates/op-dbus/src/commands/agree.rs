//! Changes are shown, agreed to, and then done as they were shown.

use anyhow::Context as _;
use reconcile::Plan;
use serde_json::{Value, json};
use tools::Options;
use tools::engine::{Changed, ssh_client};

use crate::failure::Failure;
use crate::line::Line;
use crate::screen::{Screen, plan_text};

/// The question before something that no rollback brings back.
pub(super) const FOR_GOOD: &str = "Do this? It cannot be undone by itself.";

/// What a tool would do.
pub(super) struct Preview {
    /// As the tool says it.
    pub(super) answer: Value,
    /// As it is shown.
    pub(super) plan: Plan,
}

impl Preview {
    pub(super) fn of(line: &mut Line<'_>, tool: &str, arguments: &Value) -> Result<Self, Failure> {
        let dry = Options {
            dry_run: true,
            ..Options::default()
        };
        let answer = line.call(tool, arguments.clone(), dry)?;
        let plan = read(&answer)?;
        Ok(Self { answer, plan })
    }

    /// What a call is bound to.
    pub(super) fn hash(&self) -> String {
        self.plan.hash().as_str().to_owned()
    }

    /// Shows the plan beside the result.
    pub(super) fn show(&self, screen: &Screen) {
        if !screen.is_json() {
            screen.say(plan_text(&self.plan).trim_end());
        }
    }
}

/// Reads a plan that a tool gave.
pub(super) fn read(answer: &Value) -> Result<Plan, Failure> {
    Ok(serde_json::from_value(answer.clone()).context("read the plan")?)
}

/// How a call is made that is bound to a plan, if to any.
pub(super) fn bound(plan: Option<String>) -> Options {
    Options {
        plan,
        ssh_client: ssh_client(),
        ..Options::default()
    }
}

/// Calls a tool that destroys, once its plan was shown and agreed to; bound to that plan.
pub(super) fn destroy(
    line: &mut Line<'_>,
    screen: &Screen,
    tool: &str,
    arguments: Value,
    question: &str,
) -> Result<Value, Failure> {
    let preview = Preview::of(line, tool, &arguments)?;
    if screen.interactive() && !preview.plan.is_empty() {
        preview.show(screen);
    }
    let agreed = preview.plan.is_empty() || screen.agrees(question);
    // Not agreed to, it is still asked for: the refusal belongs into the ledger.
    let options = bound(agreed.then(|| preview.hash()));
    match line.call(tool, arguments, options) {
        Err(failure) if !agreed && failure.status() == 3 => Err(Failure::Refused(
            "it loses data and was not confirmed; --yes confirms it".to_owned(),
        )),
        answer => answer,
    }
}

/// The answer of a change of the engine. A run that failed and was undone is one too.
pub(super) fn answered(answer: Result<Value, Failure>) -> Result<Value, Failure> {
    answer.or_else(|failure| Ok(json!(failure.changed().ok_or(failure)?)))
}

/// How a change of the engine came out.
pub(super) fn changed(answer: Result<Value, Failure>) -> Result<Changed, Failure> {
    Ok(serde_json::from_value(answered(answer)?).context("read the answer")?)
}
