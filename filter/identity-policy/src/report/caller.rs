//! Who the caller is, and which roles it has.

use identity_filter::condition::Unmet;
use identity_filter::gate::explanation::{
    Explanation, GrantTry, GrantVerdict, IdentityTry, IdentityVerdict,
};

use super::{Finding, Step, Verdict};
use crate::policy::Policy;
use crate::words::{list, quoted, value};

pub(super) fn steps(policy: &Policy<'_>, explanation: &Explanation<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let workload = explanation
        .caller
        .as_ref()
        .and_then(|caller| caller.workload.as_deref());
    let identities = explanation.identities.iter();
    let mut findings: Vec<_> = identities
        .map(|attempt| identity(policy, attempt, workload))
        .collect();
    if findings.is_empty() {
        findings.push(Finding::new(
            "none",
            Verdict::No,
            "the provider has no entry in `identities`",
        ));
    }
    steps.push(Step {
        step: "identity",
        findings,
    });
    if !explanation.grants.is_empty() {
        let findings = explanation
            .grants
            .iter()
            .map(|attempt| grant(policy, attempt))
            .collect();
        steps.push(Step {
            step: "grants",
            findings,
        });
    }
    steps
}

fn identity(policy: &Policy<'_>, attempt: &IdentityTry<'_>, workload: Option<&str>) -> Finding {
    let name = &attempt.rule.name;
    let (verdict, detail) = match &attempt.verdict {
        IdentityVerdict::Matched => (Verdict::Decides, quoted(workload.unwrap_or_default())),
        IdentityVerdict::NotTried => (Verdict::NotTried, "an earlier entry matched".into()),
        IdentityVerdict::Unfilled => {
            let claims: Vec<_> = attempt
                .rule
                .workload
                .claims()
                .map(|claim| format!("claim {claim}"))
                .collect();
            let detail = format!(
                "its workload takes in {}, which must be a text that is not empty, or an integer",
                claims.join(" and ")
            );
            (Verdict::No, detail)
        }
        IdentityVerdict::TooLarge => (
            Verdict::Decides,
            "its conditions hold, and its workload, or a claim in it, is longer than may be".into(),
        ),
        IdentityVerdict::Unmet(unmet) => (Verdict::No, needs(unmet)),
    };
    Finding {
        place: policy
            .entry("identities", name)
            .and_then(|entry| entry.place),
        ..Finding::new(name, verdict, detail)
    }
}

pub(super) fn grant(policy: &Policy<'_>, attempt: &GrantTry<'_>) -> Finding {
    let grant = attempt.grant;
    let (verdict, detail) = match &attempt.verdict {
        GrantVerdict::Gives => {
            let roles = attempt.roles.iter().map(|role| quoted(role));
            (Verdict::Yes, format!("gives {}", list(roles)))
        }
        GrantVerdict::Provider => (
            Verdict::No,
            format!(
                "is for callers of provider {}",
                quoted(grant.provider.as_deref().unwrap_or_default())
            ),
        ),
        GrantVerdict::Workload => (
            Verdict::No,
            format!(
                "is for workload {}",
                quoted(grant.workload.as_deref().unwrap_or_default())
            ),
        ),
        GrantVerdict::NothingListed => (
            Verdict::No,
            "its claim lists none of the roles that it allows".into(),
        ),
        GrantVerdict::Unmet(unmet) => (Verdict::No, needs(unmet)),
    };
    Finding {
        place: policy
            .entry("grants", &grant.name)
            .and_then(|entry| entry.place),
        ..Finding::new(&grant.name, verdict, detail)
    }
}

/// What a condition asks for and what there is instead.
pub(super) fn needs(unmet: &Unmet<'_>) -> String {
    use identity_filter::condition::Condition;

    let is_about_one_fact = match unmet.condition {
        Condition::Is { .. } => true,
        Condition::Not(condition) => matches!(**condition, Condition::Is { .. }),
        Condition::All(_) | Condition::Any(_) => false,
    };
    let found = match &unmet.value {
        Some(found) => format!("; it is {}", value(found)),
        None if is_about_one_fact => "; it is not there".into(),
        None => String::new(),
    };
    format!("needs {}{found}", unmet.condition)
}
