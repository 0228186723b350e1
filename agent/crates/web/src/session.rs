//! Who speaks, and until when: what the daemon says of the token of a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

/// What a session lets its owner do now. It changes while a connection lives on, when the session is renewed or ends.
#[derive(Clone)]
pub(crate) struct Access {
    /// The token that goes to the daemon with each call ([`api::Call::token`]).
    pub(crate) token: Arc<str>,
    /// `viewer`, `operator` or `admin`.
    pub(crate) role: String,
    /// When the token ends; never for a declared one.
    pub(crate) expires: Option<SystemTime>,
    /// The session was ended: nothing more is to be done or told.
    pub(crate) ended: bool,
}

/// One speaker, whom the daemon knows.
#[derive(Clone)]
pub(crate) struct Session {
    /// The login name, or `token:NAME`.
    pub(crate) name: String,
    /// The session's own name, for logs and limits; none for a token that came without a session.
    pub(crate) id: Option<Arc<str>>,
    access: watch::Receiver<Access>,
}

impl Session {
    /// What its owner may now.
    pub(crate) fn access(&self) -> Access {
        self.access.borrow().clone()
    }

    /// Waits until the session is renewed or ends; for ever where neither can happen.
    pub(crate) async fn changed(&mut self) {
        if self.access.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until there is no right any more to go on: the session ended, or its token did and was not renewed.
    pub(crate) async fn over(&mut self) {
        loop {
            let Access { expires, ended, .. } = self.access();
            if ended {
                return;
            }
            let left = expires.map(|end| end.duration_since(SystemTime::now()));
            match left {
                Some(Err(_)) => return,
                // Clocks are set: it is looked at again after a while.
                Some(Ok(left)) => tokio::select! {
                    () = tokio::time::sleep(left.min(Duration::from_secs(30))) => {}
                    () = self.changed() => {}
                },
                None => self.changed().await,
            }
        }
    }
}

/// The sessions that this process has seen and somebody still uses.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Arc<str>, watch::Sender<Access>>>);

impl Sessions {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, watch::Sender<Access>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A speaker with what the daemon says of their token. Connections of the same session go by the token that lives
    /// longest.
    pub(crate) fn enter(&self, name: String, id: Option<Arc<str>>, access: Access) -> Session {
        let Some(id) = id else {
            let (_, access) = watch::channel(access);
            return Session { name, id, access };
        };
        let mut known = self.known();
        known.retain(|_, sender| sender.receiver_count() > 0 || is_good(sender));
        let sender = known
            .entry(Arc::clone(&id))
            .or_insert_with(|| watch::channel(access.clone()).0);
        sender.send_if_modified(|now| {
            let newer = access.expires > now.expires || access.role != now.role;
            if newer {
                *now = access.clone();
            }
            newer
        });
        let access = sender.subscribe();
        Session {
            name,
            id: Some(id),
            access,
        }
    }

    /// How many sessions have an access token that is still good.
    pub(crate) fn count(&self) -> usize {
        let known = self.known();
        known.values().filter(|sender| is_good(sender)).count()
    }

    /// Ends a session for all its connections.
    pub(crate) fn end(&self, id: &str) {
        if let Some(sender) = self.known().remove(id) {
            sender.send_modify(|access| access.ended = true);
        }
    }
}

fn is_good(sender: &watch::Sender<Access>) -> bool {
    let expires = sender.borrow().expires;
    expires.is_none_or(|end| end > SystemTime::now())
}
