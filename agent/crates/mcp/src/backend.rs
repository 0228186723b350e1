//! What an MCP server offers, whatever is behind it: the host's tools, a service of the bus, other servers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use rmcp::model::{
    ContentBlock, GetPromptResult, Prompt, Resource, ResourceContents, ResourceTemplate,
};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tools::Effect;

/// What a backend answers, some time later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Who speaks: what the transport knows of them.
#[derive(Clone, Default)]
pub struct Speaker {
    /// The bearer token of an HTTP request. Never logged, never passed to another server.
    pub token: Option<Arc<str>>,
}

impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("Speaker").field("token", &token).finish()
    }
}

/// What a client may expect of a tool beside its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hint {
    /// Doing it twice is doing it once.
    pub idempotent: bool,
    /// It reaches beyond this host.
    pub open_world: bool,
    /// It is another server's, or about other servers.
    pub upstream: bool,
}

/// A tool as clients see it.
#[derive(Debug, Clone)]
pub struct ToolInfo {
    /// Matches `^[a-zA-Z0-9_-]{1,64}$`, unique in a backend.
    pub name: String,
    /// A few words for people.
    pub title: String,
    /// What it does and gives, in sentences.
    pub description: String,
    /// The schema of its arguments: JSON Schema 2020-12, of type object.
    pub input: Arc<Map<String, Value>>,
    /// The schema of its answer.
    pub output: Option<Arc<Map<String, Value>>>,
    /// What it does to the host.
    pub effect: Effect,
    /// What else is known of it.
    pub hint: Hint,
    /// What it is about, in a word: groups are made of these.
    pub domain: String,
}

/// Something that happens while a call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// In words.
    pub text: String,
    /// Steps done so far.
    pub done: usize,
    /// Steps in all, 0 where nobody knows.
    pub total: usize,
}

/// One call.
pub struct Request<'a> {
    /// Who asks.
    pub speaker: &'a Speaker,
    /// The tool.
    pub name: &'a str,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Show the plan and change nothing.
    pub dry_run: bool,
    /// The hash of the plan that a person has confirmed.
    pub plan: Option<String>,
    /// Whom to tell on the way.
    pub listener: &'a (dyn Fn(Event) + Send + Sync),
    /// Takes the call back.
    pub cancel: CancellationToken,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// There is no such tool or resource.
    #[error("{0}")]
    NotFound(String),
    /// The arguments do not fit.
    #[error("{0}")]
    Invalid(String),
    /// It loses data for good: a person has to see its plan and confirm it, by its hash.
    #[error("{text}")]
    Unconfirmed {
        /// What is asked of the person.
        text: String,
        /// The hash to call again with.
        plan: String,
    },
    /// The caller may not.
    #[error("{0}")]
    Refused(String),
    /// What answers is away.
    #[error("{0}")]
    Unavailable(String),
    /// It was tried and did not work. `code` is a word for programs, such as `timed-out`.
    #[error("{text}")]
    Failed {
        /// A word for programs.
        code: String,
        /// In words.
        text: String,
    },
}

impl Fault {
    /// A word for programs, stable over versions.
    pub fn code(&self) -> &str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Invalid(_) => "invalid",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Refused(_) => "refused",
            Self::Unavailable(_) => "unavailable",
            Self::Failed { code, .. } => code,
        }
    }
}

/// What a call gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// For programs: it fits the tool's output schema, where it has one.
    pub structured: Option<Value>,
    /// For people and models. Where there is none, the structured answer stands in, as text.
    pub content: Vec<ContentBlock>,
}

impl From<Value> for Output {
    fn from(structured: Value) -> Self {
        Self {
            structured: Some(structured),
            content: Vec::new(),
        }
    }
}

/// What a value is to be found for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An argument of this prompt.
    Prompt(String),
    /// A variable of this resource template.
    Template(String),
}

/// A value that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Where it belongs.
    pub asked: Asked,
    /// The argument's or variable's name.
    pub name: String,
    /// What is there so far.
    pub value: String,
    /// The arguments that are known already.
    pub known: Vec<(String, String)>,
}

/// What is behind an MCP server.
pub trait Backend: Send + Sync + 'static {
    /// The tools that the speaker may see, in a fixed order.
    fn tools<'a>(&'a self, speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>>;

    /// Calls a tool; the answer fits the tool's output schema, where it has one.
    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output>;

    /// The resources that can be listed, in a fixed order.
    fn resources<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Resource>>> {
        Box::pin(async { Ok(Arc::default()) })
    }

    /// The templates of resources (RFC 6570), in a fixed order.
    fn templates<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ResourceTemplate>>> {
        Box::pin(async { Ok(Arc::default()) })
    }

    /// What a resource has.
    fn read<'a>(
        &'a self,
        _speaker: &'a Speaker,
        uri: &'a str,
    ) -> Answer<'a, Vec<ResourceContents>> {
        Box::pin(async move { Err(Fault::NotFound(format!("there is no resource {uri}"))) })
    }

    /// Whether resources may be watched.
    fn can_watch(&self) -> bool {
        false
    }

    /// Tells each time that a resource is another. Dropping the stream ends it.
    fn watch<'a>(
        &'a self,
        _speaker: &'a Speaker,
        uri: &'a str,
    ) -> Answer<'a, BoxStream<'static, ()>> {
        Box::pin(async move { Err(Fault::NotFound(format!("{uri} cannot be watched"))) })
    }

    /// The prompts, in a fixed order.
    fn prompts<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Prompt>>> {
        Box::pin(async { Ok(Arc::default()) })
    }

    /// A prompt with its arguments filled in; all those that it requires are there.
    fn prompt<'a>(
        &'a self,
        _speaker: &'a Speaker,
        name: &'a str,
        _arguments: Map<String, Value>,
    ) -> Answer<'a, GetPromptResult> {
        Box::pin(async move { Err(Fault::NotFound(format!("there is no prompt `{name}`"))) })
    }

    /// Values that what is typed may become, the likeliest first.
    fn complete<'a>(
        &'a self,
        _speaker: &'a Speaker,
        _completion: Completion,
    ) -> Answer<'a, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// What a backend around another, in a field of its own, leaves as it is: everything but tools.
macro_rules! passed_on {
    ($backend:ident) => {
        fn resources<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
        ) -> $crate::backend::Answer<'a, std::sync::Arc<Vec<rmcp::model::Resource>>> {
            self.$backend.resources(speaker)
        }

        fn templates<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
        ) -> $crate::backend::Answer<'a, std::sync::Arc<Vec<rmcp::model::ResourceTemplate>>> {
            self.$backend.templates(speaker)
        }

        fn read<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
            uri: &'a str,
        ) -> $crate::backend::Answer<'a, Vec<rmcp::model::ResourceContents>> {
            self.$backend.read(speaker, uri)
        }

        fn can_watch(&self) -> bool {
            self.$backend.can_watch()
        }

        fn watch<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
            uri: &'a str,
        ) -> $crate::backend::Answer<'a, futures_util::stream::BoxStream<'static, ()>> {
            self.$backend.watch(speaker, uri)
        }

        fn prompts<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
        ) -> $crate::backend::Answer<'a, std::sync::Arc<Vec<rmcp::model::Prompt>>> {
            self.$backend.prompts(speaker)
        }

        fn prompt<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
            name: &'a str,
            arguments: serde_json::Map<String, serde_json::Value>,
        ) -> $crate::backend::Answer<'a, rmcp::model::GetPromptResult> {
            self.$backend.prompt(speaker, name, arguments)
        }

        fn complete<'a>(
            &'a self,
            speaker: &'a $crate::backend::Speaker,
            completion: $crate::backend::Completion,
        ) -> $crate::backend::Answer<'a, Vec<String>> {
            self.$backend.complete(speaker, completion)
        }
    };
}

pub(crate) use passed_on;
