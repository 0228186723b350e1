//! The two cookies of a session (RFC 6265bis): one for every request, one that only renews.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};

use crate::bearer;
use crate::plain::Refusal;

/// What goes with every request.
const ACCESS: &str = "opdbus_access";
/// What renews the session, and goes nowhere else.
const REFRESH: &str = "opdbus_refresh";
/// Where that is.
const RENEWAL: &str = "/api/session";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    Access,
    Refresh,
}

impl Cookie {
    fn path(self) -> &'static str {
        match self {
            Self::Access => "/",
            Self::Refresh => RENEWAL,
        }
    }

    fn plain(self) -> &'static str {
        match self {
            Self::Access => ACCESS,
            Self::Refresh => REFRESH,
        }
    }

    /// With TLS the name says that nobody else on the way, and no neighbouring host, could have set it (§4.1.3).
    fn prefixed(self) -> String {
        match self {
            Self::Access => format!("__Host-{ACCESS}"),
            Self::Refresh => format!("__Secure-{REFRESH}"),
        }
    }

    /// Its value in a request, if it is there. Where there is TLS, only the prefixed name counts. Two of one name are
    /// refused: a browser does not say which of them this server has set (RFC 6265 §8.6).
    pub(crate) fn read(self, headers: &HeaderMap, secure: bool) -> Result<Option<&str>, Refusal> {
        let prefixed = only(headers, &self.prefixed())?;
        match secure {
            true => Ok(prefixed),
            // Behind a proxy that has the TLS.
            false => match prefixed {
                Some(_) => Ok(prefixed),
                None => only(headers, self.plain()),
            },
        }
    }

    /// The header that sets it for so many seconds; 0 takes it away.
    pub(crate) fn write(self, value: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
        let (name, more) = match secure {
            true => (self.prefixed(), "; Secure"),
            false => (self.plain().to_owned(), ""),
        };
        let path = self.path();
        let text = format!(
            "{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{more}"
        );
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The value of the one cookie of this name, unless that is empty.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let values = headers.get_all(COOKIE).iter();
    let mut found = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name);
    let value = found.next().map(|(_, value)| value);
    if found.next().is_some() {
        let text = format!(
            "the cookie {name} came twice, and one of the two is not of this server: clear the cookies of this host, and \
             log in again"
        );
        return Err(bearer::unauthorized("", &text));
    }
    Ok(value.filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let read = |cookie: &str, secure| {
            let headers = headers(cookie);
            let read = Cookie::Access.read(&headers, secure).unwrap();
            read.map(str::to_owned)
        };
        assert_eq!(read("a=b; opdbus_access=x.y", false), Some("x.y".into()));
        assert_eq!(read("xopdbus_access=x; opdbus_access=", false), None);
        // With TLS, one that could have been set without it says nothing.
        assert_eq!(read("opdbus_access=x", true), None);
        assert_eq!(
            read("opdbus_access=x; __Host-opdbus_access=y", true),
            Some("y".into())
        );
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let read = |cookies: &[&str], secure| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(COOKIE, cookie.parse().unwrap());
            }
            let read = Cookie::Access.read(&headers, secure);
            read.map_err(|refusal| refusal.status().as_u16()).is_ok()
        };
        assert!(!read(&["opdbus_access=x; opdbus_access=y"], false));
        assert!(!read(&["opdbus_access=x", "a=b; opdbus_access=x"], false));
        assert!(!read(&["opdbus_access=; opdbus_access=y"], false));
        let both = "__Host-opdbus_access=y; opdbus_access=x";
        assert!(read(&[both], true) && read(&[both], false));
        assert!(!read(&[both, both], true));
        // One that says nothing here is nobody's business.
        assert!(read(&["opdbus_access=x; opdbus_access=y"], true));
        assert!(read(&["opdbus_refresh=x; opdbus_refresh=y"], false));
    }

    #[test]
    fn no_script_and_no_other_site_gets_at_them() {
        let text = |cookie: Cookie, secure| {
            let value = cookie.write("v", 600, secure).unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(
            text(Cookie::Access, false),
            "opdbus_access=v; Path=/; Max-Age=600; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            text(Cookie::Refresh, true),
            "__Secure-opdbus_refresh=v; Path=/api/session; Max-Age=600; HttpOnly; SameSite=Strict; Secure"
        );
        // A value that would end the header is none.
        assert!(
            Cookie::Access
                .write("v\r\nSet-Cookie: x", 1, false)
                .is_none()
        );
    }
}
