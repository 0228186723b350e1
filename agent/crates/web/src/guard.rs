//! What is looked at before anything else: by what name the caller knows this host, and whose page asks.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use declaration::Web;

use crate::plain::Refusal;

/// What the browser says of who asked (Fetch Metadata).
pub(crate) const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Parts of a query that could be a secret, which would end up in logs and histories (RFC 6750 §5.3).
const SECRET_KEYS: [&str; 4] = ["access_token", "token", "authorization", "api_key"];

/// What a page of an allowed origin may send and read.
const SENT: &str = "accept, authorization, content-type, last-event-id, mcp-method, mcp-name, mcp-protocol-version, \
                    mcp-session-id";
const READ: &str = "mcp-protocol-version, mcp-session-id, www-authenticate, retry-after";

/// The names of this host, and the origins of pages that may ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Names {
    /// Those of the declaration; the names and origins of this host itself are always among them.
    pub(crate) fn of(web: &Web) -> Self {
        Self {
            hosts: web.hosts.clone(),
            origins: web.origins.clone(),
        }
    }

    /// Hosts as the protocol's library wants them, which checks again.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        own.into_iter().chain(self.hosts.iter().cloned()).collect()
    }

    /// Origins as the protocol's library wants them.
    pub(crate) fn origins(&self) -> Vec<String> {
        let own = ["localhost", "127.0.0.1", "[::1]"];
        let own = own
            .iter()
            .flat_map(|host| ["http", "https"].map(|scheme| format!("{scheme}://{host}:*")));
        let declared = self.origins.iter().map(|origin| with_port(origin));
        own.chain(declared).collect()
    }

    /// Refuses what was not meant for this host: a page may have had its name resolved to our address.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut named = headers.get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "send one Host header",
            ));
        };
        let host = host.to_str().ok();
        let host: Option<Authority> = host.and_then(|host| host.parse().ok());
        let known = |authority: &Authority| self.knows(authority.host());
        // An absolute address in the request line counts as well as the header (RFC 9112 §3.2.2).
        if !host.as_ref().is_some_and(known) || !uri.authority().is_none_or(known) {
            return Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "this host is not known by that name: add it to `web.hosts` in the declaration",
            ));
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let allowed = match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| {
                let own = host.as_ref().map(Authority::as_str);
                let asks = origin.split_once("://");
                let asks = asks.filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
                // The page itself, by the name that it was reached by.
                asks.is_some_and(|(_, authority)| own == Some(authority)) || self.allows(origin)
            }),
            (Some(_), Some(_)) => false,
        };
        if !allowed {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "pages of that origin may not ask: add it to `web.origins` in the declaration",
            ));
        }
        Ok(())
    }

    /// Refuses what a page of another origin may have had the browser send: cookies go along without its asking, also
    /// from another port of this very host.
    pub(crate) fn same_origin(&self, headers: &HeaderMap, secure: bool) -> Result<(), Refusal> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(&HOST).unwrap_or_default();
        let scheme = if secure { "https" } else { "http" };
        let same = text(&ORIGIN).is_some_and(|origin| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            // A proxy may have the TLS: then the declaration names the origin, and the host is still the same.
            origin == format!("{scheme}://{host}")
                || authority == Some(host) && self.origins.iter().any(|known| known == origin)
        });
        let site = headers.get(&FETCH_SITE);
        if same && site.is_none_or(|site| site == "same-origin") {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "with a cookie, this takes the Origin of the page itself; programs send `Authorization: Bearer TOKEN` \
             instead",
        ))
    }

    /// Refuses to show a page of elsewhere what a cookie opens, where the browser says that it was one.
    pub(crate) fn no_other_site(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match headers.get(&FETCH_SITE) {
            Some(site) if site != "same-origin" && site != "none" => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "a page of another origin asked, and the cookie is not for it",
            )),
            _ => Ok(()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        is_loopback(&host) || self.hosts.contains(&host)
    }

    fn allows(&self, origin: &str) -> bool {
        if self.origins.iter().any(|allowed| allowed == origin) {
            return true;
        }
        let rest = ["http://", "https://"];
        let rest = rest.iter().find_map(|scheme| origin.strip_prefix(scheme));
        let authority = rest.and_then(|rest| rest.parse::<Authority>().ok());
        authority.is_some_and(|authority| {
            !authority.as_str().contains('@') && is_loopback(authority.host())
        })
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// An origin with the port that its scheme means.
fn with_port(origin: &str) -> String {
    let host = origin.split("://").nth(1).unwrap_or_default();
    let after = host.rfind(']').unwrap_or_default();
    match (host[after..].contains(':'), origin.starts_with("https")) {
        (true, _) => origin.to_owned(),
        (false, true) => format!("{origin}:443"),
        (false, false) => format!("{origin}:80"),
    }
}

/// Refuses a token in the address.
pub(crate) fn no_secret_in_query(uri: &Uri) -> Result<(), Refusal> {
    let query = uri.query().unwrap_or_default();
    let mut keys = query
        .split(['&', ';'])
        .filter_map(|pair| pair.split('=').next());
    match keys.any(|key| SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str())) {
        true => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "a token does not belong into an address: send it as `Authorization: Bearer TOKEN`, and make another one",
        )),
        false => Ok(()),
    }
}

/// The answer to a page that asks whether it may ask (Fetch standard, CORS preflight).
pub(crate) fn preflight<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, DELETE"),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Adds what every answer has. `origin` is that of the page, if it was allowed.
pub(crate) fn harden(headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    const SAME: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    const FEATURES: HeaderName = HeaderName::from_static("permissions-policy");
    const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (SAME, "same-origin"),
        (OPENER, "same-origin"),
        (
            FEATURES,
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    // Files of the page have policies of their own.
    let usual = [
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in usual {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    let stream = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if stream {
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
    }
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(READ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            hosts: vec!["host.example.org".into()],
            origins: vec!["https://chat.example.org".into()],
        }
    }

    fn status(pairs: &[(&HeaderName, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let checked = names().check(&Uri::from_static("/mcp"), &headers);
        checked.map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_names_of_this_host_are_answered() {
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]:8080",
            "host.example.org:443",
        ] {
            assert_eq!(status(&[(&HOST, good)]), 200, "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8080",
            "example.org",
            "127.0.0.2",
            "",
        ] {
            assert_ne!(status(&[(&HOST, bad)]), 200, "{bad}");
        }
        assert_eq!(status(&[]), 400);
        assert_eq!(status(&[(&HOST, "localhost"), (&HOST, "localhost")]), 400);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        let elsewhere = Uri::from_static("http://evil.example/mcp");
        assert!(names().check(&elsewhere, &headers).is_err());
    }

    #[test]
    fn only_pages_of_this_host_and_of_declared_origins_may_ask() {
        let of = |origin: &str| status(&[(&HOST, "localhost"), (&ORIGIN, origin)]);
        for good in [
            "http://localhost:6274",
            "http://127.0.0.1",
            "https://[::1]:8443",
            "https://chat.example.org",
        ] {
            assert_eq!(of(good), 200, "{good}");
        }
        for bad in [
            "null",
            "https://evil.example",
            "http://chat.example.org",
            "https://chat.example.org:8443",
            "http://localhost@evil.example",
            "http://evil.example@localhost",
            "http://localhost.evil.example",
            "file://localhost",
            "localhost",
        ] {
            assert_eq!(of(bad), 403, "{bad}");
        }
        let own = "https://host.example.org:8443";
        assert_eq!(
            status(&[(&HOST, "host.example.org:8443"), (&ORIGIN, own)]),
            200
        );
        assert_eq!(
            status(&[(&HOST, "host.example.org:8444"), (&ORIGIN, own)]),
            403
        );
        let origin = (&ORIGIN, "http://localhost");
        assert_eq!(status(&[(&HOST, "localhost"), origin, origin]), 403);
    }

    #[test]
    fn only_the_page_itself_asks_with_a_cookie() {
        let site = |host: &str, origin: &str, site: &str, secure| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(HOST, host), (ORIGIN, origin), (FETCH_SITE, site)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            names().same_origin(&headers, secure).is_ok()
        };
        let local = "localhost:8080";
        assert!(site(local, "http://localhost:8080", "", false));
        assert!(site(local, "http://localhost:8080", "same-origin", false));
        assert!(site("a.b:1", "https://a.b:1", "", true));
        // A proxy has the TLS, and the declaration has the origin.
        assert!(site(
            "chat.example.org",
            "https://chat.example.org",
            "",
            false
        ));
        for (host, origin, fetched, secure) in [
            (local, "", "", false),
            (local, "null", "", false),
            (local, "http://localhost:8081", "", false),
            (local, "http://localhost", "", false),
            (local, "http://127.0.0.1:8080", "", false),
            (local, "https://localhost:8080", "", false),
            (local, "http://localhost:8080", "", true),
            (local, "http://localhost:8080", "same-site", false),
            (local, "http://localhost:8080", "cross-site", false),
            (local, "http://localhost:8080", "none", false),
            // An origin that is declared for programs is not the page itself.
            (local, "https://chat.example.org", "", false),
        ] {
            assert!(!site(host, origin, fetched, secure), "{origin} {fetched}");
        }
    }

    #[test]
    fn tokens_stay_out_of_addresses() {
        let refused = |uri: &'static str| no_secret_in_query(&Uri::from_static(uri)).is_err();
        assert!(refused("/mcp?access_token=x") && refused("/mcp?a=b&Token=x"));
        assert!(!refused("/mcp?a=token") && !refused("/mcp"));
    }

    #[test]
    fn origins_have_a_port_for_the_second_check() {
        assert_eq!(with_port("https://a.b"), "https://a.b:443");
        assert_eq!(with_port("http://[::1]"), "http://[::1]:80");
        assert_eq!(with_port("http://[::1]:81"), "http://[::1]:81");
        assert_eq!(with_port("https://a.b:8443"), "https://a.b:8443");
    }
}
