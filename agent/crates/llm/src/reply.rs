//! The answer, put together from its pieces, with tolerance for what servers leave out.

use serde_json::Value;

use crate::bounds;
use crate::request::ToolCall;
use crate::thinking::{Parted, Thinking};

/// A piece of an answer that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text of the answer.
    Text(String),
    /// What the model thinks before it answers.
    Thinking(String),
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its text.
    pub text: String,
    /// The tools that the model wants to be called, each with an id.
    pub calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
    /// What it cost.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was complete.
    Stop,
    /// There was no room for more.
    Length,
    /// The server withheld the rest.
    Filtered,
}

/// What an answer cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// What was sent.
    pub prompt: u64,
    /// What came back.
    pub completion: u64,
    /// Whether the server did not say, and these are guesses from the number of bytes.
    pub estimated: bool,
}

impl Usage {
    /// Both ways together.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server says itself what is wrong.
    Complaint(String),
    /// It cannot be read.
    Garbled(String),
    /// There is more of something than is taken.
    TooMuch(&'static str, usize),
    /// It ended in the middle.
    Cut,
}

/// Puts an answer together.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    text: String,
    thought: usize,
    calls: Vec<Slot>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    thinking: Thinking,
}

/// A tool call whose parts are still coming.
#[derive(Debug, Default)]
struct Slot {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// Whom to tell of each piece.
pub(crate) type Listener<'l> = dyn FnMut(Piece) + Send + 'l;

impl Collector {
    /// Takes a chunk of a stream, or a whole answer. Whether there was an answer in it.
    pub(crate) fn take(
        &mut self,
        chunk: &Value,
        listener: &mut Listener<'_>,
    ) -> Result<bool, Fault> {
        if let Some(complaint) = complaint(chunk) {
            return Err(Fault::Complaint(complaint));
        }
        self.usage = usage(&chunk["usage"]).or(self.usage);
        let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
        let first = |choice: &&Value| choice["index"].as_u64().unwrap_or(0) == 0;
        let Some(choice) = choices.iter().find(first) else {
            return Ok(false);
        };
        let part = match &choice["delta"] {
            Value::Object(_) => &choice["delta"],
            _ => &choice["message"],
        };
        self.take_thought(part, listener)?;
        let parted = self.thinking.feed(&text_of(&part["content"]));
        self.add(parted, listener)?;
        // What a model that will not answer says instead.
        self.say(text_of(&part["refusal"]), listener)?;
        if let Some(calls) = part["tool_calls"].as_array() {
            for call in calls {
                self.take_call(call)?;
            }
        }
        if part["function_call"].is_object() {
            let call = serde_json::json!({ "index": 0, "function": part["function_call"] });
            self.take_call(&call)?;
        }
        self.finish = finish(&choice["finish_reason"]).or(self.finish);
        Ok(true)
    }

    /// The answer. `ended` says that the server declared it complete; `sent` is how many tokens were sent, by
    /// estimate.
    pub(crate) fn finish(
        mut self,
        ended: bool,
        sent: usize,
        listener: &mut Listener<'_>,
    ) -> Result<Reply, Fault> {
        if !ended && self.finish.is_none() {
            return Err(Fault::Cut);
        }
        let rest = self.thinking.finish();
        self.add(rest, listener)?;
        let arguments: usize = self.calls.iter().map(|slot| slot.arguments.len()).sum();
        let estimate = Usage {
            prompt: sent as u64,
            completion: ((self.text.len() + self.thought + arguments) / 3) as u64,
            estimated: true,
        };
        let named = self.calls.into_iter().filter(|slot| !slot.name.is_empty());
        let calls = named.enumerate().map(|(number, slot)| ToolCall {
            id: match slot.id.is_empty() {
                // Nine letters and digits, which the strictest servers want.
                true => format!("call{number:05}"),
                false => slot.id,
            },
            name: slot.name,
            arguments: slot.arguments,
        });
        Ok(Reply {
            calls: calls.collect(),
            text: self.text,
            finish: self.finish.unwrap_or(Finish::Stop),
            usage: match self.usage {
                Some(said) if believable(said, estimate) => said,
                _ => estimate,
            },
        })
    }

    fn take_thought(&mut self, part: &Value, listener: &mut Listener<'_>) -> Result<(), Fault> {
        // llama.cpp and vLLM use the first, Ollama and newer vLLM the second.
        let keys = ["reasoning_content", "reasoning"];
        let thought = keys.iter().find_map(|key| part[*key].as_str());
        let parted = Parted {
            thought: thought.unwrap_or_default().to_owned(),
            said: String::new(),
        };
        self.add(parted, listener)
    }

    fn add(&mut self, parted: Parted, listener: &mut Listener<'_>) -> Result<(), Fault> {
        self.thought += parted.thought.len();
        self.bound_text()?;
        if !parted.thought.is_empty() {
            listener(Piece::Thinking(parted.thought));
        }
        self.say(parted.said, listener)
    }

    fn say(&mut self, text: String, listener: &mut Listener<'_>) -> Result<(), Fault> {
        self.text.push_str(&text);
        self.bound_text()?;
        if !text.is_empty() {
            listener(Piece::Text(text));
        }
        Ok(())
    }

    fn bound_text(&self) -> Result<(), Fault> {
        match self.text.len() + self.thought > bounds::TEXT {
            true => Err(Fault::TooMuch("bytes of text", bounds::TEXT)),
            false => Ok(()),
        }
    }

    fn take_call(&mut self, call: &Value) -> Result<(), Fault> {
        let function = &call["function"];
        let index = call["index"].as_u64();
        let id = call["id"].as_str().unwrap_or_default();
        let name = function["name"].as_str().unwrap_or_default();
        let slot = self.slot(index, id, name)?;
        if slot.id.is_empty() {
            id.clone_into(&mut slot.id);
        }
        // Some servers repeat the whole name with each piece.
        if slot.name != name {
            slot.name.push_str(name);
        }
        match &function["arguments"] {
            Value::String(piece) => slot.arguments.push_str(piece),
            Value::Null => {}
            whole => slot.arguments = whole.to_string(),
        }
        if slot.name.len() > bounds::NAME || slot.id.len() > bounds::NAME {
            return Err(Fault::TooMuch("bytes of a tool's name", bounds::NAME));
        }
        match slot.arguments.len() > bounds::ARGUMENTS {
            true => Err(Fault::TooMuch("bytes of arguments", bounds::ARGUMENTS)),
            false => Ok(()),
        }
    }

    /// The call that a piece belongs to. Servers leave out the index, the id, or both, or give all calls the index 0.
    fn slot(&mut self, index: Option<u64>, id: &str, name: &str) -> Result<&mut Slot, Fault> {
        let begins_another = |slot: &Slot| {
            !id.is_empty() && !name.is_empty() && !slot.id.is_empty() && slot.id != id
        };
        let last = self.calls.len().checked_sub(1);
        let found = match index {
            Some(_) => self
                .calls
                .iter()
                .rposition(|slot| slot.index == index)
                .filter(|place| !begins_another(&self.calls[*place])),
            None if !id.is_empty() && self.calls.iter().any(|slot| slot.id == id) => {
                self.calls.iter().rposition(|slot| slot.id == id)
            }
            None if name.is_empty() => last,
            None => None,
        };
        let place = match found {
            Some(place) => place,
            None if self.calls.len() == bounds::CALLS => {
                return Err(Fault::TooMuch("tool calls", bounds::CALLS));
            }
            None => {
                self.calls.push(Slot {
                    index,
                    ..Slot::default()
                });
                self.calls.len() - 1
            }
        };
        Ok(&mut self.calls[place])
    }
}

/// Text, or the text of a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn finish(reason: &Value) -> Option<Finish> {
    Some(match reason.as_str()? {
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" => Finish::Filtered,
        _ => Finish::Stop,
    })
}

/// Whether a server's count can be true. Nothing costs nothing: one that is 0 where there was something is one that is
/// not kept.
fn believable(said: Usage, estimate: Usage) -> bool {
    let kept = |said: u64, estimate: u64| said > 0 || estimate == 0;
    kept(said.prompt, estimate.prompt) && kept(said.completion, estimate.completion)
}

fn usage(usage: &Value) -> Option<Usage> {
    Some(Usage {
        prompt: usage["prompt_tokens"].as_u64()?,
        completion: usage["completion_tokens"].as_u64().unwrap_or(0),
        estimated: false,
    })
}

/// What a server says is wrong, in one of the ways in which servers say it.
pub(crate) fn complaint(answer: &Value) -> Option<String> {
    let said = match &answer["error"] {
        Value::Null if answer["object"] == "error" => &answer["message"],
        Value::Null => return None,
        Value::String(_) => &answer["error"],
        error => match &error["message"] {
            Value::String(_) => &error["message"],
            _ => error,
        },
    };
    Some(match said {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests;
