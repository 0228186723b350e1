//! What of the fixture is a backend like any other.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use mcp::{
    Answer, Asked, Backend, Completion, Event, Fault, Hint, Output, Request, Speaker, ToolInfo,
};
use rmcp::model::{
    ContentBlock, GetPromptResult, Prompt, PromptArgument, PromptMessage, Resource,
    ResourceContents, ResourceTemplate, Role,
};
use serde_json::{Map, Value, json};
use tools::Effect;

/// A picture of one red point, PNG.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// Silence, WAV.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// Tools by name, with what they are for.
const TOOLS: [(&str, &str); 8] = [
    ("test_simple_text", "Gives a text"),
    ("test_image_content", "Gives a picture"),
    ("test_audio_content", "Gives a sound"),
    ("test_embedded_resource", "Gives a resource"),
    ("test_multiple_content_types", "Gives several kinds"),
    ("test_error_handling", "Always fails"),
    ("test_tool_with_progress", "Tells its progress"),
    ("test_reconnection", "Takes a moment"),
];

/// Tools that take a confirmation, by our own way of asking for one.
const CONFIRMED: [&str; 2] = [
    "test_input_required_result_request_state",
    "test_input_required_result_tampered_state",
];

/// The backend.
pub(crate) struct Fixture;

impl Backend for Fixture {
    fn tools<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        let plain = TOOLS
            .iter()
            .map(|(name, text)| tool(name, text, nothing(), Effect::Read));
        let confirmed = CONFIRMED
            .iter()
            .map(|name| tool(name, "Takes a confirmation", nothing(), Effect::Destroy));
        let beside = crate::beside::tools()
            .into_iter()
            .map(|(name, input)| tool(name, "Uses the protocol itself", input, Effect::Read));
        let schema = tool(
            "json_schema_2020_12_tool",
            "Has a schema with all kinds of keywords",
            keywords(),
            Effect::Read,
        );
        let all = plain.chain(confirmed).chain(beside).chain([schema]);
        let all = Arc::new(all.collect());
        Box::pin(async move { Ok(all) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        Box::pin(async move { call(&request).await })
    }

    fn resources<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Resource>>> {
        let all = vec![
            Resource::new("test://static-text", "Static text").with_mime_type("text/plain"),
            Resource::new("test://static-binary", "Static picture").with_mime_type("image/png"),
            Resource::new("test://watched-resource", "Watched").with_mime_type("text/plain"),
        ];
        Box::pin(async { Ok(Arc::new(all)) })
    }

    fn templates<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ResourceTemplate>>> {
        let template = ResourceTemplate::new("test://template/{id}/data", "Data of an id")
            .with_mime_type("application/json");
        Box::pin(async { Ok(Arc::new(vec![template])) })
    }

    fn read<'a>(
        &'a self,
        _speaker: &'a Speaker,
        uri: &'a str,
    ) -> Answer<'a, Vec<ResourceContents>> {
        Box::pin(async move {
            let id = uri
                .strip_prefix("test://template/")
                .and_then(|rest| rest.strip_suffix("/data"));
            let contents = match (uri, id) {
                ("test://static-text", _) => {
                    ResourceContents::text("This is the content of the static text resource.", uri)
                        .with_mime_type("text/plain")
                }
                ("test://static-binary", _) => {
                    ResourceContents::blob(PNG, uri).with_mime_type("image/png")
                }
                ("test://watched-resource", _) => {
                    ResourceContents::text("It stays the same.", uri).with_mime_type("text/plain")
                }
                (_, Some(id)) => {
                    let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                    ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
                }
                _ => return Err(Fault::NotFound(format!("there is no resource {uri}"))),
            };
            Ok(vec![contents])
        })
    }

    fn can_watch(&self) -> bool {
        true
    }

    fn watch<'a>(
        &'a self,
        _speaker: &'a Speaker,
        _uri: &'a str,
    ) -> Answer<'a, BoxStream<'static, ()>> {
        Box::pin(async { Ok(futures_util::stream::pending().boxed()) })
    }

    fn prompts<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<Prompt>>> {
        let prompt = |name: &str, arguments| Prompt::new(name, Some("For a test"), arguments);
        let arguments = ["arg1", "arg2"].map(|name| {
            PromptArgument::new(name)
                .with_description("For a test")
                .with_required(true)
        });
        let all = vec![
            prompt("test_simple_prompt", None),
            prompt("test_prompt_with_arguments", Some(arguments.into())),
            prompt(
                "test_prompt_with_embedded_resource",
                Some(vec![PromptArgument::new("resourceUri").with_required(true)]),
            ),
            prompt("test_prompt_with_image", None),
            prompt("test_input_required_result_prompt", None),
        ];
        Box::pin(async { Ok(Arc::new(all)) })
    }

    fn prompt<'a>(
        &'a self,
        _speaker: &'a Speaker,
        name: &'a str,
        arguments: Map<String, Value>,
    ) -> Answer<'a, GetPromptResult> {
        Box::pin(async move { prompt(name, &arguments) })
    }

    fn complete<'a>(
        &'a self,
        _speaker: &'a Speaker,
        completion: Completion,
    ) -> Answer<'a, Vec<String>> {
        let values = match completion.asked {
            Asked::Template(_) => vec!["1", "2", "3"],
            Asked::Prompt(_) => vec!["paris", "park", "party"],
        };
        let values = values.into_iter().map(str::to_owned);
        let values: Vec<_> = values
            .filter(|value| value.starts_with(&completion.value))
            .collect();
        Box::pin(async { Ok(values) })
    }
}

fn nothing() -> Value {
    json!({ "type": "object", "properties": {} })
}

fn tool(name: &str, text: &str, input: Value, effect: Effect) -> ToolInfo {
    ToolInfo {
        name: name.to_owned(),
        title: name.to_owned(),
        description: text.to_owned(),
        input: Arc::new(input.as_object().cloned().unwrap_or_default()),
        output: None,
        effect,
        hint: Hint::default(),
        domain: "test".to_owned(),
    }
}

async fn call(request: &Request<'_>) -> Result<Output, Fault> {
    let resource = |uri: &str, text: &str, kind: &str| {
        ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(kind))
    };
    let content = match request.name {
        "test_simple_text" => vec![ContentBlock::text(
            "This is a simple text response for testing.",
        )],
        "test_image_content" => vec![ContentBlock::image(PNG, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(WAV, "audio/wav")],
        "test_embedded_resource" => vec![resource(
            "test://embedded-resource",
            "This is an embedded resource content.",
            "text/plain",
        )],
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PNG, "image/png"),
            resource(
                "test://mixed-content-resource",
                r#"{"test":"data","value":123}"#,
                "application/json",
            ),
        ],
        "test_error_handling" => {
            return Err(Fault::Failed {
                code: "failed".to_owned(),
                text: "This tool intentionally returns an error for testing".to_owned(),
            });
        }
        "test_tool_with_progress" => {
            for (done, text) in [(0, "Begin"), (50, "Half"), (100, "All")] {
                let total = 100;
                let text = text.to_owned();
                (request.listener)(Event { text, done, total });
                // So that the three are told apart.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            vec![ContentBlock::text("Progress was told")]
        }
        "test_reconnection" => vec![ContentBlock::text("Connected")],
        "json_schema_2020_12_tool" => vec![ContentBlock::text("Hello")],
        name if CONFIRMED.contains(&name) && request.plan.is_none() && !request.dry_run => {
            return Err(Fault::Unconfirmed {
                text: "it is only a test".to_owned(),
                plan: "0123456789abcdef".to_owned(),
            });
        }
        name if CONFIRMED.contains(&name) => vec![ContentBlock::text("state-ok")],
        name => return Err(Fault::NotFound(format!("there is no tool `{name}`"))),
    };
    Ok(Output {
        structured: None,
        content,
    })
}

fn prompt(name: &str, arguments: &Map<String, Value>) -> Result<GetPromptResult, Fault> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or("");
    let user = |text: &str| PromptMessage::new_text(Role::User, text);
    let messages = match name {
        "test_simple_prompt" => vec![user("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => vec![user(&format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        ))],
        "test_prompt_with_embedded_resource" => {
            let contents = ResourceContents::text(
                "Embedded resource content for testing.",
                argument("resourceUri"),
            )
            .with_mime_type("text/plain");
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(contents)),
                user("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            PromptMessage::new(Role::User, ContentBlock::image(PNG, "image/png")),
            user("Please analyze the image above."),
        ],
        _ => return Err(Fault::NotFound(format!("there is no prompt `{name}`"))),
    };
    Ok(GetPromptResult::new(messages))
}

/// A schema that uses what only draft 2020-12 has.
fn keywords() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "address",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": { "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" } },
        "allOf": [{ "anyOf": [{ "required": ["name"] }, { "required": ["address"] }] }],
        "if": { "required": ["address"] },
        "then": { "properties": { "address": { "required": ["street"] } } },
        "else": { "required": ["name"] },
        "additionalProperties": false,
    })
}
