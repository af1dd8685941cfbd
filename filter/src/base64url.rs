//! Base64url without padding, as JOSE wants it (RFC 7515 section 2), and only in its canonical form. One
//! load balancer writes all of the padding; only where its tokens are expected is that read.
//!
//! A lenient decoder gives one signature many spellings; here a padding character, a character of
//! another alphabet, white space and stray bits at the end are all refused.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use ct_codecs::{Base64UrlSafeNoPadding, Decoder, Encoder};

/// The bytes that `text` stands for, or nothing when it is not canonical.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // Three bytes for every four characters; the rest of a division never needs more than this.
    let mut bytes = vec![0; text.len() / 4 * 3 + 3];
    let length = Base64UrlSafeNoPadding::decode(&mut bytes, text, None)
        .ok()?
        .len();
    bytes.truncate(length);
    Some(bytes)
}

/// The same for a text with all of its padding (RFC 4648 section 5), no more and no less.
#[must_use]
pub fn decode_padded(text: &[u8]) -> Option<Vec<u8>> {
    let plain = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    text.len()
        .is_multiple_of(4)
        .then(|| decode(plain))
        .flatten()
}

/// The canonical text for `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len().div_ceil(3) * 4];
    let length = Base64UrlSafeNoPadding::encode(&mut text, bytes).map_or(0, <[u8]>::len);
    text.truncate(length);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_canonical_form_is_read() {
        let read: [(&str, &[u8], &[u8]); 3] = [
            ("empty", b"", b""),
            ("one byte", b"AA", b"\0"),
            ("url alphabet", b"-_8", b"\xfb\xff"),
        ];
        for (name, text, want) in read {
            assert_eq!(decode(text).as_deref(), Some(want), "{name}");
        }
        let refused: [(&str, &[u8]); 7] = [
            ("standard alphabet", b"+/8"),
            ("padding", b"AA=="),
            ("stray bits", b"AB"),
            ("impossible length", b"A"),
            ("white space", b"AA A"),
            ("line end", b"AAAA\n"),
            ("not ascii", b"AA\xff\xff"),
        ];
        for (name, text) in refused {
            assert_eq!(decode(text), None, "{name}");
        }
    }

    #[test]
    fn padding_is_there_as_a_whole_or_refused() {
        let read: [(&[u8], &[u8]); 4] = [
            (b"", b""),
            (b"AAAA", b"\0\0\0"),
            (b"AAA=", b"\0\0"),
            (b"AA==", b"\0"),
        ];
        for (text, want) in read {
            assert_eq!(decode_padded(text).as_deref(), Some(want));
        }
        let refused: [&[u8]; 9] = [
            b"AA",
            b"AA=",
            b"AAA",
            b"A===",
            b"AAAA====",
            b"AAAA=",
            b"AAB=",
            b"=AAA",
            b"AA==AAAA",
        ];
        for text in refused {
            assert_eq!(decode_padded(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn no_two_texts_mean_the_same(text in "[A-Za-z0-9_-]{0,12}") {
            if let Some(bytes) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
