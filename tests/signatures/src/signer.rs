//! Makes keys and signs whatever a test wants signed, by AWS-LC.

#![expect(
    clippy::unwrap_used,
    reason = "AWS-LC makes and uses its own keys, or the test has failed"
)]

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// A key pair with a name, for one algorithm.
pub struct Signer {
    key_id: &'static str,
    algorithm: &'static str,
    key: Key,
}

enum Key {
    Ec(&'static str, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(&'static dyn RsaEncoding, RsaKeyPair),
}

/// Without the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.key_id)
    }
}

impl Signer {
    /// A new key under this `kid`, for the algorithm of this name; RSA of 2048 bits.
    #[must_use]
    pub fn new(key_id: &'static str, algorithm: &'static str) -> Self {
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

    /// A new key for ES256.
    #[must_use]
    pub fn es256(key_id: &'static str) -> Self {
        Self::new(key_id, "ES256")
    }

    /// A new key of this size for RS256.
    #[must_use]
    pub fn rs256(key_id: &'static str, size: KeySize) -> Self {
        Self {
            key_id,
            algorithm: "RS256",
            key: Key::Rsa(&RSA_PKCS1_SHA256, RsaKeyPair::generate(size).unwrap()),
        }
    }

    /// Its `kid`.
    #[must_use]
    pub const fn key_id(&self) -> &'static str {
        self.key_id
    }

    /// Its `alg`.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> Value {
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
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.sign(
            &json!({"alg": self.algorithm(), "kid": self.key_id, "typ": "JWT"}),
            claims,
        )
    }

    /// A token with this header and these claims, whatever they say.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// A token with these texts, whatever they are.
    #[must_use]
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let input = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    /// The same with the padding of base64, also in the text that is signed: so load balancers do it.
    #[must_use]
    pub fn sign_padded(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE.encode(part.to_string()));
        let input = format!("{header}.{claims}");
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", URL_SAFE.encode(signature))
    }

    /// The public key as PEM, where it is one on a curve.
    #[must_use]
    pub fn pem(&self) -> String {
        let Key::Ec(_, key) = &self.key else {
            unreachable!("keys on curves alone are published as PEM")
        };
        let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// The signature over `input`, as JOSE writes it.
    #[must_use]
    pub fn signature(&self, input: &[u8]) -> Vec<u8> {
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

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
