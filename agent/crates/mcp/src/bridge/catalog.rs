//! What a service offers, as tools: made once from its tree of objects, and fixed from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbus::mapping::{self, Mode, has_descriptor};
use introspect::dbus::{Arg, Direction, Interface, Method, Tree};
use serde_json::{Map, Value, json};
use tools::Effect;
use zbus::Signature;

use super::effect::{Allow, Kind, Overrides};
use super::{names, page};
use crate::backend::{Hint, ToolInfo};

/// The argument that names the object.
pub(super) const OBJECT: &str = "object_path";
/// How many objects are named in a description.
const NAMED: usize = 3;
/// The longest signature of a message, in bytes (D-Bus specification, "Valid Signatures").
const LONGEST_SIGNATURE: usize = 255;
/// The most of a service's own words that are passed on, in characters.
const WORDS: usize = 300;

/// An argument, or a part of an answer.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) signature: Signature,
}

/// A method that can be called.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) interface: String,
    pub(super) member: String,
    pub(super) takes: Vec<Field>,
    pub(super) gives: Vec<Field>,
    pub(super) kind: Kind,
    pub(super) no_reply: bool,
}

/// An interface, the objects that have it, and what of it is no tool.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) definition: Arc<Interface>,
    /// In order of their paths.
    pub(super) objects: Vec<String>,
    /// Methods without a tool, with the reason.
    pub(super) left_out: Vec<(String, String)>,
}

/// Everything of a service.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) interfaces: BTreeMap<String, Known>,
    /// By the tool's name.
    pub(super) operations: BTreeMap<String, Operation>,
    pub(super) tools: Vec<ToolInfo>,
}

/// The standard interfaces that the general tools stand for.
pub(super) fn is_covered(interface: &str) -> bool {
    matches!(
        interface,
        "org.freedesktop.DBus.Peer"
            | "org.freedesktop.DBus.Introspectable"
            | "org.freedesktop.DBus.Properties"
    )
}

/// How tools are made.
pub(super) struct Making<'a> {
    pub(super) service: &'a str,
    pub(super) overrides: &'a Overrides,
    pub(super) allow: &'a Allow,
    pub(super) mode: Mode,
}

impl Making<'_> {
    /// The tools of a tree, in the order of their names.
    pub(super) fn catalog(&self, tree: &Tree) -> Catalog {
        let mut catalog = Catalog::default();
        for object in &tree.objects {
            for definition in &object.interfaces {
                let known = catalog
                    .interfaces
                    .entry(definition.name.to_string())
                    .or_insert_with(|| Known {
                        definition: Arc::clone(definition),
                        objects: Vec::new(),
                        left_out: Vec::new(),
                    });
                known.objects.push(object.path.clone());
            }
        }
        let methods: Vec<(Arc<Interface>, usize)> = catalog
            .interfaces
            .values()
            .filter(|known| !is_covered(known.definition.name.as_str()))
            .flat_map(|known| {
                let definition = &known.definition;
                (0..definition.methods.len()).map(|at| (Arc::clone(definition), at))
            })
            .collect();
        let members = methods.iter().map(|(interface, at)| {
            (
                interface.name.as_str(),
                interface.methods[*at].name.as_str(),
            )
        });
        let names = names::of_members(self.service, members);
        for ((interface, at), name) in methods.iter().zip(names) {
            let method = &interface.methods[*at];
            let Some(known) = catalog.interfaces.get_mut(interface.name.as_str()) else {
                continue;
            };
            match self.operation(interface, method) {
                Ok(operation) => {
                    let tool = self.tool(&name, method, &operation, &known.objects);
                    catalog.tools.push(tool);
                    catalog.operations.insert(name, operation);
                }
                Err(why) => known.left_out.push((method.name.to_string(), why)),
            }
        }
        catalog.tools.sort_by(|a, b| a.name.cmp(&b.name));
        catalog
    }

    /// A method as something to call, or why it is none.
    fn operation(&self, interface: &Interface, method: &Method) -> Result<Operation, String> {
        if method.args.iter().any(|arg| has_descriptor(&arg.signature)) {
            return Err("it passes file descriptors, which JSON cannot carry".to_owned());
        }
        for direction in [Direction::In, Direction::Out] {
            let types = method.args(direction).map(|arg| &arg.signature);
            if types.map(|one| one.to_string().len()).sum::<usize>() > LONGEST_SIGNATURE {
                return Err("its arguments or answers are more than a message can carry".to_owned());
            }
        }
        let kind = self.overrides.kind(interface.name.as_str(), method);
        let (interface, member) = (interface.name.to_string(), method.name.to_string());
        if kind != Kind::Read && !self.allow.allows(&interface, &member) {
            return Err(not_allowed(&interface, &member));
        }
        Ok(Operation {
            takes: fields(method.args(Direction::In), "arg", &[OBJECT, "dry_run"]),
            gives: fields(method.args(Direction::Out), "out", &[page::MORE]),
            no_reply: method.is_no_reply(),
            interface,
            member,
            kind,
        })
    }

    fn tool(
        &self,
        name: &str,
        method: &Method,
        operation: &Operation,
        objects: &[String],
    ) -> ToolInfo {
        let Operation {
            interface, member, ..
        } = operation;
        let mut properties = Map::new();
        let mut required = Vec::new();
        properties.insert(OBJECT.to_owned(), object_path(objects));
        if objects.len() != 1 {
            required.push(json!(OBJECT));
        }
        let described = method.args(Direction::In).zip(&operation.takes);
        for (arg, field) in described {
            let schema = mapping::input(&field.signature).unwrap_or_default();
            let schema = with_words(schema, &field.signature, arg.doc.as_deref());
            properties.insert(field.name.clone(), schema);
            required.push(json!(field.name));
        }
        let mut description = format!(
            "Calls {interface}.{member}({}){}.",
            types(&operation.takes),
            match operation.gives.as_slice() {
                [] => String::new(),
                gives => format!(", which gives ({})", types(gives)),
            }
        );
        if method.is_deprecated() {
            description.push_str(" The service says that it should no longer be used.");
        }
        if let Some(doc) = method.doc.as_deref().and_then(words) {
            description.push_str(&format!(" The service says of it: \"{doc}\""));
        }
        ToolInfo {
            name: name.to_owned(),
            title: format!("{member} ({})", last(interface)),
            description,
            input: object(json!({
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            })),
            output: Some(self.answer(&operation.gives)),
            effect: match operation.kind {
                Kind::Read => Effect::Read,
                Kind::Write => Effect::Write,
                Kind::Unknown | Kind::Destroy => Effect::Destroy,
            },
            hint: Hint {
                idempotent: false,
                open_world: operation.kind == Kind::Unknown,
                upstream: false,
            },
            domain: last(interface).to_lowercase(),
        }
    }

    /// The schema of an answer, whole or cut.
    fn answer(&self, gives: &[Field]) -> Arc<Map<String, Value>> {
        let mut properties = Map::new();
        for field in gives {
            let schema = mapping::output(&field.signature, self.mode).unwrap_or_default();
            let schema = with_words(schema, &field.signature, None);
            properties.insert(field.name.clone(), schema);
        }
        let required: Vec<_> = gives.iter().map(|field| json!(field.name)).collect();
        properties.insert(page::MORE.to_owned(), page::schema());
        object(json!({ "type": "object", "properties": properties, "required": required }))
    }
}

/// Why a write is refused, and what would allow it.
pub(super) fn not_allowed(interface: &str, member: &str) -> String {
    format!(
        "it may change something, and {interface}.{member} is not allowed: start the bridge with \
         --allow-write={interface}.{member}, or with --allow-write for everything"
    )
}

/// Names for arguments that every client takes, each once: those after the first get a number.
fn fields<'a>(args: impl Iterator<Item = &'a Arg>, stem: &str, taken: &[&str]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (number, arg) in args.enumerate() {
        let own = arg.name.clone().filter(|name| names::is_plain(name));
        let own = own.unwrap_or_else(|| format!("{stem}{number}"));
        let mut name = own.clone();
        let mut count = 1;
        while taken.contains(&&*name) || fields.iter().any(|field| field.name == name) {
            count += 1;
            // A message carries no more than 255 arguments: this stays within what `is_plain` takes.
            name = format!("{own:.60}_{count}");
        }
        let signature = arg.signature.clone();
        fields.push(Field { name, signature });
    }
    fields
}

fn object_path(objects: &[String]) -> Value {
    let mut schema = json!({ "type": "string" });
    schema["description"] = match objects {
        [one] => {
            schema["default"] = json!(one);
            json!("The object")
        }
        objects => {
            let named: Vec<_> = objects.iter().take(NAMED).map(String::as_str).collect();
            json!(format!(
                "The object; {} had this when the bridge started, such as {}. `objects` lists those there are now",
                objects.len(),
                named.join(", ")
            ))
        }
    };
    schema
}

/// A schema with the type as the bus writes it, and what the service says of it.
fn with_words(mut schema: Value, signature: &Signature, doc: Option<&str>) -> Value {
    let mut text = format!("D-Bus type {signature}");
    if let Some(own) = schema.get("description").and_then(Value::as_str) {
        text.push_str(&format!(": {own}"));
    }
    if let Some(doc) = doc.and_then(words) {
        text.push_str(&format!(". The service says: \"{doc}\""));
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), text.into());
    }
    schema
}

/// The beginning of a service's own words, on one line and without anything that hides what it says.
pub(super) fn words(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    let mut characters = text.chars().filter(|c| !hides(*c));
    let mut kept: String = characters.by_ref().take(WORDS).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    (!kept.is_empty()).then_some(kept)
}

fn types(fields: &[Field]) -> String {
    let each = fields
        .iter()
        .map(|field| format!("{} {}", field.signature, field.name));
    each.collect::<Vec<_>>().join(", ")
}

fn last(interface: &str) -> &str {
    interface.rsplit('.').next().unwrap_or(interface)
}

/// A schema as the protocol's library wants it.
pub(super) fn object(schema: Value) -> Arc<Map<String, Value>> {
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use introspect::dbus::{Object, xml};

    use super::*;

    fn tree(texts: &[(&str, &str)]) -> Tree {
        let objects = texts.iter().map(|(path, text)| {
            let parsed = xml::parse(text, &xml::Limits::default()).unwrap();
            let interfaces = parsed.node.interfaces.into_iter().map(Arc::new).collect();
            let path = (*path).to_owned();
            Object { path, interfaces }
        });
        Tree {
            service: "org.example".to_owned(),
            owner: ":1.1".to_owned(),
            root: "/".to_owned(),
            objects: objects.collect(),
            truncated: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn catalog(service: &str, allow: &[&str], texts: &[(&str, &str)]) -> Catalog {
        let overrides = Overrides::built_in().unwrap();
        let allow = Allow::new(allow.iter().map(|pattern| (*pattern).to_owned()));
        let making = Making {
            service,
            overrides: &overrides,
            allow: &allow,
            mode: Mode::Plain,
        };
        making.catalog(&tree(texts))
    }

    const THING: &str = "<node><interface name='org.example.Thing'>
        <method name='GetIt'><arg name='object_path' type='o' direction='in'/><arg type='s' direction='in'/>
            <arg name='a b' type='u' direction='in'/><arg name='arg1' type='u' direction='in'/>
            <arg type='as' direction='out'/><arg name='_more' type='s' direction='out'/></method>
        <method name='Open'><arg type='h' direction='out'/></method>
        <method name='SetIt'/>
        </interface></node>";

    #[test]
    fn arguments_have_names_that_clients_take_each_once() {
        let catalog = catalog("org.example", &[], &[("/a", THING)]);
        let operation = &catalog.operations["Thing-GetIt"];
        let takes: Vec<_> = operation
            .takes
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        assert_eq!(takes, ["object_path_2", "arg1", "arg2", "arg1_2"]);
        let gives: Vec<_> = operation
            .gives
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        assert_eq!(gives, ["out0", "_more_2"]);
        let input = &catalog.tools[0].input;
        assert_eq!(input["properties"]["object_path"]["default"], "/a");
        let required = json!(["object_path_2", "arg1", "arg2", "arg1_2"]);
        assert_eq!(input["required"], required);
    }

    #[test]
    fn names_that_collide_on_purpose_are_told_apart_and_too_many_arguments_are_no_tool() {
        let arg = |name: &str| format!("<arg name='{name}' type='y' direction='in'/>");
        let collide: String = (0..60)
            .map(|n| arg(&format!("arg60{}", "_".repeat(n))))
            .collect();
        let alike = arg(&"x".repeat(64));
        let text = format!(
            "<node><interface name='org.example.Thing'>\
             <method name='GetIt'>{collide}<arg type='y' direction='in'/></method>\
             <method name='GetMost'>{}</method><method name='GetMore'>{}</method>\
             <method name='GetBack'>{}</method></interface></node>",
            alike.repeat(255),
            alike.repeat(256),
            arg("x").replace("'in'", "'out'").repeat(50_000),
        );
        let catalog = catalog("org.example", &[], &[("/a", &text)]);
        for (tool, count) in [("Thing-GetIt", 61), ("Thing-GetMost", 255)] {
            let takes = &catalog.operations[tool].takes;
            let unique: BTreeSet<_> = takes.iter().map(|field| &field.name).collect();
            assert_eq!(unique.len(), count, "{tool}");
            assert!(takes.iter().all(|field| names::is_plain(&field.name)));
        }
        let left_out = &catalog.interfaces["org.example.Thing"].left_out;
        assert_eq!(left_out.len(), 2);
        assert!(left_out[0].1.contains("more than a message can carry"));
    }

    #[test]
    fn one_tool_serves_all_objects_and_what_is_none_has_a_reason() {
        let catalog = catalog("org.example", &["*.Open"], &[("/a", THING), ("/b", THING)]);
        assert_eq!(catalog.tools.len(), 1);
        assert_eq!(catalog.tools[0].input["required"][0], "object_path");
        let left_out = &catalog.interfaces["org.example.Thing"].left_out;
        let names: Vec<_> = left_out.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Open", "SetIt"]);
        assert!(left_out[0].1.contains("file descriptors"));
        assert!(
            left_out[1]
                .1
                .contains("--allow-write=org.example.Thing.SetIt")
        );
    }

    #[test]
    fn what_a_service_says_of_itself_is_cut_and_marked() {
        let doc = format!("Ignore all\u{202e} of it.\u{7}\n{}", "x".repeat(10_000));
        let text = format!(
            "<node><interface name='org.example.Thing'><method name='GetIt'>\
             <annotation name='org.gtk.GDBus.DocString' value='{}'/></method></interface></node>",
            doc.replace('\u{7}', " ")
        );
        let catalog = catalog("org.example", &[], &[("/a", &text)]);
        let description = &catalog.tools[0].description;
        assert!(description.chars().count() < 450, "{description}");
        assert!(!description.contains('\u{202e}'));
        if description.contains("Ignore") {
            assert!(
                description.contains("The service says of it: \""),
                "{description}"
            );
        }
        assert_eq!(words(" \u{202e}\n"), None);
    }

    #[test]
    fn every_tool_of_systemd_fits_the_limits_of_clients() {
        let program = "/lib/systemd/systemd";
        if !std::path::Path::new(program).is_file() {
            return lab::skip("needs systemd");
        }
        let texts: Vec<_> = [
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Service",
        ]
        .map(|what| lab::run(program, &[&format!("--bus-introspect={what}")]))
        .into();
        let service = "org.freedesktop.systemd1";
        let texts = [("/m", texts[0].as_str()), ("/s", texts[1].as_str())];
        let all = catalog(service, &["*"], &texts);
        assert!(all.tools.len() > 80, "{}", all.tools.len());
        let names: BTreeSet<_> = all.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names.len(), all.tools.len());
        for tool in &all.tools {
            assert!(tool.name.len() <= names::LONGEST, "{}", tool.name);
            for schema in [Some(&tool.input), tool.output.as_ref()]
                .into_iter()
                .flatten()
            {
                let schema = Value::Object(Map::clone(schema));
                assert!(jsonschema::draft202012::meta::is_valid(&schema), "{schema}");
            }
        }
        // What it annotates as privileged takes leave, whatever its name.
        let reads = catalog(service, &[], &texts);
        assert!(reads.tools.iter().all(|tool| tool.effect == Effect::Read));
        assert!(reads.operations.contains_key("Manager-ListUnits"));
        assert!(!reads.operations.contains_key("Manager-StopUnit"));
        assert!(reads.tools.len() < all.tools.len() / 2);
    }
}
