//! Key sets: parse, key policy, and choice by `kid` and `alg` (RFC 7517).
//!
//! A key that the filter cannot use is left out and reported; it never spoils the others, because a
//! provider publishes keys for many readers (an encryption key next to a signing key is normal).

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, Curve, KeyKind};
use crate::signature::{KeyError, PublicKey};
use crate::token::{Header, KEY_ID_LIMIT};
use crate::{base64url, json};

/// The usable keys of one issuer.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<NamedKey>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Clone)]
struct NamedKey {
    index: usize,
    id: Option<String>,
    /// The one algorithm that the document allows, where it says one.
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

impl NamedKey {
    /// Whether it may check `algorithm`: RFC 8725 section 3.1 wants the key to decide, not the token.
    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.key.kind() == algorithm.key_kind()
            && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether there is an algorithm for which nobody could tell which of both is meant.
    fn rivals(&self, other: &Self) -> bool {
        self.key.kind() == other.key.kind()
            && self
                .algorithm
                .is_none_or(|only| other.algorithm.is_none_or(|others| only == others))
    }
}

/// A key of the document that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in `keys`.
    pub index: usize,
    /// Its `kid`, where it has one.
    pub id: Option<String>,
    /// Why.
    pub reason: SkipReason,
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// `alg` names no algorithm of the filter's, or one for another kind of key.
    #[error("its alg is not supported, or not one for its kty and crv")]
    Algorithm,
    /// Another key of the kind has the same `kid` and allows the same `alg`: which one is meant is not for us to guess.
    #[error("another key has the same kid")]
    Duplicate,
    /// The numbers are outside the key policy.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A member is missing or is not what RFC 7517 and 7518 say.
    #[error("a member is missing or malformed")]
    Malformed,
    /// Private or symmetric key material, which no verifier must have: who publishes it has lost it.
    #[error("it holds private key material")]
    Private,
    /// A key type or curve that no supported algorithm uses.
    #[error("its kty or crv is not supported")]
    Type,
    /// `use` or `key_ops` say that it is for something else.
    #[error("its use or key_ops is not signature verification")]
    Use,
}

/// Why a whole document is not a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not one JSON object with a `keys` array.
    #[error("not a JSON object with an array `keys`")]
    Malformed,
    /// Nothing in it can verify a token.
    #[error("none of its {keys} keys can be used to verify a token")]
    NoUsableKey {
        /// How many there were.
        keys: usize,
    },
    /// More bytes or keys than any provider needs.
    #[error("larger than {SIZE_LIMIT} bytes or {KEYS_LIMIT} keys")]
    TooLarge,
}

impl KeySet {
    /// A set of one key under its name.
    #[must_use]
    pub fn of_one(id: String, key: PublicKey) -> Self {
        Self {
            keys: [NamedKey {
                index: 0,
                id: Some(id),
                algorithm: None,
                key,
            }]
            .into(),
            skipped: Vec::new(),
        }
    }

    /// Reads a key set document (RFC 7517 section 5).
    ///
    /// # Errors
    /// When the document as a whole cannot be used; then the caller keeps the keys that it has.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        if document.len() > SIZE_LIMIT {
            return Err(KeySetError::TooLarge);
        }
        let members = json::parse_object(document).map_err(|_refused| KeySetError::Malformed)?;
        let Some(Value::Array(entries)) = members.get("keys") else {
            return Err(KeySetError::Malformed);
        };
        if entries.len() > KEYS_LIMIT {
            return Err(KeySetError::TooLarge);
        }
        let mut set = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            set.add(index, entry);
        }
        set.drop_duplicates();
        if set.keys.is_empty() {
            return Err(KeySetError::NoUsableKey {
                keys: entries.len(),
            });
        }
        Ok(set)
    }

    /// The key that a token with this header must be signed with. With a `kid` only the key of that
    /// name will do; without one, only a key that has no rival for the algorithm.
    #[must_use]
    pub fn pick(&self, header: &Header, algorithm: Algorithm) -> Option<&PublicKey> {
        let mut fitting = self.keys.iter().filter(|named| {
            named.is_for(algorithm) && (header.key_id.is_none() || named.id == header.key_id)
        });
        let only = fitting.next()?;
        fitting.next().is_none().then_some(&only.key)
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never true for a set that was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it has the same keys under the same names.
    #[must_use]
    pub fn has_same_keys(&self, other: &Self) -> bool {
        let is_same = |a: &NamedKey, b: &NamedKey| {
            a.id == b.id && a.algorithm == b.algorithm && a.key.spki() == b.key.spki()
        };
        let has = |named: &NamedKey| other.keys.iter().any(|other| is_same(named, other));
        self.keys.len() == other.keys.len() && self.keys.iter().all(has)
    }

    /// The keys that were left out, for the log.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How many keys were left out because they hold private material.
    #[must_use]
    pub fn private(&self) -> usize {
        let is_private = |skipped: &&Skipped| skipped.reason == SkipReason::Private;
        self.skipped.iter().filter(is_private).count()
    }

    fn add(&mut self, index: usize, entry: &Value) {
        let members = entry.as_object();
        let id = members
            .and_then(|members| text(members, "kid"))
            .map(String::from);
        let key = members.ok_or(SkipReason::Malformed).and_then(parse_key);
        match key {
            Ok((key, algorithm)) => self.keys.push(NamedKey {
                index,
                id,
                algorithm,
                key,
            }),
            Err(reason) => self.skipped.push(Skipped { index, id, reason }),
        }
    }

    fn drop_duplicates(&mut self) {
        let rivals = |keys: &[NamedKey], named: &NamedKey| {
            let same = |other: &&NamedKey| other.id == named.id && other.rivals(named);
            named.id.is_some() && keys.iter().filter(same).count() > 1
        };
        let (dropped, kept) = self
            .keys
            .iter()
            .cloned()
            .partition::<Vec<_>, _>(|named| rivals(&self.keys, named));
        self.keys = kept;
        self.skipped
            .extend(dropped.into_iter().map(|named| Skipped {
                index: named.index,
                id: named.id,
                reason: SkipReason::Duplicate,
            }));
    }
}

/// The key, and the one algorithm that it is for, where it says so.
fn parse_key(members: &Map<String, Value>) -> Result<(PublicKey, Option<Algorithm>), SkipReason> {
    let is_private = PRIVATE_MEMBERS
        .iter()
        .any(|name| members.contains_key(*name));
    if is_private || text(members, "kty") == Some("oct") {
        return Err(SkipReason::Private);
    }
    if members
        .get("kid")
        .is_some_and(|id| id.as_str().is_none_or(|id| id.len() > KEY_ID_LIMIT))
    {
        return Err(SkipReason::Malformed);
    }
    check_use(members)?;
    let number = |name: &str| {
        text(members, name)
            .and_then(|text| base64url::decode(text.as_bytes()))
            .ok_or(SkipReason::Malformed)
    };
    let kind = match (text(members, "kty"), text(members, "crv")) {
        (Some("RSA"), _) => KeyKind::Rsa,
        (Some("EC"), Some("P-256")) => KeyKind::Ec(Curve::P256),
        (Some("EC"), Some("P-384")) => KeyKind::Ec(Curve::P384),
        (Some("EC"), Some("P-521")) => KeyKind::Ec(Curve::P521),
        (Some("OKP"), Some("Ed25519")) => KeyKind::Ed25519,
        (Some(_), _) => return Err(SkipReason::Type),
        (None, _) => return Err(SkipReason::Malformed),
    };
    let algorithm = match members.get("alg") {
        None => None,
        Some(name) => Some(
            name.as_str()
                .and_then(Algorithm::from_name)
                .filter(|algorithm| algorithm.key_kind() == kind)
                .ok_or(SkipReason::Algorithm)?,
        ),
    };
    let key = match kind {
        KeyKind::Ec(curve) => PublicKey::ec(curve, &number("x")?, &number("y")?)?,
        KeyKind::Ed25519 => PublicKey::ed25519(&number("x")?)?,
        KeyKind::Rsa => PublicKey::rsa(&number("n")?, &number("e")?)?,
    };
    Ok((key, algorithm))
}

/// RFC 7517 section 4.2 and 4.3: both are optional, and what is there must allow verification. Bundles
/// of a trust domain say `jwt-svid` (SPIFFE Trust Domain and Bundle section 4.2.2).
fn check_use(members: &Map<String, Value>) -> Result<(), SkipReason> {
    if members
        .get("use")
        .is_some_and(|purpose| !matches!(purpose.as_str(), Some("sig" | "jwt-svid")))
    {
        return Err(SkipReason::Use);
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|name| name == "verify") => Ok(()),
        Some(_) => Err(SkipReason::Use),
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

/// Bytes of a key set document.
pub const SIZE_LIMIT: usize = 256 * 1024;
/// Keys in a document. The largest known providers publish fewer than twenty.
const KEYS_LIMIT: usize = 64;
/// RFC 7518 section 6.2.2, 6.3.2 and 6.4.1; `priv` is what key types after those use.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];

#[cfg(test)]
mod tests;
