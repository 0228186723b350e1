//! Who is logged in at the web server: links in, sessions, and the tokens that they go by.

mod book;
mod signer;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use declaration::Scope;
use ledger::NewEntry;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tools::engine::{Site, write_whole};
use tools::{Accounts, Caller, Door, Registry, Role, ToolError};

use super::tokens::{self, Denied};
use book::{Book, Owner, Renewal, Session, in_time};
use signer::{Kind, Signer, random};

/// How long an access token lives, in seconds.
pub(crate) const ACCESS: u64 = 600;
/// How long a link is valid, in seconds.
const LINK: u64 = 300;
/// How many links of one user wait at once, and how many of all; the oldest goes.
const LINKS_OF_ONE: usize = 8;
const LINKS: usize = 256;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSession {
    /// It was never given out here.
    #[error("the code or token is not known on this host, or was used before")]
    Wrong,
    /// It was, and its time is over.
    #[error("the token has ended: renew the session, or log in again with `op-dbus web login`")]
    Ended,
    /// The session is over.
    #[error("the session is over: log in again with `op-dbus web login`")]
    Over,
    /// The declared token that came is none.
    #[error(transparent)]
    Denied(Denied),
    /// The store says no.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// A session as a token of it says.
pub(crate) struct Known {
    pub(crate) caller: Caller,
    pub(crate) scopes: Vec<Scope>,
    /// For `access.whoami`.
    pub(crate) session: Value,
}

/// The sessions of this host. They outlive the daemon: what is kept are no secrets, and the key that signs is beside
/// them.
pub(crate) struct Sessions {
    lifetime: u64,
    open: Mutex<Option<Open>>,
    links: Mutex<Vec<Link>>,
}

/// The store, once it was opened.
struct Open {
    file: PathBuf,
    signer: Signer,
    book: Book,
}

/// A link that was printed.
struct Link {
    digest: [u8; 32],
    uid: u32,
    name: String,
    role: Role,
    ends: u64,
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Sessions {
    /// None so far; access tokens live for so many seconds.
    pub(crate) fn new(lifetime: u64) -> Self {
        Self {
            lifetime,
            open: Mutex::default(),
            links: Mutex::default(),
        }
    }

    /// A link for a user of this host, with the role that they ask for or the highest they have.
    pub(crate) fn link(
        &self,
        registry: &Registry,
        caller: &Caller,
        role: Option<Role>,
    ) -> Result<Value, ToolError> {
        let Some(own) = caller.role else {
            return Err(ToolError::Refused(format!(
                "{} has no role on this host. Roles are given in the declaration, under `access`",
                caller.name
            )));
        };
        let role = role.unwrap_or(own);
        if role > own {
            let why = format!(
                "{} has the role {own}, and cannot log in as more",
                caller.name
            );
            registry.record_refused(caller, entry(caller, "refused", role, "link", Some(&why)))?;
            return Err(ToolError::Refused(why));
        }
        // A link that could not open anything is not printed.
        drop(self.store(registry.site())?);
        let code = random::<32>().map_err(|error| ToolError::failed("make a code", error))?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let link = Link {
            digest: Sha256::digest(code.as_bytes()).into(),
            uid: caller.uid,
            name: caller.name.clone(),
            role,
            ends: now + LINK,
        };
        wait(&mut links, link, now);
        Ok(json!({ "code": code, "name": caller.name, "role": role, "seconds": LINK }))
    }

    /// Begins a session with the code of a link, which is used up.
    pub(crate) fn enter_by_link(
        &self,
        registry: &Registry,
        code: &str,
        peer: u32,
    ) -> Result<Value, NoSession> {
        let Some(link) = self.take(code, now()) else {
            return Err(NoSession::Wrong);
        };
        let Link {
            uid, name, role, ..
        } = link;
        let owner = Owner::User { uid, name };
        self.enter(registry, owner, role, "link", peer)
    }

    /// The link of a code. All are compared, so that the time that it takes says nothing.
    fn take(&self, code: &str, now: u64) -> Option<Link> {
        let digest = Sha256::digest(code.as_bytes());
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = u32::MAX;
        for (index, link) in (0u32..).zip(links.iter()) {
            let same: Choice = link.digest.ct_eq(&digest[..]);
            found.conditional_assign(&index, same);
        }
        let index = usize::try_from(found).ok().filter(|at| *at < links.len())?;
        let link = links.remove(index);
        (link.ends > now).then_some(link)
    }

    /// Begins a session with a declared token.
    pub(crate) fn enter_by_token(
        &self,
        registry: &Registry,
        bearer: &tokens::Bearer,
        secret: &str,
        peer: u32,
    ) -> Result<Value, NoSession> {
        let Some(role) = bearer.scopes.iter().copied().map(Role::of).max() else {
            return Err(NoSession::Wrong);
        };
        let owner = Owner::Token {
            name: bearer.name.clone(),
            digest: fingerprint(secret),
        };
        self.enter(registry, owner, role, "token", peer)
    }

    fn enter(
        &self,
        registry: &Registry,
        owner: Owner,
        role: Role,
        by: &str,
        peer: u32,
    ) -> Result<Value, NoSession> {
        let site = registry.site();
        let now = now();
        let id = random::<16>().map_err(|error| ToolError::failed("name a session", error))?;
        let mut store = self.store(site)?;
        let open = store.as_mut().ok_or(NoSession::Over)?;
        let mut book = open.book.clone();
        book.begin(id.clone(), owner.clone(), role, now);
        let caller = caller(site, &owner, role, peer, Door::Web).ok_or(NoSession::Over)?;
        let role = caller.role.ok_or(NoSession::Over)?;
        // Nobody comes in unseen.
        registry.record(entry(&caller, "done", role, by, None))?;
        open.keep(book)?;
        self.tokens(site, open, &id, peer)
    }

    /// Renews a session by its refresh token.
    pub(crate) fn renew(
        &self,
        registry: &Registry,
        refresh: &str,
        peer: u32,
    ) -> Result<Value, NoSession> {
        let site = registry.site();
        let now = now();
        let mut store = self.store(site)?;
        let open = store.as_mut().ok_or(NoSession::Over)?;
        let read = open.signer.read(Kind::Refresh, refresh);
        let (id, number) = read.ok_or(NoSession::Wrong)?;
        let mut book = open.book.clone();
        match book.renew(id, number, now) {
            Renewal::Renewed => open.keep(book)?,
            Renewal::Again => {}
            Renewal::Over => return Err(NoSession::Over),
            Renewal::Replayed(session) => {
                open.keep(book)?;
                replayed(registry, &session, id, peer);
                return Err(NoSession::Over);
            }
        }
        self.tokens(site, open, id, peer)
    }

    /// The tokens of a session as it is now.
    fn tokens(&self, site: &Site, open: &Open, id: &str, peer: u32) -> Result<Value, NoSession> {
        let now = now();
        let session = open.book.get(id, now).ok_or(NoSession::Over)?;
        let caller = caller(site, &session.owner, session.role, peer, Door::Web);
        let caller = caller.ok_or(NoSession::Over)?;
        let role = caller.role.ok_or(NoSession::Over)?;
        let expires = now + self.lifetime;
        Ok(json!({
            "name": caller.name,
            "role": role,
            "session": { "id": id, "expires": expires, "until": session.until },
            "access": open.signer.sign(Kind::Access, id, expires),
            "refresh": open.signer.sign(Kind::Refresh, id, session.renewed),
        }))
    }

    /// Whether a text means to be an access token.
    pub(crate) fn is_access(token: &str) -> bool {
        Kind::Access.is(token)
    }

    /// Who speaks with an access token, through a process of this uid.
    pub(crate) fn find(
        &self,
        site: &Site,
        token: &str,
        uid: u32,
        door: Door,
    ) -> Result<Known, NoSession> {
        let now = now();
        let store = self.store(site)?;
        let open = store.as_ref().ok_or(NoSession::Over)?;
        let read = open.signer.read(Kind::Access, token);
        let (id, expires) = read.ok_or(NoSession::Wrong)?;
        if !in_time(expires, self.lifetime, now) {
            return Err(NoSession::Ended);
        }
        let session = open.book.get(id, now).ok_or(NoSession::Over)?.clone();
        let about = json!({ "id": id, "expires": expires, "until": session.until });
        // Files are read below, and the store is for others meanwhile.
        drop(store);
        let caller = caller(site, &session.owner, session.role, uid, door);
        let caller = caller.ok_or(NoSession::Over)?;
        Ok(Known {
            scopes: caller.role.map(Role::scope).into_iter().collect(),
            caller,
            session: about,
        })
    }

    /// Ends the session of an access token or a refresh token, however old; gives its name.
    pub(crate) fn end(&self, site: &Site, token: &str) -> Result<String, NoSession> {
        let mut store = self.store(site)?;
        let open = store.as_mut().ok_or(NoSession::Over)?;
        let kinds = [Kind::Access, Kind::Refresh].into_iter();
        let read = kinds
            .filter_map(|kind| open.signer.read(kind, token))
            .next();
        let (id, _) = read.ok_or(NoSession::Wrong)?;
        let mut book = open.book.clone();
        match book.end(id) {
            Some(_) => {
                open.keep(book)?;
                Ok(id.to_owned())
            }
            None => Err(NoSession::Over),
        }
    }

    /// The store, opened where it was not yet.
    fn store(&self, site: &Site) -> Result<MutexGuard<'_, Option<Open>>, ToolError> {
        let directory = site.paths()?.keys();
        let file = directory.join("sessions.json");
        let mut store = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if store.as_ref().is_none_or(|open| open.file != file) {
            *store = Some(Open::at(file)?);
        }
        Ok(store)
    }
}

/// Has a link wait. Nobody pushes out the links of others by asking for many.
fn wait(links: &mut Vec<Link>, link: Link, now: u64) {
    links.retain(|link| link.ends > now);
    let own = links.iter().filter(|other| other.uid == link.uid);
    if own.count() >= LINKS_OF_ONE {
        if let Some(oldest) = links.iter().position(|other| other.uid == link.uid) {
            links.remove(oldest);
        }
    } else if links.len() >= LINKS {
        links.remove(0);
    }
    links.push(link);
}

impl Open {
    fn at(file: PathBuf) -> Result<Self, ToolError> {
        let key = file.with_file_name("session.key");
        if !file
            .parent()
            .and_then(|keys| keys.parent())
            .is_some_and(|base| base.is_dir())
        {
            return Err(ToolError::Unavailable(
                "the base is not there yet, and sessions could not be kept: `op-dbus apply` first"
                    .to_owned(),
            ));
        }
        let signer = Signer::open_or_create(&key)
            .map_err(|error| ToolError::failed(&format!("use {}", key.display()), error))?;
        let book = match std::fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Book::default(),
            Err(error) => {
                let what = format!("read {}", file.display());
                return Err(ToolError::failed(&what, error));
            }
            // Who was logged in is asked to do so again.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                log::error!("all sessions have ended: {}: {error}", file.display());
                Book::default()
            }),
        };
        Ok(Self { file, signer, book })
    }

    /// Takes over what is to be so from now on, once it is on disk.
    fn keep(&mut self, book: Book) -> Result<(), ToolError> {
        let text = serde_json::to_vec(&book)
            .map_err(|error| ToolError::failed("write down the sessions", error))?;
        write_whole(&self.file, &text)?;
        self.book = book;
        Ok(())
    }
}

/// A hash of a secret, to know it again.
fn fingerprint(secret: &str) -> String {
    let digest = Sha256::digest(format!("op-dbus session\0{secret}").as_bytes());
    hex::encode(digest)
}

/// Who the owner of a session is now, with no more than the session was begun with; none where they are no more.
fn caller(site: &Site, owner: &Owner, granted: Role, uid: u32, door: Door) -> Option<Caller> {
    match owner {
        Owner::User { uid, name } => {
            let accounts = Accounts::read();
            // The number may be another person's by now.
            if accounts.name(*uid) != *name {
                return None;
            }
            let mut caller = Caller::of_uid(*uid, door, &site.access(), &accounts);
            if caller.role > Some(granted) {
                caller.role = Some(granted);
                caller.refusal = Some(format!(
                    "this session of {name} was begun as {granted}: `op-dbus web login --role ROLE` begins another"
                ));
            }
            Some(caller)
        }
        Owner::Token { name, digest } => {
            let web = site.web()?;
            let token = web.tokens.get(name)?;
            let secret = tokens::read(&token.file).ok()?;
            if !bool::from(fingerprint(&secret).as_bytes().ct_eq(digest.as_bytes())) {
                return None;
            }
            let mut caller = Caller::of_token(uid, door, name, &token.scopes);
            caller.role = caller.role.min(Some(granted));
            Some(caller)
        }
    }
}

/// What the ledger keeps of a login.
fn entry(caller: &Caller, outcome: &str, role: Role, by: &str, why: Option<&str>) -> NewEntry {
    let mut metadata = json!({
        "actor": caller.actor(),
        "effect": "write",
        "role": role,
        "by": by,
        "outcome": outcome,
    });
    if let Some(why) = why {
        metadata["error"] = json!(why);
    }
    NewEntry {
        operation: "web_login".to_owned(),
        target: caller.name.clone(),
        metadata,
    }
}

/// Somebody came with a refresh token that was used up: one of two has a copy.
fn replayed(registry: &Registry, session: &Session, id: &str, peer: u32) {
    let why =
        "a refresh token came again that was used up: the session has ended for all who had it";
    log::warn!("session {id}: {why}");
    let Some(caller) = caller(
        registry.site(),
        &session.owner,
        session.role,
        peer,
        Door::Web,
    ) else {
        return;
    };
    let mut entry = entry(&caller, "refused", session.role, "refresh", Some(why));
    entry.operation = "web_session_end".to_owned();
    if let Err(error) = registry.record_refused(&caller, entry) {
        log::error!("that is not in the ledger: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_many_links_pushes_out_their_own() {
        let link = |uid, number: u8| Link {
            digest: [number; 32],
            uid,
            name: String::new(),
            role: Role::Viewer,
            ends: 100,
        };
        let mut links = Vec::new();
        wait(&mut links, link(0, 1), 0);
        for number in 0..200 {
            wait(&mut links, link(1000, number), 0);
        }
        let left: Vec<_> = links.iter().map(|link| link.digest[0]).collect();
        assert_eq!(left, [1, 192, 193, 194, 195, 196, 197, 198, 199]);
        for uid in 2000..3000 {
            wait(&mut links, link(uid, 0), 0);
        }
        assert_eq!(links.len(), LINKS);
        wait(&mut links, link(0, 2), 100);
        assert_eq!(links.len(), 1);
    }
}
