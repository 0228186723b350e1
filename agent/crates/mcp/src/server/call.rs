//! One call of a tool, from the request to its result.

use std::pin::pin;
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ErrorData, ProgressNotificationParam, ProgressToken,
};
use rmcp::service::RequestContext;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tools::Effect;

use super::confirm::{self, Verdict};
use super::{Server, answer, is_stateless, list, plan, protocol_error, speaker};
use crate::backend::{Event, Fault, Output, Request, Speaker, ToolInfo};

/// How long a call that was taken back may take to end well.
const GRACE: Duration = Duration::from_secs(5);

/// How many events may wait for a client that reads slowly; more are left out.
const WAITING: usize = 64;

/// A call on its way.
struct Asked<'a> {
    server: &'a Server,
    context: &'a RequestContext<RoleServer>,
    tool: &'a ToolInfo,
    speaker: Speaker,
    arguments: Map<String, Value>,
}

impl Server {
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let speaker = speaker(context);
        let tools = self.backend().tools(&speaker).await;
        let tools = tools.map_err(|fault| protocol_error(&fault))?;
        let Some(tool) = tools.iter().find(|tool| tool.name == request.name) else {
            let text = format!(
                "there is no tool `{}`: tools/list has those there are",
                request.name
            );
            return Err(ErrorData::invalid_params(text, None));
        };
        let mut arguments = request.arguments.unwrap_or_default();
        let dry_run = match take_dry_run(tool, &mut arguments) {
            Ok(dry_run) => dry_run,
            Err(fault) => return Ok(answer::failed(&fault).into()),
        };
        let asked = Asked {
            server: self,
            context,
            tool,
            speaker,
            arguments,
        };
        let settled = match &request.request_state {
            Some(state) if tool.effect != Effect::Read && !dry_run => self.shared.seal.answer(
                state,
                request.input_responses.as_ref(),
                &asked.subject(),
                self.shared.options.patience,
            )?,
            _ => None,
        };
        let confirmed = settled.is_some();
        let answered = match settled {
            Some((plan, verdict)) => asked.settle(verdict, plan).await,
            None => asked.carry_out(dry_run, None).await,
        };
        match answered {
            Ok(output) => Ok(answer::done(tool, output, dry_run).into()),
            Err(Fault::Unconfirmed { text, plan }) if !confirmed => asked.confirm(text, plan).await,
            Err(fault) => Ok(answer::failed(&fault).into()),
        }
    }
}

/// Takes our own argument out; the tool does not know of it.
fn take_dry_run(tool: &ToolInfo, arguments: &mut Map<String, Value>) -> Result<bool, Fault> {
    if tool.effect == Effect::Read {
        return Ok(false);
    }
    match arguments.remove(list::DRY_RUN) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(dry_run)) => Ok(dry_run),
        Some(other) => Err(Fault::Invalid(format!(
            "/{}: {other} is not true or false",
            list::DRY_RUN
        ))),
    }
}

impl Asked<'_> {
    fn subject(&self) -> Vec<u8> {
        confirm::subject(&self.tool.name, &self.arguments, &self.speaker)
    }

    /// Asks a person, and carries out what they confirm. Whoever cannot be asked is refused.
    async fn confirm(&self, text: String, plan: String) -> Result<CallToolResponse, ErrorData> {
        let options = &self.server.shared.options;
        let capabilities = self.context.client_capabilities();
        if !confirm::can_ask(capabilities.as_ref()) {
            let text = format!(
                "{text}. A person has to confirm it, and this client cannot ask one (it has no elicitation): \
                 let them do it on the command line, or use a client that can"
            );
            return Ok(answer::failed(&Fault::Unconfirmed { text, plan }).into());
        }
        let (shown, plan) = match self.carry_out(true, None).await {
            Ok(Output {
                structured: Some(shown),
                ..
            }) => {
                let hash = plan::hash(&shown).unwrap_or(&plan).to_owned();
                let Some(shown) = plan::text(&shown) else {
                    let text = "the plan loses more than a person can be asked about here: do it on the command line, \
                         or in smaller parts";
                    return Ok(answer::failed(&Fault::Refused(text.to_owned())).into());
                };
                (shown, hash)
            }
            Ok(_) => (text, plan),
            // Nobody is asked about what cannot be shown.
            Err(fault) => return Ok(answer::failed(&fault).into()),
        };
        let question = format!(
            "{} ({}) loses data for good:\n\n{shown}\n\nIt is called with {}. The plan is {}.",
            self.tool.title,
            self.tool.name,
            plan::arguments(&self.arguments),
            plan.get(..12).unwrap_or(&plan)
        );
        if is_stateless(self.context) {
            let seal = &self.server.shared.seal;
            let asked = seal.question(&question, &plan, &self.subject(), options.patience)?;
            return Ok(asked.into());
        }
        let verdict = confirm::ask(self.context, &question, options.patience).await?;
        Ok(match self.settle(verdict, plan).await {
            Ok(output) => answer::done(self.tool, output, false).into(),
            Err(fault) => answer::failed(&fault).into(),
        })
    }

    /// Does what a person said.
    async fn settle(&self, verdict: Verdict, plan: String) -> Result<Output, Fault> {
        let why = match verdict {
            Verdict::Apply => return self.carry_out(false, Some(plan)).await,
            Verdict::Declined => "the person who was asked did not confirm it",
            Verdict::TimedOut => "nobody confirmed it in time",
            Verdict::Unasked => "the client did not ask for the confirmation that it takes",
        };
        Err(Fault::Refused(format!("{why}: nothing was changed")))
    }

    /// Calls the tool, and tells of its progress.
    async fn carry_out(&self, dry_run: bool, plan: Option<String>) -> Result<Output, Fault> {
        let (sender, mut events) = mpsc::channel(WAITING);
        let listener = move |event| {
            let _ = sender.try_send(event);
        };
        let request = Request {
            speaker: &self.speaker,
            name: &self.tool.name,
            arguments: self.arguments.clone(),
            dry_run,
            plan,
            listener: &listener,
            cancel: self.context.ct.child_token(),
        };
        let mut progress = Progress::new(self.context);
        let mut call = pin!(self.server.backend().call(request));
        let answer = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => progress.tell(event).await,
                answer = &mut call => break answer,
                () = self.context.ct.cancelled() => {
                    // The answer goes nowhere any more, but the work is to end well.
                    let ended = tokio::time::timeout(GRACE, &mut call).await;
                    return ended.unwrap_or_else(|_| Err(cancelled()));
                }
            }
        };
        while let Ok(event) = events.try_recv() {
            progress.tell(event).await;
        }
        answer
    }
}

fn cancelled() -> Fault {
    Fault::Failed {
        code: "cancelled".to_owned(),
        text: "the call was cancelled".to_owned(),
    }
}

/// Tells a client how far a call is, if it wants to know.
struct Progress<'a> {
    context: &'a RequestContext<RoleServer>,
    token: Option<ProgressToken>,
    at: f64,
}

impl<'a> Progress<'a> {
    fn new(context: &'a RequestContext<RoleServer>) -> Self {
        Self {
            context,
            token: context.meta.get_progress_token(),
            at: 0.0,
        }
    }

    async fn tell(&mut self, event: Event) {
        let Some(token) = self.token.clone() else {
            return;
        };
        self.at = further(self.at, event.done);
        let mut told = ProgressNotificationParam::new(token, self.at).with_message(event.text);
        if event.total > 0 {
            told = told.with_total(event.total as f64);
        }
        if let Err(error) = self.context.peer.notify_progress(told).await {
            log::debug!("progress was not told: {error}");
        }
    }
}

/// Progress has to increase each time, and a tool says several things at one step: half of what is left to the
/// next step, each time.
fn further(at: f64, done: usize) -> f64 {
    let done = done as f64;
    match done > at {
        true => done,
        false => at + (at.floor() + 1.0 - at) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn progress_increases(steps in proptest::collection::vec(0usize..4, 1..30)) {
            let (mut at, mut done) = (0.0, 0);
            for step in steps {
                done += step;
                let next = further(at, done);
                prop_assert!(next > at, "{at} then {next}");
                prop_assert!(next < done as f64 + 1.0);
                at = next;
            }
        }
    }
}
