//! A request that is made up: honest at first, then changed by mutations, at last written.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use signatures::signer::Signer;

/// The members of a JSON object in order, values as they are written: what JSON libraries would mend can
/// be said here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members(Vec<(String, String)>);

impl Members {
    /// In the place of what is there, or at the end.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.0.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => *old = value.into(),
            None => self.add(name, value),
        }
    }

    /// One more, whatever is there.
    pub(crate) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    /// The same under another name, which is written as it is.
    pub(crate) fn rename(&mut self, name: &str, other: &str) {
        for (old, _) in &mut self.0 {
            if old == name {
                other.clone_into(old);
            }
        }
    }

    /// The value as it is written.
    pub(crate) fn value(&self, name: &str) -> &str {
        let member = self.0.iter().find(|(other, _)| other == name);
        member.map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> String {
        self.text_with("", "")
    }

    /// With white space (or something else) around each token of JSON.
    pub(crate) fn text_with(&self, before: &str, after: &str) -> String {
        let member = |(name, value): &(String, String)| {
            format!("{before}\"{name}\"{after}:{before}{value}{after}")
        };
        let members: Vec<_> = self.0.iter().map(member).collect();
        format!("{before}{{{}{after}}}{after}", members.join(","))
    }
}

/// An issuer and its keys.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// Also its name in both configurations.
    pub(crate) name: &'static str,
    pub(crate) url: &'static str,
    pub(crate) audience: &'static str,
    pub(crate) keys: Vec<Signer>,
}

/// A request that is not yet written.
#[derive(Debug)]
pub(crate) struct Draft<'run> {
    /// Whether it must be let in.
    pub(crate) is_good: bool,
    pub(crate) issuer: &'run Issuer,
    /// Of the same gateway.
    pub(crate) other_issuer: &'run Issuer,
    /// Nobody's: an attacker has it.
    pub(crate) stranger: &'run Signer,
    /// Which key signs.
    pub(crate) key: &'run Signer,
    /// Seconds since the epoch.
    pub(crate) now: u64,
    /// A large number of chance, for a mutation to choose a place by.
    pub(crate) chance: usize,
    pub(crate) header: Members,
    pub(crate) claims: Members,
    /// In the place of the members.
    pub(crate) header_text: Option<Vec<u8>>,
    pub(crate) claims_text: Option<Vec<u8>>,
    pub(crate) encode_header: fn(&[u8]) -> String,
    pub(crate) encode_claims: fn(&[u8]) -> String,
    /// In the place of the key's signature.
    pub(crate) signature: Option<Sign>,
    /// What becomes of the signed token.
    pub(crate) form: fn(&Draft<'_>, String) -> String,
    /// Which header fields it is sent in.
    pub(crate) fields: fn(&str) -> Vec<Field>,
    /// The path, by the token.
    pub(crate) path: fn(&str) -> String,
}

/// Makes a signature over a text.
pub(crate) type Sign = fn(&Draft<'_>, &[u8]) -> Vec<u8>;

/// A header field.
pub(crate) type Field = (&'static str, Vec<u8>);

/// As it goes to both.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) path: String,
    pub(crate) fields: Vec<Field>,
}

impl<'run> Draft<'run> {
    /// What the issuer itself would state about this subject, and what a client would send.
    pub(crate) fn honest(
        issuer: &'run Issuer,
        other_issuer: &'run Issuer,
        stranger: &'run Signer,
        key: usize,
        subject: &str,
        now: u64,
    ) -> Self {
        let key = &issuer.keys[key % issuer.keys.len()];
        let (mut header, mut claims) = (Members::default(), Members::default());
        header.add("alg", quoted(key.algorithm()));
        header.add("typ", quoted("JWT"));
        header.add("kid", quoted(key.key_id()));
        claims.add("iss", quoted(issuer.url));
        claims.add("aud", quoted(issuer.audience));
        claims.add("sub", quoted(subject));
        claims.add("groups", r#"["guests","staff"]"#);
        claims.add("iat", now.to_string());
        claims.add("exp", (now + 3600).to_string());
        Self {
            is_good: true,
            issuer,
            other_issuer,
            stranger,
            key,
            now,
            chance: 0,
            header,
            claims,
            header_text: None,
            claims_text: None,
            encode_header: encoded,
            encode_claims: encoded,
            signature: None,
            form: |_draft, token| token,
            fields: bearer,
            path: |_token| "/orders/1".to_owned(),
        }
    }

    /// Signs and writes.
    pub(crate) fn written(&self) -> Written {
        let header = self.header_text.clone();
        let header = header.unwrap_or_else(|| self.header.text().into_bytes());
        let claims = self.claims_text.clone();
        let claims = claims.unwrap_or_else(|| self.claims.text().into_bytes());
        let input = format!(
            "{}.{}",
            (self.encode_header)(&header),
            (self.encode_claims)(&claims)
        );
        let signature = match self.signature {
            Some(signature) => signature(self, input.as_bytes()),
            None => self.key.signature(input.as_bytes()),
        };
        let token = (self.form)(self, format!("{input}.{}", encoded(&signature)));
        let mut fields = (self.fields)(&token);
        for (_, value) in &mut fields {
            // A client cannot send these in a field, and no peer reads them as part of one.
            value.retain(|byte| *byte == b'\t' || !byte.is_ascii_control());
        }
        Written {
            path: (self.path)(&token),
            fields,
        }
    }
}

/// As most clients send a token.
pub(crate) fn bearer(token: &str) -> Vec<Field> {
    authorization(format!("Bearer {token}"))
}

pub(crate) fn authorization(value: String) -> Vec<Field> {
    vec![("authorization", value.into_bytes())]
}

pub(crate) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
