//! Base64 (RFC 4648, section 4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// With padding, without line breaks.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Takes white space between the letters too; `None` for what is not Base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut letters = text.as_bytes().to_vec();
    letters.retain(|byte| !byte.is_ascii_whitespace());
    STANDARD.decode(letters).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        let plain = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let coded = [
            "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy",
        ];
        for (plain, coded) in plain.into_iter().zip(coded) {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).unwrap(), plain.as_bytes());
        }
        for wrong in [
            "Z", "Zg", "Zg=", "Zg===", "Z===", "Zh==", "Zm9v=", "Z@==", "=Zg=",
        ] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        assert_eq!(decode("Zm9v\nYg==\n").unwrap(), b"foob");
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn no_text_does_harm(text in "[A-Za-z=+/ ä]{0,12}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
            }
        }
    }
}
