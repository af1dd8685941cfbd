//! As much DER (X.690) as the host needs: keys, and the two numbers of an ECDSA signature (RFC 3279
//! section 2.2.3), which JOSE writes with a fixed length (RFC 7518 section 3.4).

use alloc::vec;
use alloc::vec::Vec;

use crate::algorithm::Curve;

/// `r || s` as `SEQUENCE { INTEGER r, INTEGER s }`, or nothing when the numbers have not the length
/// of the curve's or one of them is zero (an engine once took zeros for every message,
/// CVE-2022-21449).
#[must_use]
pub fn ecdsa_signature(curve: Curve, concatenated: &[u8]) -> Option<Vec<u8>> {
    if concatenated.len() != 2 * curve.number_bytes() {
        return None;
    }
    let (r, s) = concatenated.split_at_checked(curve.number_bytes())?;
    tagged(0x30, &[integer(r)?, integer(s)?].concat())
}

/// A positive number without its leading zeros; one zero goes in front where the top bit is set,
/// because DER integers have a sign (X.690 section 8.3). Zero is refused.
pub(super) fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let first = number.iter().position(|byte| *byte != 0)?;
    let digits = number.get(first..)?;
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_some_and(|byte| byte & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    tagged(0x02, &content)
}

/// X.690 section 8.1.3: a length below 128 is one byte, a longer one says first how many bytes it has.
/// Nothing here needs more than two.
pub(super) fn tagged(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let mut written = match (high, low) {
        (0, 0..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    written.extend_from_slice(content);
    Some(written)
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
            ecdsa_signature(Curve::P256, &signature).unwrap(),
            [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]
        );
        let longest = ecdsa_signature(Curve::P256, &[0xff; 64]).unwrap();
        assert_eq!(longest.len(), 72);
        assert_eq!(longest[..4], [0x30, 70, 2, 33]);
        let longest = ecdsa_signature(Curve::P521, &[0xff; 132]).unwrap();
        assert_eq!(longest[..5], [0x30, 0x81, 138, 2, 67]);
    }

    #[test]
    fn a_length_has_as_many_bytes_as_it_needs() {
        let cases = [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (255, vec![4, 0x81, 255]),
            (256, vec![4, 0x82, 1, 0]),
            (65_535, vec![4, 0x82, 255, 255]),
        ];
        for (length, want) in cases {
            let written = tagged(4, &vec![7; length]).unwrap();
            assert_eq!(written[..want.len()], want);
            assert_eq!(written.len(), want.len() + length);
        }
        assert_eq!(tagged(4, &vec![7; 65_536]), None);
    }

    #[test]
    fn zeros_and_other_lengths_are_refused() {
        let (mut no_r, mut no_s) = ([1; 64], [1; 64]);
        no_r[..32].fill(0);
        no_s[32..].fill(0);
        for signature in [
            &[0; 64][..],
            &no_r,
            &no_s,
            &[1; 63],
            &[1; 65],
            &[],
            &[1; 96],
        ] {
            assert_eq!(ecdsa_signature(Curve::P256, signature), None);
        }
        assert_eq!(ecdsa_signature(Curve::P384, &[1; 64]), None);
    }
}
