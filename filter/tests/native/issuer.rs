//! An issuer of our own: makes keys and signs whatever a test wants signed. Everything is done by
//! AWS-LC, so the filter is never tested against itself.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use identity_filter::base64url::encode;
use serde_json::{Value, json};

/// A key pair with a name, for one algorithm.
pub(crate) struct Signer {
    pub(crate) key_id: &'static str,
    algorithm: &'static str,
    key: Key,
}

enum Key {
    Ec(&'static str, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(&'static dyn RsaEncoding, RsaKeyPair),
}

impl Signer {
    pub(crate) fn new(key_id: &'static str, algorithm: &'static str) -> Self {
        let ec = |curve, signing| Key::Ec(curve, EcdsaKeyPair::generate(signing).unwrap());
        let rsa = |encoding| Key::Rsa(encoding, RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let key = match algorithm {
            "EdDSA" | "Ed25519" => Key::Ed25519(Ed25519KeyPair::generate().unwrap()),
            "ES256" => ec("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ec("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => ec("P-521", &ECDSA_P521_SHA512_FIXED_SIGNING),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            other => unreachable!("no signer for {other}"),
        };
        Self {
            key_id,
            algorithm,
            key,
        }
    }

    pub(crate) fn es256(key_id: &'static str) -> Self {
        Self::new(key_id, "ES256")
    }

    pub(crate) fn rs256(key_id: &'static str, size: KeySize) -> Self {
        Self {
            key_id,
            algorithm: "RS256",
            key: Key::Rsa(&RSA_PKCS1_SHA256, RsaKeyPair::generate(size).unwrap()),
        }
    }

    pub(crate) const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        match &self.key {
            Key::Ec(curve, key) => {
                let (_form, point) = key.public_key().as_ref().split_at(1);
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "kid": self.key_id, "use": "sig", "x": encode(x), "y": encode(y)})
            }
            Key::Ed25519(key) => {
                let x = encode(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.key_id, "x": x})
            }
            Key::Rsa(_, key) => {
                let n = key.public_key().modulus();
                let n = encode(n.big_endian_without_leading_zero());
                json!({"kty": "RSA", "kid": self.key_id, "alg": self.algorithm, "n": n, "e": "AQAB"})
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
            Key::Ec(_, key) => key.sign(&random, input).unwrap().as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(input).as_ref().to_vec(),
            Key::Rsa(encoding, key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, input, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// RSA keys are made once per test binary.
pub(crate) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rs256("rsa", KeySize::Rsa2048));
pub(crate) static EC: LazyLock<Signer> = LazyLock::new(|| Signer::es256("ec"));
