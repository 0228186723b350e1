//! What is sent packed with gzip (RFC 1952), to clients that take that.

use std::io::Write;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response};
pub(crate) use flate2::Compression;
use flate2::write::GzEncoder;

/// Answers of fewer bytes go in one packet as they are.
const WORTH_IT: u64 = 1 << 10;

/// The bytes packed, where that makes them fewer.
pub(crate) fn pack(plain: &[u8], level: Compression) -> Option<Bytes> {
    let mut packer = GzEncoder::new(Vec::new(), level);
    packer.write_all(plain).ok()?;
    let packed = packer.finish().ok()?;
    (packed.len() < plain.len()).then(|| packed.into())
}

/// Whether a client takes gzip (RFC 9110 §12.5.3), without the fine points of preference.
pub(crate) fn is_taken(headers: &HeaderMap) -> bool {
    let mut codings = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = quality.trim().strip_prefix("q=").map(str::parse) == Some(Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Says that there are two forms of an answer, and which one this is.
pub(crate) fn tell(headers: &mut HeaderMap, packed: bool) {
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// A JSON answer of some length in the form that its client takes; any other answer as it is.
///
/// How long a packed answer is tells something of what is in it to who may choose a part of it and see its length
/// (BREACH). So nothing secret may stand in what comes here: no token does, since those go in headers and in answers of
/// the session, which are not packed; and secrets of the host are not in what the daemon answers.
pub(crate) async fn json(response: Response<Body>, taken: bool) -> Response<Body> {
    let is_json = response.headers().get(CONTENT_TYPE);
    let is_json = is_json.is_some_and(|kind| kind == "application/json");
    let length = response.body().size_hint().exact();
    if !is_json || length.is_none_or(|length| length < WORTH_IT) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    if !taken {
        tell(&mut head.headers, false);
        return Response::from_parts(head, body);
    }
    // It is there already: its length is known.
    let plain = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let bytes = plain.clone();
    // Answers may be of megabytes, and others wait for this thread.
    let packed = tokio::task::spawn_blocking(move || pack(&bytes, Compression::fast())).await;
    let packed = packed.ok().flatten();
    tell(&mut head.headers, packed.is_some());
    Response::from_parts(head, Body::from(packed.unwrap_or(plain)))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::*;
    use crate::plain::json_response;

    #[test]
    fn clients_say_what_they_take() {
        let says = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            is_taken(&headers)
        };
        for yes in ["gzip", "br, GZIP;q=0.5", "deflate,gzip ; q=1"] {
            assert!(says(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip;q=0.0", "xgzip"] {
            assert!(!says(no), "{no}");
        }
        assert!(!is_taken(&HeaderMap::new()));
    }

    async fn sent(response: Response<Body>, taken: bool) -> (HeaderMap, Bytes) {
        let (head, body) = json(response, taken).await.into_parts();
        (head.headers, to_bytes(body, usize::MAX).await.unwrap())
    }

    fn answer(letters: usize) -> Response<Body> {
        json_response(
            axum::http::StatusCode::OK,
            &json!({ "text": "x".repeat(letters) }),
        )
    }

    #[tokio::test]
    async fn long_answers_are_packed_for_who_takes_that() {
        let (_, plain) = sent(answer(5000), false).await;
        let (headers, packed) = sent(answer(5000), true).await;
        assert_eq!(headers[CONTENT_ENCODING], "gzip");
        assert!(packed.len() < plain.len() / 10);
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&packed[..]);
        reader.read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        // A cache that keeps the one must not give it for the other.
        let (headers, _) = sent(answer(5000), false).await;
        assert_eq!(headers[VARY], "Accept-Encoding");
        assert!(!headers.contains_key(CONTENT_ENCODING));
    }

    #[tokio::test]
    async fn what_is_short_or_no_json_stays_as_it_is() {
        let mut text = answer(5000);
        text.headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        for response in [answer(900), text] {
            let (headers, _) = sent(response, true).await;
            assert!(!headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(VARY));
        }
    }
}
