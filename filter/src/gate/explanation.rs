//! Why a request is decided as it is: every step of the walk with what it found, for whoever asks afterwards.
//!
//! Nothing here decides: each step asks the same functions as [`decide`](super::decide). What a gateway
//! remembers from other requests (tokens, sources of bad ones) is left out. The module that the gateway
//! loads never comes here.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::slice;

use super::authenticate::{self, Presented};
use super::{Context, check_header, operation};
use crate::caller::Caller;
use crate::claims::Claims;
use crate::condition::{Condition, Facts, Unmet};
use crate::config::{Config, Provider, TokenSource};
use crate::credential::{self, Credential};
use crate::decision::Denial;
use crate::grant::{self, Grant, Role};
use crate::headers::Headers;
use crate::identity::{self, IdentityRule, TooLarge};
use crate::namespace::Namespace;
use crate::policy::{Operation, Part, Policy, Request, Rule};
use crate::throttle;
use crate::token::{Header, Jws};
use crate::verify::{self, Check, Refusal, Verified};

/// The steps, as far as the request came.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// What is asked for, in canonical form, or why it has none.
    pub operation: Result<Operation, Denial>,
    /// The routes that it fits, the one that decides first: host and prefix, and whose they are.
    pub routes: Vec<(String, &'a Namespace)>,
    /// Where the one credential stood, if there is one.
    pub credential: Result<Option<&'a TokenSource>, Denial>,
    /// What became of it.
    pub token: Option<Token<'a>>,
    /// Who the caller of a good one is.
    pub caller: Option<Caller>,
    /// The entries that could have said so, in the order in which they were tried.
    pub identities: Vec<IdentityTry<'a>>,
    /// The namespace's grants.
    pub grants: Vec<GrantTry<'a>>,
    /// A header that a rule asks for and that has no one meaning.
    pub bad_header: Option<&'a str>,
    /// The namespace's rules, deny rules first; none when the request did not come so far.
    pub rules: Vec<RuleTry<'a>>,
}

/// A token and what was checked of it.
#[derive(Debug)]
pub struct Token<'a> {
    /// Its header, where it could be read.
    pub header: Option<Header>,
    /// Who it says to be from. Nothing of it is verified unless all is.
    pub issuer: Option<String>,
    /// Whose it is.
    pub provider: Option<&'a Rc<Provider>>,
    /// Its claims. Nothing in them is verified unless all is.
    pub claims: Option<Claims>,
    /// What was passed, in order.
    pub passed: Vec<Check>,
    /// Why it is refused: by the check that follows those that were passed, or before any of them.
    pub refused: Option<Denial>,
    /// The condition on claims that does not hold of it, where that is why.
    pub unmet: Option<Unmet<'a>>,
}

/// An entry of `identities`.
#[derive(Debug)]
pub struct IdentityTry<'a> {
    /// The entry.
    pub rule: &'a IdentityRule,
    /// What came of it.
    pub verdict: IdentityVerdict<'a>,
}

/// What came of an entry of `identities`.
#[derive(Debug)]
pub enum IdentityVerdict<'a> {
    /// It says who the caller is.
    Matched,
    /// An earlier one did.
    NotTried,
    /// This does not hold.
    Unmet(Unmet<'a>),
    /// Its conditions hold, and it would make an id that is too long, or of a claim that is: the request is denied.
    TooLarge,
    /// Its conditions hold, and a claim that it takes a value from has none that it could take.
    Unfilled,
}

/// A grant.
#[derive(Debug)]
pub struct GrantTry<'a> {
    /// The grant.
    pub grant: &'a Grant,
    /// The roles that it gives to the caller.
    pub roles: Vec<&'a str>,
    /// Why it gives none.
    pub verdict: GrantVerdict<'a>,
}

/// What came of a grant.
#[derive(Debug)]
pub enum GrantVerdict<'a> {
    /// It gives its roles.
    Gives,
    /// It is for callers of another provider.
    Provider,
    /// It is for another workload.
    Workload,
    /// This does not hold.
    Unmet(Unmet<'a>),
    /// The claim that it reads lists none of the roles that it allows.
    NothingListed,
}

/// A rule.
#[derive(Debug)]
pub struct RuleTry<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Whether it keeps out what it is about.
    pub is_deny: bool,
    /// What of it does not hold; nothing when it is about the request.
    pub unmet: Vec<(Part, Option<Unmet<'a>>)>,
}

/// Explains what [`decide`](super::decide) does with a request.
#[must_use]
pub fn explain<'a>(
    config: &'a Config,
    headers: &Headers,
    context: &Context<'_>,
) -> Explanation<'a> {
    let mut headers = headers.clone();
    let _any = config.headers.strip(&mut headers);
    let mut explanation = Explanation {
        operation: operation(&headers),
        routes: Vec::new(),
        credential: Ok(None),
        token: None,
        caller: None,
        identities: Vec::new(),
        grants: Vec::new(),
        bad_header: None,
        rules: Vec::new(),
    };
    let Ok(operation) = &explanation.operation else {
        return explanation;
    };
    explanation.routes = config.routes.fitting(&operation.host, &operation.path);
    let Some(&(_, namespace)) = explanation.routes.first() else {
        return explanation;
    };
    let credential = match credential::find(&headers, &config.providers) {
        Ok(credential) => credential,
        Err(denial) => {
            explanation.credential = Err(denial);
            return explanation;
        }
    };
    let mut verified = None;
    if let Some(credential) = credential {
        let sources = config
            .providers
            .iter()
            .flat_map(|provider| &provider.tokens);
        let mut same = sources.filter(|source| *source == credential.source);
        explanation.credential = Ok(same.next());
        let (token, found) = check(config, &credential, context);
        let token = explanation.token.insert(token);
        let (Some(found), Some(provider)) = (found, token.provider) else {
            return explanation;
        };
        let certificate = authenticate::mapped_certificate(config, context);
        let facts = Facts {
            certificate: certificate.as_deref(),
            claims: Some(found.claims()),
            provider: Some(&provider.name),
            ..Facts::default()
        };
        explanation.identities = identities(provider, &facts);
        let caller = authenticate::caller(config, provider, namespace, &found, certificate.clone());
        // Who the caller is cannot be said, so no grant and no rule is asked about it.
        let Ok(caller) = caller else {
            return explanation;
        };
        let workload = caller.workload.as_deref();
        explanation.grants = grants(namespace, &Facts { workload, ..facts });
        explanation.caller = Some(caller);
        verified = Some(found);
    }
    let needs = &namespace.policy.needs;
    let is_bad = |name: &&String| check_header(&headers, name).is_err();
    explanation.bad_header = needs.headers.iter().find(is_bad).map(String::as_str);
    if explanation.bad_header.is_none() {
        let certificate = needs
            .certificate
            .then(|| context.connection.spiffe_id())
            .flatten();
        let source = needs.source.then(context.source).flatten();
        let caller = explanation.caller.as_ref();
        let facts = Facts {
            certificate: certificate.as_deref(),
            claims: verified.as_ref().map(Verified::claims),
            headers: Some(&headers),
            provider: caller.map(|caller| caller.provider.as_str()),
            workload: caller.and_then(|caller| caller.workload.as_deref()),
        };
        let request = Request {
            operation,
            roles: caller.map(|caller| caller.roles.as_slice()),
            facts,
            source: source.as_deref().and_then(throttle::address),
        };
        explanation.rules = rules(&namespace.policy, &request);
    }
    explanation
}

/// Reads a token and checks it.
fn check<'a>(
    config: &'a Config,
    credential: &Credential<'_>,
    context: &Context<'_>,
) -> (Token<'a>, Option<Verified>) {
    let mut token = Token::unread(config, credential);
    let presented = match authenticate::read(config, credential) {
        Ok(presented) => presented,
        Err(denial) => {
            token.refused = Some(denial);
            return (token, None);
        }
    };
    let Presented {
        jws,
        claims,
        index,
        is_opaque,
        ..
    } = presented;
    let Some(provider) = config.providers.get(index) else {
        return (token, None);
    };
    token.provider = Some(provider);
    let facts = Facts {
        claims: Some(&claims),
        ..Facts::default()
    };
    let required = provider.required_claims.iter();
    let unmet = unmet(required, &facts);
    let keys = context
        .keyring
        .keys(provider, jws.header().key_id.as_deref());
    let (engine, now) = (context.engine, context.now);
    let tell = |check| token.passed.push(check);
    let verified = verify::verify_and_tell(provider, keys, engine, &jws, claims, now, tell)
        .and_then(|verified| {
            verified.check_connection(context.connection)?;
            Ok(verified)
        });
    match verified {
        Ok(verified) => {
            token.passed.push(Check::Connection);
            (token, Some(verified))
        }
        Err(refusal) => {
            let is_claim = refusal == Refusal::Claim;
            token.unmet = unmet.filter(|_| is_claim);
            token.refused = Some(authenticate::denial(refusal, is_opaque));
            (token, None)
        }
    }
}

impl Token<'_> {
    /// What it says about itself, as far as that can be read.
    fn unread(config: &Config, credential: &Credential<'_>) -> Self {
        let limit = config.limits.token_bytes;
        let jws = Jws::parse(credential.token, limit)
            .or_else(|_refused| Jws::parse_padded(credential.token, limit))
            .ok();
        let claims = jws
            .as_ref()
            .and_then(|jws| Claims::parse(jws.payload()).ok());
        let header = jws.map(|jws| jws.header().clone());
        let issuer = header
            .as_ref()
            .zip(claims.as_ref())
            .and_then(|(header, claims)| verify::issuer(header, claims))
            .map(String::from);
        Self {
            header,
            issuer,
            provider: None,
            claims,
            passed: Vec::new(),
            refused: None,
            unmet: None,
        }
    }
}

/// The entries of a provider that say who its callers are.
fn identities<'a>(provider: &'a Provider, facts: &Facts<'_>) -> Vec<IdentityTry<'a>> {
    let mut is_found = false;
    let attempt = |rule: &'a IdentityRule| {
        let verdict = match identity::identify(slice::from_ref(rule), facts) {
            _ if is_found => IdentityVerdict::NotTried,
            Ok(Some(_)) => IdentityVerdict::Matched,
            Ok(None) => unmet(rule.when.iter(), facts)
                .map_or(IdentityVerdict::Unfilled, IdentityVerdict::Unmet),
            Err(TooLarge) => IdentityVerdict::TooLarge,
        };
        is_found |= matches!(
            verdict,
            IdentityVerdict::Matched | IdentityVerdict::TooLarge
        );
        IdentityTry { rule, verdict }
    };
    provider.identities.iter().map(attempt).collect()
}

/// What each grant of a namespace gives to the caller with these facts.
#[must_use]
pub fn grants<'a>(namespace: &'a Namespace, facts: &Facts<'_>) -> Vec<GrantTry<'a>> {
    let is_of = |written: &Option<String>, known: Option<&str>| {
        written
            .as_ref()
            .is_none_or(|written| known == Some(written))
    };
    let attempt = |grant: &'a Grant| {
        let granted = grant::granted(slice::from_ref(grant), facts);
        let verdict = if !granted.grants.is_empty() {
            GrantVerdict::Gives
        } else if !is_of(&grant.provider, facts.provider) {
            GrantVerdict::Provider
        } else if !is_of(&grant.workload, facts.workload) {
            GrantVerdict::Workload
        } else {
            unmet(grant.when.iter(), facts).map_or(GrantVerdict::NothingListed, GrantVerdict::Unmet)
        };
        GrantTry {
            grant,
            roles: granted.roles.into_iter().map(Role::as_str).collect(),
            verdict,
        }
    };
    namespace.grants.iter().map(attempt).collect()
}

/// What of each rule does not hold, deny rules first.
#[must_use]
pub fn rules<'a>(policy: &'a Policy, request: &Request<'_>) -> Vec<RuleTry<'a>> {
    let attempt = |rule: &'a Rule, is_deny| {
        let unmet = rule.unmet(request, is_deny).into_iter().map(|part| {
            let condition = match part {
                Part::When(index) => rule.callers.when.get(index),
                _ => None,
            };
            (part, condition.and_then(|one| one.unmet(&request.facts)))
        });
        RuleTry {
            rule,
            is_deny,
            unmet: unmet.collect(),
        }
    };
    let deny = policy.deny.iter().map(|rule| attempt(rule, true));
    let allow = policy.allow.iter().map(|rule| attempt(rule, false));
    deny.chain(allow).collect()
}

/// The first of these conditions that does not hold.
fn unmet<'a>(
    mut conditions: impl Iterator<Item = &'a Condition>,
    facts: &Facts<'_>,
) -> Option<Unmet<'a>> {
    conditions.find_map(|condition| condition.unmet(facts))
}
