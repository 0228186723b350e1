//! From elements to the model.

use std::collections::HashSet;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart};
use zbus::Signature;
use zbus::names::OwnedPropertyName;

use super::{Error, LONGEST_TEXT, MOST_WARNINGS, Parsed};
use crate::dbus::model::{
    Access, Annotations, Arg, Direction, EmitsChanged, Interface, Method, Node, Property, Signal,
};

/// An element that is open.
enum Open {
    Node(Node, HashSet<String>),
    Interface(Interface, HashSet<(u8, String)>),
    Method(Method),
    Signal(Signal),
    Property(Property),
    Arg(Arg),
    Annotation,
    Doc(String),
    /// What nobody knows, or what cannot be taken: everything inside goes with it.
    Ignored,
}

#[derive(Default)]
pub(super) struct Builder {
    /// Each element that is open, and why it will be left out, if it will.
    open: Vec<(Open, Option<String>)>,
    root: Option<Node>,
    warnings: Vec<String>,
}

impl Builder {
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// An element begins.
    pub(super) fn open(&mut self, element: &BytesStart<'_>) {
        let parent = self.open.last().map(|(open, _)| open);
        let begun = match (parent, element.local_name().as_ref()) {
            (Some(Open::Ignored), _) => Ok(Open::Ignored),
            // Documentation may be marked up: only its text counts.
            (Some(Open::Doc(_)), _) => Ok(Open::Doc(String::new())),
            (None, "node") if self.root.is_none() => Ok(Open::Node(Node::default(), HashSet::new())),
            (Some(Open::Node(..)), "node") => child(element),
            (Some(Open::Node(..)), "interface") => interface(element),
            (Some(Open::Interface(..)), "method") => method(element),
            (Some(Open::Interface(..)), "signal") => signal(element),
            (Some(Open::Interface(..)), "property") => property(element),
            (Some(Open::Method(_)), "arg") => arg(element, Direction::In),
            (Some(Open::Signal(_)), "arg") => arg(element, Direction::Out),
            (Some(_), "annotation") => {
                self.annotate(element);
                Ok(Open::Annotation)
            }
            (Some(_), "doc" | "docstring") => Ok(Open::Doc(String::new())),
            _ => Ok(Open::Ignored),
        };
        let begun = begun.unwrap_or_else(|reason: String| {
            self.leave_out(reason);
            Open::Ignored
        });
        self.open.push((begun, None));
    }

    /// Something inside the open element cannot be taken. Where a member would be wrong without it, the member
    /// goes too.
    fn leave_out(&mut self, reason: String) {
        match self.open.last_mut() {
            Some((Open::Method(_) | Open::Signal(_) | Open::Property(_), left_out)) => {
                left_out.get_or_insert(reason);
            }
            _ => self.warn(reason),
        }
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < MOST_WARNINGS {
            let place: Vec<_> = self.open.iter().filter_map(|(open, _)| name(open)).collect();
            self.warnings.push(match place.is_empty() {
                true => text,
                false => format!("{}: {text}", place.join(" ")),
            });
        }
    }

    fn annotate(&mut self, element: &BytesStart<'_>) {
        let Some(name) = attribute(element, "name").filter(|name| is_plain(name)) else {
            return self.warn("an annotation without a name".to_owned());
        };
        let value = cut(attribute(element, "value").unwrap_or_default());
        let doc = matches!(
            name.as_str(),
            "org.gtk.GDBus.DocString" | "org.gtk.GDBus.DocString.Short"
        );
        match self.open.last_mut() {
            Some((open, _)) if doc => document(open, value),
            Some((open, _)) => {
                if let Some(annotations) = annotations(open) {
                    annotations.insert(name, value);
                }
            }
            None => {}
        }
    }

    /// Text between elements; only that of documentation counts.
    pub(super) fn text(&mut self, text: &str) {
        if let Some((Open::Doc(doc), _)) = self.open.last_mut()
            && doc.len() < LONGEST_TEXT
        {
            doc.push_str(text);
        }
    }

    /// `&name;` between elements.
    pub(super) fn reference(&mut self, reference: &BytesRef<'_>) {
        let known = match reference.resolve_char_ref() {
            Ok(Some(character)) => Some(character.to_string()),
            Ok(None) => quick_xml::escape::resolve_xml_entity(reference).map(str::to_owned),
            Err(_) => None,
        };
        match known {
            Some(text) => self.text(&text),
            // What the document defines itself is not expanded.
            None => self.text(&format!("&{};", &**reference)),
        }
    }

    /// The open element ends.
    pub(super) fn close(&mut self) {
        let Some((ended, left_out)) = self.open.pop() else {
            return;
        };
        if let Some(reason) = left_out {
            let name = name(&ended).unwrap_or_default().to_owned();
            return self.warn(format!("{name} is left out: {reason}"));
        }
        let repeated = match (self.open.last_mut().map(|(open, _)| open), ended) {
            (None, Open::Node(node, _)) => {
                self.root = Some(node);
                None
            }
            (Some(Open::Node(parent, _)), Open::Node(node, _)) => {
                parent.children.push(node);
                None
            }
            (Some(Open::Node(parent, names)), Open::Interface(mut interface, _)) => {
                inherit(&mut interface);
                let name = interface.name.to_string();
                let new = names.insert(name.clone());
                if new {
                    parent.interfaces.push(interface);
                }
                (!new).then_some(name)
            }
            (Some(Open::Interface(interface, names)), member) => add(interface, names, member),
            (Some(Open::Method(method)), Open::Arg(arg)) => {
                method.args.push(arg);
                None
            }
            (Some(Open::Signal(signal)), Open::Arg(arg)) => {
                signal.args.push(arg);
                None
            }
            (Some(Open::Doc(outer)), Open::Doc(inner)) => {
                if outer.len() < LONGEST_TEXT {
                    outer.push_str(&inner);
                    outer.push(' ');
                }
                None
            }
            (Some(parent), Open::Doc(doc)) => {
                document(parent, doc);
                None
            }
            _ => None,
        };
        if let Some(name) = repeated {
            self.warn(format!("{name} is told twice: the first counts"));
        }
    }

    /// The text has ended, at that byte.
    pub(super) fn finish(self, at: u64) -> Result<Parsed, Error> {
        if !self.open.is_empty() {
            return Err(Error::Malformed {
                at,
                text: format!("it ends with {} elements open", self.open.len()),
            });
        }
        Ok(Parsed {
            node: self.root.ok_or(Error::NoNode)?,
            warnings: self.warnings,
        })
    }
}

/// Adds a member, or what documents the interface; gives its name if there was one of that name before.
fn add(
    interface: &mut Interface,
    names: &mut HashSet<(u8, String)>,
    member: Open,
) -> Option<String> {
    let key = match &member {
        Open::Method(method) => (b'm', method.name.to_string()),
        Open::Signal(signal) => (b's', signal.name.to_string()),
        Open::Property(property) => (b'p', property.name.to_string()),
        _ => {
            if let Open::Doc(doc) = member {
                interface.doc = words(&doc);
            }
            return None;
        }
    };
    let name = key.1.clone();
    if !names.insert(key) {
        return Some(name);
    }
    match member {
        Open::Method(method) => interface.methods.push(method),
        Open::Signal(signal) => interface.signals.push(signal),
        Open::Property(property) => interface.properties.push(property),
        _ => {}
    }
    None
}

/// What an interface says of changes holds for its properties that say nothing themselves.
fn inherit(interface: &mut Interface) {
    const NAME: &str = "org.freedesktop.DBus.Property.EmitsChangedSignal";
    let word = |annotations: &Annotations| match annotations.get(NAME)?.as_str() {
        "true" => Some(EmitsChanged::True),
        "invalidates" => Some(EmitsChanged::Invalidates),
        "const" => Some(EmitsChanged::Const),
        "false" => Some(EmitsChanged::False),
        _ => None,
    };
    let whole = word(&interface.annotations);
    for property in &mut interface.properties {
        property.emits_changed = word(&property.annotations).or(whole).unwrap_or_default();
    }
}

fn child(element: &BytesStart<'_>) -> Result<Open, String> {
    let name = attribute(element, "name").unwrap_or_default();
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match name.split('/').all(good) {
        true => {
            let node = Node {
                name,
                ..Node::default()
            };
            Ok(Open::Node(node, HashSet::new()))
        }
        false => Err(format!("`{}` is no path of a child", shown(&name))),
    }
}

fn interface(element: &BytesStart<'_>) -> Result<Open, String> {
    Ok(Open::Interface(
        Interface {
            name: named(element, "an interface")?,
            methods: Vec::new(),
            properties: Vec::new(),
            signals: Vec::new(),
            annotations: Annotations::new(),
            doc: None,
        },
        HashSet::new(),
    ))
}

fn method(element: &BytesStart<'_>) -> Result<Open, String> {
    Ok(Open::Method(Method {
        name: named(element, "a method")?,
        args: Vec::new(),
        annotations: Annotations::new(),
        doc: None,
    }))
}

fn signal(element: &BytesStart<'_>) -> Result<Open, String> {
    Ok(Open::Signal(Signal {
        name: named(element, "a signal")?,
        args: Vec::new(),
        annotations: Annotations::new(),
        doc: None,
    }))
}

fn property(element: &BytesStart<'_>) -> Result<Open, String> {
    let name: OwnedPropertyName = named(element, "a property")?;
    if !is_plain(name.as_str()) {
        return Err(format!("`{}` is no name of a property", shown(name.as_str())));
    }
    let access = match attribute(element, "access").as_deref() {
        Some("read") => Access::Read,
        Some("write") => Access::Write,
        Some("readwrite") => Access::ReadWrite,
        other => {
            let other = shown(other.unwrap_or_default());
            return Err(format!("{name} is left out: `{other}` is no access"));
        }
    };
    let signature = signature(element).map_err(|why| format!("{name} is left out: {why}"))?;
    Ok(Open::Property(Property {
        name,
        signature,
        access,
        emits_changed: EmitsChanged::default(),
        annotations: Annotations::new(),
        doc: None,
    }))
}

fn arg(element: &BytesStart<'_>, default: Direction) -> Result<Open, String> {
    let direction = match attribute(element, "direction").as_deref() {
        // A signal can only give, whatever its peer says.
        Some("in") | None => default,
        Some("out") => Direction::Out,
        Some(other) => return Err(format!("`{}` is no direction", shown(other))),
    };
    let name = attribute(element, "name");
    Ok(Open::Arg(Arg {
        name: name.filter(|name| is_plain(name)),
        signature: signature(element)?,
        direction,
        annotations: Annotations::new(),
        doc: None,
    }))
}

/// The name of an element, as the kind of name that it must be.
fn named<T: TryFrom<String>>(element: &BytesStart<'_>, what: &str) -> Result<T, String> {
    let name = attribute(element, "name").ok_or_else(|| format!("{what} without a name"))?;
    let text = shown(&name);
    T::try_from(name).map_err(|_| format!("`{text}` is no name of {what}"))
}

/// The attribute `type`: one complete type of at most 255 bytes.
fn signature(element: &BytesStart<'_>) -> Result<Signature, String> {
    let text = attribute(element, "type").ok_or("it has no type")?;
    let wrong = || format!("`{}` is no complete type", shown(&text));
    if text.is_empty() || text.len() > 255 {
        return Err(wrong());
    }
    let signature = Signature::try_from(text.as_str()).map_err(|_| wrong())?;
    // Several types in a row are taken for a structure, which is written in parentheses.
    match signature.to_string() == text {
        true => Ok(signature),
        false => Err(wrong()),
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    // Whether any is there twice takes a look at all of them for each.
    let found = attributes
        .with_checks(false)
        .filter_map(Result::ok)
        .find(|attribute| attribute.key.as_ref() == name)?;
    let value = found.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.into_owned())
}

fn name(open: &Open) -> Option<&str> {
    match open {
        Open::Node(node, _) => (!node.name.is_empty()).then_some(node.name.as_str()),
        Open::Interface(interface, _) => Some(interface.name.as_str()),
        Open::Method(method) => Some(method.name.as_str()),
        Open::Signal(signal) => Some(signal.name.as_str()),
        Open::Property(property) => Some(property.name.as_str()),
        _ => None,
    }
}

fn annotations(open: &mut Open) -> Option<&mut Annotations> {
    match open {
        Open::Interface(interface, _) => Some(&mut interface.annotations),
        Open::Method(method) => Some(&mut method.annotations),
        Open::Signal(signal) => Some(&mut signal.annotations),
        Open::Property(property) => Some(&mut property.annotations),
        Open::Arg(arg) => Some(&mut arg.annotations),
        _ => None,
    }
}

fn document(open: &mut Open, text: String) {
    let doc = match open {
        Open::Node(node, _) => &mut node.doc,
        Open::Interface(interface, _) => &mut interface.doc,
        Open::Method(method) => &mut method.doc,
        Open::Signal(signal) => &mut signal.doc,
        Open::Property(property) => &mut property.doc,
        Open::Arg(arg) => &mut arg.doc,
        _ => return,
    };
    if let Some(text) = words(&text) {
        doc.get_or_insert(text);
    }
}

/// The words of a text, a space between them.
fn words(text: &str) -> Option<String> {
    let words: Vec<_> = text.split_whitespace().collect();
    let text = cut(words.join(" "));
    (!text.is_empty()).then_some(text)
}

fn cut(mut text: String) -> String {
    let mut end = LONGEST_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Whether it can be shown in a line, and is not too long for a name.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control)
}

/// What a peer wrote, fit for a warning.
fn shown(text: &str) -> String {
    text.chars()
        .take(60)
        .flat_map(char::escape_debug)
        .collect()
}
