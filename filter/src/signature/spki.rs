//! SubjectPublicKeyInfo, the one form in which the host takes keys (RFC 5280 section 4.1.2.7).

use alloc::vec::Vec;

use super::der::{integer, tagged};
use crate::algorithm::Curve;

/// RFC 8017 appendix A.1: the parameters of rsaEncryption are NULL, the key is the two numbers.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let key = [integer(modulus)?, integer(exponent)?].concat();
    let identifier = [&RSA_ENCRYPTION[..], &[0x05, 0]].concat();
    info(&identifier, &tagged(0x30, &key)?)
}

/// RFC 5480 section 2.1 and 2.2: the curve is named, the key is the uncompressed point.
pub(super) fn ec(curve: Curve, point: &[u8]) -> Option<Vec<u8>> {
    let name = match curve {
        Curve::P256 => &SECP256R1[..],
        Curve::P384 => &SECP384R1,
        Curve::P521 => &SECP521R1,
    };
    info(&[&EC_PUBLIC_KEY, name].concat(), point)
}

/// RFC 8410 section 4: no parameters, the key is the point.
pub(super) fn ed25519(point: &[u8]) -> Option<Vec<u8>> {
    info(&ED25519, point)
}

fn info(identifier: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    // A BIT STRING begins with the number of bits that are not used.
    let key = tagged(0x03, &[&[0], key].concat())?;
    tagged(0x30, &[tagged(0x30, identifier)?, key].concat())
}

/// 1.2.840.113549.1.1.1, as all of these with tag and length.
const RSA_ENCRYPTION: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// 1.2.840.10045.2.1.
const EC_PUBLIC_KEY: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// 1.2.840.10045.3.1.7.
const SECP256R1: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.3.132.0.34.
const SECP384R1: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x22];
/// 1.3.132.0.35.
const SECP521R1: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x23];
/// 1.3.101.112.
const ED25519: [u8; 5] = [6, 3, 0x2b, 0x65, 0x70];
