//! A service's objects, from the top down, within limits.
//!
//! The walk goes breadth first, so that what is cut off is the depth of the tree and not half of its breadth. Where an
//! object manager lists the objects below it, only those with interfaces not seen before are asked what they can do.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zbus::names::BusName;
use zbus::{Connection, ObjectPath};

use super::call::{CallError, Managed, Object as Callee, Xml, call};
use super::model::{Interface, Node};
use super::tree::{Fault, Object, Reason, Tree, Truncation};
use super::xml;

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Objects.
    pub objects: usize,
    /// Steps below the object where it begins.
    pub depth: usize,
    /// The introspection XML of all objects that say something no other has said before, in bytes.
    pub bytes: usize,
    /// The time for all of it.
    pub time: Duration,
    /// The time for one answer.
    pub call: Duration,
    /// Each piece of XML.
    pub xml: xml::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 200,
            depth: 16,
            bytes: 16 << 20,
            time: Duration::from_secs(30),
            call: Duration::from_secs(5),
            xml: xml::Limits::default(),
        }
    }
}

/// How many faults of one walk are kept.
pub const MOST_FAULTS: usize = 100;

/// The longest path of an object that is followed, in bytes.
const LONGEST_PATH: usize = 2048;

/// Why there was no walk.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Nobody has the name, and nobody is started for a look.
    #[error("nobody has the name {0} now, and a look starts nothing")]
    NotRunning(String),
    /// The bus did not answer.
    #[error("the bus does not answer: {0}")]
    Bus(String),
}

/// Walks over a service's objects from `root` on. `go_on` is asked before each object, with how many are known and how
/// many of them are done; it ends the walk by `false`.
///
/// A service that vanishes or hangs is no error: what was seen until then is the answer, with the reason.
pub async fn walk(
    connection: &Connection,
    service: &BusName<'_>,
    root: &ObjectPath<'_>,
    limits: &Limits,
    go_on: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Tree, WalkError> {
    let owner = owner(connection, service, limits.call).await?;
    let mut walk = Walk {
        connection,
        limits,
        deadline: Instant::now() + limits.time,
        known: HashSet::from([root.to_string()]),
        queue: VecDeque::from([(root.to_string(), 0)]),
        managed: HashMap::new(),
        definitions: HashMap::new(),
        shared: HashSet::new(),
        leaves: HashMap::new(),
        bytes: 0,
        objects: BTreeMap::new(),
        tree: Tree {
            service: service.to_string(),
            owner,
            root: root.to_string(),
            objects: Vec::new(),
            truncated: Vec::new(),
            faults: Vec::new(),
        },
    };
    walk.run(go_on).await;
    let objects = walk.objects.into_iter();
    walk.tree.objects = objects
        .map(|(path, interfaces)| Object { path, interfaces })
        .collect();
    Ok(walk.tree)
}

/// The connection that has a name now.
pub(super) async fn owner(
    connection: &Connection,
    service: &BusName<'_>,
    limit: Duration,
) -> Result<String, WalkError> {
    let bus = Callee {
        owner: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
    };
    let owner = call(connection, bus, "GetNameOwner", &(service.as_str(),), limit).await;
    owner.map_err(|error| match error {
        CallError::Gone => WalkError::NotRunning(service.to_string()),
        other => WalkError::Bus(other.to_string()),
    })
}

struct Walk<'a> {
    connection: &'a Connection,
    limits: &'a Limits,
    deadline: Instant,
    /// Paths that are or were in the queue.
    known: HashSet<String>,
    queue: VecDeque<(String, usize)>,
    /// Interfaces of objects that a manager listed.
    managed: HashMap<String, Vec<String>>,
    /// The first definition seen of each interface.
    definitions: HashMap<String, Arc<Interface>>,
    shared: HashSet<Arc<Interface>>,
    /// The interfaces of objects without children, by their text: most objects of a kind say the same, letter by letter.
    leaves: HashMap<String, Vec<Arc<Interface>>>,
    bytes: usize,
    objects: BTreeMap<String, Vec<Arc<Interface>>>,
    tree: Tree,
}

/// The walk is over.
struct Over;

impl Walk<'_> {
    async fn run(&mut self, go_on: &(dyn Fn(usize, usize) -> bool + Sync)) {
        while let Some((path, depth)) = self.queue.pop_front() {
            if Instant::now() >= self.deadline {
                let seconds = self.limits.time.as_secs();
                return self.cut(Reason::Time, format!("not done within {seconds} s"));
            }
            if !go_on(self.known.len(), self.objects.len()) {
                return self.cut(Reason::Stopped, "stopped on request".to_owned());
            }
            if self.visit(path, depth).await.is_err() {
                return;
            }
        }
    }

    /// One object: what it can do, and what is below it.
    async fn visit(&mut self, path: String, depth: usize) -> Result<(), Over> {
        if let Some(interfaces) = self.as_listed(&path) {
            self.objects.insert(path, interfaces);
            return Ok(());
        }
        let Some(text) = self.introspect(&path).await? else {
            self.objects.insert(path, Vec::new());
            return Ok(());
        };
        if let Some(interfaces) = self.leaves.get(&text) {
            self.objects.insert(path, interfaces.clone());
            return Ok(());
        }
        let faults = self.tree.faults.len();
        let Some(node) = self.parse(&path, &text) else {
            self.objects.insert(path, Vec::new());
            return Ok(());
        };
        let manages = node
            .interfaces
            .iter()
            .any(|interface| interface.name.as_str() == "org.freedesktop.DBus.ObjectManager");
        // Before the children, so that those which are managed need not be asked one by one.
        if manages {
            self.list_managed(&path, depth).await?;
        }
        let definitions = self.shared.len();
        let leaf = !manages && node.children.is_empty() && self.tree.faults.len() == faults;
        self.take(path.clone(), node, depth);
        if self.shared.len() > definitions {
            self.bytes = self.bytes.saturating_add(text.len());
            if leaf && let Some(interfaces) = self.objects.get(&path) {
                self.leaves.insert(text, interfaces.clone());
            }
        }
        match self.bytes > self.limits.bytes {
            false => Ok(()),
            true => {
                let text = format!("the objects say more than {} bytes", self.limits.bytes);
                self.cut(Reason::Bytes, text);
                Err(Over)
            }
        }
    }

    /// The interfaces of an object that a manager listed, if all of them were seen on others. A manager lists no
    /// objects below itself that it does not know, so that such an object need not be asked for its children.
    fn as_listed(&self, path: &str) -> Option<Vec<Arc<Interface>>> {
        let names = self.managed.get(path)?;
        let known = names.iter().map(|name| self.definitions.get(name).cloned());
        known.collect()
    }

    fn take(&mut self, path: String, node: Node, depth: usize) {
        for child in node.children {
            let below = match path.as_str() {
                "/" => format!("/{}", child.name),
                path => format!("{path}/{}", child.name),
            };
            let steps = depth + child.name.split('/').count();
            match child.interfaces.is_empty() && child.children.is_empty() {
                true => self.queue(below, steps),
                // The parent has told all of it, so that it need not be asked itself.
                false if self.admits(&below, steps) => self.take(below, child, steps),
                false => {}
            }
        }
        let interfaces = node.interfaces.into_iter().map(|one| self.share(one));
        let interfaces: Vec<_> = interfaces.collect();
        self.objects.insert(path, interfaces);
    }

    /// One copy of each definition.
    fn share(&mut self, interface: Interface) -> Arc<Interface> {
        let shared = match self.shared.get(&interface) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(interface);
                self.shared.insert(Arc::clone(&shared));
                shared
            }
        };
        let first = self.definitions.entry(shared.name.to_string());
        first.or_insert_with(|| Arc::clone(&shared));
        shared
    }

    fn queue(&mut self, path: String, depth: usize) {
        if self.admits(&path, depth) {
            self.queue.push_back((path, depth));
        }
    }

    /// Whether there is room for an object that was not known; it is, from here on.
    fn admits(&mut self, path: &str, depth: usize) -> bool {
        if self.known.contains(path) {
            return false;
        }
        if path.len() > LONGEST_PATH {
            let text = format!("an object below it has a path of {} bytes", path.len());
            self.fault(short(path), text);
            return false;
        }
        if depth > self.limits.depth {
            let text = format!("there are objects deeper than {} steps", self.limits.depth);
            self.cut(Reason::Depth, text);
            return false;
        }
        if self.known.len() >= self.limits.objects {
            let text = format!("there are more than {} objects", self.limits.objects);
            self.cut(Reason::Objects, text);
            return false;
        }
        self.known.insert(path.to_owned())
    }

    /// What an object says of itself; none if it says nothing, which is noted.
    async fn introspect(&mut self, path: &str) -> Result<Option<String>, Over> {
        let answer = self.ask(path, "org.freedesktop.DBus.Introspectable", "Introspect");
        match answer.await {
            Ok(Xml::Text(text)) => Ok(Some(text)),
            Ok(Xml::TooLong(bytes)) => {
                let limit = self.limits.xml.bytes;
                self.fault(path, xml::Error::TooLong { bytes, limit }.to_string());
                Ok(None)
            }
            Err(error) => self.failed(path, error).map(|()| None),
        }
    }

    fn parse(&mut self, path: &str, text: &str) -> Option<Node> {
        match xml::parse(text, &self.limits.xml) {
            Ok(parsed) => {
                for warning in parsed.warnings {
                    self.fault(path, warning);
                }
                Some(parsed.node)
            }
            Err(error) => {
                self.fault(path, error.to_string());
                None
            }
        }
    }

    /// The objects that a manager lists, into the queue.
    async fn list_managed(&mut self, path: &str, depth: usize) -> Result<(), Over> {
        let answer = self.ask(
            path,
            "org.freedesktop.DBus.ObjectManager",
            "GetManagedObjects",
        );
        let managed: Managed = match answer.await {
            Ok(managed) => managed,
            Err(error) => return self.failed(path, error),
        };
        if managed.left_out > 0 {
            let text = format!("its manager lists {} more objects", managed.left_out);
            self.cut(Reason::Objects, text);
        }
        let prefix = match path {
            "/" => "/".to_owned(),
            path => format!("{path}/"),
        };
        for (listed, interfaces) in managed.objects {
            let Some(below) = listed.strip_prefix(&prefix).filter(|rest| !rest.is_empty()) else {
                if listed != path {
                    self.fault(
                        path,
                        format!("it lists {}, which is not below it", short(&listed)),
                    );
                }
                continue;
            };
            let steps = depth + below.split('/').count();
            if self.admits(&listed, steps) {
                self.managed.insert(listed.clone(), interfaces);
                self.queue.push_back((listed, steps));
            }
        }
        Ok(())
    }

    async fn ask<R>(&self, path: &str, interface: &str, method: &str) -> Result<R, CallError>
    where
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let object = Callee {
            owner: &self.tree.owner,
            path,
            interface,
        };
        let left = self.deadline.saturating_duration_since(Instant::now());
        let limit = left.min(self.limits.call);
        call(self.connection, object, method, &(), limit).await
    }

    /// What follows from an answer that did not come: the walk goes on only where the service still answers.
    fn failed(&mut self, path: &str, error: CallError) -> Result<(), Over> {
        let (reason, text) = match error {
            CallError::Refused(text) => {
                self.fault(path, text);
                return Ok(());
            }
            CallError::TimedOut(_) if Instant::now() >= self.deadline => {
                let seconds = self.limits.time.as_secs();
                (Reason::Time, format!("not done within {seconds} s"))
            }
            CallError::TimedOut(limit) => {
                let limit = limit.as_millis();
                (
                    Reason::Hung,
                    format!("no answer within {limit} ms from {path}"),
                )
            }
            CallError::Gone => (Reason::Gone, format!("it left the bus at {path}")),
            CallError::Bus(error) => (Reason::Gone, format!("the bus went away: {error}")),
        };
        self.cut(reason, text);
        Err(Over)
    }

    fn cut(&mut self, reason: Reason, text: String) {
        let cuts = &mut self.tree.truncated;
        if !cuts.iter().any(|cut| cut.reason == reason) {
            cuts.push(Truncation { reason, text });
        }
    }

    fn fault(&mut self, path: &str, text: String) {
        if self.tree.faults.len() < MOST_FAULTS {
            let path = path.to_owned();
            self.tree.faults.push(Fault { path, text });
        }
    }
}

/// The beginning of a path; it has no characters but ASCII.
fn short(path: &str) -> &str {
    path.get(..60).unwrap_or(path)
}
