//! The walk of one request, in order: strip, read, route, authenticate, map, authorize, set, record.
//!
//! Pure: the headers as bytes, the keys, the time and an engine go in, an [`Outcome`] comes out.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::audit::{self, AllowRecord, AuditRecord, Shadow};
use crate::cache::{Entry, TokenCache};
use crate::caller::Caller;
use crate::claims::Claims;
use crate::condition::Facts;
use crate::config::Config;
use crate::confirmation::Connection;
use crate::credential::{self, Credential};
use crate::decision::Denial;
use crate::headers::{self, CONNECTION_ID, Headers};
use crate::host::Host;
use crate::keyring::{Keyring, WantedKey};
use crate::namespace::Namespace;
use crate::path::{self, CanonicalPath};
use crate::policy::{Disclosure, Operation, Policy, Request, Ruling};
use crate::signature::Engine;
use crate::throttle::{self, Source, Throttle};
use crate::time::UnixTime;
use crate::token::Jws;
use crate::verify::{self, Refusal, Verified};

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
    caller: Option<Known>,
    rule: Option<&'a str>,
    shadow: Option<Shadow>,
    source: Option<String>,
    wanted_key: Option<WantedKey>,
    retry_after: Option<u64>,
}

/// An authenticated caller, and what its token says.
struct Known {
    caller: Rc<Caller>,
    verified: Rc<Verified>,
}

impl From<&Entry> for Known {
    fn from(entry: &Entry) -> Self {
        Self {
            caller: Rc::clone(&entry.caller),
            verified: Rc::clone(&entry.verified),
        }
    }
}

impl Findings<'_> {
    fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref().map(|known| &*known.caller)
    }
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
    let is_logged = judged.is_err() || findings.shadow.is_some() || config.logs_allows;
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
    apply(&namespace.policy, context, headers, findings)
}

/// Lets the rules of the namespace decide.
fn apply<'a>(
    policy: &'a Policy,
    context: &Context<'_>,
    headers: &Headers,
    findings: &mut Findings<'a>,
) -> Result<Disclosure, Denial> {
    let needs = &policy.needs;
    for name in &needs.headers {
        check_header(headers, name)?;
    }
    if needs.source && findings.source.is_none() {
        findings.source = (context.source)();
    }
    let certificate = needs
        .certificate
        .then(|| context.connection.spiffe_id())
        .flatten();
    let (caller, verified) = findings.caller.as_ref().map_or((None, None), |caller| {
        (Some(&*caller.caller), Some(&*caller.verified))
    });
    let verdict = policy.judge(&Request {
        operation: findings.operation.as_ref().ok_or(Denial::HeaderInvalid)?,
        roles: caller.map(|caller| caller.roles.as_slice()),
        facts: Facts {
            certificate: certificate.as_deref(),
            claims: verified.map(Verified::claims),
            headers: Some(headers),
            provider: caller.map(|caller| caller.provider.as_str()),
            workload: caller.and_then(|caller| caller.workload.as_deref()),
        },
        source: findings.source.as_deref().and_then(throttle::address),
    });
    let outcome = |ruling| match ruling {
        Ruling::Allowed { rule, disclosure } => (Some(rule), Ok(disclosure)),
        Ruling::Denied { rule } => (Some(rule), Err(Denial::RuleDenied)),
        Ruling::NoRule if caller.is_none() => (None, Err(Denial::TokenMissing)),
        Ruling::NoRule => (None, Err(Denial::RuleMissing)),
    };
    let shadow = verdict.shadow.map(|ruling| {
        let (rule, result) = outcome(ruling);
        Shadow {
            decision: if result.is_ok() { "allow" } else { "deny" },
            rule: rule.map(Into::into),
            reason: result.err(),
        }
    });
    let (rule, result) = verdict
        .ruling
        .map_or((None, Ok(Disclosure::Nothing)), outcome);
    findings.shadow = shadow;
    findings.rule = rule;
    result
}

/// A header that a rule asks for has one value, which is text. Many servers take `_` for `-` in its name.
fn check_header(headers: &Headers, name: &str) -> Result<(), Denial> {
    let is_it = |other: &str| {
        let bytes = other.bytes().map(|byte| match byte {
            b'_' => b'-',
            _ => byte.to_ascii_lowercase(),
        });
        other.len() == name.len() && bytes.eq(name.bytes())
    };
    let mut values = headers.iter().filter(|(other, _)| is_it(other));
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some((other, value)), None)
            if other.eq_ignore_ascii_case(name) && core::str::from_utf8(value).is_ok() =>
        {
            Ok(())
        }
        _ => Err(Denial::HeaderInvalid),
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
    // HTTP/2 lets both stand in a request, and servers differ in which one they believe (RFC 9113 section 8.3.1).
    if headers
        .all("host")
        .any(|other| Host::parse(other).as_ref() != Some(&host))
    {
        return Err(Denial::HostInvalid);
    }
    let path = headers
        .only(":path")
        // A fragment is no part of a request's target (RFC 9112 section 3.2): some servers cut it off.
        .filter(|target| !target.contains(&b'#'))
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
        let caller = Caller::new(provider, namespace, &entry.verified, certificate);
        let entry = Entry {
            caller: Rc::new(caller),
            ..entry.clone()
        };
        let known = Known::from(&entry);
        context.cache.insert(*digest, entry);
        return Ok(Some(known));
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
    let verified = verify(
        config,
        &credential,
        context,
        namespace,
        certificate,
        &mut findings.wanted_key,
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
fn mapped_certificate(config: &Config, context: &Context<'_>) -> Option<String> {
    let asks = config.maps_certificates;
    asks.then(|| context.connection.spiffe_id()).flatten()
}

/// Reads a token that is not known yet, and checks all of it.
fn verify(
    config: &Config,
    credential: &Credential<'_>,
    context: &Context<'_>,
    namespace: &Namespace,
    certificate: Option<String>,
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
        caller: Rc::new(Caller::new(provider, namespace, &verified, certificate)),
        verified: Rc::new(verified),
    })
}

/// What the gateway does not know by itself, for its access log.
fn allow_record<'a>(context: &'a Context<'_>, findings: &'a Findings<'_>) -> AllowRecord<'a> {
    let caller = findings.caller();
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
        shadow: findings.shadow.as_ref(),
    }
}

/// All that is known, for the log.
fn record(headers: &Headers, context: &Context<'_>, findings: &Findings<'_>) -> AuditRecord {
    let caller = findings.caller();
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
        shadow: findings.shadow.clone(),
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
    if let Some(id) = &context.connection_id {
        headers.add(CONNECTION_ID, headers::escaped(id).as_bytes());
    }
    if disclosure == Disclosure::Nothing {
        return;
    }
    headers.add(&names.decision, context.decision_id.as_bytes());
    if let Some(namespace) = findings.namespace {
        headers.add(&names.namespace, namespace.name.as_bytes());
    }
    if let (Disclosure::Identity, Some(caller)) = (disclosure, findings.caller()) {
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
