//! The objects of every service on a bus.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream;
use zbus::names::BusName;
use zbus::{Connection, ObjectPath};

use super::names::names;
use super::tree::Tree;
use super::walk::{Limits, WalkError, walk};

/// How many services are looked at at once: one that hangs holds up none of the others for long.
const AT_ONCE: usize = 8;

/// Walks over every service that has a name of its own on the bus now, each connection once, under the first of its names.
/// `limits` are for each of them. `go_on` is asked before each object, with how many services there are and how many of
/// them are done.
pub async fn survey(
    connection: &Connection,
    limits: &Limits,
    go_on: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<BTreeMap<String, Result<Tree, WalkError>>, WalkError> {
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    for name in names(connection).await?.names {
        if let Some(owner) = name.owner.filter(|_| !name.name.starts_with(':')) {
            services.entry(owner).or_insert(name.name);
        }
    }
    let total = services.len();
    let root = ObjectPath::from_static_str_unchecked("/");
    let (root, done) = (&root, &AtomicUsize::new(0));
    let walks = stream::iter(services.into_values())
        .map(async |service| {
            let tree = match BusName::try_from(service.as_str()) {
                Ok(name) => {
                    let go_on = |_, _| go_on(total, done.load(Ordering::Relaxed));
                    walk(connection, &name, root, limits, &go_on).await
                }
                Err(error) => Err(WalkError::Bus(error.to_string())),
            };
            done.fetch_add(1, Ordering::Relaxed);
            (service, tree)
        })
        .buffer_unordered(AT_ONCE);
    Ok(walks.collect().await)
}
