//! When to ask a busy server again.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often a request is sent in all.
pub(crate) const ATTEMPTS: u32 = 3;

/// Whether a status may be another one soon.
pub(crate) fn is_passing(status: u16) -> bool {
    // 529 is Anthropic's "overloaded".
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 529)
}

/// When the server wants to be asked again: seconds or a date (RFC 9110 §10.2.3), or OpenAI's milliseconds.
pub(crate) fn after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(milliseconds));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// How long to wait before attempt `number`, where the server says nothing: half a second, then twice that.
pub(crate) fn usual(number: u32) -> Duration {
    Duration::from_millis(250) * 2u32.saturating_pow(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_when_in_three_ways() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        let after = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            after(&headers, now).map(|after| after.as_millis())
        };
        assert_eq!(after("retry-after", "120"), Some(120_000));
        assert_eq!(after("retry-after-ms", "50"), Some(50));
        assert_eq!(
            after("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(7000)
        );
        assert_eq!(
            after("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"),
            Some(0)
        );
        for bad in ["", "soon", "-1", "1e9"] {
            assert_eq!(after("retry-after", bad), None, "{bad}");
        }
        assert_eq!(after("x", "1"), None);
    }
}
