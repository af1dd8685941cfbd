//! DER for one thing: the two numbers of an ECDSA signature (RFC 3279 section 2.2.3).
//!
//! JOSE writes them as two fixed-length numbers (RFC 7518 section 3.4), the host wants a SEQUENCE.

use alloc::vec::Vec;

/// `r || s` of an ES256 signature as `SEQUENCE { INTEGER r, INTEGER s }`, or nothing when it is not
/// 64 bytes or one of the numbers is zero (an engine once took zeros for every message,
/// CVE-2022-21449).
#[must_use]
pub fn p256_signature(concatenated: &[u8]) -> Option<Vec<u8>> {
    if concatenated.len() != 64 {
        return None;
    }
    let (r, s) = concatenated.split_at(32);
    let mut body = integer(r)?;
    body.append(&mut integer(s)?);
    tagged(0x30, &body)
}

/// A positive number without its leading zeros; one zero goes in front where the top bit is set,
/// because DER integers have a sign (X.690 section 8.3).
fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let first = number.iter().position(|byte| *byte != 0)?;
    let digits = number.get(first..)?;
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_some_and(|byte| byte & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    tagged(0x02, &content)
}

/// Only the short form of a length: nothing here is longer than 72 bytes.
fn tagged(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(content.len())
        .ok()
        .filter(|length| *length < 0x80)?;
    Some([&[tag, length], content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_short_as_they_are() {
        let mut signature = [0; 64];
        signature[31] = 0x7f;
        signature[63] = 0x80;
        assert_eq!(
            p256_signature(&signature).unwrap(),
            [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]
        );
        let longest = p256_signature(&[0xff; 64]).unwrap();
        assert_eq!(longest.len(), 72);
        assert_eq!(longest[..4], [0x30, 70, 2, 33]);
    }

    #[test]
    fn zeros_and_other_lengths_are_refused() {
        let (mut no_r, mut no_s) = ([1; 64], [1; 64]);
        no_r[..32].fill(0);
        no_s[32..].fill(0);
        for signature in [&[0; 64][..], &no_r, &no_s, &[1; 63], &[1; 65], &[]] {
            assert_eq!(p256_signature(signature), None);
        }
    }
}
