//! Numbers and hashes as all of these formats write them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tlog_tiles::{HASH_SIZE, Hash};

/// A decimal number as the formats want it: no sign, no leading zero, at most 2⁶³ − 1.
pub(crate) fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse()
        .ok()
        .filter(|number| i64::try_from(*number).is_ok())
}

/// Base64 of RFC 4648 §4, with padding and nothing else.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The same, the other way round.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A hash in Base64.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    // Before decoding, so that a long line costs nothing.
    if text.len() != HASH_SIZE.div_ceil(3) * 4 {
        return None;
    }
    bytes(text)?.try_into().ok().map(Hash)
}

/// Lines that all end with a newline; nothing if the last one does not.
pub(crate) fn lines(text: &str) -> Option<impl Iterator<Item = &str>> {
    text.strip_suffix('\n').map(|text| text.split('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("9223372036854775807"), Some((1 << 63) - 1));
        for bad in [
            "",
            "00",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "9223372036854775808",
            "0x1",
            "１",
        ] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn hashes_have_one_form() {
        let text = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        assert_eq!(
            hash(text).map(|hash| hash.to_string()).as_deref(),
            Some(text)
        );
        // The same bytes with a bit set that encodes nothing.
        assert_eq!(hash("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J="), None);
        assert_eq!(hash("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I"), None);
        assert_eq!(hash(""), None);
    }
}
