//! What of an interface was reviewed, in one number.

use introspect::dbus::{Direction, Interface};
use sha2::{Digest as _, Sha256};

use super::format::Digest;

/// The digest of an interface: SHA-256 over its methods and properties with their types, in the order of their
/// names. Signals, annotations, documentation and names of arguments are left out: none of them decides what a
/// write does.
pub fn digest(interface: &Interface) -> Digest {
    let types = |method: &introspect::dbus::Method, direction| -> String {
        let types = method.args(direction).map(|arg| arg.signature.to_string());
        types.collect()
    };
    let methods = interface.methods.iter().map(|method| {
        let taken = types(method, Direction::In);
        let given = types(method, Direction::Out);
        format!("method {} ({taken}) ({given})\n", method.name)
    });
    let properties = interface.properties.iter().map(|property| {
        let access = match (property.access.reads(), property.access.writes()) {
            (true, true) => "readwrite",
            (true, false) => "read",
            _ => "write",
        };
        format!(
            "property {} {} {access}\n",
            property.name, property.signature
        )
    });
    let mut lines: Vec<_> = methods.chain(properties).collect();
    lines.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(format!("interface {}\n", interface.name));
    lines.iter().for_each(|line| hash.update(line));
    let digits: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Digest(format!("sha256:{digits}"))
}

#[cfg(test)]
mod tests {
    use introspect::dbus::xml;

    use super::*;

    /// `printf 'interface …\n…' | sha256sum`, as the documentation of [`digest`] has it.
    const EXPECTED: &str =
        "sha256:0cea04eb61d00ef7a2b9578c8a2e4b121e2286f74b5c16ee64320888b5b4f949";

    fn of(members: &str) -> String {
        let text = format!("<node><interface name=\"org.example.A\">{members}</interface></node>");
        let parsed = xml::parse(&text, &xml::Limits::default()).unwrap();
        digest(&parsed.node.interfaces[0]).0
    }

    #[test]
    fn order_names_and_signals_do_not_count_and_types_do() {
        let method = r#"<method name="Set"><arg type="s" direction="in"/><arg name="x" type="b" direction="in"/></method>"#;
        let name = r#"<property name="Name" type="s" access="read"/>"#;
        let level = r#"<property name="Level" type="u" access="readwrite"/>"#;
        let signal = r#"<signal name="Gone"/>"#;
        assert_eq!(of(&format!("{method}{name}{level}")), EXPECTED);
        assert_eq!(of(&format!("{level}{signal}{name}{method}")), EXPECTED);
        assert_ne!(of(&format!("{level}{name}")), EXPECTED);
        assert_ne!(
            of(&format!("{method}{name}{level}").replace("\"u\"", "\"t\"")),
            EXPECTED
        );
    }
}
