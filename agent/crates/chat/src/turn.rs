//! What a message leads to: sentence by sentence a call, a plan, a question, or an answer.

mod thought;

use std::sync::Arc;

use jiff::Zoned;
use say::{Meaning, Understanding};
use serde_json::Value;

use crate::answer::cut;
use crate::call::{self, Order};
use crate::chat::Chat;
use crate::conversation::Conversation;
use crate::event::{Body, Said, tool_fault};
use crate::knowledge::Known;
use crate::markdown;
use crate::plan::{self, Proposed};
use crate::plans::Wish;
use crate::speaker::Speaker;
use crate::talk;
use crate::thinker::Past;
use crate::window;

/// How many sentences of one message are looked at.
const SENTENCES: usize = 10;
/// How many events a language model is shown again.
const PAST: usize = 60;

/// A message that is being answered.
pub(crate) struct Message {
    pub(crate) chat: Arc<Chat>,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) speaker: Speaker,
    pub(crate) known: Arc<Known>,
    pub(crate) text: String,
    pub(crate) in_reply_to: Option<String>,
    /// What the answer of a language model will be called.
    id: String,
    role: String,
    /// Before this message.
    past: Vec<Past>,
    /// Its number. Nobody agrees to what they were shown after it.
    seq: u64,
}

/// Takes a message in, to be answered after those before it.
pub(crate) fn hear(
    chat: &Arc<Chat>,
    conversation: &Arc<Conversation>,
    speaker: &Speaker,
    id: Option<String>,
    content: String,
) -> Result<(), Body> {
    if id.as_deref().is_some_and(|id| conversation.has(id)) {
        return Ok(());
    }
    let place = Arc::clone(&conversation.waiting).try_acquire_owned();
    let place = place.map_err(|_| {
        let text = "too many messages wait to be answered: wait for those, or stop what goes on";
        Body::Error {
            code: "busy".to_owned(),
            message: text.to_owned(),
            id: None,
            in_reply_to: id.clone(),
        }
    })?;
    let past = conversation.past(PAST);
    let Some(seq) = conversation.take_in(id.as_deref(), &content) else {
        return Ok(());
    };
    let (chat, conversation, speaker) =
        (Arc::clone(chat), Arc::clone(conversation), speaker.clone());
    tokio::spawn(async move {
        let mut context = conversation.context.lock().await;
        if let Some(entry) = conversation.entry() {
            context.done(entry);
        }
        answer(
            &chat,
            &conversation,
            &speaker,
            &mut context,
            (id, content, past, seq),
        )
        .await;
        drop(place);
    });
    Ok(())
}

async fn answer(
    chat: &Arc<Chat>,
    conversation: &Arc<Conversation>,
    speaker: &Speaker,
    context: &mut say::Context,
    (id, text, past, seq): (Option<String>, String, Vec<Past>, u64),
) {
    let known = match chat.knowledge.get(speaker).await {
        Ok(known) => known,
        Err(error) => {
            let fault = tool_fault(&error);
            let body = Body::Error {
                code: fault["code"].as_str().unwrap_or("failed").to_owned(),
                message: error.to_string(),
                id: None,
                in_reply_to: id,
            };
            conversation.tell(&body, &error.to_string(), &[]);
            return;
        }
    };
    let mut message = Message {
        id: format!("A{}", conversation.next_seq()),
        role: speaker.right().role,
        text,
        past,
        seq,
        ..Message::again(chat, conversation, speaker, &known, id)
    };
    let understood = known
        .catalog
        .understand(&known.world, context, &message.text, &Zoned::now());
    let lost = understood.iter().any(|one| one.meaning == Meaning::Unknown);
    // To agree or to take back is between the person and the host.
    let decides = |one: &Understanding| matches!(one.meaning, Meaning::Apply | Meaning::Cancel);
    if !understood.iter().all(decides) && message.think(lost).await {
        return;
    }
    for understanding in understood.into_iter().take(SENTENCES) {
        context.note(&understanding);
        message.act(understanding).await;
    }
}

impl Message {
    /// What was said before, taken up again.
    pub(crate) fn again(
        chat: &Arc<Chat>,
        conversation: &Arc<Conversation>,
        speaker: &Speaker,
        known: &Arc<Known>,
        in_reply_to: Option<String>,
    ) -> Self {
        Self {
            chat: Arc::clone(chat),
            conversation: Arc::clone(conversation),
            speaker: speaker.clone(),
            known: Arc::clone(known),
            text: String::new(),
            in_reply_to,
            id: String::new(),
            role: String::new(),
            past: Vec::new(),
            seq: 0,
        }
    }

    async fn act(&self, understanding: Understanding) {
        let Understanding {
            sentence,
            understood,
            meaning,
            alternatives,
            ..
        } = understanding;
        let said = Said {
            understood: Some(understood.clone()),
            alternatives,
            ..Said::default()
        };
        match meaning {
            Meaning::Call {
                tool, arguments, ..
            } => {
                self.conversation.set_why(format!(
                    "I took “{sentence}” to mean: {understood} ({tool})."
                ));
                match self.known.tool(&tool) {
                    None => self.say(&format!("There is no tool {tool} on this host."), said),
                    Some(tool) if tool.effect == api::Effect::Read => {
                        // What is clear needs no other offers.
                        let said = Said {
                            alternatives: Vec::new(),
                            ..said
                        };
                        self.read(tool, arguments, said).await
                    }
                    Some(tool) => self.write(tool, arguments, &sentence, said).await,
                }
            }
            Meaning::Missing { what, .. } => self.say(&talk::question(&what), said),
            Meaning::Help { topic } => {
                let (text, alternatives) = talk::help(&self.known.catalog, topic.as_deref());
                self.say(
                    &text,
                    Said {
                        alternatives,
                        ..said
                    },
                );
            }
            Meaning::Why => {
                let why = self.conversation.why();
                self.say(why.as_deref().unwrap_or("Nothing was asked yet."), said);
            }
            Meaning::Cancel => self.say(&self.cancel(), said),
            Meaning::Apply => self.apply(said),
            Meaning::Unknown => {
                let text = match said.alternatives.is_empty() {
                    true => {
                        "I do not know what that means. “help” says what can be said.".to_owned()
                    }
                    false => format!(
                        "I do not know what “{}” means. Is it one of these?",
                        cut(&sentence, 200)
                    ),
                };
                self.say(&text, said);
            }
        }
    }

    /// Calls a tool that changes nothing, and says what it gave.
    async fn read(&self, tool: &api::Tool, arguments: Value, said: Said) {
        let order = self.order(tool, arguments);
        let ended = call::perform(&self.chat, &self.conversation, &self.speaker, order).await;
        let text = match &ended.result {
            Ok(_) => ended.summary,
            Err(_) if ended.stopped => "Stopped.".to_owned(),
            Err(error) => error.to_string(),
        };
        if let Err(error) = &ended.result {
            self.conversation
                .set_why(format!("{} failed: {error}", tool.name));
        }
        let call = Some(ended.call);
        self.say_of(tool, &text, Said { call, ..said });
    }

    /// Shows the plan of a tool that changes something.
    async fn write(&self, tool: &api::Tool, arguments: Value, sentence: &str, said: Said) {
        let wish = Wish {
            sentence: sentence.to_owned(),
            by_model: false,
        };
        match plan::propose(self, tool, arguments, wish).await {
            Proposed::Waiting { .. } => {}
            Proposed::Unchanged { notes } => {
                let mut text = "There is nothing to change: it is so already.".to_owned();
                for note in notes {
                    text.push('\n');
                    text.push_str(&note);
                }
                self.say_of(tool, &text, said);
            }
            Proposed::Refused(error) => {
                self.conversation
                    .set_why(format!("{} cannot be planned: {error}", tool.name));
                let fault = tool_fault(&error);
                let body = Body::Error {
                    code: fault["code"].as_str().unwrap_or("failed").to_owned(),
                    message: error.to_string(),
                    id: None,
                    in_reply_to: self.in_reply_to.clone(),
                };
                self.conversation
                    .tell(&body, &error.to_string(), std::slice::from_ref(&tool.name));
            }
        }
    }

    /// Drops what waits; stops what goes on, where nothing waits.
    fn cancel(&self) -> String {
        let waiting = self.conversation.waiting_plans();
        let dropped = waiting
            .iter()
            .filter(|plan| self.conversation.cancel(&plan.id).is_ok())
            .count();
        match dropped {
            0 => match self.conversation.stop_all() {
                0 => "Nothing waits or goes on.".to_owned(),
                count => format!("Stopped what went on ({count})."),
            },
            1 => "The plan is dropped; nothing was changed.".to_owned(),
            count => format!("{count} plans are dropped; nothing was changed."),
        }
    }

    /// A sentence agrees to the one plan that waits, if that was shown before it and asks for no name.
    fn apply(&self, said: Said) {
        let text = match self.conversation.waiting_plans().as_slice() {
            [] if self.conversation.had_window(self.seq) => {
                return window::confirm(&self.chat, &self.conversation, &self.speaker);
            }
            [] => "No plan waits. Say what you want, and you are shown the plan of it.".to_owned(),
            [plan] => match &plan.confirm_name {
                Some(name) => format!(
                    "This may lose data for good: agree to it on its card, by typing the name {name}."
                ),
                None if plan.wish.by_model => format!(
                    "The language model proposed the plan {}: agree to it on its card.",
                    plan.id
                ),
                None if plan.seq > self.seq => format!(
                    "The plan {} was shown after you said that: look at it, and say yes again.",
                    plan.id
                ),
                None => match approve(
                    &self.chat,
                    &self.conversation,
                    &self.speaker,
                    &plan.id,
                    None,
                ) {
                    Ok(()) => return,
                    Err(_) => "The plan is no longer there: say again what you want.".to_owned(),
                },
            },
            several => {
                let plans: Vec<_> = several.iter().map(|plan| plan.id.as_str()).collect();
                format!(
                    "Several plans wait ({}): agree to each on its card.",
                    plans.join(", ")
                )
            }
        };
        self.say(&text, said);
    }

    pub(crate) fn order(&self, tool: &api::Tool, arguments: Value) -> Order {
        Order {
            tool: tool.name.clone(),
            title: tool.title.clone(),
            effect: tool.effect,
            shown: plan::shown(tool, &arguments),
            arguments,
            plan: None,
            in_reply_to: self.in_reply_to.clone(),
        }
    }

    fn say(&self, text: &str, said: Said) {
        self.tell(text, said, &[]);
    }

    fn say_of(&self, tool: &api::Tool, text: &str, said: Said) {
        self.tell(text, said, std::slice::from_ref(&tool.name));
    }

    fn tell(&self, text: &str, mut said: Said, tools: &[String]) {
        said.html = markdown::plain(text);
        said.in_reply_to.clone_from(&self.in_reply_to);
        self.conversation
            .tell(&Body::Assistant(Box::new(said)), text, tools);
    }
}

/// Carries out a plan that the user agreed to.
pub(crate) fn approve(
    chat: &Arc<Chat>,
    conversation: &Arc<Conversation>,
    speaker: &Speaker,
    plan: &str,
    name: Option<&str>,
) -> Result<(), Body> {
    conversation.expire();
    let plan = conversation.approve(plan, name)?;
    let (chat, conversation, speaker) =
        (Arc::clone(chat), Arc::clone(conversation), speaker.clone());
    tokio::spawn(async move { plan::carry_out(&chat, &conversation, &speaker, plan).await });
    Ok(())
}
