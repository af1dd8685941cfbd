//! What the host's foreign function `verify_signature` is asked, and what its answer means.
//!
//! Envoy (1.30 and later) checks with BoringSSL. Both messages are small protobuf messages
//! (`envoy/extensions/wasm/.../verify_signature.proto`), written and read here by hand: three length-
//! delimited fields do not need a code generator. The call itself is in `wasm`.

use alloc::vec::Vec;

use super::{PublicKey, der};
use crate::algorithm::{Algorithm, Hash, KeyKind, Scheme};

/// The name under which the host has the function.
pub const FUNCTION: &str = "verify_signature";

/// The hash that the host is told, or nothing for what it cannot check: it takes RSA for PKCS#1 v1.5,
/// and an Ed25519 key only without a hash, which it insists on.
#[must_use]
pub const fn hash(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm.scheme() {
        Scheme::Ecdsa(hash) | Scheme::Pkcs1(hash) => Some(match hash {
            Hash::Sha256 => "sha256",
            Hash::Sha384 => "sha384",
            Hash::Sha512 => "sha512",
        }),
        Scheme::EdDsa | Scheme::Pss(_) => None,
    }
}

/// The argument of the call, or nothing when host, key and algorithm do not go together, or when the
/// signature cannot even be written for the host.
#[must_use]
pub fn request(
    algorithm: Algorithm,
    key: &PublicKey,
    text: &[u8],
    signature: &[u8],
) -> Option<Vec<u8>> {
    let hash = hash(algorithm)?;
    if key.kind() != algorithm.key_kind() {
        return None;
    }
    let converted;
    let signature = match algorithm.key_kind() {
        KeyKind::Ec(curve) => {
            converted = der::ecdsa_signature(curve, signature)?;
            &converted
        }
        KeyKind::Ed25519 | KeyKind::Rsa => signature,
    };
    let mut message = Vec::with_capacity(text.len() + signature.len() + key.spki().len() + 32);
    field(&mut message, 1, hash.as_bytes());
    field(&mut message, 2, key.spki());
    field(&mut message, 3, signature);
    field(&mut message, 4, text);
    Some(message)
}

/// True exactly when the answer says that the signature is valid: field 1, a varint, is 1.
///
/// A valid signature comes back as these two bytes and nothing else; an invalid one has a text in
/// field 2, and `false` is not written at all, as proto3 leaves out defaults.
#[must_use]
pub fn says_valid(answer: &[u8]) -> bool {
    answer == [1 << 3, 1]
}

/// One length-delimited field (wire type 2) with a number below 16; its length is a varint.
fn field(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = content.len();
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            message.push(low);
            break;
        }
        message.push(low | 0x80);
    }
    message.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn lengths_are_varints() {
        for (length, want) in [
            (0, vec![0x12, 0]),
            (127, vec![0x12, 0x7f]),
            (300, vec![0x12, 0xac, 2]),
        ] {
            let mut message = Vec::new();
            field(&mut message, 2, &vec![7; length]);
            assert_eq!(message[..want.len()], want);
            assert_eq!(message.len(), want.len() + length);
        }
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        assert!(says_valid(&[8, 1]));
        for answer in [
            &[][..],
            &[8],
            &[8, 0],
            &[8, 2],
            &[8, 1, 18, 0],
            &[18, 1, b'x'],
            &[8, 0, 8, 1],
        ] {
            assert!(!says_valid(answer), "{answer:?}");
        }
    }
}
