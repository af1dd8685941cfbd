//! Hand-made tokens: what an attacker, a careless issuer or a slow client would send. They are
//! signed with the very keys of the run's issuer, so each differs from an honest token in one thing
//! only.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaSignatureEncoding,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD},
};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    RsaKeySize,
};
use serde_json::{Map, Value, json};

use crate::{clock::unix_now, error::HarnessError};

/// A key that signs tokens, in the hands of the issuer and of the harness.
#[derive(Debug)]
pub struct SigningKey {
    id: &'static str,
    algorithm: &'static str,
    pair: Pair,
    private_pem: String,
    public_pem: String,
}

#[derive(Debug)]
enum Pair {
    Rsa(Box<rsa::KeyPair>, &'static RsaSignatureEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// A new RSA key of 2048 bits for RS256.
    ///
    /// # Errors
    /// [`HarnessError::Certificate`] or [`HarnessError::SigningKey`].
    pub fn rs256(id: &'static str) -> Result<Self, HarnessError> {
        Self::rsa(id, "RS256", &RSA_PKCS1_SHA256)
    }

    /// A new RSA key of 2048 bits for PS256.
    ///
    /// # Errors
    /// As [`SigningKey::rs256`].
    pub fn ps256(id: &'static str) -> Result<Self, HarnessError> {
        Self::rsa(id, "PS256", &RSA_PSS_SHA256)
    }

    /// A new P-256 key for ES256.
    ///
    /// # Errors
    /// As [`SigningKey::rs256`].
    pub fn es256(id: &'static str) -> Result<Self, HarnessError> {
        let made = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        Self::ecdsa(id, "ES256", made, &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    /// A new P-384 key for ES384.
    ///
    /// # Errors
    /// As [`SigningKey::rs256`].
    pub fn es384(id: &'static str) -> Result<Self, HarnessError> {
        let made = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384);
        Self::ecdsa(id, "ES384", made, &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    /// A new Ed25519 key, whose algorithm is called `EdDSA` (RFC 8037) or `Ed25519` (RFC 9864).
    ///
    /// # Errors
    /// As [`SigningKey::rs256`].
    pub fn ed25519(id: &'static str, algorithm: &'static str) -> Result<Self, HarnessError> {
        let made = KeyPair::generate_for(&PKCS_ED25519);
        Self::from_made(id, algorithm, made, |der| {
            let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
            Some(Pair::Ed25519(Box::new(pair)))
        })
    }

    fn rsa(
        id: &'static str,
        algorithm: &'static str,
        encoding: &'static RsaSignatureEncoding,
    ) -> Result<Self, HarnessError> {
        let made = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        Self::from_made(id, algorithm, made, |der| {
            let pair = rsa::KeyPair::from_pkcs8(der).ok()?;
            Some(Pair::Rsa(Box::new(pair), encoding))
        })
    }

    fn ecdsa(
        id: &'static str,
        algorithm: &'static str,
        made: Result<KeyPair, rcgen::Error>,
        signing: &'static EcdsaSigningAlgorithm,
    ) -> Result<Self, HarnessError> {
        Self::from_made(id, algorithm, made, |der| {
            let pair = EcdsaKeyPair::from_pkcs8(signing, der).ok()?;
            Some(Pair::Ecdsa(Box::new(pair)))
        })
    }

    fn from_made(
        id: &'static str,
        algorithm: &'static str,
        made: Result<KeyPair, rcgen::Error>,
        read: impl Fn(&[u8]) -> Option<Pair>,
    ) -> Result<Self, HarnessError> {
        let made = made.map_err(|source| HarnessError::Certificate {
            name: id.to_owned(),
            source,
        })?;
        let pair = read(made.serialized_der()).ok_or_else(|| HarnessError::SigningKey {
            name: id.to_owned(),
        })?;
        Ok(Self {
            id,
            algorithm,
            pair,
            private_pem: made.serialize_pem(),
            public_pem: made.public_key_pem(),
        })
    }

    /// The `kid`.
    #[must_use]
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The `alg` that the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// PKCS#8, PEM.
    #[must_use]
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// SubjectPublicKeyInfo, PEM: what everybody can know.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The public half as an issuer publishes it (RFC 7517).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let base64url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let key = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": base64url(key.modulus().big_endian_without_leading_zero()),
                    "e": base64url(key.exponent().big_endian_without_leading_zero()),
                })
            }
            Pair::Ecdsa(pair) => {
                // SEC 1, uncompressed: one byte that says so, then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed25519(pair) => {
                let key = base64url(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": key })
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A token as load balancers of AWS make it: with padding, also in the text that is signed.
    ///
    /// # Errors
    /// [`HarnessError::SigningKey`].
    pub fn sign_padded(&self, header: &Value, claims: &Value) -> Result<String, HarnessError> {
        let [header, claims] = [header, claims].map(|part| URL_SAFE.encode(part.to_string()));
        let text = format!("{header}.{claims}");
        let signature = self.sign(text.as_bytes())?;
        Ok(format!("{text}.{}", URL_SAFE.encode(signature)))
    }

    /// The signature of these bytes, as a JWS holds it (RFC 7518 section 3).
    ///
    /// # Errors
    /// [`HarnessError::SigningKey`].
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, HarnessError> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, text, &mut signature)
                    .map(|()| signature)
            }
            Pair::Ecdsa(pair) => pair.sign(&random, text).map(|made| made.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(text).as_ref().to_vec()),
        };
        signature.map_err(|_refused| HarnessError::SigningKey {
            name: self.id.to_owned(),
        })
    }
}

/// A token that is not yet signed.
#[derive(Debug, Clone)]
pub struct Token {
    claims: Map<String, Value>,
}

impl Token {
    /// What the issuer itself would state about this subject, valid for five minutes.
    #[must_use]
    pub fn honest(issuer: &str, audience: &str, subject: &str) -> Self {
        let now = unix_now();
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(issuer));
        claims.insert("aud".to_owned(), json!(audience));
        claims.insert("sub".to_owned(), json!(subject));
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("exp".to_owned(), json!(now + 300));
        Self { claims }
    }

    /// The same with this claim set.
    #[must_use]
    pub fn with(mut self, claim: &str, value: Value) -> Self {
        self.claims.insert(claim.to_owned(), value);
        self
    }

    /// The same without this claim.
    #[must_use]
    pub fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self
    }

    /// What it states.
    #[must_use]
    pub fn claims(&self) -> Value {
        Value::Object(self.claims.clone())
    }

    /// The same, expired this many seconds ago.
    #[must_use]
    pub fn expired_by(self, seconds: u64) -> Self {
        let end = unix_now() - seconds;
        self.with("iat", json!(end - 300)).with("exp", json!(end))
    }

    /// The same, with a claim that makes it about this many bytes long.
    #[must_use]
    pub fn padded_to(self, bytes: usize) -> Self {
        self.with("padding", json!("x".repeat(bytes * 3 / 4)))
    }

    /// Signed as the issuer signs.
    ///
    /// # Errors
    /// [`HarnessError::SigningKey`].
    pub fn signed(&self, key: &SigningKey) -> Result<String, HarnessError> {
        let text = self.signing_input(key.algorithm(), key.id());
        let signature = key.sign(text.as_bytes())?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Not signed at all (`alg: none`, RFC 8725 section 2.1).
    #[must_use]
    pub fn unsigned(&self, key: &SigningKey) -> String {
        format!("{}.", self.signing_input("none", key.id()))
    }

    /// HS256 with the *public* key as the secret, which everybody has (RFC 8725 section 2.1).
    #[must_use]
    pub fn authenticated_with_public_key(&self, key: &SigningKey) -> String {
        let text = self.signing_input("HS256", key.id());
        let secret = hmac::Key::new(hmac::HMAC_SHA256, key.public_pem().as_bytes());
        let tag = hmac::sign(&secret, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn signing_input(&self, algorithm: &str, key_id: &str) -> String {
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": key_id }).to_string();
        let claims = self.claims().to_string();
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }
}

/// The same token with one bit of its signature changed.
#[must_use]
pub fn with_broken_signature(token: &str) -> String {
    let (text, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{text}.{flipped}{}", signature.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_hold_what_a_verifier_needs() {
        let cases = [
            (SigningKey::rs256("k"), "RSA", ["n", "e"]),
            (SigningKey::ps256("k"), "RSA", ["n", "e"]),
            (SigningKey::es256("k"), "EC", ["x", "y"]),
            (SigningKey::es384("k"), "EC", ["x", "y"]),
            (SigningKey::ed25519("k", "EdDSA"), "OKP", ["x", "crv"]),
        ];
        for (key, kind, members) in cases {
            let key = key.unwrap();
            let jwk = key.public_jwk();
            assert_eq!(jwk["kty"], kind, "{jwk}");
            assert!(members.iter().all(|name| jwk[name].is_string()), "{jwk}");
            assert!(!key.sign(b"text").unwrap().is_empty(), "{jwk}");
        }
    }

    #[test]
    fn tokens_have_three_parts_and_the_size_asked_for() {
        let key = SigningKey::es256("k").unwrap();
        let token = Token::honest("https://issuer", "aud", "alice");
        let signed = token.signed(&key).unwrap();
        let cases = [
            ("signed", signed.clone(), 3),
            ("unsigned", token.unsigned(&key), 3),
            ("hs256", token.authenticated_with_public_key(&key), 3),
            ("broken", with_broken_signature(&signed), 3),
        ];
        for (name, made, parts) in cases {
            assert_eq!(made.split('.').count(), parts, "{name}");
        }
        assert_ne!(with_broken_signature(&signed), signed);
        let long = token.padded_to(40_000).signed(&key).unwrap();
        assert!((40_000..41_000).contains(&long.len()), "{}", long.len());
    }
}
