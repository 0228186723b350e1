//! What a sentence was taken to mean.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tool::Effect;

/// A sentence, and what it was taken to mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Understanding {
    /// The sentence, as it was said.
    pub sentence: String,
    /// What it is taken to mean, in words for the one who said it.
    pub understood: String,
    /// What it is taken to mean.
    pub meaning: Meaning,
    /// How sure that is, 0 to 1.
    pub score: f64,
    /// What else it may have meant, best first; at most three.
    pub alternatives: Vec<Alternative>,
}

/// What a sentence asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Meaning {
    /// Call a tool.
    Call {
        /// Its name.
        tool: String,
        /// Its arguments, an object.
        arguments: Value,
        /// What it does to the host.
        effect: Effect,
    },
    /// Call a tool, once the rest is known: ask for it. The next sentence may be nothing but the answer.
    Missing {
        /// Its name.
        tool: String,
        /// The arguments that are known.
        arguments: Value,
        /// What is not known.
        what: Vec<Slot>,
    },
    /// Say what can be said, of a topic if one is named.
    Help {
        /// A domain, a tool or a word.
        topic: Option<String>,
    },
    /// Say why the last thing came out as it did.
    Why,
    /// Take back what waits for an answer or runs; nothing is done for it.
    Cancel,
    /// Somebody agrees to what waits. A door may show the plan again; it is no approval of a destroy.
    Apply,
    /// Nothing that is known; the alternatives come near.
    Unknown,
}

impl Meaning {
    /// A call.
    pub(crate) fn call(tool: &str, arguments: Map<String, Value>, effect: Effect) -> Self {
        Self::Call {
            tool: tool.to_owned(),
            arguments: Value::Object(arguments),
            effect,
        }
    }
}

/// An argument that has to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The argument's name.
    pub name: String,
    /// The question, for people.
    pub question: String,
    /// Answers that make sense, if they are known; at most 20.
    #[serde(default)]
    pub candidates: Vec<String>,
}

/// Something else that a sentence may have meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// A sentence that is understood.
    pub sentence: String,
    /// The tool that it asks for.
    pub tool: String,
}

/// A way to go on with a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The whole sentence.
    pub text: String,
    /// What it does, in a few words.
    pub title: String,
}
