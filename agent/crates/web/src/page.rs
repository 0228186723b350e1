//! The page's files: whatever is in `page/` when the program is built.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH,
};
use axum::http::{Response, StatusCode};
use rust_embed::Embed;

use crate::packed::{self, Compression};

/// What the page may do (Content Security Policy Level 3, Trusted Types): its own scripts and styles, its own host, and
/// no text as markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// What is served where no file is named.
const FIRST: &str = "chat.html";

#[derive(Embed)]
#[folder = "page/"]
struct Embedded;

/// One file as it is sent.
struct File {
    kind: HeaderValue,
    tag: String,
    plain: Bytes,
    /// Where it is smaller.
    packed: Option<Bytes>,
}

/// All files, by their paths without the first slash. Each is packed once, when the first one is asked for.
static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    let paths = Embedded::iter().filter(|path| !hidden(path));
    let read = |path: std::borrow::Cow<'static, str>| Some((path.to_string(), File::of(&path)?));
    paths.filter_map(read).collect()
});

/// Files that are beside the page and no part of it.
fn hidden(path: &str) -> bool {
    path.ends_with(".md") || path.split('/').any(|part| part.starts_with('.'))
}

impl File {
    fn of(path: &str) -> Option<Self> {
        let file = Embedded::get(path)?;
        let kind = match file.metadata.mimetype() {
            text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
            other => other.to_owned(),
        };
        let hash = file.metadata.sha256_hash();
        let plain = Bytes::from(file.data.into_owned());
        let packed = packed::pack(&plain, Compression::best());
        Some(Self {
            kind: HeaderValue::from_str(&kind).ok()?,
            tag: hash[..16]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            plain,
            packed,
        })
    }
}

/// The file at a path of the address, which is taken as it is: nothing in it is decoded, and no file system is asked.
pub(crate) fn serve(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let name = match path.strip_prefix('/')? {
        "" => FIRST,
        name => name,
    };
    let file = FILES.get(name)?;
    let packed = file.packed.as_ref().filter(|_| packed::is_taken(headers));
    // Two forms are two things to a cache (RFC 9110 §8.8.3).
    let tag = match packed {
        Some(_) => format!("\"{}-gz\"", file.tag),
        None => format!("\"{}\"", file.tag),
    };
    let known = has(headers, &tag);
    let body = match known {
        true => Body::empty(),
        false => Body::from(packed.unwrap_or(&file.plain).clone()),
    };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, file.kind.clone());
    out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    packed::tell(out, packed.is_some() && !known);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, tag);
    }
    Some(response)
}

/// Whether the client has this form of the file already.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let mut tags = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tags.any(|known| known.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::header::ACCEPT_ENCODING;

    use super::*;

    fn ask(path: &str, headers: &[(axum::http::HeaderName, &str)]) -> Option<Response<Body>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, value.parse().unwrap());
        }
        serve(path, &map)
    }

    #[test]
    fn the_page_is_there_by_both_its_names() {
        for path in ["/", "/chat.html", "/login.html"] {
            let page = ask(path, &[]).unwrap();
            assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
            assert_eq!(page.headers()[CONTENT_SECURITY_POLICY], POLICY);
        }
    }

    #[test]
    fn only_files_of_the_page_are_served() {
        for path in [
            "/../Cargo.toml",
            "/./chat.html",
            "//chat.html",
            "/%2e%2e/Cargo.toml",
            "/chat.html/",
            "/chat.html%00",
            "/etc/passwd",
            "chat.html",
            "/.hidden",
            "/README.md",
        ] {
            assert!(ask(path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = ask("/chat.html", &[(ACCEPT_ENCODING, "br, gzip;q=0.5")]).unwrap();
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        let again = [
            (ACCEPT_ENCODING, "gzip"),
            (IF_NONE_MATCH, &format!("\"x\", W/{tag}")),
        ];
        let again = ask("/chat.html", &again).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        // The other form is another thing.
        let plain = [(ACCEPT_ENCODING, "gzip;q=0"), (IF_NONE_MATCH, tag.as_str())];
        let plain = ask("/chat.html", &plain).unwrap();
        assert_eq!(plain.status() == StatusCode::OK, tag.ends_with("-gz\""));
    }
}
