//! The caller of a question: the token that it sends, and how much of it can be believed here.

use std::rc::Rc;

use identity_filter::algorithm::Algorithm;
use identity_filter::base64url;
use identity_filter::claims::Claims;
use identity_filter::config::{AudienceClaim, Config, KeySource, Provider, TokenSource};
use identity_filter::credential;
use identity_filter::headers::Headers;
use identity_filter::identity;
use identity_filter::jwks::KeySet;
use identity_filter::signature::software::Software;
use identity_filter::signature::{Engine, PublicKey, self_test};
use identity_filter::time::UnixTime;
use identity_filter::token::Jws;
use identity_filter::{uuid, verify};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Who is calling.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Whoever the headers of the request say.
    AsInHeaders,
    /// Somebody with claims, as if their provider had signed them.
    Claims {
        provider: Option<String>,
        claims: Map<String, Value>,
    },
    /// The bearer of this token.
    Token(String),
}

/// Why no token can be made of claims.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerError {
    /// Keys were given for a provider that needs none.
    #[error("--keys: the keys of provider {provider} are in the configuration")]
    KeysInline { provider: String },
    /// Several providers, and nothing that tells which is meant.
    #[error(
        "whose claims these are must be said by `iss` or by a provider, which is one of: {known}"
    )]
    ProviderMissing { known: String },
    /// A name that no provider has.
    #[error("there is no provider {name:?}; there are: {known}")]
    ProviderUnknown { name: String, known: String },
    /// A provider and an `iss` of another.
    #[error("`iss` of the claims is not the issuer of provider {provider}")]
    OtherIssuer { provider: String },
}

/// Whether the signature of the caller's token was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signature {
    /// With the provider's keys.
    Checked,
    /// There is none: claims were given.
    Claimed,
    /// There is no token.
    NoToken,
    /// The token was refused for something else before.
    NotReached,
    /// The keys are not here.
    KeysNotHere,
    /// Only a gateway can check the algorithm.
    AlgorithmNotHere,
}

impl Signature {
    pub(crate) const fn is_checked(self) -> bool {
        matches!(self, Self::Checked | Self::NoToken | Self::NotReached)
    }
}

/// Checks signatures where the keys are there, and believes them elsewhere; the answer says which.
#[derive(Debug)]
pub(crate) struct Signatures(pub(crate) Signature);

impl Engine for Signatures {
    fn checks(&self, _algorithm: Algorithm) -> bool {
        true
    }

    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        !self.0.is_checked() || Software.is_valid(algorithm, key, text, signature)
    }
}

impl Caller {
    /// The header that holds its token.
    pub(crate) fn header(
        &self,
        config: &Config,
        now: UnixTime,
    ) -> Result<Option<(String, Vec<u8>)>, CallerError> {
        let (provider, token) = match self {
            Self::AsInHeaders => return Ok(None),
            Self::Claims { provider, claims } => {
                let provider = choose(config, provider.as_deref(), claims)?;
                (Some(provider), unsigned(provider, claims.clone(), now))
            }
            Self::Token(token) => (provider_of(config, token), token.clone()),
        };
        let source = provider
            .or_else(|| config.providers.first())
            .and_then(|provider| provider.tokens.first());
        Ok(Some(match source {
            None => (
                "authorization".into(),
                format!("Bearer {token}").into_bytes(),
            ),
            Some(TokenSource::Cookie { name }) => {
                ("cookie".into(), format!("{name}={token}").into_bytes())
            }
            Some(TokenSource::Header { name, scheme }) => {
                let scheme = scheme
                    .as_ref()
                    .map_or_else(String::new, |scheme| format!("{scheme} "));
                (name.clone(), format!("{scheme}{token}").into_bytes())
            }
        }))
    }

    /// Puts keys in the place of those that a gateway would fetch, and says what that makes of the signature.
    pub(crate) fn supply_keys(
        &self,
        config: &mut Config,
        headers: &Headers,
        given: Option<&KeySet>,
    ) -> Result<Signature, CallerError> {
        let Ok(Some(credential)) = credential::find(headers, &config.providers) else {
            return Ok(Signature::NoToken);
        };
        let limit = config.limits.token_bytes;
        let parsed = Jws::parse(credential.token, limit)
            .or_else(|_refused| Jws::parse_padded(credential.token, limit));
        let Ok(jws) = parsed else {
            return Ok(Signature::Checked);
        };
        let header = jws.header();
        let found = Claims::parse(jws.payload()).ok().and_then(|claims| {
            let issuer = verify::issuer(header, &claims)?;
            let (index, _) = verify::choose(&config.providers, issuer, header)?;
            Some(index)
        });
        let algorithm = Algorithm::from_name(&header.algorithm);
        // Without a provider or an algorithm the token is refused before any key is asked for.
        let (Some(index), Some(algorithm)) = (found, algorithm) else {
            return Ok(Signature::Checked);
        };
        let id = header.key_id.clone();
        let Some(provider) = config.providers.get_mut(index).and_then(Rc::get_mut) else {
            return Ok(Signature::Checked);
        };
        let is_claimed = matches!(self, Self::Claims { .. });
        let is_inline = matches!(provider.keys, KeySource::Inline(_));
        if is_inline && given.is_some() {
            let provider = provider.name.clone();
            return Err(CallerError::KeysInline { provider });
        }
        let is_nobodys_key = matches!(provider.keys, KeySource::OneByOne(_))
            && !id.as_deref().is_some_and(uuid::is_uuid);
        if is_nobodys_key && !is_claimed {
            return Ok(Signature::Checked);
        }
        let key = |id: Option<String>| {
            let key = self_test::key(algorithm)?;
            Some(KeySource::Inline(KeySet::of_one(
                id.unwrap_or_default(),
                key,
            )))
        };
        let (keys, signature) = match given {
            _ if is_claimed => (key(id), Signature::Claimed),
            Some(given) => (Some(KeySource::Inline(given.clone())), Signature::Checked),
            None if is_inline => (None, Signature::Checked),
            None => (key(id), Signature::KeysNotHere),
        };
        if let Some(keys) = keys {
            provider.keys = keys;
        }
        let is_beyond_us = signature == Signature::Checked && !Software.checks(algorithm);
        Ok(if is_beyond_us {
            Signature::AlgorithmNotHere
        } else {
            signature
        })
    }
}

/// The provider that a token says to be of.
fn provider_of<'a>(config: &'a Config, token: &str) -> Option<&'a Rc<Provider>> {
    let limit = config.limits.token_bytes;
    let jws = Jws::parse(token, limit)
        .or_else(|_refused| Jws::parse_padded(token, limit))
        .ok()?;
    let claims = Claims::parse(jws.payload()).ok()?;
    let issuer = verify::issuer(jws.header(), &claims)?;
    verify::choose(&config.providers, issuer, jws.header()).map(|(_, provider)| provider)
}

/// The provider whose token is to have these claims.
fn choose<'a>(
    config: &'a Config,
    name: Option<&str>,
    claims: &Map<String, Value>,
) -> Result<&'a Rc<Provider>, CallerError> {
    let providers = &config.providers;
    let known = || {
        let names: Vec<_> = providers
            .iter()
            .map(|provider| provider.name.as_str())
            .collect();
        names.join(", ")
    };
    let issuer = claims.get("iss").and_then(Value::as_str);
    if let Some(name) = name {
        let provider = providers
            .iter()
            .find(|provider| provider.name == name)
            .ok_or_else(|| CallerError::ProviderUnknown {
                name: name.into(),
                known: known(),
            })?;
        if issuer.is_some_and(|issuer| issuer != provider.issuer) {
            return Err(CallerError::OtherIssuer {
                provider: name.into(),
            });
        }
        return Ok(provider);
    }
    let of_issuer = providers
        .iter()
        .find(|provider| issuer == Some(&provider.issuer));
    match (of_issuer, providers.as_slice()) {
        (Some(provider), _) => Ok(provider),
        (None, [only]) => Ok(only),
        // Which one does not matter: none has the issuer.
        (None, [first, ..]) if issuer.is_some() => Ok(first),
        _ => Err(CallerError::ProviderMissing { known: known() }),
    }
}

/// A token with these claims that nobody has signed, and with what the provider asks of every token.
fn unsigned(provider: &Provider, mut claims: Map<String, Value>, now: UnixTime) -> String {
    let seconds = now.seconds();
    let longest = provider
        .max_lifetime
        .map_or(u64::MAX, |longest| longest.as_secs());
    let expires = seconds + longest.min(LIFETIME);
    let audience = provider.audiences.first();
    let algorithm = provider
        .algorithms
        .first()
        .map_or("", |algorithm| algorithm.name());
    let mut header = json!({ "alg": algorithm });
    if let Some(kind) = provider.types.example() {
        header["typ"] = kind.into();
    }
    if let Some(signer) = &provider.signer {
        header["signer"] = signer.as_str().into();
        header["iss"] = provider.issuer.as_str().into();
        header["exp"] = expires.into();
        if let Some(audience) = audience {
            header["client"] = audience.as_str().into();
        }
    } else {
        let subject = claims.get("sub").and_then(Value::as_str);
        if subject.and_then(identity::trust_domain) != Some(&provider.issuer) {
            fill(&mut claims, "iss", provider.issuer.as_str());
        }
    }
    let audience_claim = match provider.audience_claim {
        AudienceClaim::Aud => Some("aud"),
        AudienceClaim::ClientId => Some("client_id"),
        AudienceClaim::HeaderClient | AudienceClaim::Signer => None,
    };
    if let (Some(name), Some(audience)) = (audience_claim, audience) {
        fill(&mut claims, name, audience.as_str());
    }
    fill(&mut claims, "exp", expires);
    if provider.max_lifetime.is_some() {
        fill(&mut claims, "iat", seconds);
    }
    let encoded = |value: Value| base64url::encode(value.to_string().as_bytes());
    format!("{}.{}.AA", encoded(header), encoded(Value::Object(claims)))
}

fn fill(claims: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    if !claims.contains_key(name) {
        claims.insert(name.into(), value.into());
    }
}

/// Seconds for which a token that was made up is good.
const LIFETIME: u64 = 300;
