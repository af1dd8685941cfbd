//! RSA without its safety: keys of any size and exponent, and signatures of any encoded message.

use aws_lc_rs::digest;
use e2e::error::HarnessError;
use rsa::{BigUint, RsaPrivateKey, hazmat, rand_core::OsRng, traits::PublicKeyParts};
use serde_json::{Value, json};

use crate::forge::encode;

/// A private key that signs whatever it is given.
#[derive(Debug)]
pub(crate) struct RawRsa(RsaPrivateKey);

impl RawRsa {
    /// A new key.
    pub(crate) fn new(bits: usize, exponent: u32) -> Result<Self, HarnessError> {
        RsaPrivateKey::new_with_exp(&mut OsRng, bits, &BigUint::from(exponent))
            .map(Self)
            .map_err(|_refused| HarnessError::SigningKey {
                name: format!("RSA of {bits} bits"),
            })
    }

    /// Bytes of the modulus.
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// The modulus.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        self.0.n().to_bytes_be()
    }

    /// The public half, published under this name.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        jwk(id, &self.modulus(), &self.0.e().to_bytes_be())
    }

    /// The encoded message to the power of the private exponent: as long as the modulus.
    pub(crate) fn power(&self, encoded: &[u8]) -> Vec<u8> {
        let number = BigUint::from_bytes_be(encoded);
        let power = hazmat::rsa_decrypt::<OsRng>(None, &self.0, &number).unwrap_or_default();
        left_padded(&power.to_bytes_be(), self.size())
    }
}

/// A public RSA key.
pub(crate) fn jwk(id: &str, modulus: &[u8], exponent: &[u8]) -> Value {
    json!({ "kty": "RSA", "kid": id, "n": encode(modulus), "e": encode(exponent) })
}

/// EMSA-PKCS1-v1_5 (RFC 8017 section 9.2) with anything in the place of the DigestInfo.
pub(crate) fn pkcs1(size: usize, digest_info: &[u8]) -> Vec<u8> {
    let padding = vec![0xff; size - digest_info.len() - 3];
    [&[0, 1], &padding[..], &[0], digest_info].concat()
}

/// The DigestInfo of SHA-256 (RFC 8017 section 9.2, note 1).
pub(crate) fn digest_info(text: &[u8]) -> Vec<u8> {
    [SHA256_INFO, digest::digest(&digest::SHA256, text).as_ref()].concat()
}

/// How a PSS encoding is made.
pub(crate) struct Pss {
    /// Of the message.
    pub(crate) hash: &'static digest::Algorithm,
    /// Of the mask.
    pub(crate) mask_hash: &'static digest::Algorithm,
    /// Bytes.
    pub(crate) salt: usize,
    /// The last byte.
    pub(crate) trailer: u8,
}

/// As PS256 wants it (RFC 7518 section 3.5).
pub(crate) const PS256: Pss = Pss {
    hash: &digest::SHA256,
    mask_hash: &digest::SHA256,
    salt: 32,
    trailer: 0xbc,
};

impl Pss {
    /// EMSA-PSS (RFC 8017 section 9.1.1) for a modulus of whole bytes.
    pub(crate) fn encode(&self, size: usize, text: &[u8]) -> Vec<u8> {
        let salt = vec![0xa5; self.salt];
        let message = digest::digest(self.hash, text);
        let hash = digest::digest(self.hash, &[&[0; 8], message.as_ref(), &salt].concat());
        let zeros = vec![0; size - salt.len() - hash.as_ref().len() - 2];
        let mut block = [&zeros[..], &[1], &salt].concat();
        let mask = mask(self.mask_hash, hash.as_ref(), block.len());
        block
            .iter_mut()
            .zip(mask)
            .for_each(|(byte, mask)| *byte ^= mask);
        block[0] &= 0x7f;
        [&block, hash.as_ref(), &[self.trailer]].concat()
    }
}

/// MGF1 (RFC 8017 appendix B.2.1).
fn mask(hash: &'static digest::Algorithm, seed: &[u8], length: usize) -> Vec<u8> {
    let block = |counter: u32| digest::digest(hash, &[seed, &counter.to_be_bytes()].concat());
    let blocks = (0_u32..).map(|counter| block(counter).as_ref().to_vec());
    blocks.flatten().take(length).collect()
}

/// The same number in so many bytes.
pub(crate) fn left_padded(number: &[u8], size: usize) -> Vec<u8> {
    let zeros = vec![0; size.saturating_sub(number.len())];
    [&zeros, number].concat()
}

/// Before the hash itself; with NULL parameters.
const SHA256_INFO: &[u8] = &[
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
