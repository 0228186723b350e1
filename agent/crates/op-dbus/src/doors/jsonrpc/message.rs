//! Requests and answers (JSON-RPC 2.0 specification).

use serde::Deserialize;
use serde_json::{Value, json};
use tools::ToolError;

/// Invalid JSON was received.
pub(super) const PARSE_ERROR: i64 = -32700;
/// The JSON is no request.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters do not fit the method.
pub(super) const INVALID_PARAMS: i64 = -32602;
/// A tool said why not; `data.code` says in a word.
pub(super) const TOOL_ERROR: i64 = -32000;

/// One request, or a notification if it has no id.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Value,
}

/// Why there is no result.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl Fault {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }
}

impl From<ToolError> for Fault {
    fn from(error: ToolError) -> Self {
        Self {
            code: TOOL_ERROR,
            message: error.to_string(),
            data: Some(error.json()),
        }
    }
}

/// Reads a request; the fault comes with the id to answer to.
pub(super) fn read(message: Value) -> Result<Request, (Value, Fault)> {
    let wrong = |id: &Value, text: &str| (id.clone(), Fault::new(INVALID_REQUEST, text));
    let Value::Object(mut message) = message else {
        return Err(wrong(&Value::Null, "a request is an object"));
    };
    let id = message.remove("id");
    if let Some(id) = &id
        && !matches!(id, Value::String(_) | Value::Number(_) | Value::Null)
    {
        return Err(wrong(&Value::Null, "an id is a text, a number or null"));
    }
    let known = id.clone().unwrap_or(Value::Null);
    if message.get("jsonrpc") != Some(&json!("2.0")) {
        return Err(wrong(&known, "`jsonrpc` has to be \"2.0\""));
    }
    let Some(Value::String(method)) = message.remove("method") else {
        return Err(wrong(&known, "`method` has to be a text"));
    };
    let params = message.remove("params").unwrap_or_else(|| json!({}));
    if !params.is_object() {
        return Err((
            known,
            Fault::new(INVALID_PARAMS, "`params` has to be an object"),
        ));
    }
    Ok(Request { id, method, params })
}

/// The answer to a request.
pub(super) fn answer(id: &Value, result: Result<Value, Fault>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(fault) => {
            let mut error = json!({ "code": fault.code, "message": fault.message });
            if let Some(data) = fault.data {
                error["data"] = data;
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}

/// An answer that names the ledger's entry of what was done, beside result or error.
pub(super) fn recorded(mut answer: Value, entry: Option<i64>) -> Value {
    if let Some(entry) = entry {
        answer["entry"] = json!(entry);
    }
    answer
}

/// What `tools.call` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallParams {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: Value,
    /// Show the plan and change nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// The hash of the plan that was shown.
    #[serde(default)]
    pub(super) plan: Option<String>,
    /// How long the caller waits.
    #[serde(default)]
    pub(super) timeout_ms: Option<u64>,
    /// Where the caller's SSH session comes from.
    #[serde(default)]
    pub(super) ssh_client: Option<std::net::IpAddr>,
    /// Tell events as notifications.
    #[serde(default)]
    pub(super) progress: bool,
}

/// Reads parameters into what a method takes.
pub(super) fn params<T: for<'de> Deserialize<'de>>(params: Value) -> Result<T, Fault> {
    serde_json::from_value(params).map_err(|error| Fault::new(INVALID_PARAMS, error.to_string()))
}
