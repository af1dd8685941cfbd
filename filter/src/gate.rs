//! The walk of one request, in order: strip, read, route, authenticate, map, authorize, set, record.
//!
//! Pure: the headers as bytes, the keys, the time and an engine go in, an [`Outcome`] comes out.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::audit::{AuditRecord, Shadow};
use crate::cache::{Entry, TokenCache};
use crate::caller::Caller;
use crate::condition::Facts;
use crate::config::{Config, Provider};
use crate::confirmation::Connection;
use crate::decision::Denial;
use crate::headers::Headers;
use crate::host::Host;
use crate::keyring::{Keyring, WantedKey};
use crate::namespace::Namespace;
use crate::path::{self, CanonicalPath};
use crate::policy::{Disclosure, Operation, Policy, Request, Rule, Ruling};
use crate::signature::Engine;
use crate::state::StateValue;
use crate::stats::Work;
use crate::throttle::{self, Source, Throttle};
use crate::time::UnixTime;
use crate::verify::Verified;

mod authenticate;
pub mod explanation;
mod onward;
mod record;

use authenticate::authenticate;
use onward::{forward_target, set_facts};
use record::{allow_record, record, state};

/// What the gateway knows of a request besides its headers.
pub struct Context<'a> {
    /// The wall clock.
    pub now: UnixTime,
    /// The id of this decision.
    pub decision_id: String,
    /// How long this decision has taken so far, by a clock that never goes back.
    pub elapsed: &'a dyn Fn() -> Duration,
    /// How long the request has waited for keys before, if it has.
    pub waited: Option<Duration>,
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
    /// Whose token it is; where it was refused, whose it says that it is.
    pub provider: Option<Rc<Provider>>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What the decision took.
    pub work: Work,
    /// What the gateway's own filters are to see of the decision.
    pub state: Vec<(StateValue, String)>,
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
    provider: Option<&'a Rc<Provider>>,
    rule: Option<&'a Rule>,
    work: Work,
    took: Duration,
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
    let evicted = context.cache.evicted();
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
    findings.took = (context.elapsed)();
    let allowed = judged
        .is_ok()
        .then(|| allow_record(&context, &findings).line());
    let is_logged = judged.is_err()
        || findings.shadow.is_some()
        || config
            .allow_sample
            .is_some_and(|sample| sample.takes(&context.decision_id));
    findings.work.evicted = context.cache.evicted().saturating_sub(evicted);
    let record = is_logged.then(|| Box::new(record(&headers, &context, &findings)));
    let state = state(config, &findings, judged);
    let mut outcome = Outcome {
        denial: None,
        headers,
        target_changed,
        wanted_key: findings.wanted_key,
        retry_after: findings.retry_after,
        state,
        provider: findings.provider.map(Rc::clone),
        rule: findings.rule.map(|rule| rule.name.clone()),
        work: findings.work,
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
            rule: rule.map(|rule| rule.name.clone()),
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
