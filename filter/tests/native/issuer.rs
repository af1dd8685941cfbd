//! An issuer of our own: makes keys and signs whatever a test wants signed. Everything is done by
//! AWS-LC, so the filter is never tested against itself.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use identity_filter::base64url::encode;
use serde_json::{Value, json};

/// A key pair with a name.
pub(crate) struct Signer {
    pub(crate) key_id: &'static str,
    key: Key,
}

enum Key {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Signer {
    pub(crate) fn es256(key_id: &'static str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            key_id,
            key: Key::Es256(key),
        }
    }

    pub(crate) fn rs256(key_id: &'static str, size: KeySize) -> Self {
        Self {
            key_id,
            key: Key::Rs256(RsaKeyPair::generate(size).unwrap()),
        }
    }

    pub(crate) const fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Es256(_) => "ES256",
            Key::Rs256(_) => "RS256",
        }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        match &self.key {
            Key::Es256(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": self.key_id, "use": "sig", "x": x, "y": y})
            }
            Key::Rs256(key) => {
                let n = key.public_key().modulus();
                let n = encode(n.big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": self.key_id, "alg": "RS256", "n": n, "e": "AQAB"})
            }
        }
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(
            &json!({"alg": self.algorithm(), "kid": self.key_id, "typ": "JWT"}),
            claims,
        )
    }

    /// A token with this header and these claims, whatever they say.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// A token with these texts, whatever they are.
    pub(crate) fn sign_text(&self, header: &str, claims: &str) -> String {
        let input = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    fn signature(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Es256(key) => key.sign(&random, input).unwrap().as_ref().to_vec(),
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

/// RSA keys are made once per test binary.
pub(crate) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rs256("rsa", KeySize::Rsa2048));
pub(crate) static EC: LazyLock<Signer> = LazyLock::new(|| Signer::es256("ec"));
