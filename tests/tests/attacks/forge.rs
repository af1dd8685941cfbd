//! Tokens with any header, any claims and any signature.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{error::HarnessError, token::SigningKey};
use serde_json::Value;

/// A token before its signature.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    header: Value,
    claims: Value,
}

impl Draft {
    /// With this header and these claims.
    pub(crate) fn new(header: Value, claims: Value) -> Self {
        Self { header, claims }
    }

    /// The same with this member in its header.
    pub(crate) fn head(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// The same without this member in its header.
    pub(crate) fn headless(mut self, name: &str) -> Self {
        remove(&mut self.header, name);
        self
    }

    /// The same with this claim.
    pub(crate) fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// The same without this claim.
    pub(crate) fn without(mut self, name: &str) -> Self {
        remove(&mut self.claims, name);
        self
    }

    /// The header as text.
    pub(crate) fn header_text(&self) -> String {
        self.header.to_string()
    }

    /// The claims as text.
    pub(crate) fn claims_text(&self) -> String {
        self.claims.to_string()
    }

    /// What is signed.
    pub(crate) fn signing_input(&self) -> String {
        signing_input(self.header_text(), self.claims_text())
    }

    /// Signed with this key, whatever the header says.
    pub(crate) fn signed(&self, key: &SigningKey) -> Result<String, HarnessError> {
        sign(&self.signing_input(), key)
    }

    /// With these bytes as its signature.
    pub(crate) fn with_signature(&self, signature: impl AsRef<[u8]>) -> String {
        with_signature(&self.signing_input(), signature)
    }
}

fn remove(members: &mut Value, name: &str) {
    if let Some(members) = members.as_object_mut() {
        members.remove(name);
    }
}

/// What is signed of a token with this header and this payload, byte for byte.
pub(crate) fn signing_input(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

/// The token of this signing input, signed with this key.
pub(crate) fn sign(signing_input: &str, key: &SigningKey) -> Result<String, HarnessError> {
    let signature = key.sign(signing_input.as_bytes())?;
    Ok(with_signature(signing_input, signature))
}

/// The token of this signing input with these bytes as its signature.
pub(crate) fn with_signature(signing_input: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{signing_input}.{}", encode(signature))
}

/// base64url without padding.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The signature of a token.
pub(crate) fn signature_of(token: &str) -> Vec<u8> {
    let signature = token.rsplit('.').next().unwrap_or_default();
    URL_SAFE_NO_PAD.decode(signature).unwrap_or_default()
}
