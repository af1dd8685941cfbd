//! Public keys that passed the key policy, and the check of one signature with one of them.
//!
//! The policy comes first: neither engine asks how long an RSA key is. An engine answers yes or no;
//! whether the answer counts is for `verify` to say.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::fmt;

use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike, ES256PublicKey, RS256PublicKey, RSAPublicKeyLike,
};
use jwt_simple::claims::NoCustomClaims;
use jwt_simple::prelude::{Duration, UnixTimeStamp, VerificationOptions};

use crate::token::{Algorithm, Jws};

pub mod der;
pub mod host;
pub mod self_test;

/// A key that may verify signatures of exactly one algorithm.
#[derive(Debug, Clone)]
pub struct PublicKey {
    key: Key,
    /// SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), as the host wants it. Shared with the tokens that it
    /// verified: they hold as long as the key is there.
    spki: Rc<[u8]>,
}

#[derive(Debug, Clone)]
enum Key {
    Es256(ES256PublicKey),
    Rs256(Box<RS256PublicKey>),
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
    /// Not a point of the curve, or not a usable modulus.
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
        let spki = key.to_der().map_err(|_unusable| KeyError::Unusable)?;
        Ok(Self {
            key: Key::Rs256(Box::new(key)),
            spki: spki.into(),
        })
    }

    /// A P-256 key from its coordinates, big-endian, 32 bytes each (RFC 7518 section 6.2.1).
    ///
    /// # Errors
    /// When they are no point of the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != 32 || y.len() != 32 {
            return Err(KeyError::Unusable);
        }
        let point = [&[4], x, y].concat();
        let key = ES256PublicKey::from_bytes(&point).map_err(|_unusable| KeyError::Unusable)?;
        let spki = key.to_der().map_err(|_unusable| KeyError::Unusable)?;
        Ok(Self {
            key: Key::Es256(key),
            spki: spki.into(),
        })
    }

    /// The only algorithm that this key is for: RFC 8725 section 3.1 wants no choice here.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.key {
            Key::Es256(_) => Algorithm::Es256,
            Key::Rs256(_) => Algorithm::Rs256,
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

/// Something that can check a signature.
pub trait Engine: fmt::Debug {
    /// True exactly when the signature of `jws` over its signing input is valid for `key`.
    fn is_valid(&self, key: &PublicKey, jws: &Jws<'_>) -> bool;

    /// What the log calls it.
    fn name(&self) -> &'static str;
}

/// jwt-simple: pure Rust and always there. In the gateway an RS256 check takes about 1.2 ms where the
/// host takes 0.05 (Envoy 1.40, CPU time per request). It also refuses a token whose registered claims
/// are not of their types.
#[derive(Debug, Clone, Copy)]
pub struct Software;

impl Engine for Software {
    fn is_valid(&self, key: &PublicKey, jws: &Jws<'_>) -> bool {
        // `verify` judges the claims, with stricter rules; here the times of the token must not decide,
        // nor may the crate read a clock of its own.
        let options = VerificationOptions {
            accept_future: true,
            time_tolerance: Some(Duration::from_secs(0)),
            artificial_time: Some(UnixTimeStamp::from_secs(0)),
            max_token_length: None,
            ..VerificationOptions::default()
        };
        let (text, options) = (jws.compact(), Some(options));
        match &key.key {
            Key::Es256(key) => key.verify_token::<NoCustomClaims>(text, options).is_ok(),
            Key::Rs256(key) => key.verify_token::<NoCustomClaims>(text, options).is_ok(),
        }
    }

    fn name(&self) -> &'static str {
        "software"
    }
}
