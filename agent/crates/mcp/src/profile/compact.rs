//! Compact mode: four tools that find, explain and call all others.

use std::sync::Arc;

use futures_util::StreamExt;
use schemars::JsonSchema;
use search::{Document, Index};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tools::Effect;

use crate::backend::{Answer, Backend, Fault, Hint, Output, Request, Speaker, ToolInfo, passed_on};
use crate::server::LARGEST;

/// How many tools a search gives at most, and where nobody says.
const FOUND: usize = 20;
const USUAL: usize = 8;

/// How many calls a batch has at most, and how many that read are on their way at once.
const BATCH: usize = 20;
const AT_ONCE: usize = 6;

/// A backend whose tools are reached through four.
pub struct Compact {
    backend: Arc<dyn Backend>,
    tools: Arc<Vec<ToolInfo>>,
    index: OnceCell<Index>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// What it should do, in a few words
    query: String,
    /// Only tools about this, such as containers or systemd
    #[serde(default)]
    domain: Option<String>,
    /// How many at most: 8 where not said, 20 at most
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Describe {
    /// The tool
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Execute {
    /// The tool
    name: String,
    /// Its arguments, as tool_describe shows them
    #[serde(default)]
    arguments: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// The calls, 20 at most
    calls: Vec<Execute>,
}

impl Compact {
    /// The tools of a backend through four.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            tools: Arc::new(four()),
            index: OnceCell::new(),
        }
    }

    async fn known(&self, speaker: &Speaker, name: &str) -> Result<ToolInfo, Fault> {
        let all = self.backend.tools(speaker).await?;
        let tool = all.iter().find(|tool| tool.name == name);
        tool.cloned().ok_or_else(|| {
            Fault::NotFound(format!(
                "there is no tool `{name}`: tool_search finds those there are"
            ))
        })
    }

    async fn search(&self, speaker: &Speaker, asked: Search) -> Result<Value, Fault> {
        let all = self.backend.tools(speaker).await?;
        let failed = |error: search::Error| Fault::Failed {
            code: "failed".to_owned(),
            text: error.to_string(),
        };
        let index = self
            .index
            .get_or_try_init(|| async { Index::new(documents(&all)) });
        let index = index.await.map_err(failed)?;
        let limit = asked.limit.unwrap_or(USUAL).clamp(1, FOUND);
        let hits = index.search(&asked.query, all.len()).map_err(failed)?;
        let found: Vec<_> = hits
            .iter()
            .filter_map(|hit| all.iter().find(|tool| tool.name == hit.id))
            .filter(|tool| asked.domain.as_ref().is_none_or(|domain| *domain == tool.domain))
            .take(limit)
            .map(|tool| {
                let effect = tool.effect.to_string();
                json!({ "name": tool.name, "title": tool.title, "effect": effect, "domain": tool.domain })
            })
            .collect();
        let mut domains: Vec<_> = all.iter().map(|tool| tool.domain.as_str()).collect();
        domains.sort_unstable();
        domains.dedup();
        Ok(json!({ "tools": found, "domains": domains, "of": all.len() }))
    }

    async fn describe(&self, speaker: &Speaker, asked: Describe) -> Result<Value, Fault> {
        let tool = self.known(speaker, &asked.name).await?;
        Ok(json!({
            "name": tool.name,
            "title": tool.title,
            "description": tool.description,
            "effect": tool.effect.to_string(),
            "domain": tool.domain,
            "input_schema": *tool.input,
            "output_schema": tool.output.as_deref(),
        }))
    }

    /// Calls one tool; what it takes to confirm it is what it takes without compact mode.
    async fn execute(&self, request: Request<'_>) -> Result<Output, Fault> {
        let asked: Execute = parse(request.arguments)?;
        let tool = self.known(request.speaker, &asked.name).await?;
        let plan_only = request.dry_run && tool.effect != Effect::Read;
        let output = self
            .backend
            .call(Request {
                name: &asked.name,
                arguments: asked.arguments,
                ..request
            })
            .await?;
        if plan_only {
            return Ok(output);
        }
        Ok(Output {
            structured: Some(json!({ "result": output.structured })),
            content: output.content,
        })
    }

    /// Calls several: side by side if all only read, else one after the other up to the first that fails.
    async fn batch(&self, request: Request<'_>) -> Result<Value, Fault> {
        let asked: Batch = parse(request.arguments.clone())?;
        if asked.calls.is_empty() || asked.calls.len() > BATCH {
            return Err(Fault::Invalid(format!(
                "/calls: a batch has 1 to {BATCH} calls"
            )));
        }
        let mut reads = true;
        for call in &asked.calls {
            match self.known(request.speaker, &call.name).await?.effect {
                Effect::Destroy => {
                    let text = format!(
                        "{} destroys data: call it by itself, with tool_execute. Nothing of the batch was done",
                        call.name
                    );
                    return Err(Fault::Refused(text));
                }
                Effect::Write => reads = false,
                Effect::Read => {}
            }
        }
        let room = LARGEST / (asked.calls.len() + 1);
        let calls = asked
            .calls
            .into_iter()
            .map(|call| self.one(&request, call, room));
        let results = match reads {
            true => {
                futures_util::stream::iter(calls)
                    .buffered(AT_ONCE)
                    .collect()
                    .await
            }
            false => in_order(calls).await,
        };
        Ok(json!({ "results": results }))
    }

    async fn one(&self, request: &Request<'_>, call: Execute, room: usize) -> Value {
        let answer = self
            .backend
            .call(Request {
                speaker: request.speaker,
                name: &call.name,
                arguments: call.arguments,
                dry_run: request.dry_run,
                plan: None,
                listener: request.listener,
                cancel: request.cancel.child_token(),
            })
            .await;
        let error = match answer {
            Ok(Output {
                structured,
                content,
            }) => {
                let result = structured.unwrap_or_else(|| json!(content));
                match result.to_string().len() {
                    size if size <= room => {
                        return json!({ "name": call.name, "done": true, "result": result });
                    }
                    size => json!({
                        "code": "too-large",
                        "message": format!("the answer has {size} bytes, more than {room}: call it by itself, or ask for less"),
                    }),
                }
            }
            Err(fault) => {
                let error = json!({ "code": fault.code(), "message": fault.to_string() });
                return json!({ "name": call.name, "done": false, "error": error });
            }
        };
        json!({ "name": call.name, "done": true, "error": error })
    }
}

/// One after the other; what comes after a failure is not done.
async fn in_order(calls: impl Iterator<Item = impl Future<Output = Value>>) -> Vec<Value> {
    let mut results: Vec<Value> = Vec::new();
    for call in calls {
        if results.last().is_some_and(|last| last["done"] == false) {
            break;
        }
        results.push(call.await);
    }
    results
}

fn parse<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Fault::Invalid(error.to_string()))
}

/// What is searched: names, words, and the names of arguments.
fn documents(tools: &[ToolInfo]) -> Vec<Document> {
    let document = |tool: &ToolInfo| {
        let properties = tool.input.get("properties").and_then(Value::as_object);
        let arguments = properties.into_iter().flat_map(Map::keys);
        let arguments: Vec<_> = arguments.map(String::as_str).collect();
        Document {
            id: tool.name.clone(),
            title: format!("{} {}", tool.name, tool.title),
            text: format!(
                "{} {} {}",
                tool.description,
                tool.domain,
                arguments.join(" ")
            ),
        }
    };
    tools.iter().map(document).collect()
}

/// The four tools.
fn four() -> Vec<ToolInfo> {
    let tool = |name: &str, title: &str, description: &str, input: Value, output: Value, effect| {
        let object = |schema| match schema {
            Value::Object(schema) => Arc::new(schema),
            _ => Arc::default(),
        };
        ToolInfo {
            name: name.to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            input: object(input),
            output: Some(object(output)),
            effect,
            hint: Hint::default(),
            domain: "tools".to_owned(),
        }
    };
    let list = |name: &str| json!({ "type": "object", "properties": { name: { "type": "array" } }, "required": [name] });
    vec![
        tool(
            "tool_search",
            "Find tools",
            "Finds tools by what they do. Begin here: only four tools are listed, and they reach all others.",
            schema::<Search>(),
            list("tools"),
            Effect::Read,
        ),
        tool(
            "tool_describe",
            "Explain a tool",
            "What a tool does, takes and gives. Ask before you call one for the first time.",
            schema::<Describe>(),
            json!({ "type": "object", "required": ["name", "input_schema"] }),
            Effect::Read,
        ),
        tool(
            "tool_execute",
            "Call a tool",
            "Calls one tool. What destroys data is asked of a person first, with its plan.",
            schema::<Execute>(),
            json!({ "type": "object", "required": ["result"] }),
            Effect::Destroy,
        ),
        tool(
            "tool_batch",
            "Call several tools",
            "Calls up to 20 tools: side by side if all only read, else in order up to the first that fails. \
             Tools that destroy data are refused.",
            schema::<Batch>(),
            list("results"),
            Effect::Write,
        ),
    ]
}

fn schema<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    let mut schema = schema.to_value();
    // A format of Rust's own, which clients trip over.
    if let Some(limit) = schema
        .pointer_mut("/properties/limit")
        .and_then(Value::as_object_mut)
    {
        limit.remove("format");
    }
    schema
}

impl Backend for Compact {
    fn tools<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        Box::pin(async { Ok(Arc::clone(&self.tools)) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async move {
            let speaker = request.speaker;
            match request.name {
                "tool_search" => Ok(self
                    .search(speaker, parse(request.arguments)?)
                    .await?
                    .into()),
                "tool_describe" => Ok(self
                    .describe(speaker, parse(request.arguments)?)
                    .await?
                    .into()),
                "tool_execute" => self.execute(request).await,
                "tool_batch" => Ok(self.batch(request).await?.into()),
                name => Err(Fault::NotFound(format!("there is no tool `{name}`"))),
            }
        })
    }

    passed_on!(backend);
}
