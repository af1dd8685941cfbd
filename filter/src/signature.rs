//! Public keys that passed the key policy, and the check of one signature with one of them.
//!
//! The policy comes first: no engine asks how long an RSA key is. An engine answers yes or no; whether
//! the answer counts is for `verify` to say.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::fmt;

use jwt_simple::algorithms::{ES256PublicKey, ES384PublicKey, Ed25519PublicKey, RS256PublicKey};

use crate::algorithm::{Algorithm, Curve, KeyKind};

pub mod choice;
pub mod der;
pub mod host;
pub mod self_test;
pub mod software;
mod spki;
pub(crate) mod witness;

/// A key of the kinds that the filter knows, inside the policy.
#[derive(Debug, Clone)]
pub struct PublicKey {
    key: Key,
    /// SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), as the host wants it. Shared with the tokens that it
    /// verified: they hold as long as the key is there.
    spki: Rc<[u8]>,
}

/// The key for jwt-simple. Its types are called by one algorithm, the numbers inside are those of all
/// algorithms of the kind.
#[derive(Debug, Clone)]
enum Key {
    Ed25519(Ed25519PublicKey),
    P256(ES256PublicKey),
    P384(ES384PublicKey),
    /// Only the host can use it, and only the host checks that it is a point of the curve.
    P521,
    Rsa(Box<RS256PublicKey>),
}

/// Why numbers are not a key for the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another exponent is either broken (1, even), or made for attacks (3).
    #[error("the RSA exponent is not 65537")]
    RsaExponent,
    /// RFC 7518 section 3.3 wants 2048 bits or more; above 4096 a check costs more than it protects.
    #[error("the RSA modulus has {bits} bits, 2048 to 4096 are allowed")]
    RsaModulus {
        /// Without leading zeros.
        bits: usize,
    },
    /// Not a point of the curve, a point of small order, or not a usable modulus.
    #[error("the numbers are not a public key")]
    Unusable,
}

impl PublicKey {
    /// An RSA key from its modulus and exponent, big-endian.
    ///
    /// # Errors
    /// When the key is outside the policy.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let (modulus, exponent) = (
            without_leading_zeros(modulus),
            without_leading_zeros(exponent),
        );
        let bits = modulus.first().map_or(0, |first| {
            modulus.len() * 8 - first.leading_zeros() as usize
        });
        if !(2048..=4096).contains(&bits) {
            return Err(KeyError::RsaModulus { bits });
        }
        if exponent != [1, 0, 1] {
            return Err(KeyError::RsaExponent);
        }
        let key = RS256PublicKey::from_components(modulus, exponent)
            .map_err(|_unusable| KeyError::Unusable)?;
        Ok(Self {
            key: Key::Rsa(Box::new(key)),
            spki: spki::rsa(modulus, exponent)
                .ok_or(KeyError::Unusable)?
                .into(),
        })
    }

    /// A key on `curve` from its coordinates, big-endian, of full length (RFC 7518 section 6.2.1).
    ///
    /// # Errors
    /// When they are no point of the curve.
    pub fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != curve.number_bytes() || y.len() != curve.number_bytes() {
            return Err(KeyError::Unusable);
        }
        let point = [&[4], x, y].concat();
        let key = match curve {
            Curve::P256 => ES256PublicKey::from_bytes(&point).map(Key::P256),
            Curve::P384 => ES384PublicKey::from_bytes(&point).map(Key::P384),
            Curve::P521 => Ok(Key::P521),
        };
        Ok(Self {
            key: key.map_err(|_unusable| KeyError::Unusable)?,
            spki: spki::ec(curve, &point).ok_or(KeyError::Unusable)?.into(),
        })
    }

    /// An Ed25519 key (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// When it is no point of the curve, or one of small order.
    pub fn ed25519(point: &[u8]) -> Result<Self, KeyError> {
        let key = Ed25519PublicKey::from_bytes(point).map_err(|_unusable| KeyError::Unusable)?;
        Ok(Self {
            key: Key::Ed25519(key),
            spki: spki::ed25519(point).ok_or(KeyError::Unusable)?.into(),
        })
    }

    /// What kind of key it is, which says what algorithms it can be for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self.key {
            Key::Ed25519(_) => KeyKind::Ed25519,
            Key::P256(_) => KeyKind::Ec(Curve::P256),
            Key::P384(_) => KeyKind::Ec(Curve::P384),
            Key::P521 => KeyKind::Ec(Curve::P521),
            Key::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// The key as DER SubjectPublicKeyInfo.
    #[must_use]
    pub const fn spki(&self) -> &Rc<[u8]> {
        &self.spki
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Something that can check signatures.
pub trait Engine: fmt::Debug {
    /// Whether it can check this algorithm at all.
    fn checks(&self, algorithm: Algorithm) -> bool;

    /// True exactly when `signature`, in the form of JOSE, is that of `text` by `algorithm` and `key`.
    /// A key of another kind than the algorithm's has signed nothing.
    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool;
}
