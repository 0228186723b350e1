//! Calls that end with questions and are made again with the answers, in the shapes that the suite tries.

#![allow(deprecated)]

use rmcp::RoleServer;
use rmcp::model::*;
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::beside::said;

/// The tools.
pub(crate) const NAMES: [&str; 7] = [
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_capabilities",
    "test_streaming_elicitation",
];

/// Signs what goes to the client and comes back.
#[derive(Clone)]
pub(crate) struct Inputs {
    codec: RequestStateCodec,
}

impl Inputs {
    pub(crate) fn new() -> Result<Self, RequestStateError> {
        // A fixture keeps nothing secret.
        let codec = RequestStateCodec::try_new(*b"a key that protects nothing at all")?;
        Ok(Self { codec })
    }

    pub(crate) fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let answered = |key: &str| {
            let responses = request.input_responses.as_ref();
            responses
                .and_then(|all| all.get(key))
                .filter(|answer| answer.is_object())
        };
        match request.name.as_ref() {
            "test_input_required_result_elicitation" => match answered("user_name") {
                Some(answer) => Ok(said(format!(
                    "Hello, {}!",
                    word(&answer["content"]["name"])
                ))),
                None => ask([("user_name", name()?)]),
            },
            "test_input_required_result_sampling" => match answered("capital_question") {
                Some(answer) => Ok(said(word(&answer["content"]["text"]))),
                None => ask([(
                    "capital_question",
                    sampling("What is the capital of France?"),
                )]),
            },
            "test_input_required_result_list_roots" => match answered("client_roots") {
                Some(answer) => Ok(said(answer["roots"].to_string())),
                None => ask([("client_roots", roots())]),
            },
            "test_input_required_result_multiple_inputs" => {
                let all = ["user_name", "greeting", "client_roots"];
                let state = self.round(request)?;
                if state.is_some() && all.iter().all(|key| answered(key).is_some()) {
                    return Ok(said("All inputs are there"));
                }
                let questions = [
                    ("user_name", name()?),
                    ("greeting", sampling("Generate a greeting")),
                    ("client_roots", roots()),
                ];
                self.ask_in(1, questions)
            }
            "test_input_required_result_multi_round" => match self.round(request)? {
                None => self.ask_in(1, [("step1", name()?)]),
                Some(1) => {
                    let properties = json!({ "color": { "type": "string" } });
                    let form = form(
                        "Step 2: What is your favorite color?",
                        properties,
                        json!(["color"]),
                    )?;
                    self.ask_in(2, [("step2", elicitation(form))])
                }
                Some(_) => Ok(said("All rounds are over")),
            },
            "test_input_required_result_capabilities" => capable(request, context),
            _ => {
                let properties = json!({ "value": { "type": "string" } });
                let form = form("Provide a value", properties, json!(["value"]))?;
                ask([("value", elicitation(form))])
            }
        }
    }

    pub(crate) fn prompt(
        &self,
        request: &GetPromptRequestParams,
    ) -> Result<GetPromptResponse, ErrorData> {
        let responses = request.input_responses.as_ref();
        if let Some(answer) = responses.and_then(|all| all.get("user_context")) {
            let text = format!("Context: {}", word(&answer["content"]["context"]));
            let message = PromptMessage::new_text(Role::User, text);
            return Ok(GetPromptResult::new(vec![message]).into());
        }
        let properties = json!({ "context": { "type": "string" } });
        let form = form(
            "What context should the prompt use?",
            properties,
            json!(["context"]),
        )?;
        let questions = InputRequests::from([("user_context".to_owned(), elicitation(form))]);
        Ok(InputRequiredResult::from_input_requests(questions).into())
    }

    /// The round that the state says, if there is one.
    fn round(&self, request: &CallToolRequestParams) -> Result<Option<u64>, ErrorData> {
        let Some(state) = &request.request_state else {
            return Ok(None);
        };
        let state: Value = self
            .codec
            .open_json(state)
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        Ok(state["round"].as_u64())
    }

    fn ask_in<const N: usize>(
        &self,
        round: u64,
        questions: [(&str, InputRequest); N],
    ) -> Result<CallToolResponse, ErrorData> {
        let state = self
            .codec
            .seal_json(&json!({ "round": round }))
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(InputRequiredResult::new(Some(named(questions)), Some(state)).into())
    }
}

/// Asks only what the client says it can be asked.
fn capable(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let capabilities = context.meta.client_capabilities().unwrap_or_default();
    let mut questions = InputRequests::new();
    if capabilities.elicitation.is_some() {
        questions.insert("user_name".to_owned(), name()?);
    }
    if capabilities.sampling.is_some() {
        questions.insert("greeting".to_owned(), sampling("Generate a greeting"));
    }
    if capabilities.roots.is_some() {
        questions.insert("client_roots".to_owned(), roots());
    }
    match questions.is_empty() || request.input_responses.is_some() {
        true => Ok(said("There is nothing to ask")),
        false => Ok(InputRequiredResult::from_input_requests(questions).into()),
    }
}

fn ask<const N: usize>(
    questions: [(&str, InputRequest); N],
) -> Result<CallToolResponse, ErrorData> {
    Ok(InputRequiredResult::from_input_requests(named(questions)).into())
}

fn named<const N: usize>(questions: [(&str, InputRequest); N]) -> InputRequests {
    let named = questions.into_iter();
    named
        .map(|(key, question)| (key.to_owned(), question))
        .collect()
}

fn name() -> Result<InputRequest, ErrorData> {
    let properties = json!({ "name": { "type": "string" } });
    Ok(elicitation(form(
        "What is your name?",
        properties,
        json!(["name"]),
    )?))
}

fn elicitation(form: ElicitRequestParams) -> InputRequest {
    InputRequest::Elicitation(ElicitRequest::new(form))
}

fn sampling(text: &str) -> InputRequest {
    let messages = vec![SamplingMessage::user_text(text)];
    InputRequest::CreateMessage(CreateMessageRequest::new(CreateMessageRequestParams::new(
        messages, 100,
    )))
}

fn roots() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// A form with these fields.
pub(crate) fn form(
    message: &str,
    properties: Value,
    required: Value,
) -> Result<ElicitRequestParams, ErrorData> {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let requested_schema = serde_json::from_value(schema)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema,
    })
}
