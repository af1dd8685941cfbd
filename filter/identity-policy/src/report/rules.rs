//! The rules of a namespace: which was about the request, and what of the others was not.

use identity_filter::condition::Unmet;
use identity_filter::gate::explanation::RuleTry;
use identity_filter::policy::{Operation, Part};
use serde_json::Value;

use super::caller::needs;
use super::{Finding, Verdict, texts};
use crate::policy::Policy;
use crate::words::{list, quoted};

/// What is known where rules are tried.
pub(crate) struct Known<'a> {
    pub(crate) policy: &'a Policy<'a>,
    pub(crate) operation: Option<&'a Operation>,
    /// Nobody without a valid token.
    pub(crate) caller: Option<Caller<'a>>,
    pub(crate) certificate: Option<&'a str>,
    pub(crate) source: Option<&'a str>,
}

/// The caller as the rules see it.
pub(crate) struct Caller<'a> {
    pub(crate) provider: &'a str,
    pub(crate) workload: Option<&'a str>,
    pub(crate) roles: Vec<&'a str>,
}

pub(crate) fn lines(
    known: &Known<'_>,
    rules: &[RuleTry<'_>],
    decided: Option<&str>,
) -> Vec<Finding> {
    let mut is_decided = false;
    let line = |attempt: &RuleTry<'_>| {
        let name = attempt.rule.name.as_str();
        let is_it = decided == Some(name);
        let mut details = unmet(known, attempt);
        let verdict = if is_it {
            Verdict::Decides
        } else if !details.is_empty() {
            Verdict::No
        } else if is_decided {
            Verdict::NotTried
        } else {
            Verdict::Yes
        };
        is_decided |= is_it;
        match verdict {
            Verdict::NotTried => details = vec!["would match too; an earlier rule decided".into()],
            Verdict::Decides | Verdict::Yes if attempt.is_deny => {
                details.push("keeps out what it is about".into())
            }
            Verdict::Decides | Verdict::Yes => details.push("lets in what it is about".into()),
            _ => {}
        }
        if attempt.rule.is_shadow {
            details.push("is in shadow mode: it is recorded and decides about nothing".into());
        }
        let kind = if attempt.is_deny { "deny " } else { "" };
        Finding {
            name: format!("{kind}{name}"),
            verdict,
            details,
            place: place(known, name),
        }
    };
    rules.iter().map(line).collect()
}

pub(super) fn place(known: &Known<'_>, rule: &str) -> Option<String> {
    known.policy.entry("policy.rules", rule)?.place
}

/// What the rule asks for and the request has not.
pub(super) fn unmet(known: &Known<'_>, attempt: &RuleTry<'_>) -> Vec<String> {
    let entry = known.policy.entry("policy.rules", &attempt.rule.name);
    let written = entry.as_ref().map_or(&Value::Null, |entry| entry.value);
    let parts = attempt.unmet.iter();
    parts
        .map(|(part, condition)| words(known, written, *part, condition.as_ref()))
        .collect()
}

fn words(known: &Known<'_>, written: &Value, part: Part, condition: Option<&Unmet<'_>>) -> String {
    let of = |name: &str| texts(&written[name]);
    let operation = |of: fn(&Operation) -> &str| known.operation.map_or("", of);
    let one_of = |name: &str, who: &str, has: Option<String>| {
        let has = has.map_or_else(String::new, |has| format!("; {who} {has}"));
        format!("needs one of {name} {}{has}", of(name))
    };
    let caller = known.caller.as_ref();
    match part {
        Part::Paths => format!(
            "path {} is none of {}",
            quoted(operation(|operation| operation.path.as_str())),
            of("paths")
        ),
        Part::Hosts => format!(
            "host {} is none of {}",
            quoted(operation(|operation| operation.host.as_str())),
            of("hosts")
        ),
        Part::Methods if written["methods"].is_null() => {
            "CONNECT is let in only by a rule whose `methods` name it".into()
        }
        Part::Methods => format!(
            "method {} is none of {}",
            quoted(operation(|operation| &operation.method)),
            of("methods")
        ),
        Part::Authenticated => "needs a valid token".into(),
        Part::Providers => {
            let has = caller.map(|caller| format!("is of {}", quoted(caller.provider)));
            one_of("providers", "caller", has)
        }
        Part::Identities => {
            let has = caller.map(|caller| {
                caller
                    .workload
                    .map_or_else(|| "has none".into(), |id| format!("is {}", quoted(id)))
            });
            one_of("identities", "caller", has)
        }
        Part::Roles => {
            let has = caller.map(|caller| match caller.roles.as_slice() {
                [] => "has none".into(),
                roles => format!("has {}", list(roles.iter().map(|role| quoted(role)))),
            });
            one_of("roles", "caller", has)
        }
        Part::Certificates => {
            let has = known.certificate.map_or_else(
                || "none is known of the client".into(),
                |id| format!("the client has {}", quoted(id)),
            );
            format!(
                "needs a client certificate of {}; {has}",
                of("certificates")
            )
        }
        Part::Sources => {
            let has = known.source.map_or_else(
                || "the client's address is not known".into(),
                |source| format!("the client is at {}", quoted(source)),
            );
            format!("needs an address in {}; {has}", of("sources"))
        }
        Part::When(_) => condition.map_or_else(String::new, needs),
    }
}
