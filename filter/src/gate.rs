//! The walk of one request, in order: strip, read, route, authenticate, map, authorize, set, record.
//!
//! Pure: the headers as bytes, the keys, the time and an engine go in, an [`Outcome`] comes out.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::audit::{self, AllowRecord, AuditRecord};
use crate::cache::{Entry, TokenCache};
use crate::caller::Caller;
use crate::claims::Claims;
use crate::config::Config;
use crate::confirmation::Connection;
use crate::credential::{self, Credential};
use crate::decision::Denial;
use crate::headers::{self, CONNECTION_ID, Headers};
use crate::host::Host;
use crate::keyring::{Keyring, WantedKey};
use crate::namespace::Namespace;
use crate::path::{self, CanonicalPath};
use crate::policy::{Disclosure, Operation, Ruling};
use crate::signature::Engine;
use crate::throttle::{Source, Throttle};
use crate::time::UnixTime;
use crate::token::Jws;
use crate::verify::{self, Refusal};

/// What the gateway knows of a request besides its headers.
pub struct Context<'a> {
    /// The wall clock.
    pub now: UnixTime,
    /// The id of this decision.
    pub decision_id: String,
    /// The front's id of the connection.
    pub connection_id: Option<String>,
    /// Address and port of the client. Asked for only where they matter: most requests are let in by a
    /// token that is known.
    pub source: &'a dyn Fn() -> Option<String>,
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
    /// Host or path were written in another form: the gateway must choose its route again.
    pub target_changed: bool,
    /// The key that was looked for and is not there: it is denied for that alone.
    pub wanted_key: Option<WantedKey>,
    /// The seconds until another attempt makes sense, where a denial passes by itself.
    pub retry_after: Option<u64>,
    /// The id of this decision.
    pub decision_id: String,
    /// What the gateway's access log is to say of a request that is let in.
    pub allowed: Option<String>,
    /// What the log is to say: of every denial, and of the others where that is wanted.
    pub record: Option<Box<AuditRecord>>,
}

impl Outcome {
    /// All that is recorded, as one line of JSON.
    #[must_use]
    pub fn line(&self) -> String {
        match (&self.record, &self.allowed) {
            (Some(record), _) => record.line(),
            (None, Some(allowed)) => allowed.clone(),
            (None, None) => String::new(),
        }
    }

    /// Denied for this reason. Only for a request that is not let in as it is.
    pub fn deny(&mut self, denial: Denial) {
        self.denial = Some(denial);
        if let Some(record) = &mut self.record {
            record.decision = "deny";
            record.status = Some(denial.status());
            record.reason = Some(denial);
        }
    }

    /// The request does not wait any longer. Where its key did not come, its token counts among the bad
    /// ones of its source.
    pub fn settle(&self, throttle: &mut Throttle, now: UnixTime) {
        let is_bad = self.denial.is_some_and(|denial| denial.status() == 401);
        if self.wanted_key.is_some()
            && is_bad
            && let Some(record) = &self.record
            && let Some(source) = record.source.as_deref().and_then(Source::parse)
        {
            throttle.on_failure(source, now);
        }
    }
}

/// What was found out on the way to a decision.
#[derive(Default)]
struct Findings<'a> {
    operation: Option<Operation>,
    namespace: Option<&'a Namespace>,
    caller: Option<Rc<Caller>>,
    rule: Option<&'a str>,
    source: Option<String>,
    wanted_key: Option<WantedKey>,
    retry_after: Option<u64>,
}

/// Decides about one request. Its headers are taken and changed in place: a copy would cost as much as the
/// rest of the decision about a token that is known.
#[must_use]
pub fn decide(config: &Config, mut headers: Headers, mut context: Context<'_>) -> Outcome {
    // First, and before anything can fail: what only the filter may say is not there any more.
    let _any = config.headers.strip(&mut headers);
    let mut findings = Findings::default();
    let judged = judge(config, &mut context, &headers, &mut findings);
    let target_changed = judged.is_ok_and(|disclosure| {
        let target_changed = findings
            .operation
            .as_ref()
            .is_some_and(|operation| forward_target(&mut headers, operation));
        config.headers.remove_credentials(&mut headers);
        set_facts(config, &mut headers, &context, &findings, disclosure);
        target_changed
    });
    let allowed = judged
        .is_ok()
        .then(|| allow_record(&context, &findings).line());
    let is_logged = judged.is_err() || config.logs_allows;
    let record = is_logged.then(|| Box::new(record(&headers, &context, &findings)));
    let mut outcome = Outcome {
        denial: None,
        headers,
        target_changed,
        wanted_key: findings.wanted_key,
        retry_after: findings.retry_after,
        decision_id: context.decision_id,
        allowed,
        record,
    };
    if let Err(denial) = judged {
        outcome.deny(denial);
    }
    outcome
}

fn judge<'a>(
    config: &'a Config,
    context: &mut Context<'_>,
    headers: &Headers,
    findings: &mut Findings<'a>,
) -> Result<Disclosure, Denial> {
    let operation = findings.operation.insert(operation(headers)?);
    let namespace = config
        .routes
        .find(&operation.host, &operation.path)
        .ok_or(Denial::NamespaceUnknown)?;
    findings.namespace = Some(namespace);
    findings.caller = authenticate(config, context, namespace, headers, findings)?;
    let roles = findings
        .caller
        .as_ref()
        .map(|caller| caller.roles.as_slice());
    let operation = findings.operation.as_ref().ok_or(Denial::HeaderInvalid)?;
    match namespace.policy.rule(operation, roles) {
        Ruling::Allowed { rule, disclosure } => {
            findings.rule = Some(rule);
            Ok(disclosure)
        }
        Ruling::Denied { rule } => {
            findings.rule = Some(rule);
            Err(Denial::RuleDenied)
        }
        Ruling::NoRule if roles.is_none() => Err(Denial::TokenMissing),
        Ruling::NoRule => Err(Denial::RuleMissing),
    }
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
fn authenticate(
    config: &Config,
    context: &mut Context<'_>,
    namespace: &Namespace,
    headers: &Headers,
    findings: &mut Findings<'_>,
) -> Result<Option<Rc<Caller>>, Denial> {
    let Some(credential) = credential::find(headers, &config.providers)? else {
        return Ok(None);
    };
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
        if let Err(refusal) = entry.verified.check_connection(context.connection) {
            // It stays remembered: that somebody else has a copy takes nothing from its holder.
            findings.source = (context.source)();
            if let Some(source) = findings.source.as_deref().and_then(Source::parse) {
                context.throttle.on_failure(source, context.now);
            }
            return Err(refusal.into());
        }
        if entry.caller.namespace == namespace.name {
            return Ok(Some(Rc::clone(&entry.caller)));
        }
        let caller = Rc::new(Caller::new(provider, namespace, &entry.verified));
        let entry = Entry {
            caller: Rc::clone(&caller),
            ..entry.clone()
        };
        context.cache.insert(*digest, entry);
        return Ok(Some(caller));
    }
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
    match verify(
        config,
        &credential,
        context,
        namespace,
        &mut findings.wanted_key,
    ) {
        Ok(entry) => {
            let caller = Rc::clone(&entry.caller);
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
            let is_bad = denial.status() == 401 && findings.wanted_key.is_none();
            if let Some(source) = source.filter(|_| is_bad) {
                context.throttle.on_failure(source, context.now);
            }
            Err(denial)
        }
    }
}

/// Reads a token that is not known yet, and checks all of it.
fn verify(
    config: &Config,
    credential: &Credential<'_>,
    context: &Context<'_>,
    namespace: &Namespace,
    wanted_key: &mut Option<WantedKey>,
) -> Result<Entry, Denial> {
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
    Ok(Entry {
        provider: index,
        caller: Rc::new(Caller::new(provider, namespace, &verified)),
        verified: Rc::new(verified),
    })
}

/// What the gateway does not know by itself, for its access log.
fn allow_record<'a>(context: &'a Context<'_>, findings: &'a Findings<'_>) -> AllowRecord<'a> {
    let caller = findings.caller.as_deref();
    AllowRecord {
        decision_id: &context.decision_id,
        provider: caller.map(|caller| caller.provider.as_str()),
        subject: caller.map(|caller| caller.subject.as_str()),
        workload: caller.and_then(|caller| caller.workload.as_deref()),
        roles: caller.map(|caller| caller.roles.as_slice()),
        certificate_bound: caller.map(|caller| caller.certificate_bound),
        namespace: findings.namespace.map(|namespace| namespace.name.as_str()),
        identity: caller.and_then(|caller| caller.identity.as_deref()),
        grants: caller.map(|caller| caller.grants.as_slice()),
        rule: findings.rule,
    }
}

/// All that is known, for the log.
fn record(headers: &Headers, context: &Context<'_>, findings: &Findings<'_>) -> AuditRecord {
    let caller = findings.caller.as_deref();
    let operation = findings.operation.as_ref();
    // What was refused stands there as it came.
    let host = || headers.only(":authority").map(audit::excerpt);
    let path = || {
        let target = headers.only(":path")?;
        Some(audit::excerpt(path::split_query(target).0))
    };
    AuditRecord {
        r#type: "audit",
        time: context.now.rfc3339(),
        decision: "allow",
        decision_id: context.decision_id.clone(),
        connection_id: context.connection_id.clone(),
        request_id: headers.only("x-request-id").map(audit::excerpt),
        source: findings.source.clone().or_else(context.source),
        provider: caller.map(|caller| caller.provider.clone()),
        subject: caller.map(|caller| caller.subject.clone()),
        workload: caller.and_then(|caller| caller.workload.clone()),
        roles: caller.map(|caller| caller.roles.clone()),
        certificate_bound: caller.map(|caller| caller.certificate_bound),
        namespace: findings.namespace.map(|namespace| namespace.name.clone()),
        identity: caller.and_then(|caller| caller.identity.clone()),
        grants: caller.map(|caller| caller.grants.clone()),
        rule: findings.rule.map(Into::into),
        method: headers.only(":method").map(audit::excerpt),
        host: operation.map_or_else(host, |operation| Some(operation.host.as_str().into())),
        path: operation.map_or_else(path, |operation| Some(operation.path.as_str().into())),
        status: None,
        reason: None,
    }
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

/// What the workload is told. None of these headers is there before: all of them were stripped.
fn set_facts(
    config: &Config,
    headers: &mut Headers,
    context: &Context<'_>,
    findings: &Findings<'_>,
    disclosure: Disclosure,
) {
    let names = config.headers.names();
    headers.add(&names.decision, context.decision_id.as_bytes());
    if let Some(namespace) = findings.namespace {
        headers.add(&names.namespace, namespace.name.as_bytes());
    }
    if let Some(id) = &context.connection_id {
        headers.add(CONNECTION_ID, headers::escaped(id).as_bytes());
    }
    if let (Disclosure::Identity, Some(caller)) = (disclosure, &findings.caller) {
        headers.add(&names.provider, caller.provider.as_bytes());
        headers.add(&names.subject, caller.subject.as_bytes());
        if let Some(workload) = &caller.workload {
            headers.add(&names.workload, workload.as_bytes());
        }
        if !caller.roles.is_empty() {
            let roles: Vec<_> = caller.role_names().collect();
            headers.add(&names.roles, roles.join(",").as_bytes());
        }
    }
}
