//! Trees that were seen a moment ago.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

use super::tree::{Reason, Tree};
use super::walk::Limits;

/// How long a tree is good for. Objects come and go without a word; who pages through a tree wants it to stay.
const FRESH: Duration = Duration::from_secs(60);

/// How many objects are kept in all trees together.
const MOST_OBJECTS: usize = 20_000;

/// How many trees are kept.
const MOST_TREES: usize = 64;

/// Which walk a tree is from. The bus gives the name of a connection to no other one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The connection of the service.
    pub owner: String,
    /// Where the walk began.
    pub root: String,
    /// The most objects of the walk.
    pub objects: usize,
    /// The most steps of the walk.
    pub depth: usize,
}

impl Key {
    /// The key of a walk.
    pub fn new(owner: &str, root: &str, limits: &Limits) -> Self {
        Self {
            owner: owner.to_owned(),
            root: root.to_owned(),
            objects: limits.objects,
            depth: limits.depth,
        }
    }
}

/// Trees by walk, as many as fit in; the oldest go first.
#[derive(Default)]
pub struct Cache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    trees: HashMap<Key, (Instant, Arc<Tree>)>,
    order: VecDeque<Key>,
    objects: usize,
}

impl Cache {
    /// The tree of a walk, if it is still good.
    pub fn get(&self, key: &Key) -> Option<Arc<Tree>> {
        let kept = self.lock();
        let (since, tree) = kept.trees.get(key)?;
        (since.elapsed() < FRESH).then(|| Arc::clone(tree))
    }

    /// Keeps a tree, unless its walk ended for a reason that may be gone the next time.
    pub fn put(&self, key: Key, tree: &Arc<Tree>) {
        let lasting = |reason| matches!(reason, Reason::Objects | Reason::Depth | Reason::Bytes);
        let whole = tree.truncated.iter().all(|cut| lasting(cut.reason));
        if !whole || tree.objects.len() > MOST_OBJECTS {
            return;
        }
        let mut kept = self.lock();
        kept.remove(&key);
        kept.objects += tree.objects.len();
        kept.order.push_back(key.clone());
        kept.trees.insert(key, (Instant::now(), Arc::clone(tree)));
        while kept.objects > MOST_OBJECTS || kept.trees.len() > MOST_TREES {
            let Some(oldest) = kept.order.front().cloned() else {
                break;
            };
            kept.remove(&oldest);
        }
    }

    /// Drops the trees of a connection.
    pub fn forget(&self, owner: &str) {
        let mut kept = self.lock();
        let keys: Vec<_> = kept
            .order
            .iter()
            .filter(|key| key.owner == owner)
            .cloned()
            .collect();
        for key in keys {
            kept.remove(&key);
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }

    /// How many trees there are.
    pub fn len(&self) -> usize {
        self.lock().trees.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some((_, tree)) = self.trees.remove(key) {
            self.objects -= tree.objects.len();
            self.order.retain(|known| known != key);
        }
    }
}

/// Keeps a cache true until it is dropped or the bus is gone: whoever leaves the bus is forgotten.
pub async fn invalidate(connection: &Connection, cache: Weak<Cache>) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .build()?;
    let waiting = NonZeroUsize::new(1024);
    let mut changes = MessageStream::for_match_rule(rule.into_owned(), connection, waiting).await?;
    tokio::spawn(async move {
        while let Some(Ok(change)) = changes.next().await {
            let Some(cache) = cache.upgrade() else { return };
            let body = change.body();
            if let Ok((name, old, new)) = body.deserialize::<(&str, &str, &str)>()
                && new.is_empty()
                && name == old
            {
                cache.forget(name);
            }
        }
        // Whatever happens from here on is not heard.
        if let Some(cache) = cache.upgrade() {
            cache.clear();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Object, Truncation};
    use super::*;

    fn tree(objects: usize) -> Arc<Tree> {
        let object = |number| Object {
            path: format!("/n{number}"),
            interfaces: Vec::new(),
        };
        Arc::new(Tree {
            service: "a.b".to_owned(),
            owner: ":1.1".to_owned(),
            root: "/".to_owned(),
            objects: (0..objects).map(object).collect(),
            truncated: Vec::new(),
            faults: Vec::new(),
        })
    }

    fn key(number: usize) -> Key {
        Key::new(&format!(":1.{number}"), "/", &Limits::default())
    }

    #[test]
    fn trees_and_their_objects_are_bounded() {
        let cache = Cache::default();
        for number in 0..MOST_TREES + 10 {
            cache.put(key(number), &tree(1));
        }
        assert_eq!(cache.len(), MOST_TREES);
        assert!(cache.get(&key(9)).is_none() && cache.get(&key(10)).is_some());
        cache.put(key(500), &tree(MOST_OBJECTS - 1));
        assert_eq!(cache.len(), 2);
        cache.put(key(501), &tree(MOST_OBJECTS + 1));
        assert!(cache.get(&key(501)).is_none());
        cache.put(key(500), &tree(2));
        let kept = cache.lock();
        assert_eq!(
            (kept.trees.len(), kept.objects, kept.order.len()),
            (2, 3, 2)
        );
    }

    #[test]
    fn who_has_left_is_forgotten_and_who_hung_is_not_kept() {
        let cache = Cache::default();
        cache.put(key(1), &tree(1));
        cache.put(key(2), &tree(1));
        cache.forget(":1.1");
        assert!(cache.get(&key(1)).is_none() && cache.get(&key(2)).is_some());
        let mut hung = (*tree(1)).clone();
        hung.truncated.push(Truncation {
            reason: Reason::Hung,
            text: String::new(),
        });
        cache.put(key(3), &Arc::new(hung));
        assert!(cache.get(&key(3)).is_none());
        cache.clear();
        assert!(cache.is_empty());
    }
}
