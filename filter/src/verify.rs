//! Signature, type, audience, times, required claims and `cnf`: the only door to [`Verified`] (RFC 7519 section 4.1, RFC 8725).
//!
//! The issuer has chosen the provider before; from then on everything is judged by that provider's
//! rules and keys alone. A `kid` of one issuer is never looked up among the keys of another.

use alloc::rc::Rc;
use alloc::string::String;

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::claims::Claims;
use crate::condition::{Condition, Facts};
use crate::config::{AudienceClaim, Provider};
use crate::confirmation::{Connection, Thumbprint};
use crate::identity;
use crate::jwks::KeySet;
use crate::signature::Engine;
use crate::time::UnixTime;
use crate::token::{Header, Jws};

/// Claims that the provider has signed, for us, and that hold now. There is no other constructor
/// than [`verify`].
#[derive(Debug)]
pub struct Verified {
    subject: String,
    claims: Claims,
    algorithm: Algorithm,
    header: Header,
    /// The key that verified the signature.
    spki: Rc<[u8]>,
    /// The only client certificate with which the token is good.
    certificate: Option<Thumbprint>,
}

impl Verified {
    /// `sub`: never empty, at most 255 bytes.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// All claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether the token is bound to a client certificate.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.certificate.is_some()
    }

    /// Whether the token is good on this connection. To be asked on each use: a copy of a token that is
    /// bound to a certificate may come from anybody.
    ///
    /// # Errors
    /// When it is bound to a certificate that the client has not shown.
    pub fn check_connection(&self, connection: &dyn Connection) -> Result<(), Refusal> {
        match self.certificate {
            Some(certificate) => certificate.check(connection),
            None => Ok(()),
        }
    }

    /// Whether [`verify`] would still say yes: the token's header still leads to the very key that
    /// verified it, and the times still allow it. Everything else that was checked cannot change.
    #[must_use]
    pub fn still_holds(&self, provider: &Provider, keys: Option<&KeySet>, now: UnixTime) -> bool {
        keys.and_then(|keys| keys.pick(&self.header, self.algorithm))
            .is_some_and(|key| *key.spki() == self.spki)
            && check_times(provider, &self.header, &self.claims, now).is_ok()
    }

    /// `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    /// About how many bytes of memory this takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.subject.len() + self.header.bytes() + self.claims.bytes()
    }
}

/// Why a token of a known provider is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its algorithm is unknown or not in the provider's list.
    Algorithm,
    /// Its algorithm is one of the provider's, and nobody here can check it.
    AlgorithmUnavailable,
    /// It was made for somebody else.
    Audience,
    /// It is bound to another client certificate than that of the connection.
    CertificateMismatch,
    /// It is bound to a client certificate, and the client has shown none.
    CertificateMissing,
    /// A claim is not what the provider's configuration requires.
    Claim,
    /// It is bound to something that nobody here can check.
    Confirmation,
    /// It is over.
    Expired,
    /// The caller's groups are needed, and there are too many of them to be in the token.
    GroupsOverage,
    /// None of the provider's keys is the one it names.
    Key,
    /// The provider's keys are not there yet.
    KeysUnavailable,
    /// It was made to live longer than the provider's tokens may.
    Lifetime,
    /// A claim that must be there is missing, or is not of its type.
    Malformed,
    /// It begins in the future, or says that it was made there.
    NotYetValid,
    /// The signature is not the provider's.
    Signature,
    /// It was made by another load balancer than the provider's.
    Signer,
    /// `typ` is not that of a credential of the provider.
    Type,
    /// It is not bound to a client certificate, and the provider's tokens must be.
    Unbound,
}

/// Who says to have made the token: `iss`, which load balancers may have in the header alone, or the
/// trust domain of a JWT-SVID, which needs no `iss` (JWT-SVID section 3).
#[must_use]
pub fn issuer<'a>(header: &'a Header, claims: &'a Claims) -> Option<&'a str> {
    match (claims.top("iss"), &header.origin) {
        (Some(issuer), _) => issuer.as_str(),
        (None, Some(origin)) => origin.issuer.as_deref(),
        (None, None) => identity::trust_domain(claims.top("sub")?.as_str()?),
    }
}

/// The provider that a token of this issuer is of, with its place. Where several have the issuer, each
/// for the tokens of one load balancer, `signer` chooses among them; whether it is the right one is for
/// [`verify`] to say.
#[must_use]
pub fn choose<'a>(
    providers: &'a [Rc<Provider>],
    issuer: &str,
    header: &Header,
) -> Option<(usize, &'a Rc<Provider>)> {
    let of_issuer = || {
        let all = providers.iter().enumerate();
        all.filter(|(_, provider)| provider.issuer == issuer)
    };
    let signer = header.origin.as_ref().map(|origin| origin.signer.as_str());
    of_issuer()
        .find(|(_, provider)| provider.signer.as_deref() == signer)
        .or_else(|| of_issuer().next())
}

/// What is checked of a token, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The provider has the algorithm, and somebody can check it.
    Algorithm,
    /// `typ`.
    Type,
    /// The load balancer, where the provider names one.
    Signer,
    /// The provider has the key.
    Key,
    /// The key has made the signature.
    Signature,
    /// The token is for us.
    Audience,
    /// `exp`, `iat` and `nbf`.
    Times,
    /// All of the caller's groups are there, where they are asked for.
    Groups,
    /// What the provider's tokens must say.
    RequiredClaims,
    /// `cnf` binds to something that can be checked.
    Confirmation,
    /// `sub`.
    Subject,
    /// The connection has the certificate that the token is bound to. Not [`verify`]'s to ask.
    Connection,
}

/// Checks `jws`, whose unverified `iss` is that of `provider`, and gives out its claims.
///
/// # Errors
/// The first rule that is broken. Nothing of the claims is looked at before the signature is valid.
pub fn verify(
    provider: &Provider,
    keys: Option<&KeySet>,
    engine: &dyn Engine,
    jws: &Jws<'_>,
    claims: Claims,
    now: UnixTime,
) -> Result<Verified, Refusal> {
    verify_and_tell(provider, keys, engine, jws, claims, now, |_passed| {})
}

/// The same, and tells each check that was passed.
///
/// # Errors
/// As [`verify`].
pub fn verify_and_tell(
    provider: &Provider,
    keys: Option<&KeySet>,
    engine: &dyn Engine,
    jws: &Jws<'_>,
    claims: Claims,
    now: UnixTime,
    mut tell: impl FnMut(Check),
) -> Result<Verified, Refusal> {
    let algorithm = Algorithm::from_name(&jws.header().algorithm)
        .filter(|algorithm| provider.algorithms.contains(algorithm))
        .ok_or(Refusal::Algorithm)?;
    if !engine.checks(algorithm) {
        return Err(Refusal::AlgorithmUnavailable);
    }
    tell(Check::Algorithm);
    if !provider.types.accept(jws.header().kind.as_deref()) {
        return Err(Refusal::Type);
    }
    tell(Check::Type);
    check_signer(provider, jws.header())?;
    tell(Check::Signer);
    let keys = keys.ok_or(Refusal::KeysUnavailable)?;
    let key = keys.pick(jws.header(), algorithm).ok_or(Refusal::Key)?;
    tell(Check::Key);
    let text = jws.signing_input().as_bytes();
    if !engine.is_valid(algorithm, key, text, jws.signature()) {
        return Err(Refusal::Signature);
    }
    tell(Check::Signature);
    check_audience(provider, jws.header(), &claims)?;
    tell(Check::Audience);
    check_times(provider, jws.header(), &claims, now)?;
    tell(Check::Times);
    if provider.refuses_groups_overage && has_groups_overage(&claims) {
        return Err(Refusal::GroupsOverage);
    }
    tell(Check::Groups);
    check_required(provider, &claims)?;
    tell(Check::RequiredClaims);
    let certificate = provider.confirmations.certificate(&claims)?;
    tell(Check::Confirmation);
    let subject = match claims.top("sub") {
        Some(Value::String(subject)) if (1..=SUBJECT_LIMIT).contains(&subject.len()) => {
            subject.clone()
        }
        _ => return Err(Refusal::Malformed),
    };
    tell(Check::Subject);
    Ok(Verified {
        subject,
        claims,
        algorithm,
        header: jws.header().clone(),
        spki: Rc::clone(key.spki()),
        certificate,
    })
}

/// All load balancers of a region share their keys and can be told any issuer by whoever owns them. What
/// nobody else can have is the name of ours.
fn check_signer(provider: &Provider, header: &Header) -> Result<(), Refusal> {
    let Some(signer) = &provider.signer else {
        return Ok(());
    };
    let is_ours = header.origin.as_ref().is_some_and(|origin| {
        origin.signer == *signer && origin.issuer.as_ref() == Some(&provider.issuer)
    });
    if is_ours {
        Ok(())
    } else {
        Err(Refusal::Signer)
    }
}

/// RFC 7519 section 4.1.3: one text or an array of texts, and one of ours among them.
fn check_audience(provider: &Provider, header: &Header, claims: &Claims) -> Result<(), Refusal> {
    let ours = |audience: &Value| {
        audience
            .as_str()
            .is_some_and(|audience| provider.audiences.iter().any(|our| our == audience))
    };
    let name = match provider.audience_claim {
        AudienceClaim::Aud => "aud",
        AudienceClaim::ClientId => "client_id",
        AudienceClaim::HeaderClient => {
            let client = header
                .origin
                .as_ref()
                .and_then(|origin| origin.client.as_ref());
            let is_for_us = client.is_some_and(|client| provider.audiences.contains(client));
            return is_for_us.then_some(()).ok_or(Refusal::Audience);
        }
        AudienceClaim::Signer => return Ok(()),
    };
    let is_for_us = match claims.top(name) {
        Some(audience @ Value::String(_)) => ours(audience),
        Some(Value::Array(audiences)) if audiences.iter().all(Value::is_string) => {
            audiences.iter().any(ours)
        }
        Some(_) => return Err(Refusal::Malformed),
        None => false,
    };
    if is_for_us {
        Ok(())
    } else {
        Err(Refusal::Audience)
    }
}

/// RFC 7519 section 4.1.4 to 4.1.6. `exp` must be there: a token without end cannot be taken back. A load
/// balancer's has it in the header, and perhaps in the claims too; then it is over when either is past.
fn check_times(
    provider: &Provider,
    header: &Header,
    claims: &Claims,
    now: UnixTime,
) -> Result<(), Refusal> {
    let skew = provider.clock_skew.as_secs();
    let now = now.seconds();
    let claimed = instant(claims, "exp")?;
    let expires = if provider.signer.is_some() {
        let origin = header.origin.as_ref();
        let stated = origin.and_then(|origin| origin.expires);
        let stated = stated
            .filter(|seconds| *seconds <= INSTANT_LIMIT)
            .ok_or(Refusal::Malformed)?;
        claimed.map_or(stated, |claimed| claimed.min(stated))
    } else {
        claimed.ok_or(Refusal::Malformed)?
    };
    if now >= expires.saturating_add(skew) {
        return Err(Refusal::Expired);
    }
    if let Some(limit) = provider.max_lifetime {
        let made = instant(claims, "iat")?.ok_or(Refusal::Malformed)?;
        if expires.saturating_sub(made) > limit.as_secs() {
            return Err(Refusal::Lifetime);
        }
    }
    for name in ["nbf", "iat"] {
        if instant(claims, name)?.is_some_and(|begins| begins > now.saturating_add(skew)) {
            return Err(Refusal::NotYetValid);
        }
    }
    Ok(())
}

/// Whether the token says that the caller's groups are elsewhere: above about 200 of them, Microsoft
/// writes where to ask for them instead of writing them.
fn has_groups_overage(claims: &Claims) -> bool {
    let names = claims.top("_claim_names").and_then(Value::as_object);
    names.is_some_and(|names| names.contains_key("groups"))
        || claims
            .top("hasgroups")
            .is_some_and(|has| *has == Value::Bool(true) || has == "true")
}

/// What a provider's tokens must say to be believed at all, whatever they are used for.
fn check_required(provider: &Provider, claims: &Claims) -> Result<(), Refusal> {
    let facts = Facts {
        claims: Some(claims),
        ..Facts::default()
    };
    let holds = |condition: &Condition| condition.holds(&facts);
    if provider.required_claims.iter().all(holds) {
        Ok(())
    } else {
        Err(Refusal::Claim)
    }
}

/// A claim that counts whole seconds since the epoch. Fractions and negative numbers are refused:
/// no provider needs them, and rounding is where two verifiers differ.
fn instant(claims: &Claims, name: &str) -> Result<Option<u64>, Refusal> {
    match claims.top(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds) if seconds <= INSTANT_LIMIT => Ok(Some(seconds)),
            _ => Err(Refusal::Malformed),
        },
    }
}

/// OpenID Connect Core section 2: `sub` has at most 255 characters.
const SUBJECT_LIMIT: usize = 255;
/// 2^53: above it, JSON readers disagree about integers.
const INSTANT_LIMIT: u64 = 1 << 53;
