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
