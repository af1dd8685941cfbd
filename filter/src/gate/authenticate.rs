//! Who is calling: a token that is remembered, or one that is read and checked in whole.

use alloc::rc::Rc;
use alloc::string::String;

use super::{Context, Findings, Known};
use crate::cache::Entry;
use crate::caller::Caller;
use crate::claims::Claims;
use crate::config::{Config, Provider};
use crate::credential::{self, Credential};
use crate::decision::Denial;
use crate::headers::Headers;
use crate::keyring::WantedKey;
use crate::namespace::Namespace;
use crate::signature::witness::Witness;
use crate::stats::Lookup;
use crate::throttle::Source;
use crate::token::Jws;
use crate::verify::{self, Refusal, Verified};

/// The caller, or `None` when the request has no credential. A credential that is there must be good,
/// also where an anonymous rule would let the request in.
pub(super) fn authenticate<'a>(
    config: &'a Config,
    context: &mut Context<'_>,
    namespace: &Namespace,
    headers: &Headers,
    findings: &mut Findings<'a>,
) -> Result<Option<Known>, Denial> {
    let Some(credential) = credential::find(headers, &config.providers)? else {
        return Ok(None);
    };
    let certificate = mapped_certificate(config, context);
    let is_readable = credential.token.len() <= config.limits.token_bytes;
    let digest = is_readable
        .then(|| context.cache.digest(credential.source, credential.token))
        .flatten();
    let known = digest
        .as_ref()
        .and_then(|digest| Some((digest, context.cache.find(digest)?)));
    if let Some((digest, entry)) = known
        && let Some(provider) = config.providers.get(entry.provider)
        && let keys = context.keyring.keys(provider, entry.verified.key_id())
        && entry.verified.still_holds(provider, keys, context.now)
    {
        findings.provider = Some(provider);
        findings.work.lookup = Some(Lookup::Hit);
        if let Err(refusal) = entry.verified.check_connection(context.connection) {
            // It stays remembered: that somebody else has a copy takes nothing from its holder.
            findings.source = (context.source)();
            if let Some(source) = findings.source.as_deref().and_then(Source::parse) {
                context.throttle.on_failure(source, context.now);
            }
            return Err(refusal.into());
        }
        if entry.caller.namespace == namespace.name && entry.caller.certificate == certificate {
            return Ok(Some(entry.into()));
        }
        let caller = caller(config, provider, namespace, &entry.verified, certificate)?;
        let entry = Entry {
            caller: Rc::new(caller),
            ..entry.clone()
        };
        let known = Known::from(&entry);
        context.cache.insert(*digest, entry);
        return Ok(Some(known));
    }
    findings.work.lookup = digest.is_some().then_some(Lookup::Miss);
    findings.source = (context.source)();
    let source = findings.source.as_deref().and_then(Source::parse);
    // Only now: whoever shares a source with a sender of bad tokens still has those that were good.
    if let Some(source) = source {
        context
            .throttle
            .check(source, context.now)
            .map_err(|seconds| {
                findings.retry_after = Some(seconds);
                Denial::SourceThrottled
            })?;
    }
    let verified = verify(
        config,
        &credential,
        context,
        namespace,
        certificate,
        findings,
    );
    match verified {
        Ok(entry) => {
            let known = Known::from(&entry);
            if let Some(digest) = digest {
                context.cache.insert(digest, entry);
            }
            Ok(Some(known))
        }
        Err(denial) => {
            if let Some(digest) = digest {
                context.cache.remove(&digest);
            }
            // That keys are not there is not the sender's fault, and one that is missing may yet come.
            let is_bad = denial.status() == 401 && findings.wanted_key.is_none();
            if let Some(source) = source.filter(|_| is_bad) {
                context.throttle.on_failure(source, context.now);
            }
            Err(denial)
        }
    }
}

/// The SPIFFE id of the client certificate, where who the caller is depends on it.
pub(super) fn mapped_certificate(config: &Config, context: &Context<'_>) -> Option<String> {
    let asks = config.maps_certificates;
    asks.then(|| context.connection.spiffe_id()).flatten()
}

/// The caller in the namespace, unless what a workload would be told of it is more than may be.
pub(super) fn caller(
    config: &Config,
    provider: &Provider,
    namespace: &Namespace,
    verified: &Verified,
    certificate: Option<String>,
) -> Result<Caller, Denial> {
    let caller = Caller::new(provider, namespace, verified, certificate)
        .map_err(|_too_large| Denial::IdentityTooLarge)?;
    let mut bytes = 0;
    caller.for_each_header(config.headers.names(), &mut |name, value| {
        bytes += name.len() + value.len();
    });
    if bytes > config.limits.identity_bytes {
        return Err(Denial::IdentityTooLarge);
    }
    Ok(caller)
}

/// A token that was read, and the provider that it says to be of. Nothing in it is verified.
pub(super) struct Presented<'a> {
    pub(super) jws: Jws<'a>,
    pub(super) claims: Claims,
    /// Which of the providers it is.
    pub(super) index: usize,
    pub(super) provider: &'a Rc<Provider>,
    /// Whether the provider's issuer has tokens that nobody else can read.
    pub(super) is_opaque: bool,
}

/// Reads a token that is not known yet, and checks all of it.
fn verify<'a>(
    config: &'a Config,
    credential: &Credential<'_>,
    context: &Context<'_>,
    namespace: &Namespace,
    certificate: Option<String>,
    findings: &mut Findings<'a>,
) -> Result<Entry, Denial> {
    let Presented {
        jws,
        claims,
        index,
        provider,
        is_opaque,
    } = read(config, credential)?;
    findings.provider = config.providers.get(index);
    let key_id = jws.header().key_id.as_deref();
    let keys = context.keyring.keys(provider, key_id);
    let engine = Witness::new(context.engine);
    let verified = verify::verify(provider, keys, &engine, &jws, claims, context.now);
    findings.work.checked = engine.checked();
    let verified = verified
        .inspect_err(|refusal| {
            if matches!(refusal, Refusal::Key | Refusal::KeysUnavailable) {
                findings.wanted_key = Some(WantedKey {
                    provider: Rc::clone(provider),
                    id: key_id.map(String::from),
                });
            }
        })
        .map_err(|refusal| denial(refusal, is_opaque))?;
    verified.check_connection(context.connection)?;
    Ok(Entry {
        provider: index,
        caller: Rc::new(caller(config, provider, namespace, &verified, certificate)?),
        verified: Rc::new(verified),
    })
}

/// What a refusal of a token means for its request.
pub(super) fn denial(refusal: Refusal, is_opaque: bool) -> Denial {
    match refusal {
        // Other tokens of the issuer may be of use; one of a type of its own is not.
        Refusal::Type if is_opaque => Denial::TokenOpaque,
        refusal => refusal.into(),
    }
}

/// Reads a token and finds its provider.
pub(super) fn read<'a>(
    config: &'a Config,
    credential: &Credential<'a>,
) -> Result<Presented<'a>, Denial> {
    // One preset's tokens have padding; what has it elsewhere is no token.
    let is_padded = credential.token.ends_with('=')
        && config.providers.iter().any(|provider| {
            provider.accepts_padding && provider.tokens.contains(credential.source)
        });
    let jws = if is_padded {
        Jws::parse_padded(credential.token, config.limits.token_bytes)?
    } else {
        Jws::parse(credential.token, config.limits.token_bytes)?
    };
    let claims = Claims::parse(jws.payload()).map_err(|_refused| Denial::TokenMalformed)?;
    let issuer = verify::issuer(jws.header(), &claims).ok_or(Denial::TokenMalformed)?;
    let is_opaque = config
        .providers
        .iter()
        .any(|provider| provider.opaque_issuer.as_deref() == Some(issuer));
    let (index, provider) = match verify::choose(&config.providers, issuer, jws.header()) {
        Some(chosen) => chosen,
        None if is_opaque => return Err(Denial::TokenOpaque),
        None => return Err(Denial::IssuerUnknown),
    };
    if !provider.tokens.contains(credential.source) {
        return Err(Denial::TokenSourceRefused);
    }
    if is_padded && !provider.accepts_padding {
        return Err(Denial::TokenMalformed);
    }
    Ok(Presented {
        jws,
        claims,
        index,
        provider,
        is_opaque,
    })
}
