//! What the suite asks for beyond what a backend can do: sampling, logging, questions of all kinds. The product has
//! none of these; the library does, and the suite wants to see them next to the rest.

// Sampling and logging are on their way out of the protocol.
#![allow(deprecated)]

use mcp::server::Server;
use rmcp::model::*;
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::inputs::Inputs;

type Context = RequestContext<RoleServer>;

/// The server, and the tools beside it.
#[derive(Clone)]
pub(crate) struct Beside {
    server: Server,
    inputs: Inputs,
}

impl Beside {
    pub(crate) fn new(server: Server) -> Result<Self, RequestStateError> {
        let inputs = Inputs::new()?;
        Ok(Self { server, inputs })
    }
}

/// The tools that are not the backend's: names and what they take.
pub(crate) fn tools() -> Vec<(&'static str, Value)> {
    let text = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] });
    let nothing = || json!({ "type": "object", "properties": {} });
    let own = [
        ("test_tool_with_logging", nothing()),
        ("test_logging_tool", nothing()),
        ("test_missing_capability", nothing()),
        ("test_sampling", text("prompt")),
        ("test_elicitation", text("message")),
        ("test_elicitation_sep1034_defaults", nothing()),
        ("test_elicitation_sep1330_enums", nothing()),
    ];
    let inputs = crate::inputs::NAMES.map(|name| (name, nothing()));
    own.into_iter().chain(inputs).collect()
}

impl ServerHandler for Beside {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.server.get_info();
        info.capabilities.logging = Some(JsonObject::new());
        info
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        match name.as_ref() {
            "test_tool_with_logging" => {
                for text in [
                    "Tool execution started",
                    "Tool processing data",
                    "Tool execution completed",
                ] {
                    log(&context, LoggingLevel::Info, text).await;
                }
                Ok(said("It is logged"))
            }
            "test_logging_tool" => {
                if let Some(level) = context.meta.log_level() {
                    log(&context, level, "A level was asked for").await;
                }
                Ok(said("It is logged where that was asked for"))
            }
            "test_missing_capability" => {
                let capabilities = context.client_capabilities().unwrap_or_default();
                match capabilities.sampling {
                    Some(_) => Ok(said("The client can sample")),
                    None => Err(ErrorData::missing_required_client_capability(
                        ClientCapabilities::builder().enable_sampling().build(),
                    )),
                }
            }
            "test_sampling" => sample(&request, &context).await,
            "test_elicitation" => {
                let properties = json!({
                    "username": { "type": "string", "description": "User's response" },
                    "email": { "type": "string", "description": "User's email address" },
                });
                let message = argument(&request, "message");
                ask(&context, message, properties, json!(["username", "email"])).await
            }
            "test_elicitation_sep1034_defaults" => {
                ask(&context, "All have defaults", defaults(), json!([])).await
            }
            "test_elicitation_sep1330_enums" => {
                ask(&context, "All are choices", choices(), json!([])).await
            }
            other if crate::inputs::NAMES.contains(&other) => self.inputs.call(&request, &context),
            _ => self.server.call_tool(request, context).await,
        }
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        match request.name.as_str() {
            "test_input_required_result_prompt" => self.inputs.prompt(&request),
            _ => self.server.get_prompt(request, context).await,
        }
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: Context,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        self.server.list_tools(request, context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.server.list_resources(request, context).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.server.list_resource_templates(request, context).await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.server.read_resource(request, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.server.list_prompts(request, context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        self.server.complete(request, context).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        self.server.subscribe(request, context).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        self.server.unsubscribe(request, context).await
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        self.server.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.server.listen(context).await
    }
}

pub(crate) fn said(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn argument<'a>(request: &'a CallToolRequestParams, name: &str) -> &'a str {
    let arguments = request.arguments.as_ref();
    let value = arguments.and_then(|arguments| arguments.get(name));
    value.and_then(Value::as_str).unwrap_or("?")
}

async fn log(context: &Context, level: LoggingLevel, text: &str) {
    let message = LoggingMessageNotificationParam::new(level, json!(text));
    if let Err(error) = context.peer.notify_logging_message(message).await {
        eprintln!("not logged: {error}");
    }
}

async fn sample(
    request: &CallToolRequestParams,
    context: &Context,
) -> Result<CallToolResponse, ErrorData> {
    let messages = vec![SamplingMessage::user_text(argument(request, "prompt"))];
    let sampled = context
        .peer
        .create_message(CreateMessageRequestParams::new(messages, 100))
        .await
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let first = sampled.message.content.first();
    let text = first.and_then(|content| content.as_text());
    let text = text.map_or("", |text| text.text.as_str());
    Ok(said(format!("LLM response: {text}")))
}

async fn ask(
    context: &Context,
    message: &str,
    properties: Value,
    required: Value,
) -> Result<CallToolResponse, ErrorData> {
    let form = crate::inputs::form(message, properties, required)?;
    let answer = context.peer.create_elicitation(form).await;
    let answer = answer.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(said(format!(
        "User response: action={}, content={}",
        json!(answer.action).as_str().unwrap_or_default(),
        answer.content.unwrap_or_default()
    )))
}

fn defaults() -> Value {
    json!({
        "name": { "type": "string", "description": "User's name", "default": "John Doe" },
        "age": { "type": "integer", "description": "User's age", "default": 30 },
        "score": { "type": "number", "description": "User's score", "default": 95.5 },
        "status": {
            "type": "string",
            "description": "User's status",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": { "type": "boolean", "description": "Verified or not", "default": true },
    })
}

fn choices() -> Value {
    let titled = |names: [&str; 3]| {
        let titled = names.iter().enumerate();
        let titled =
            titled.map(|(n, name)| json!({ "const": format!("value{}", n + 1), "title": name }));
        Value::Array(titled.collect())
    };
    json!({
        "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
        "titledSingle": {
            "type": "string",
            "oneOf": titled(["First Option", "Second Option", "Third Option"]),
        },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "items": { "type": "string", "enum": ["option1", "option2", "option3"] },
        },
        "titledMulti": {
            "type": "array",
            "items": { "anyOf": titled(["First Choice", "Second Choice", "Third Choice"]) },
        },
    })
}
