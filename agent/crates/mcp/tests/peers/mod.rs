//! Upstream servers of all kinds, and a host with a real registry and a real ledger.
#![allow(dead_code, unreachable_pub)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use declaration::Declaration;
use mcp::aggregate::Aggregate;
use mcp::{Answer, Backend, Fault, Hint, Output, Request, Speaker, ToolInfo};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use tools::engine::{Site, Source};
use tools::{Caller, Cancel, Door, Options, Registry, Role, ToolError};

const PEER: &str = include_str!("peer.py");

/// A directory that the account `nobody` can read, with the peer in it.
pub fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(dir.path().join("peer.py"), PEER).unwrap();
    dir
}

/// Writes a secret that only its owner reads.
pub fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The declaration of one server over standard input and output.
pub fn stdio(dir: &Path, mode: &str) -> Value {
    let script = dir.join("peer.py");
    json!({ "command": ["/usr/bin/python3", script.to_str().unwrap(), mode], "timeout": 10 })
}

/// A declaration with these servers.
pub fn declared(upstreams: Value) -> Declaration {
    let document = json!({ "version": "1.0", "mcp": { "upstreams": upstreams } });
    Declaration::from_json(&document.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A host: its registry, with the role that the caller's token names.
pub struct Host {
    pub registry: Registry,
    /// Names of the tools that were called.
    pub called: std::sync::Mutex<Vec<String>>,
}

impl Host {
    /// A host with this declaration and a ledger below the directory.
    pub fn new(dir: &Path, declaration: &Declaration) -> Arc<Self> {
        let base = dir.join("base");
        let timing = base.join("@timing");
        std::fs::create_dir_all(&timing).unwrap();
        drop(ledger::Ledger::open(timing.join("blockchain.db")).unwrap());
        let text = serde_json::to_string(declaration).unwrap();
        Arc::new(Self {
            registry: Registry::built_in(Site::new(Source::Text(text), Some(base))),
            called: std::sync::Mutex::default(),
        })
    }

    /// Operations and metadata in the ledger, the first one first.
    pub fn entries(&self) -> Vec<(String, Value)> {
        let ledger = self.registry.site().ledger().unwrap();
        let mut entries = ledger.query(&ledger::Filter::default()).unwrap();
        entries.retain(|entry| entry.id > 0);
        entries.sort_by_key(|entry| entry.id);
        entries
            .into_iter()
            .map(|entry| (entry.operation, entry.metadata))
            .collect()
    }
}

/// Somebody with this role.
pub fn speaker(role: &str) -> Speaker {
    Speaker {
        token: Some(Arc::from(role)),
    }
}

fn role(speaker: &Speaker) -> Option<Role> {
    match speaker.token.as_deref() {
        Some("viewer") => Some(Role::Viewer),
        Some("operator") => Some(Role::Operator),
        Some("admin") => Some(Role::Admin),
        _ => None,
    }
}

impl Backend for Host {
    fn tools<'a>(&'a self, _speaker: &'a Speaker) -> Answer<'a, Arc<Vec<ToolInfo>>> {
        let object = |value: Value| Arc::new(value.as_object().cloned().unwrap_or_default());
        let tools = self.registry.descriptions().map(|it| ToolInfo {
            name: it.name.to_owned(),
            title: it.title.to_owned(),
            description: it.description.to_owned(),
            input: object(it.input_schema),
            output: Some(object(it.output_schema)),
            effect: it.effect,
            hint: Hint::default(),
            domain: format!("{:?}", it.domain),
        });
        let tools = tools.collect();
        Box::pin(async move { Ok(Arc::new(tools)) })
    }

    fn call<'a>(&'a self, request: Request<'a>) -> Answer<'a, Output> {
        self.called.lock().unwrap().push(request.name.to_owned());
        let caller = Caller {
            uid: 4242,
            name: "somebody".to_owned(),
            door: Door::Cli,
            role: role(request.speaker),
            refusal: None,
            interactive: false,
            on_behalf_of: None,
        };
        let options = Options {
            dry_run: request.dry_run,
            plan: request.plan,
            ..Options::default()
        };
        let arguments = Value::Object(request.arguments);
        let answer = self.registry.call(
            &caller,
            request.name,
            arguments,
            options,
            &Cancel::default(),
            &|_| {},
        );
        let answer = answer.map(Output::from).map_err(|error| match error {
            ToolError::Unconfirmed { text, plan } => Fault::Unconfirmed {
                text,
                plan: plan.to_string(),
            },
            error if error.is_refusal() => Fault::Refused(error.to_string()),
            ToolError::NotFound(text) => Fault::NotFound(text),
            ToolError::Invalid(text) => Fault::Invalid(text),
            other => Fault::Failed {
                code: other.code().to_owned(),
                text: other.to_string(),
            },
        });
        Box::pin(async move { answer })
    }
}

/// A host with servers, joined.
pub struct Joined {
    pub host: Arc<Host>,
    pub aggregate: Arc<Aggregate>,
    pub dir: tempfile::TempDir,
}

/// Joins servers to a host.
pub fn join(dir: tempfile::TempDir, upstreams: Value) -> Joined {
    let declaration = declared(upstreams);
    let host = Host::new(dir.path(), &declaration);
    let names: Vec<_> = host.registry.tools().map(|tool| tool.name).collect();
    let aggregate = Aggregate::start(Arc::clone(&host) as _, &declaration.mcp, names);
    Joined {
        host,
        aggregate,
        dir,
    }
}

impl Joined {
    /// The tools of upstream servers that somebody with this role sees.
    pub async fn tools(&self, role: &str) -> Vec<ToolInfo> {
        let tools = self.aggregate.tools(&speaker(role)).await.unwrap();
        let own: Vec<_> = self.host.registry.tools().map(|tool| tool.name).collect();
        let foreign = tools
            .iter()
            .filter(|tool| !own.contains(&tool.name.as_str()) && tool.name != "upstream_status");
        foreign.cloned().collect()
    }

    /// Their names.
    pub async fn names(&self, role: &str) -> Vec<String> {
        self.tools(role)
            .await
            .into_iter()
            .map(|tool| tool.name)
            .collect()
    }

    /// Calls a tool.
    pub async fn call(&self, role: &str, name: &str, arguments: Value) -> Result<Output, Fault> {
        self.call_with(role, name, arguments, None, CancellationToken::new())
            .await
    }

    /// Calls a tool in this way.
    pub async fn call_with(
        &self,
        role: &str,
        name: &str,
        arguments: Value,
        plan: Option<String>,
        cancel: CancellationToken,
    ) -> Result<Output, Fault> {
        let speaker = speaker(role);
        let request = Request {
            speaker: &speaker,
            name,
            arguments: arguments.as_object().cloned().unwrap_or_else(Map::new),
            dry_run: false,
            plan,
            listener: &|_| {},
            cancel,
        };
        self.aggregate.call(request).await
    }

    /// What the aggregate says of a server.
    pub fn report(&self, name: &str) -> Value {
        let reports = self.aggregate.reports();
        json!(reports.iter().find(|report| report.name == name).unwrap())
    }

    /// Adds two and three with the server that is called `good`.
    pub async fn good_one_serves(&self) {
        let answer = self
            .call("operator", "good_add", json!({ "a": 2, "b": 3 }))
            .await
            .unwrap();
        assert_eq!(answer.structured, Some(json!({ "sum": 5 })));
    }
}

/// Waits for a condition in a test that has other things to do.
pub async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
