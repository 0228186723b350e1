//! Asking a person before something is lost for good.
//!
//! Only a person's answer to a question of ours confirms a plan; no argument of a call does. With a session the
//! question is a request to the client while the call waits. Without, the call ends with the question and a state
//! that is signed, and the client calls again with the answer and that state. The state holds the plan's hash, and is
//! bound to the tool, its arguments and the speaker; it holds for some minutes, and once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmcp::RoleServer;
use rmcp::model::{
    ClientCapabilities, ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema,
    ErrorData, InputRequest, InputRequests, InputRequiredResult, InputResponses, RequestStateCodec,
    SealOptions,
};
use rmcp::service::RequestContext;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::ServerError;
use crate::backend::Speaker;

/// The name of the one question, and of its one field.
const QUESTION: &str = "confirm";
const FIELD: &str = "apply";

/// How many used states are remembered; beyond that nothing is confirmed until some have expired.
const REMEMBERED: usize = 10_000;

/// What a person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Apply,
    Declined,
    TimedOut,
    /// The client cannot ask, or failed to.
    Unasked,
}

/// Signs states, and remembers which were used.
pub(super) struct Seal {
    codec: RequestStateCodec,
    used: Mutex<HashMap<String, Instant>>,
}

#[derive(Serialize, Deserialize)]
struct State {
    plan: String,
    once: String,
}

impl Seal {
    pub(super) fn new() -> Result<Self, ServerError> {
        let key = random()?;
        let codec = RequestStateCodec::try_new(key)
            .map_err(|error| ServerError::Random(error.to_string()))?;
        Ok(Self {
            codec,
            used: Mutex::default(),
        })
    }

    /// The question, and the state that its answer has to come with.
    pub(super) fn question(
        &self,
        text: &str,
        plan: &str,
        subject: &[u8],
        patience: Duration,
    ) -> Result<InputRequiredResult, ErrorData> {
        let internal = |error: String| ErrorData::internal_error(error, None);
        let once = random().map_err(|error| internal(error.to_string()))?;
        let state = State {
            plan: plan.to_owned(),
            once: hex::encode(once),
        };
        let options = SealOptions::new().associated_data(subject).ttl(patience);
        let sealed = self
            .codec
            .seal_json_with(&state, &options)
            .map_err(|error| internal(error.to_string()))?;
        let question = InputRequest::Elicitation(ElicitRequest::new(form(text)?));
        let questions = InputRequests::from([(QUESTION.to_owned(), question)]);
        Ok(InputRequiredResult::new(Some(questions), Some(sealed)))
    }

    /// The plan that was asked about and what a person said, if the state is ours, of this call, and new. Without
    /// an answer in it there is nothing: the question has to be asked again.
    pub(super) fn answer(
        &self,
        sealed: &str,
        responses: Option<&InputResponses>,
        subject: &[u8],
        patience: Duration,
    ) -> Result<Option<(String, Verdict)>, ErrorData> {
        let refused = |why: String| {
            ErrorData::invalid_params(
                format!("requestState: {why}. Call again without it to be asked anew"),
                None,
            )
        };
        let state: State = self
            .codec
            .open_json_with(sealed, subject)
            .map_err(|error| refused(error.to_string()))?;
        let Some(response) = responses.and_then(|responses| responses.get(QUESTION)) else {
            return Ok(None);
        };
        let verdict = said(&response["action"], &response["content"]);
        match self.use_up(state.once, patience) {
            true => Ok(Some((state.plan, verdict))),
            false => Err(refused("it was used before".to_owned())),
        }
    }

    /// Whether a state is used for the first time.
    fn use_up(&self, once: String, patience: Duration) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // What has expired is refused for that.
        used.retain(|_, at| at.elapsed() <= patience);
        used.len() < REMEMBERED && used.insert(once, Instant::now()).is_none()
    }
}

/// What a state is bound to.
pub(super) fn subject(tool: &str, arguments: &Map<String, Value>, speaker: &Speaker) -> Vec<u8> {
    let mut digest = Sha256::new();
    let token = speaker.token.as_deref().unwrap_or_default();
    // Maps are sorted, so that the same arguments give the same text.
    let arguments = Value::Object(arguments.clone()).to_string();
    for part in [tool, token, &arguments] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
}

/// Whether the client can show a form to a person.
pub(super) fn can_ask(capabilities: Option<&ClientCapabilities>) -> bool {
    let elicitation = capabilities.and_then(|capabilities| capabilities.elicitation.as_ref());
    // Neither form nor URL is what clients of before the two existed declare: it means forms.
    elicitation.is_some_and(|modes| modes.form.is_some() || modes.url.is_none())
}

/// Asks while the call waits.
pub(super) async fn ask(
    context: &RequestContext<RoleServer>,
    text: &str,
    patience: Duration,
) -> Result<Verdict, ErrorData> {
    let form = form(text)?;
    let asked = context
        .peer
        .create_elicitation_with_timeout(form, Some(patience));
    let answer = tokio::select! {
        answer = asked => answer,
        () = context.ct.cancelled() => return Ok(Verdict::Declined),
    };
    Ok(match answer {
        Ok(answer) => {
            let accepted = matches!(answer.action, ElicitationAction::Accept);
            verdict(accepted, answer.content.as_ref().unwrap_or(&Value::Null))
        }
        Err(rmcp::ServiceError::Timeout { .. }) => Verdict::TimedOut,
        Err(error) => {
            log::warn!("the client did not ask for a confirmation: {error}");
            Verdict::Unasked
        }
    })
}

fn said(action: &Value, content: &Value) -> Verdict {
    verdict(action == "accept", content)
}

/// Sending the form is not enough: its one field has to be true.
fn verdict(accepted: bool, content: &Value) -> Verdict {
    match accepted && content[FIELD] == Value::Bool(true) {
        true => Verdict::Apply,
        false => Verdict::Declined,
    }
}

fn form(text: &str) -> Result<ElicitRequestParams, ErrorData> {
    let schema = json!({
        "type": "object",
        "properties": { FIELD: {
            "type": "boolean",
            "title": "Do it",
            "description": "Carry out this plan. It cannot be taken back.",
            "default": false,
        } },
        "required": [FIELD],
    });
    let requested_schema: ElicitationSchema = serde_json::from_value(schema)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: text.to_owned(),
        requested_schema,
    })
}

fn random() -> Result<[u8; 32], ServerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| ServerError::Random(error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn answers(apply: bool) -> InputResponses {
        let answer = json!({ "action": "accept", "content": { "apply": apply } });
        InputResponses::from([("confirm".to_owned(), answer)])
    }

    fn sealed(seal: &Seal, subject: &[u8], patience: Duration) -> String {
        let question = seal.question("?", "cafe", subject, patience).unwrap();
        question.request_state.unwrap()
    }

    #[test]
    fn a_state_is_good_for_its_call_and_once() {
        let seal = Seal::new().unwrap();
        let state = sealed(&seal, b"this", PATIENCE);
        let open = |subject: &[u8]| seal.answer(&state, Some(&answers(true)), subject, PATIENCE);
        assert!(open(b"that").is_err());
        let unanswered = seal.answer(&state, Some(&InputResponses::new()), b"this", PATIENCE);
        assert_eq!(unanswered.unwrap(), None);
        assert_eq!(
            open(b"this").unwrap(),
            Some(("cafe".to_owned(), Verdict::Apply))
        );
        assert!(open(b"this").unwrap_err().message.contains("used before"));
    }

    #[test]
    fn a_state_of_another_server_or_an_old_one_is_none() {
        let (seal, other) = (Seal::new().unwrap(), Seal::new().unwrap());
        let foreign = sealed(&other, b"this", PATIENCE);
        assert!(
            seal.answer(&foreign, Some(&answers(true)), b"this", PATIENCE)
                .is_err()
        );
        let old = sealed(&seal, b"this", Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert!(
            seal.answer(&old, Some(&answers(true)), b"this", PATIENCE)
                .is_err()
        );
    }

    #[test]
    fn only_a_true_field_of_an_accepted_form_applies() {
        for (action, content, expected) in [
            ("accept", json!({ "apply": true }), Verdict::Apply),
            ("accept", json!({ "apply": false }), Verdict::Declined),
            ("accept", json!({ "apply": "true" }), Verdict::Declined),
            ("accept", Value::Null, Verdict::Declined),
            ("decline", json!({ "apply": true }), Verdict::Declined),
            ("cancel", json!({ "apply": true }), Verdict::Declined),
        ] {
            assert_eq!(
                said(&json!(action), &content),
                expected,
                "{action} {content}"
            );
        }
    }

    #[test]
    fn a_subject_is_of_tool_arguments_and_speaker() {
        let arguments = |text: &str| json!({ "name": text }).as_object().unwrap().clone();
        let token = |token: &str| Speaker {
            token: Some(token.into()),
        };
        let subjects = [
            subject("a", &arguments("b"), &Speaker::default()),
            subject("a", &arguments("c"), &Speaker::default()),
            subject("ab", &arguments("b"), &Speaker::default()),
            subject("a", &arguments("b"), &token("t")),
            subject("a", &arguments("b"), &token("u")),
        ];
        let different: std::collections::HashSet<_> = subjects.iter().collect();
        assert_eq!(different.len(), subjects.len());
    }
}
