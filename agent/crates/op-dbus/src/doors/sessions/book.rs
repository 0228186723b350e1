//! The sessions there are, and the rules by which they begin, go on and end. No clock and no secret in it: what is
//! kept says nothing to who reads it.

use std::collections::BTreeMap;

use declaration::TokenName;
use serde::{Deserialize, Serialize};
use tools::Role;

/// How long a session waits to be renewed, in seconds.
const IDLE: u64 = 12 * 3600;
/// How long it can be renewed at all, in seconds.
const LONGEST: u64 = 7 * 24 * 3600;
/// How long the refresh token before the newest one is taken: a second tab may have been on its way.
const OVERLAP: u64 = 30;
/// How far clocks may differ that were set meanwhile, in seconds.
const SKEW: u64 = 2;
/// How many sessions one owner has, and all together; the oldest goes.
const OF_ONE: usize = 32;
const OF_ALL: usize = 512;

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Owner {
    /// A user of this host, whom the kernel vouched for when they asked for the link.
    User { uid: u32, name: String },
    /// The owner of a declared token, as its file was then.
    Token { name: TokenName, digest: String },
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) owner: Owner,
    /// What it was begun with; the declaration may give less by now.
    pub(super) role: Role,
    /// When it was begun, in seconds since 1970, as all times here.
    born: u64,
    /// When it ends unless it is renewed before.
    pub(super) until: u64,
    /// How often it was renewed, and when the last time.
    pub(super) renewed: u64,
    renewed_at: u64,
}

/// What came of a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Here is the next one.
    Renewed,
    /// The one before came again, in time: the newest goes on.
    Again,
    /// An older one came: somebody has a copy, and the session is over for both.
    Replayed(Session),
    /// There is no such session any more.
    Over,
}

/// All sessions, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Book(BTreeMap<String, Session>);

impl Book {
    /// Begins a session.
    pub(super) fn begin(&mut self, id: String, owner: Owner, role: Role, now: u64) {
        self.0.retain(|_, session| session.until > now);
        while self.crowded(|other| *other == owner, OF_ONE) || self.crowded(|_| true, OF_ALL) {}
        let session = Session {
            owner,
            role,
            born: now,
            until: now + IDLE,
            renewed: 0,
            renewed_at: now,
        };
        self.0.insert(id, session);
    }

    /// Lets the oldest one go where there are too many.
    fn crowded(&mut self, of: impl Fn(&Owner) -> bool, most: usize) -> bool {
        let those = || self.0.iter().filter(|(_, session)| of(&session.owner));
        if those().count() < most {
            return false;
        }
        let oldest = those().min_by_key(|(_, session)| session.until);
        let oldest = oldest.map(|(id, _)| id.clone());
        oldest.is_some_and(|id| self.0.remove(&id).is_some())
    }

    /// The session of this name, if it is not over.
    pub(super) fn get(&self, id: &str, now: u64) -> Option<&Session> {
        self.0.get(id).filter(|session| session.until > now)
    }

    /// Renews a session by its refresh token with this number.
    pub(super) fn renew(&mut self, id: &str, number: u64, now: u64) -> Renewal {
        let Some(session) = self.0.get_mut(id).filter(|session| session.until > now) else {
            return Renewal::Over;
        };
        if number == session.renewed {
            session.renewed += 1;
            session.renewed_at = now;
            session.until = (now + IDLE).min(session.born + LONGEST);
            return Renewal::Renewed;
        }
        let again = number + 1 == session.renewed;
        // Either way: a clock that was set back must not make this last.
        if again && now.abs_diff(session.renewed_at) <= OVERLAP {
            return Renewal::Again;
        }
        match self.0.remove(id) {
            Some(session) => Renewal::Replayed(session),
            None => Renewal::Over,
        }
    }

    /// Ends a session.
    pub(super) fn end(&mut self, id: &str) -> Option<Session> {
        self.0.remove(id)
    }
}

/// Whether an access token is good at this time. One that would be good for longer than any is from a time when the
/// clock was elsewhere.
pub(super) fn in_time(expires: u64, lifetime: u64, now: u64) -> bool {
    now < expires + SKEW && expires <= now + lifetime + SKEW
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn alice() -> Owner {
        Owner::User {
            uid: 1000,
            name: "alice".into(),
        }
    }

    fn book() -> Book {
        let mut book = Book::default();
        book.begin("a".into(), alice(), Role::Operator, NOW);
        book
    }

    /// Renewed once.
    fn late_book() -> Book {
        let mut book = book();
        assert_eq!(book.renew("a", 0, NOW + 600), Renewal::Renewed);
        book
    }

    #[test]
    fn each_refresh_token_renews_once() {
        let mut book = book();
        assert_eq!(book.renew("a", 0, NOW + 600), Renewal::Renewed);
        // A second tab sent the same one.
        assert_eq!(book.renew("a", 0, NOW + 630), Renewal::Again);
        assert_eq!(book.renew("a", 1, NOW + 1200), Renewal::Renewed);
        // The one before is known for a while only, and an older one never.
        let mut late = book.clone();
        assert!(matches!(
            late.renew("a", 1, NOW + 1231),
            Renewal::Replayed(_)
        ));
        assert!(matches!(
            book.renew("a", 0, NOW + 1201),
            Renewal::Replayed(_)
        ));
        // Nor for longer if the clock was set back meanwhile.
        let mut back = late_book();
        assert!(matches!(
            back.renew("a", 0, NOW - 3600),
            Renewal::Replayed(_)
        ));
        // The session is over for who has the newest one, too.
        assert_eq!(book.renew("a", 2, NOW + 1202), Renewal::Over);
        assert_eq!(book.get("a", NOW), None);
    }

    #[test]
    fn a_number_that_was_never_given_out_ends_the_session() {
        let mut book = book();
        assert!(matches!(book.renew("a", 7, NOW), Renewal::Replayed(_)));
        assert_eq!(book.renew("b", 0, NOW), Renewal::Over);
    }

    #[test]
    fn sessions_end_by_themselves() {
        let mut book = book();
        assert!(book.get("a", NOW + IDLE - 1).is_some());
        assert!(book.get("a", NOW + IDLE).is_none());
        assert_eq!(book.clone().renew("a", 0, NOW + IDLE), Renewal::Over);
        // However often it is renewed.
        let mut now = NOW;
        let mut number = 0;
        while book.renew("a", number, now) == Renewal::Renewed {
            number += 1;
            now += IDLE / 2;
            assert!(number < 100);
        }
        assert_eq!(now, NOW + LONGEST);
    }

    #[test]
    fn there_are_not_too_many() {
        let mut book = Book::default();
        for index in 0..100 {
            book.begin(index.to_string(), alice(), Role::Viewer, NOW + index);
        }
        assert_eq!(book.0.len(), OF_ONE);
        assert!(book.get("99", NOW).is_some() && book.get("0", NOW).is_none());
    }

    #[test]
    fn access_tokens_are_good_for_their_time_and_not_longer() {
        let good = |now| in_time(NOW + 600, 600, now);
        assert!(good(NOW) && good(NOW + 599) && good(NOW + 601));
        assert!(!good(NOW + 602) && !good(NOW + 100_000));
        // The clock was set back by an hour.
        assert!(!good(NOW - 3600));
    }
}
