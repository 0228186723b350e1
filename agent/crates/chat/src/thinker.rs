//! What answers where the grammar does not know: the seam between a conversation and a language model.
//!
//! A thinker reaches the host through its [`Turn`] alone, and a turn carries out nothing but reads. What changes
//! something becomes a plan that a person looks at. No text of a thinker or a tool is ever an approval.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use say::Catalog;
use serde_json::Value;

/// A future in a box, so that traits with it can be objects.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// When a thinker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Where the grammar does not know what is meant.
    Unknown,
    /// For every message.
    Always,
}

/// What can answer a message.
pub trait Thinker: Send + Sync {
    /// When it is asked.
    fn when(&self) -> When;

    /// Answers the message of a turn. To drop the future is to take the message back.
    fn answer<'a>(&'a self, turn: &'a mut dyn Turn) -> Soon<'a, Thought>;
}

/// One message, and what may be done to answer it.
pub trait Turn: Send {
    /// What the person wrote.
    fn text(&self) -> &str;

    /// Their role: `viewer`, `operator` or `admin`.
    fn role(&self) -> &str;

    /// What was said and done before in this conversation, oldest first.
    fn past(&self) -> Vec<Past>;

    /// All tools of the host.
    fn tools(&self) -> Arc<Catalog>;

    /// Shows a piece of the answer.
    fn delta(&mut self, text: &str);

    /// Calls a tool if it only reads. For all others a plan is made and shown, which waits for the person.
    fn call<'a>(&'a mut self, tool: &'a str, arguments: Value) -> Soon<'a, Outcome>;
}

/// Something that was said or done before.
#[derive(Debug, Clone, PartialEq)]
pub enum Past {
    /// A person wrote it.
    User(String),
    /// It was answered.
    Assistant(String),
    /// A tool was called, or a plan came to its end.
    Call {
        /// The tool.
        tool: String,
        /// Its arguments.
        arguments: Value,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The tool's answer.
    Done(Value),
    /// The tool, or the daemon, refused or failed; in words.
    Failed(String),
    /// A plan is shown and waits for the person. Nothing was changed.
    Waiting {
        /// The plan's id, such as `P12`.
        plan: String,
        /// What it would change, in words.
        text: String,
    },
    /// The person cancelled the plan, or let it expire. Nothing was changed.
    Cancelled,
}

/// What a thinker made of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thought {
    /// An answer, in Markdown: the pieces that were shown, put together. It is data: no HTML and no link of it is
    /// one on a page.
    Answer {
        /// The text.
        text: String,
    },
    /// It cannot answer now. The grammar's answer is shown instead, and why, once until it answers again.
    Away {
        /// Why not, for people.
        why: String,
    },
}

impl fmt::Debug for dyn Thinker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Thinker")
    }
}
