//! Methods that list objects, by their names.

use std::collections::BTreeMap;

use introspect::dbus::{Direction, Interface, Method, Object, Tree};

use super::super::format::ListEntry;
use super::{GenerateError, MOST_INTERFACES};

/// Methods that take nothing and give objects, as their names say, by those in lower case: each with where it is.
pub(super) struct Lists<'a>(BTreeMap<String, Vec<(usize, &'a Object, &'a Interface, &'a Method)>>);

impl<'a> Lists<'a> {
    pub(super) fn of(
        tree: &'a Tree,
        go_on: &(dyn Fn(usize, usize) -> bool + Sync),
    ) -> Result<Self, GenerateError> {
        let mut lists = BTreeMap::<_, Vec<_>>::new();
        let mut order = 0;
        for (done, object) in tree.objects.iter().enumerate() {
            if !go_on(tree.objects.len(), done) {
                return Err(GenerateError::Stopped);
            }
            for interface in object.interfaces.iter().take(MOST_INTERFACES) {
                for method in interface
                    .methods
                    .iter()
                    .filter(|method| lists_objects(method))
                {
                    let name = method.name.as_str().to_lowercase();
                    let known = lists.entry(name).or_default();
                    known.push((order, object, &**interface, method));
                    order += 1;
                }
            }
        }
        Ok(Self(lists))
    }

    /// The method that lists the objects of a place by its name: `GetDevices` or `ListDevices` for `…/Devices/*`.
    pub(super) fn find(&self, pattern: &str, interface: &Interface) -> Option<ListEntry> {
        let last = |text: &str, by: char| text.rsplit(by).next().unwrap_or_default().to_lowercase();
        let place = last(pattern.trim_end_matches("/*"), '/');
        let kind = last(interface.name.as_str(), '.');
        let wanted = ["get", "list"].into_iter().flat_map(|verb| {
            [
                format!("{verb}{place}"),
                format!("{verb}{place}s"),
                format!("{verb}{kind}s"),
            ]
        });
        let above = |object: &Object| pattern.starts_with(object.path.trim_end_matches('/'));
        let found = wanted.filter_map(|name| {
            let known = self.0.get(&name)?;
            known.iter().find(|(_, object, ..)| above(object))
        });
        let (_, object, interface, method) = found.min_by_key(|(order, ..)| *order)?;
        Some(ListEntry {
            path: object.path.clone(),
            interface: interface.name.to_string(),
            method: method.name.to_string(),
            columns: Vec::new(),
        })
    }
}

fn lists_objects(method: &Method) -> bool {
    let name = method.name.as_str();
    let begins = |verb: &str| {
        name.get(..verb.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(verb))
    };
    let mut given = method.args(Direction::Out);
    (begins("get") || begins("list"))
        && method.args(Direction::In).next().is_none()
        && given
            .next()
            .is_some_and(|arg| arg.signature.to_string() == "ao")
        && given.next().is_none()
}
