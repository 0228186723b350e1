//! A message that a language model answers: what it is shown, and what it may do.

use std::sync::Arc;

use say::Catalog;
use serde_json::Value;

use super::Message;
use crate::answer::cut;
use crate::call;
use crate::event::{Body, Said};
use crate::markdown;
use crate::plan::{self, Proposed};
use crate::plans::Wish;
use crate::thinker::{Outcome, Past, Soon, Thought, Turn, When};

impl Message {
    /// Has a language model answer, if one is to; whether it did.
    pub(super) async fn think(&mut self, lost: bool) -> bool {
        let Some(thinker) = self.chat.thinker() else {
            return false;
        };
        if !lost && thinker.when() == When::Unknown {
            return false;
        }
        let (id, conversation) = (self.id.clone(), Arc::clone(&self.conversation));
        let stopped = conversation.begin(&id);
        let thought = tokio::select! {
            thought = thinker.answer(self) => Some(thought),
            _ = stopped => None,
        };
        conversation.end(&id);
        match thought {
            Some(Thought::Answer { text }) => {
                self.chat.thinker_is_back();
                let said = Said {
                    id: Some(id),
                    html: markdown::render_without_links(&text),
                    in_reply_to: self.in_reply_to.clone(),
                    ..Said::default()
                };
                self.conversation
                    .tell(&Body::Assistant(Box::new(said)), &text, &[]);
                true
            }
            Some(Thought::Away { why }) => {
                if self.chat.thinker_is_away() {
                    self.say(&why, Said::default());
                }
                false
            }
            None => {
                let said = Said {
                    id: Some(id),
                    ..Said::default()
                };
                self.say("Stopped.", said);
                true
            }
        }
    }
}

impl Turn for Message {
    fn text(&self) -> &str {
        &self.text
    }

    fn role(&self) -> &str {
        &self.role
    }

    fn past(&self) -> Vec<Past> {
        self.past.clone()
    }

    fn tools(&self) -> Arc<Catalog> {
        Arc::clone(&self.known.catalog)
    }

    fn delta(&mut self, text: &str) {
        let delta = Body::Delta {
            message: self.id.clone(),
        };
        self.conversation.whisper(&delta, text);
    }

    fn call<'a>(&'a mut self, tool: &'a str, arguments: Value) -> Soon<'a, Outcome> {
        Box::pin(async move {
            let Some(tool) = self.known.tool(tool) else {
                return Outcome::Failed(format!("there is no tool `{}`", cut(tool, 64)));
            };
            if tool.effect == api::Effect::Read {
                let order = self.order(tool, arguments);
                let ended =
                    call::perform(&self.chat, &self.conversation, &self.speaker, order).await;
                return match ended.result {
                    Ok(answer) => Outcome::Done(answer),
                    Err(error) => Outcome::Failed(error.to_string()),
                };
            }
            let wish = Wish {
                sentence: self.text.clone(),
                by_model: true,
            };
            match plan::propose(self, tool, arguments, wish).await {
                Proposed::Waiting { plan, text } => Outcome::Waiting { plan, text },
                Proposed::Unchanged { .. } => {
                    Outcome::Failed("there is nothing to change: it is so already".to_owned())
                }
                Proposed::Refused(error) => Outcome::Failed(error.to_string()),
            }
        })
    }
}
