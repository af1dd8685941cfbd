//! The walk of one request, in order: strip, read, route, authenticate, map, authorize, set, record.
//!
//! Pure: the headers as bytes, the keys, the time and an engine go in, an [`Outcome`] comes out.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::audit::{self, AuditRecord};
use crate::cache::{Entry, TokenCache};
use crate::claims::Claims;
use crate::condition::Facts;
use crate::config::{Config, Provider};
use crate::confirmation::Connection;
use crate::credential::{self, Credential};
use crate::decision::Denial;
use crate::grant::{self, Granted, Role};
use crate::headers::{self, CONNECTION_ID, Headers};
use crate::host::Host;
use crate::identity::{self, Identity};
use crate::keyring::{Keyring, WantedKey};
use crate::namespace::Namespace;
use crate::path::{self, CanonicalPath};
use crate::policy::{Disclosure, Operation, Ruling};
use crate::signature::Engine;
use crate::throttle::{Source, Throttle};
use crate::time::UnixTime;
use crate::token::Jws;
use crate::verify::{self, Refusal, Verified};

/// What the gateway knows of a request besides its headers.
#[derive(Debug)]
pub struct Context<'a> {
    /// The wall clock.
    pub now: UnixTime,
    /// The id of this decision.
    pub decision_id: String,
    /// The front's id of the connection.
    pub connection_id: Option<String>,
    /// Address and port of the client.
    pub source: Option<String>,
    /// What else the front knows of the connection.
    pub connection: &'a dyn Connection,
    /// The keys that there are.
    pub keyring: &'a Keyring,
    /// Checks signatures.
    pub engine: &'a dyn Engine,
    /// The tokens that were verified under this configuration.
    pub cache: &'a mut TokenCache,
    /// Who has sent bad ones.
    pub throttle: &'a mut Throttle,
}

/// What is to be done with a request.
#[derive(Debug)]
pub struct Outcome {
    /// `None`: it goes on.
    pub denial: Option<Denial>,
    /// Its headers from now on, stripped also where it is denied: the gateway may log them.
    pub headers: Headers,
    /// Whether they are other headers than those that came.
    pub headers_changed: bool,
    /// Host or path were written in another form: the gateway must choose its route again.
    pub target_changed: bool,
    /// The key that was looked for and is not there: it is denied for that alone.
    pub wanted_key: Option<WantedKey>,
    /// The seconds until another attempt makes sense, where a denial passes by itself.
    pub retry_after: Option<u64>,
    /// The record of this decision.
    pub record: AuditRecord,
}

impl Outcome {
    /// Denied for this reason. Only for a request that is not let in as it is.
    pub const fn deny(&mut self, denial: Denial) {
        self.denial = Some(denial);
        self.record.decision = "deny";
        self.record.status = Some(denial.status());
        self.record.reason = Some(denial);
    }

    /// The request does not wait any longer. Where its key did not come, its token counts among the bad
    /// ones of its source.
    pub fn settle(&self, throttle: &mut Throttle, now: UnixTime) {
        let is_bad = self.denial.is_some_and(|denial| denial.status() == 401);
        if self.wanted_key.is_some()
            && is_bad
            && let Some(source) = self.record.source.as_deref().and_then(Source::parse)
        {
            throttle.on_failure(source, now);
        }
    }
}

/// An authenticated caller in the namespace of the request.
struct Caller<'a> {
    provider: &'a Provider,
    subject: String,
    identity: Option<Identity<'a>>,
    granted: Granted<'a>,
    is_bound: bool,
}

/// Decides about one request. Its headers are taken and changed in place: a copy would cost as much as the
/// rest of the decision about a token that is known.
#[must_use]
pub fn decide(config: &Config, mut headers: Headers, mut context: Context<'_>) -> Outcome {
    // First, and before anything can fail: what only the filter may say is not there any more.
    let headers_changed = config.headers.strip(&mut headers);
    let mut outcome = Outcome {
        denial: None,
        headers_changed,
        target_changed: false,
        wanted_key: None,
        retry_after: None,
        record: AuditRecord {
            r#type: "audit",
            time: context.now.rfc3339(),
            decision: "allow",
            decision_id: context.decision_id.clone(),
            connection_id: context.connection_id.clone(),
            request_id: headers.only("x-request-id").map(audit::excerpt),
            source: context.source.clone(),
            method: headers.only(":method").map(audit::excerpt),
            host: headers.only(":authority").map(audit::excerpt),
            path: headers
                .only(":path")
                .map(|target| audit::excerpt(path::split_query(target).0)),
            ..AuditRecord::default()
        },
        headers,
    };
    if let Err(denial) = judge(config, &mut context, &mut outcome) {
        outcome.deny(denial);
    }
    outcome
}

fn judge(config: &Config, context: &mut Context<'_>, outcome: &mut Outcome) -> Result<(), Denial> {
    let operation = operation(&outcome.headers)?;
    outcome.record.host = Some(operation.host.as_str().into());
    outcome.record.path = Some(operation.path.as_str().into());
    let namespace = config
        .routes
        .find(&operation.host, &operation.path)
        .ok_or(Denial::NamespaceUnknown)?;
    outcome.record.namespace = Some(namespace.name.clone());
    let caller = authenticate(config, context, namespace, outcome)?;
    if let Some(caller) = &caller {
        record_caller(&mut outcome.record, caller);
    }
    let roles = caller.as_ref().map(|caller| &caller.granted.roles);
    let disclosure = match namespace.policy.rule(&operation, roles) {
        Ruling::Allowed { rule, disclosure } => {
            outcome.record.rule = Some(rule.into());
            disclosure
        }
        Ruling::Denied { rule } => {
            outcome.record.rule = Some(rule.into());
            return Err(Denial::RuleDenied);
        }
        Ruling::NoRule if caller.is_none() => return Err(Denial::TokenMissing),
        Ruling::NoRule => return Err(Denial::RuleMissing),
    };
    outcome.headers_changed = true;
    outcome.target_changed = forward_target(&mut outcome.headers, &operation);
    config.headers.remove_credentials(&mut outcome.headers);
    set_facts(config, &mut outcome.headers, context, namespace);
    if let (Disclosure::Identity, Some(caller)) = (disclosure, &caller) {
        set_identity(config, &mut outcome.headers, caller);
    }
    Ok(())
}

/// Method, host and path: each must be there exactly once and have one meaning.
fn operation(headers: &Headers) -> Result<Operation, Denial> {
    let method = headers
        .only(":method")
        .and_then(|method| core::str::from_utf8(method).ok())
        .filter(|method| (1..=32).contains(&method.len()) && method.bytes().all(is_method_byte))
        .ok_or(Denial::HeaderInvalid)?;
    let host = headers
        .only(":authority")
        .and_then(Host::parse)
        .ok_or(Denial::HostInvalid)?;
    let path = headers
        .only(":path")
        .and_then(|target| CanonicalPath::parse(path::split_query(target).0))
        .ok_or(Denial::PathAmbiguous)?;
    Ok(Operation {
        method: method.into(),
        host,
        path,
    })
}

const fn is_method_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The caller, or `None` when the request has no credential. A credential that is there must be good,
/// also where an anonymous rule would let the request in.
fn authenticate<'a>(
    config: &'a Config,
    context: &mut Context<'_>,
    namespace: &'a Namespace,
    outcome: &mut Outcome,
) -> Result<Option<Caller<'a>>, Denial> {
    let Outcome {
        headers,
        wanted_key,
        retry_after,
        ..
    } = outcome;
    let Some(credential) = credential::find(headers, &config.providers)? else {
        return Ok(None);
    };
    let is_readable = credential.token.len() <= config.limits.token_bytes;
    let digest = is_readable
        .then(|| context.cache.digest(credential.source, credential.token))
        .flatten();
    let known = digest
        .as_ref()
        .and_then(|digest| context.cache.find(digest));
    if let Some(Entry { provider, verified }) = known
        && let Some(provider) = config.providers.get(*provider)
        && let keys = context.keyring.keys(provider, verified.key_id())
        && verified.still_holds(provider, keys, context.now)
    {
        if let Err(refusal) = verified.check_connection(context.connection) {
            // It stays remembered: that somebody else has a copy takes nothing from its holder.
            if let Some(source) = context.source.as_deref().and_then(Source::parse) {
                context.throttle.on_failure(source, context.now);
            }
            return Err(refusal.into());
        }
        return Ok(Some(map(provider, namespace, verified)));
    }
    // Only now: whoever shares a source with a sender of bad tokens still has those that were good.
    let source = context.source.as_deref().and_then(Source::parse);
    if let Some(source) = source {
        context
            .throttle
            .check(source, context.now)
            .map_err(|seconds| {
                *retry_after = Some(seconds);
                Denial::SourceThrottled
            })?;
    }
    match verify(config, &credential, context, wanted_key) {
        Ok((provider, entry)) => {
            let caller = map(provider, namespace, &entry.verified);
            if let Some(digest) = digest {
                context.cache.insert(digest, entry);
            }
            Ok(Some(caller))
        }
        Err(denial) => {
            if let Some(digest) = digest {
                context.cache.remove(&digest);
            }
            // That keys are not there is not the sender's fault, and one that is missing may yet come.
            let is_bad = denial.status() == 401 && wanted_key.is_none();
            if let Some(source) = source.filter(|_| is_bad) {
                context.throttle.on_failure(source, context.now);
            }
            Err(denial)
        }
    }
}

/// Reads a token that is not known yet, and checks all of it.
fn verify<'a>(
    config: &'a Config,
    credential: &Credential<'_>,
    context: &Context<'_>,
    wanted_key: &mut Option<WantedKey>,
) -> Result<(&'a Provider, Entry), Denial> {
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
    let key_id = jws.header().key_id.as_deref();
    let keys = context.keyring.keys(provider, key_id);
    let verified = verify::verify(provider, keys, context.engine, &jws, claims, context.now)
        .inspect_err(|refusal| {
            if matches!(refusal, Refusal::Key | Refusal::KeysUnavailable) {
                *wanted_key = Some(WantedKey {
                    provider: Rc::clone(provider),
                    id: key_id.map(String::from),
                });
            }
        })
        .map_err(|refusal| match refusal {
            // Other tokens of the issuer may be of use; one of a type of its own is not.
            Refusal::Type if is_opaque => Denial::TokenOpaque,
            refusal => refusal.into(),
        })?;
    verified.check_connection(context.connection)?;
    let entry = Entry {
        provider: index,
        verified: Rc::new(verified),
    };
    Ok((provider, entry))
}

/// Who the caller is, and which roles that means in this namespace.
fn map<'a>(provider: &'a Provider, namespace: &'a Namespace, verified: &Verified) -> Caller<'a> {
    let facts = Facts {
        claims: verified.claims(),
        provider: &provider.name,
        workload: None,
    };
    let identity = identity::identify(&provider.identities, &facts);
    let workload = identity.as_ref().map(|identity| identity.workload.as_str());
    let granted = grant::granted(&namespace.grants, &Facts { workload, ..facts });
    let subject = format!(
        "{}#{}",
        provider.issuer,
        headers::escaped(verified.subject())
    );
    Caller {
        provider,
        subject,
        granted,
        identity,
        is_bound: verified.is_bound(),
    }
}

fn record_caller(record: &mut AuditRecord, caller: &Caller<'_>) {
    record.provider = Some(caller.provider.name.clone());
    record.subject = Some(caller.subject.clone());
    record.certificate_bound = Some(caller.is_bound);
    record.workload = caller
        .identity
        .as_ref()
        .map(|identity| identity.workload.clone());
    record.identity = caller
        .identity
        .as_ref()
        .map(|identity| identity.rule.into());
    record.roles = Some(
        names(&caller.granted.roles)
            .map(ToString::to_string)
            .collect(),
    );
    record.grants = Some(
        caller
            .granted
            .grants
            .iter()
            .map(ToString::to_string)
            .collect(),
    );
}

/// Puts the forms that were judged in place of those that came, so that nobody judges them anew.
fn forward_target(headers: &mut Headers, operation: &Operation) -> bool {
    let authority = headers.only(":authority").and_then(|authority| {
        let canonical = operation.host.authority(authority);
        (canonical.as_bytes() != authority).then_some(canonical)
    });
    let target = headers.only(":path").and_then(|target| {
        let (path, query) = path::split_query(target);
        let canonical = operation.path.as_str().as_bytes();
        (canonical != path).then(|| [canonical, query].concat())
    });
    if let Some(authority) = &authority {
        headers.set(":authority", authority);
    }
    if let Some(target) = &target {
        headers.set_bytes(":path", target);
    }
    authority.is_some() || target.is_some()
}

fn set_facts(config: &Config, headers: &mut Headers, context: &Context<'_>, namespace: &Namespace) {
    config
        .headers
        .set(headers, "decision", &context.decision_id);
    config.headers.set(headers, "namespace", &namespace.name);
    if let Some(id) = &context.connection_id {
        headers.set(CONNECTION_ID, &headers::escaped(id));
    }
}

fn set_identity(config: &Config, headers: &mut Headers, caller: &Caller<'_>) {
    config
        .headers
        .set(headers, "provider", &caller.provider.name);
    config.headers.set(headers, "subject", &caller.subject);
    if let Some(identity) = &caller.identity {
        config.headers.set(headers, "workload", &identity.workload);
    }
    let roles: Vec<_> = names(&caller.granted.roles).collect();
    if !roles.is_empty() {
        config.headers.set(headers, "roles", &roles.join(","));
    }
}

fn names<'a>(roles: &BTreeSet<&'a Role>) -> impl Iterator<Item = &'a str> {
    roles.iter().map(|role| role.as_str())
}
