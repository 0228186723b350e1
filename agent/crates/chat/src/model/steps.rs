//! One message: the model is asked, its tools are called, and it is asked again with what they returned.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use llm::{Error, Finish, Piece, Reply, Request, ToolCall};
use say::{Catalog, Effect};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

use super::Model;
use super::context::Context;
use super::data::Mark;
use super::offer::{FIND, Offer, may, rank};
use crate::thinker::{Outcome, Past, Thought, Turn};

/// What the model is told first.
const PROMPT: &str = include_str!("prompt.md");
/// How many tool calls of one step are carried out.
const CALLS: usize = 8;
/// How many plans one message may lead to.
const PLANS: usize = 5;
/// How often a step may bring nothing but what was there before, or what cannot be called.
const IDLE_STEPS: usize = 2;
/// Bytes of one tool's result.
const RESULT: usize = 12_000;
/// The most tokens of one answer.
const ANSWER: u32 = 4096;

/// The work on one message.
pub(super) struct Steps<'a> {
    model: &'a Model,
    turn: &'a mut dyn Turn,
    tools: Arc<Catalog>,
    context: Context,
    offer: Offer,
    mark: Mark,
    /// Calls that were made already, and how often they were asked for.
    made: HashMap<String, usize>,
    plans: usize,
    /// Tokens of this message so far.
    used: u64,
    /// What was shown of the answer.
    text: String,
}

/// Why there are no further steps.
enum End {
    /// The model is done.
    Answered,
    /// It is stopped, for this reason.
    Stopped(&'static str),
    /// It cannot be asked.
    Away(String),
}

impl<'a> Steps<'a> {
    pub(super) fn new(model: &'a Model, turn: &'a mut dyn Turn) -> Self {
        let mark = Mark::new();
        let tools = turn.tools();
        let past = turn.past();
        let used: Vec<_> = past.iter().filter_map(tool_of).collect();
        let offer = Offer::new(&tools, turn.role(), turn.text(), &used);
        let prompt = PROMPT
            .replace("{role}", turn.role())
            .replace("{date}", &jiff::Zoned::now().date().to_string())
            .replace("{mark}", mark.as_str());
        Self {
            context: Context::new(prompt, past, turn.text(), &mark),
            model,
            turn,
            tools,
            offer,
            mark,
            made: HashMap::new(),
            plans: 0,
            used: 0,
            text: String::new(),
        }
    }

    /// Works until there is an answer, or a budget is used up.
    pub(super) async fn run(mut self) -> Thought {
        let whole = Duration::from_secs(self.model.declared.timeout_seconds.into());
        let end = match timeout_at(Instant::now() + whole, self.steps()).await {
            Ok(end) => end,
            Err(_) if self.text.is_empty() && self.plans == 0 => {
                let error = Error::TimedOut {
                    server: self.model.client.server().to_owned(),
                    after: whole,
                };
                self.model.note(Some(&error));
                End::Away(error.to_string())
            }
            Err(_) => End::Stopped("the time for one message is over"),
        };
        match end {
            End::Away(why) => Thought::Away { why },
            End::Answered if self.text.trim().is_empty() => Thought::Away {
                why: "the model gave an empty answer".to_owned(),
            },
            End::Answered => Thought::Answer { text: self.text },
            End::Stopped(why) => {
                self.show(&format!("\n\n*Stopped here: {why}.*"));
                Thought::Answer {
                    text: self.text.trim_start().to_owned(),
                }
            }
        }
    }

    async fn steps(&mut self) -> End {
        let most = self.model.declared.max_steps as usize;
        let mut idle = 0;
        for step in 0..=most {
            // Without tools, the last step can only answer.
            let reply = match self.ask(step < most && idle < IDLE_STEPS).await {
                Ok(reply) => reply,
                Err(end) => return end,
            };
            match reply.finish {
                _ if !reply.calls.is_empty() => {}
                Finish::Length => return End::Stopped("there was no room for a longer answer"),
                Finish::Filtered => return End::Stopped("the model's server withheld the rest"),
                Finish::Stop => return End::Answered,
            }
            if step == most {
                return End::Stopped("the model may look up no more for one message");
            }
            if idle == IDLE_STEPS {
                return End::Stopped("the model asked for the same again and again");
            }
            self.context.said(reply.text, reply.calls.clone());
            match self.carry_out(reply.calls).await {
                true => idle = 0,
                false => idle += 1,
            }
        }
        End::Answered
    }

    /// Asks the model once, within the budgets.
    async fn ask(&mut self, with_tools: bool) -> Result<Reply, End> {
        let declared = &self.model.declared;
        let room = declared.context_tokens;
        let answer = ANSWER.min(room / 4);
        let tools = match with_tools {
            true => self.offer.definitions(&self.tools, room as usize / 3),
            false => Vec::new(),
        };
        let mut request = Request {
            tools,
            max_tokens: Some(answer),
            ..Request::default()
        };
        let left = (room - answer) as usize;
        let messages = self.context.within(left.saturating_sub(request.estimate()));
        let Some(messages) = messages else {
            return Err(End::Stopped("the message does not fit into the model"));
        };
        request.messages = messages.to_vec();
        let cost = request.estimate() as u64 + u64::from(answer);
        if self.used + cost > declared.max_tokens.into() {
            return Err(End::Stopped("the tokens for one message are used up"));
        }
        if !self.model.meter.take(cost, Timestamp::now()) {
            return Err(match self.text.is_empty() {
                true => End::Away("the model's tokens for today are used up".to_owned()),
                false => End::Stopped("the model's tokens for today are used up"),
            });
        }
        self.separate();
        let (turn, text) = (&mut *self.turn, &mut self.text);
        let mut listener = |piece| {
            if let Piece::Text(piece) = piece {
                text.push_str(&piece);
                turn.delta(&piece);
            }
        };
        let reply = self.model.client.complete(&request, &mut listener).await;
        match reply {
            Ok(reply) => {
                let really = reply.usage.total();
                self.used += really;
                self.model.meter.settle(cost, really, Timestamp::now());
                self.model.note(None);
                Ok(reply)
            }
            // What was taken for it stays taken: nobody knows what it cost.
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&mut self, error: &Error) -> End {
        log::warn!("{error}");
        self.model.note(Some(error));
        match self.plans > 0 || !self.text.trim().is_empty() {
            true => End::Stopped("the model's server did not go on"),
            false => End::Away(error.to_string()),
        }
    }

    /// Carries out the calls of one step; whether there was anything new in them.
    async fn carry_out(&mut self, calls: Vec<ToolCall>) -> bool {
        let mut new = false;
        for (number, call) in calls.into_iter().enumerate() {
            let content = match number < CALLS {
                true => self.call(&call).await,
                false => Err(format!("Not called: at most {CALLS} calls at once.")),
            };
            new |= content.is_ok();
            let content = content.unwrap_or_else(|refusal| refusal);
            self.context.result(call.id, content);
        }
        new
    }

    /// One call: what came of it, or why it was not made, for the model.
    async fn call(&mut self, call: &ToolCall) -> Result<String, String> {
        let arguments = call
            .parsed()
            .map_err(|wrong| format!("Not called: {wrong}."))?;
        if call.name == FIND {
            return self.find_tools(&arguments);
        }
        let role = self.turn.role();
        let Some(tool) = self.tools.tool(&call.name).filter(|tool| may(role, tool)) else {
            let near = rank(&self.tools, role, &call.name.replace(['_', '-'], " "));
            let near = near.into_iter().take(5).collect::<Vec<_>>().join(", ");
            return Err(format!(
                "Not called: there is no such tool for this role. Near: {near}"
            ));
        };
        let changes = tool.effect != Effect::Read;
        let arguments = Value::Object(arguments);
        self.is_new(&call.name, &arguments)?;
        if changes && self.plans == PLANS {
            return Err(format!(
                "Not proposed: at most {PLANS} plans for one message."
            ));
        }
        let outcome = self.turn.call(&call.name, arguments).await;
        if matches!(outcome, Outcome::Waiting { .. }) {
            self.plans += 1;
        }
        let room = self.model.declared.context_tokens as usize;
        Ok(self.mark.outcome(&outcome, RESULT.min(room)))
    }

    fn find_tools(&mut self, arguments: &Map<String, Value>) -> Result<String, String> {
        let words = arguments.get("words").and_then(Value::as_str);
        let words = words.ok_or("Not called: `words` is missing.")?.to_owned();
        self.is_new(FIND, &Value::String(words.clone()))?;
        Ok(self.offer.find(&self.tools, self.turn.role(), &words))
    }

    /// Refuses a call that was made already with the same arguments.
    fn is_new(&mut self, tool: &str, arguments: &Value) -> Result<(), String> {
        let times = self.made.entry(format!("{tool} {arguments}")).or_default();
        *times += 1;
        match *times {
            1 => Ok(()),
            _ => Err(
                "Not called again: you called it with these arguments before; its result is above."
                    .to_owned(),
            ),
        }
    }

    /// Begins a paragraph behind what was said before a tool was called.
    fn separate(&mut self) {
        if !self.text.trim().is_empty() && !self.text.ends_with("\n\n") {
            self.show("\n\n");
        }
    }

    fn show(&mut self, text: &str) {
        self.text.push_str(text);
        self.turn.delta(text);
    }
}

fn tool_of(past: &Past) -> Option<String> {
    match past {
        Past::Call { tool, .. } => Some(tool.clone()),
        _ => None,
    }
}
