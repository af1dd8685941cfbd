//! A recorded caller before the rules of a configuration. Its claims are not in the record: what depends on them is
//! taken as it was, or named as not known.

use std::collections::BTreeSet;

use identity_filter::condition::{Condition, Facts};
use identity_filter::config::Config;
use identity_filter::decision::Denial;
use identity_filter::gate::explanation::{self, GrantVerdict, RuleTry};
use identity_filter::grant::{Gives, Grant, Role};
use identity_filter::headers::Headers;
use identity_filter::host::Host;
use identity_filter::namespace::Namespace;
use identity_filter::path::CanonicalPath;
use identity_filter::policy::{self, Operation, Part, Ruling};
use identity_filter::time::UnixTime;

use super::Recorded;
use crate::caller;
use crate::error::Error;
use crate::policy::Policy;
use crate::question::{Question, Request};
use crate::report::{self, Finding, Report, Shadow, Step, Verdict};
use crate::words::{list, quoted};

/// What the rules decide now, and what of it is not certain.
pub(super) fn replay(
    policy: &Policy<'_>,
    recorded: &Recorded,
    request: &Request,
) -> Result<(Report, Vec<String>), Error> {
    let config = policy.config()?;
    let operation = operation(request);
    let routes = operation
        .as_ref()
        .map(|operation| config.routes.fitting(&operation.host, &operation.path))
        .unwrap_or_default();
    let (Some(operation), Some((_, namespace))) = (&operation, routes.first()) else {
        // Refused before anybody asks who is calling.
        let question = Question {
            request: request.clone(),
            caller: caller::Caller::AsInHeaders,
            keys: None,
            now: UnixTime::from_millis(0),
        };
        return Ok((question.ask(policy)?, Vec::new()));
    };
    let mut report = Report {
        method: Some(operation.method.clone()),
        host: Some(operation.host.as_str().into()),
        path: Some(operation.path.as_str().into()),
        namespace: Some(namespace.name.clone()),
        steps: report::target_steps(request, Ok(operation), &routes),
        ..Report::default()
    };
    let provider = recorded.provider.as_deref().unwrap_or_default();
    if !config.providers.iter().any(|known| known.name == provider) {
        report.deny(Denial::IssuerUnknown);
        let unknown = format!(
            "provider {} is not in this configuration; if it is there under another name, give the claims with \
             --claims",
            quoted(provider)
        );
        return Ok((report, vec![unknown]));
    }
    let mut unknown = Vec::new();
    let given = grants(policy, recorded, namespace, &mut unknown);
    let roles: Vec<_> = given
        .roles
        .iter()
        .filter_map(|role| Role::parse(role))
        .collect();
    let names: Vec<_> = roles.iter().map(Role::as_str).collect();
    let headers = request.headers.iter();
    let headers = Headers::new(
        headers
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect(),
    );
    let asked = policy::Request {
        operation,
        roles: Some(&roles),
        facts: Facts {
            certificate: request.certificate.spiffe_id.as_deref(),
            claims: None,
            headers: Some(&headers),
            provider: Some(provider),
            workload: recorded.workload.as_deref(),
        },
        source: request.source.as_deref().and_then(|source| {
            let source: std::net::SocketAddr = source.parse().ok()?;
            Some(source.ip().to_canonical())
        }),
    };
    let rules = explanation::rules(&namespace.policy, &asked);
    unknown.extend(
        rules
            .iter()
            .filter(|attempt| hangs_on_claims(attempt))
            .map(|attempt| {
                format!(
                    "rule {} asks for claims: whether it is about this caller is not known",
                    quoted(&attempt.rule.name)
                )
            }),
    );
    report.rule_on(&namespace.policy.judge(&asked), policy);
    report.provider = Some(provider.into());
    report.subject.clone_from(&recorded.subject);
    report.workload.clone_from(&recorded.workload);
    report.roles = Some(names.iter().map(|name| (*name).to_owned()).collect());
    report.steps.push(who(recorded));
    if !given.findings.is_empty() {
        report.steps.push(Step {
            step: "grants",
            findings: given.findings,
        });
    }
    let known = report::Known {
        policy,
        operation: Some(operation),
        caller: Some(report::Caller {
            provider,
            workload: recorded.workload.as_deref(),
            roles: names,
        }),
        certificate: request.certificate.spiffe_id.as_deref(),
        source: request.source.as_deref(),
    };
    report.add_rules(&known, &rules);
    Ok((report, unknown))
}

impl Report {
    fn deny(&mut self, denial: Denial) {
        self.decision = "deny";
        self.reason = Some(denial);
        self.status = Some(denial.status());
        self.summary =
            report::summary(self.reason, self.rule.as_deref(), self.namespace.as_deref());
    }

    /// What a verdict about a caller with a good token comes to.
    fn rule_on(&mut self, verdict: &policy::Verdict<'_>, policy: &Policy<'_>) {
        let parts = |ruling: Ruling<'_>| match ruling {
            Ruling::Allowed { rule, .. } => (Some(rule.name.clone()), None),
            Ruling::Denied { rule } => (Some(rule.name.clone()), Some(Denial::RuleDenied)),
            Ruling::NoRule => (None, Some(Denial::RuleMissing)),
        };
        let (rule, denial) = verdict.ruling.map_or((None, None), parts);
        self.rule_place = rule
            .as_ref()
            .and_then(|rule| policy.entry("policy.rules", rule)?.place);
        self.rule = rule;
        self.shadow = verdict.shadow.map(parts).map(|(rule, reason)| Shadow {
            decision: if reason.is_some() { "deny" } else { "allow" },
            rule,
            reason,
        });
        self.decision = "allow";
        self.summary = report::summary(None, self.rule.as_deref(), self.namespace.as_deref());
        if let Some(denial) = denial {
            self.deny(denial);
        }
    }
}

fn operation(request: &Request) -> Option<Operation> {
    Some(Operation {
        method: request.method.clone(),
        host: Host::parse(request.host.as_bytes())?,
        path: CanonicalPath::parse(request.path.as_bytes())?,
    })
}

fn who(recorded: &Recorded) -> Step {
    let workload = recorded
        .workload
        .as_deref()
        .map_or_else(|| "none".into(), quoted);
    let subject = recorded
        .subject
        .as_deref()
        .map_or_else(|| "none".into(), quoted);
    Step {
        step: "caller",
        findings: vec![
            Finding::new("subject", Verdict::Is, format!("{subject}, as recorded")),
            Finding::new("workload", Verdict::Is, format!("{workload}, as recorded")),
        ],
    }
}

/// What the grants of a namespace give to a recorded caller.
struct Given {
    roles: BTreeSet<String>,
    findings: Vec<Finding>,
}

/// A grant that reads claims matched if it did then.
fn grants(
    policy: &Policy<'_>,
    recorded: &Recorded,
    namespace: &Namespace,
    unknown: &mut Vec<String>,
) -> Given {
    let gave: BTreeSet<_> = recorded
        .grants
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let facts = Facts {
        provider: recorded.provider.as_deref(),
        workload: recorded.workload.as_deref(),
        ..Facts::default()
    };
    let is_same_namespace = recorded.namespace.as_ref() == Some(&namespace.name);
    let mut given = Given {
        roles: BTreeSet::new(),
        findings: Vec::new(),
    };
    for attempt in explanation::grants(namespace, &facts) {
        let grant = attempt.grant;
        let did = is_same_namespace && gave.contains(grant.name.as_str());
        let (verdict, roles, detail) = if reads_claims(grant) {
            let roles: Vec<String> = if did {
                roles_of(grant, recorded)
            } else {
                Vec::new()
            };
            let detail = if did {
                "reads claims, and gave roles then"
            } else {
                "reads claims, and gave no roles then"
            };
            (Verdict::Unchecked, roles, detail.to_owned())
        } else {
            let gives = matches!(attempt.verdict, GrantVerdict::Gives);
            let roles = attempt
                .roles
                .iter()
                .map(|role| (*role).to_owned())
                .collect();
            let verdict = if gives { Verdict::Yes } else { Verdict::No };
            let detail = if gives {
                "is for this caller"
            } else {
                "is for others"
            };
            (verdict, roles, detail.to_owned())
        };
        let gives = match roles.len() {
            0 => String::new(),
            _ => format!("; gives {}", list(roles.iter().map(|role| quoted(role)))),
        };
        given.findings.push(Finding {
            place: policy
                .entry("grants", &grant.name)
                .and_then(|entry| entry.place),
            ..Finding::new(&grant.name, verdict, format!("{detail}{gives}"))
        });
        given.roles.extend(roles);
    }
    let is_there = |name: &&str| namespace.grants.iter().any(|grant| grant.name == **name);
    for gone in gave.iter().filter(|name| !is_there(name)) {
        unknown.push(format!(
            "grant {}, which gave roles then, is not in namespace {} any more",
            quoted(gone),
            namespace.name
        ));
    }
    if !is_same_namespace {
        unknown.push(format!(
            "the request is of another namespace now, {}: grants that read claims are taken to give nothing there",
            namespace.name
        ));
    }
    given
}

/// Whether a condition is about something that no record holds.
fn is_unrecorded(condition: &Condition) -> bool {
    use identity_filter::condition::Fact;
    condition.is_about(|fact| matches!(fact, Fact::Claim(_) | Fact::Certificate))
}

fn reads_claims(grant: &Grant) -> bool {
    matches!(grant.gives, Gives::FromClaim { .. }) || grant.when.iter().any(is_unrecorded)
}

fn roles_of(grant: &Grant, recorded: &Recorded) -> Vec<String> {
    match &grant.gives {
        Gives::Roles(roles) => roles.iter().map(|role| role.as_str().to_owned()).collect(),
        Gives::FromClaim { allow, .. } => {
            let had = recorded.roles.iter().flatten();
            let is_allowed = |name: &&String| allow.iter().any(|role| role.as_str() == **name);
            had.filter(is_allowed).cloned().collect()
        }
    }
}

/// Whether a rule is about the request as far as that can be known, and claims would tell the rest.
fn hangs_on_claims(attempt: &RuleTry<'_>) -> bool {
    let when = &attempt.rule.callers.when;
    let is_claim = |part: &Part| matches!(part, Part::When(index) if when.get(*index).is_some_and(is_unrecorded));
    when.iter().any(is_unrecorded) && attempt.unmet.iter().all(|(part, _)| is_claim(part))
}

/// What the configuration asks for and neither the record nor the options tell.
pub(super) fn unknown(
    policy: &Policy<'_>,
    report: &Report,
    request: &Request,
) -> Result<Vec<String>, Error> {
    let config: Config = policy.config()?;
    let mut unknown = Vec::new();
    let mut namespaces = config.routes.namespaces();
    let Some(namespace) = namespaces.find(|one| Some(&one.name) == report.namespace.as_ref())
    else {
        return Ok(unknown);
    };
    let needs = &namespace.policy.needs;
    let is_given = |name: &&String| request.headers.iter().any(|(given, _)| given == *name);
    let headers: Vec<_> = needs
        .headers
        .iter()
        .filter(|name| !is_given(name))
        .cloned()
        .collect();
    if !headers.is_empty() {
        unknown.push(format!(
            "the rules ask for headers that are not in a record, {}; give them with --header",
            headers.join(", ")
        ));
    }
    if (needs.certificate || config.maps_certificates) && request.certificate.spiffe_id.is_none() {
        unknown.push(
            "the client certificate is asked for and is not in a record; give its id with --certificate".into(),
        );
    }
    Ok(unknown)
}
