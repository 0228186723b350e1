//! The section `mcp`: other servers of the Model Context Protocol whose tools this host passes on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

use crate::builtin::In;
use crate::define::{encode_field, record, words};
use crate::form::{Form, Rejected, Text};
use crate::names::{AccountName, UpstreamName, VariableName};
use crate::pattern::ToolPattern;
use crate::reader::Reader;
use crate::schema::{Definitions, Kind};
use crate::tree::{Node, Value};
use crate::values::{AbsolutePath, Argument};

record! {
    /// The Model Context Protocol.
    pub struct Mcp: Default {
        /// Other servers whose tools are passed on, by the prefix that their tools get.
        upstreams: BTreeMap<UpstreamName, Upstream> = BTreeMap::new(),
    }
}

/// A server whose tools are passed on.
///
/// Written as a map with either `command` or `url`, and what is to be passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// How it is reached.
    pub reach: Reach,
    /// Tools that are passed on; all if there are none.
    pub include: Vec<ToolPattern>,
    /// Tools that are not passed on, even if `include` has them.
    pub exclude: Vec<ToolPattern>,
    /// How many seconds a call may take, 1 to 3600.
    pub timeout: u32,
    /// What tools do, by their names; see [`Upstream::effect_of`].
    pub effect: BTreeMap<ToolPattern, UpstreamEffect>,
    /// The least role that may call any of the tools.
    pub role: LeastRole,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reach {
    /// It is started, and spoken to by its standard input and output.
    Command(Program),
    /// It is there already, and spoken to by HTTP.
    Http(Address),
}

/// A program that is started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// The absolute path and the arguments.
    pub command: Vec<String>,
    /// What it finds in its environment beside `PATH`, `HOME` and `LANG`.
    pub environment: BTreeMap<VariableName, Variable>,
    /// The account that it runs as; `nobody` where root starts it and this is not given.
    pub user: Option<AccountName>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The URL of its endpoint.
    pub url: String,
    /// The file with the token that it wants.
    pub token_file: Option<PathBuf>,
    /// Addresses of private networks that the name in the URL may stand for.
    pub addresses: Vec<IpAddr>,
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Variable {
    /// The value itself.
    Text(String),
    /// The file that holds it, read when the program is started.
    File(PathBuf),
}

words! {
    /// What a tool of an upstream server does.
    pub enum UpstreamEffect {
        /// It changes nothing.
        Read = "read",
        /// It changes something that can be changed back.
        Write = "write",
        /// Something may be lost for good.
        Destroy = "destroy",
    }
}

words! {
    /// A role that callers need at least.
    pub enum LeastRole {
        /// Who may look.
        Viewer = "viewer",
        /// Who may change things.
        Operator = "operator",
        /// Who may destroy data.
        Admin = "admin",
    }
}

impl Upstream {
    /// Whether a tool is passed on.
    pub fn passes(&self, tool: &str) -> bool {
        let one_of = |patterns: &[ToolPattern]| patterns.iter().any(|it| it.matches(tool));
        (self.include.is_empty() || one_of(&self.include)) && !one_of(&self.exclude)
    }

    /// What a tool does, as the operator says: the highest of what fits its name, and `write` where nothing
    /// does. What the server says of its own tools lowers nothing.
    pub fn effect_of(&self, tool: &str) -> UpstreamEffect {
        let fitting = self
            .effect
            .iter()
            .filter(|(pattern, _)| pattern.matches(tool));
        fitting
            .map(|(_, effect)| *effect)
            .max()
            .unwrap_or(UpstreamEffect::Write)
    }
}

record! {
    /// A server that is started.
    struct CommandUpstream {
        /// The absolute path of the program and its arguments. There is no shell. Secrets have no place here.
        command: Vec<String> as Vec<Argument>,
        /// What it finds in its environment beside `PATH`, `HOME` and `LANG`.
        environment: BTreeMap<VariableName, Variable> = BTreeMap::new(),
        /// The account that it runs as, never root. If it is not given: `nobody` where root starts it, else
        /// the account that starts it.
        user: Option<AccountName> = None,
        /// Tools that are passed on, by name, with `*` and `?`; all if there are none.
        include: Vec<ToolPattern> = Vec::new(),
        /// Tools that are not passed on, even if `include` has them.
        exclude: Vec<ToolPattern> = Vec::new(),
        /// How many seconds a call may take.
        timeout: u32 as In<1, 3600> = 60,
        /// What tools do, by name. The highest of what fits counts; what is not named counts as `write`,
        /// whatever the server says of it.
        effect: BTreeMap<ToolPattern, UpstreamEffect> = BTreeMap::new(),
        /// The least role that may call any of the tools.
        role: LeastRole = LeastRole::Viewer,
    }
}

record! {
    /// A server that is there already.
    struct HttpUpstream {
        /// The URL of its endpoint.
        url: String as Endpoint,
        /// The file with the token that it wants. Tokens of callers are never passed on.
        token_file: Option<PathBuf> as Option<AbsolutePath> = None,
        /// Addresses that the name in the URL may stand for although they are loopback, private or
        /// link-local. An address that stands in the URL itself needs no mention.
        addresses: Vec<IpAddr> = Vec::new(),
        /// Tools that are passed on, by name, with `*` and `?`; all if there are none.
        include: Vec<ToolPattern> = Vec::new(),
        /// Tools that are not passed on, even if `include` has them.
        exclude: Vec<ToolPattern> = Vec::new(),
        /// How many seconds a call may take.
        timeout: u32 as In<1, 3600> = 60,
        /// What tools do, by name. The highest of what fits counts; what is not named counts as `write`,
        /// whatever the server says of it.
        effect: BTreeMap<ToolPattern, UpstreamEffect> = BTreeMap::new(),
        /// The least role that may call any of the tools.
        role: LeastRole = LeastRole::Viewer,
    }
}

impl Form<Upstream> for Upstream {
    fn accepted() -> String {
        "a map with the key `command` or the key `url`".to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Upstream> {
        if !matches!(node.value, Value::Map(_)) {
            reader.wrong::<Upstream, Self>(node);
            return None;
        }
        match (node.get("command"), node.get("url")) {
            (Some(_), None) => CommandUpstream::decode(node, reader).map(Upstream::from),
            (None, Some(_)) => HttpUpstream::decode(node, reader).map(Upstream::from),
            (None, None) => {
                let accepted = "`command` (a program to start) or `url` (where it is)";
                reader.missing("command", accepted.to_owned());
                None
            }
            (Some(_), Some(_)) => {
                reader.report("both `command` and `url`", "one of the two", None);
                None
            }
        }
    }

    fn encode(upstream: &Upstream) -> Json {
        let mut object = Map::new();
        match &upstream.reach {
            Reach::Command(program) => {
                encode_field::<_, Vec<Argument>>(&mut object, "command", &program.command);
                let environment = &program.environment;
                encode_field::<_, BTreeMap<VariableName, Variable>>(
                    &mut object,
                    "environment",
                    environment,
                );
                encode_field::<_, Option<AccountName>>(&mut object, "user", &program.user);
            }
            Reach::Http(address) => {
                encode_field::<_, Endpoint>(&mut object, "url", &address.url);
                let token_file = &address.token_file;
                encode_field::<_, Option<AbsolutePath>>(&mut object, "token_file", token_file);
                encode_field::<_, Vec<IpAddr>>(&mut object, "addresses", &address.addresses);
            }
        }
        encode_field::<_, Vec<ToolPattern>>(&mut object, "include", &upstream.include);
        encode_field::<_, Vec<ToolPattern>>(&mut object, "exclude", &upstream.exclude);
        encode_field::<_, In<1, 3600>>(&mut object, "timeout", &upstream.timeout);
        encode_field::<_, BTreeMap<ToolPattern, UpstreamEffect>>(
            &mut object,
            "effect",
            &upstream.effect,
        );
        encode_field::<_, LeastRole>(&mut object, "role", &upstream.role);
        object.into()
    }

    fn schema(definitions: &mut Definitions) -> Json {
        let description = "A server whose tools are passed on.";
        definitions.define("Upstream", description, |definitions| {
            Kind::Other(json!({ "oneOf": [
                CommandUpstream::schema(definitions),
                HttpUpstream::schema(definitions),
            ] }))
        })
    }
}

impl Serialize for Upstream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::encode(self).serialize(serializer)
    }
}

impl From<CommandUpstream> for Upstream {
    fn from(upstream: CommandUpstream) -> Self {
        Self {
            reach: Reach::Command(Program {
                command: upstream.command,
                environment: upstream.environment,
                user: upstream.user,
            }),
            include: upstream.include,
            exclude: upstream.exclude,
            timeout: upstream.timeout,
            effect: upstream.effect,
            role: upstream.role,
        }
    }
}

impl From<HttpUpstream> for Upstream {
    fn from(upstream: HttpUpstream) -> Self {
        Self {
            reach: Reach::Http(Address {
                url: upstream.url,
                token_file: upstream.token_file,
                addresses: upstream.addresses,
            }),
            include: upstream.include,
            exclude: upstream.exclude,
            timeout: upstream.timeout,
            effect: upstream.effect,
            role: upstream.role,
        }
    }
}

record! {
    /// A value that is kept in a file.
    struct VariableFile {
        /// The file, read when the program is started.
        file: PathBuf as AbsolutePath,
    }
}

impl Form<Variable> for Variable {
    fn accepted() -> String {
        "text, or `{ file: /path }` for what a file holds".to_owned()
    }

    fn decode(node: &Node, reader: &mut Reader) -> Option<Variable> {
        match &node.value {
            Value::Map(_) => {
                VariableFile::decode(node, reader).map(|variable| Variable::File(variable.file))
            }
            _ => <Argument as Form<String>>::decode(node, reader).map(Variable::Text),
        }
    }

    fn encode(variable: &Variable) -> Json {
        match variable {
            Variable::Text(text) => text.as_str().into(),
            Variable::File(file) => json!({ "file": AbsolutePath::write(file) }),
        }
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [
            <Argument as Form<String>>::schema(definitions),
            VariableFile::schema(definitions),
        ] })
    }
}

/// Where a server listens. The declaration is no place for passwords.
struct Endpoint;

impl Text<String> for Endpoint {
    const ACCEPTED: &'static str =
        "a URL with http or https and without a password, such as https://tools.example.net/mcp";
    const PATTERN: &'static str = "^https?://[!-?A-~]+$";

    fn read(text: &str) -> Result<String, Rejected> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(Rejected::default)?;
        if rest.contains('@') {
            return Err(Rejected {
                secret: true,
                ..Rejected::because("it contains a user or a password")
            });
        }
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Rejected::default());
        }
        Ok(text.to_owned())
    }

    fn write(value: &String) -> String {
        value.clone()
    }
}
