//! One call of a tool, from `running` to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer;
use crate::chat::Chat;
use crate::conversation::Conversation;
use crate::event::{Body, Call, Status, tool_fault};
use crate::speaker::Speaker;

/// How long a tool may take that only reads.
const READING: Duration = Duration::from_secs(120);
/// How far events of progress are apart at least.
const PACE: Duration = Duration::from_millis(100);

/// What is to be called.
pub(crate) struct Order {
    pub(crate) tool: String,
    pub(crate) title: String,
    pub(crate) effect: api::Effect,
    pub(crate) arguments: Value,
    /// The arguments as they may be shown.
    pub(crate) shown: Value,
    /// The hash of the plan that somebody agreed to.
    pub(crate) plan: Option<String>,
    pub(crate) in_reply_to: Option<String>,
}

/// How a call ended.
pub(crate) struct Ended {
    pub(crate) call: String,
    pub(crate) result: Result<Value, api::Error>,
    /// In a few words, where there is a result.
    pub(crate) summary: String,
    pub(crate) entry: Option<i64>,
    /// Its caller took it back.
    pub(crate) stopped: bool,
}

/// A call that is told of. Should nobody wait for its end any more, that is told too.
struct Running<'a> {
    conversation: &'a Conversation,
    event: Call,
    begun: Instant,
    over: bool,
}

/// Calls a tool and tells of it.
pub(crate) async fn perform(
    chat: &Chat,
    conversation: &Arc<Conversation>,
    speaker: &Speaker,
    order: Order,
) -> Ended {
    let mut running = Running::begin(conversation, &order);
    let id = running.event.call.clone();
    let stopped = conversation.begin(&id);
    let call = api::Call {
        plan: order.plan,
        timeout: (order.effect == api::Effect::Read).then_some(READING),
        ..speaker.call(&order.tool, order.arguments)
    };
    let last = Mutex::new(None::<Instant>);
    let progress = |event: api::Event| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if event.kind == "doing" && last.is_some_and(|last| last.elapsed() < PACE) {
            return;
        }
        *last = Some(Instant::now());
        let body = Body::Progress {
            call: id.clone(),
            text: answer::cut(&event.text, 500),
            done: event.done,
            total: event.total,
        };
        conversation.whisper(&body, &event.text);
    };
    let answer = tokio::select! {
        answer = chat.client.carry_out(&call, progress) => Some(answer),
        // To drop the call is to take it back.
        _ = stopped => None,
    };
    conversation.end(&id);
    if order.effect != api::Effect::Read {
        chat.changed();
    }
    let Some(answer) = answer else {
        running.stopped();
        return Ended {
            call: id,
            result: Err(api::Error::Gone),
            summary: String::new(),
            entry: None,
            stopped: true,
        };
    };
    chat.observe(&order.tool, &answer.result, running.begun.elapsed());
    running.event.entry = answer.entry;
    let summary = running.ended(&answer.result);
    Ended {
        call: id,
        result: answer.result,
        summary,
        entry: answer.entry,
        stopped: false,
    }
}

impl<'a> Running<'a> {
    fn begin(conversation: &'a Conversation, order: &Order) -> Self {
        let mut event = Call {
            call: String::new(),
            tool: order.tool.clone(),
            title: order.title.clone(),
            effect: order.effect,
            arguments: order.shown.clone(),
            status: Status::Running,
            duration_ms: None,
            entry: None,
            answer: None,
            raw: None,
            raw_bytes: None,
            error: None,
            in_reply_to: order.in_reply_to.clone(),
        };
        conversation.tell_numbered(std::slice::from_ref(&order.tool), |seq| {
            event.call = format!("C{seq}");
            (Body::Tool(Box::new(event.clone())), String::new())
        });
        Self {
            conversation,
            event,
            begun: Instant::now(),
            over: false,
        }
    }

    fn ended(&mut self, result: &Result<Value, api::Error>) -> String {
        let content = match result {
            Ok(output) => {
                let told = answer::of(output);
                self.event.status = Status::Done;
                match answer::raw(output) {
                    Ok(raw) => self.event.raw = Some(raw),
                    Err(bytes) => self.event.raw_bytes = Some(bytes),
                }
                self.event.answer = Some(told.answer);
                told.summary
            }
            Err(error) => {
                self.event.status = match error.code() {
                    Some(api::Code::Cancelled) => Status::Cancelled,
                    _ => Status::Failed,
                };
                self.event.error = Some(tool_fault(error));
                error.to_string()
            }
        };
        self.tell(&content);
        content
    }

    fn stopped(&mut self) {
        let message = "taken back; the ledger says what was done before";
        self.event.status = Status::Cancelled;
        self.event.error = Some(json!({ "code": "cancelled", "message": message }));
        self.tell(message);
    }

    fn tell(&mut self, content: &str) {
        self.over = true;
        self.event.duration_ms = u64::try_from(self.begun.elapsed().as_millis()).ok();
        let body = Body::Tool(Box::new(self.event.clone()));
        let tools = [self.event.tool.clone()];
        self.conversation.tell(&body, content, &tools);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.conversation.end(&self.event.call);
            self.stopped();
        }
    }
}
