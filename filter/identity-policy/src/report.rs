//! What the core found, in words: the decision, what nearly made it another, and every step.
//!
//! One value for people and for machines, so that both are told the same.

use identity_filter::decision::Denial;
use identity_filter::gate::explanation::RuleTry;
use serde::Serialize;

use crate::caller::Signature;
use crate::policy::Policy;
use crate::question::{Answer, Question};
use crate::record::Replay;
use crate::words::{list, quoted};

mod caller;
mod near;
mod rules;
mod summary;
mod target;
mod token;

pub(crate) use near::NearMiss;
pub(crate) use rules::{Caller, Known};
pub(crate) use summary::{meaning, summary};
pub(crate) use target::steps as target_steps;

/// The answer to one question. The members are those of `--json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) decision: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<Denial>,
    pub(crate) summary: String,
    /// The rule that decided, and where it stands.
    pub(crate) rule: Option<String>,
    pub(crate) rule_place: Option<String>,
    pub(crate) signature: Option<Signature>,
    pub(crate) method: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) workload: Option<String>,
    pub(crate) identity: Option<String>,
    pub(crate) grants: Option<Vec<String>>,
    pub(crate) roles: Option<Vec<String>>,
    pub(crate) shadow: Option<Shadow>,
    pub(crate) near_misses: Vec<NearMiss>,
    pub(crate) steps: Vec<Step>,
    pub(crate) notes: Vec<String>,
    /// Beside a decision that was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replay: Option<Replay>,
}

/// What would be decided if every rule were enforced, where that is something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Shadow {
    pub(crate) decision: &'static str,
    pub(crate) rule: Option<String>,
    pub(crate) reason: Option<Denial>,
}

/// One step of a decision.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) step: &'static str,
    pub(crate) findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) details: Vec<String>,
    /// Where it stands in the configuration.
    pub(crate) place: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// It decided.
    Decides,
    /// A fact that nothing was asked about.
    Is,
    /// It failed, or is not about this request.
    No,
    /// Something earlier had decided.
    NotTried,
    /// It is taken as it is, because it cannot be checked here.
    Unchecked,
    /// It passed, or is about this request.
    Yes,
}

impl Finding {
    pub(crate) fn new(
        name: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            verdict,
            details: vec![detail.into()],
            place: None,
        }
    }
}

impl Report {
    pub(crate) fn of(policy: &Policy<'_>, question: &Question, answer: &Answer<'_>) -> Self {
        let explanation = &answer.explanation;
        let outcome = &answer.outcome;
        let record = outcome.record.as_deref();
        let text = |text: &Option<String>| text.clone();
        let rule = record.and_then(|record| text(&record.rule));
        let place = |name: &String| policy.entry("policy.rules", name)?.place;
        let decision = if outcome.denial.is_some() {
            "deny"
        } else {
            "allow"
        };
        let namespace = record.and_then(|record| text(&record.namespace));
        let signature = token::reached(answer);
        let mut report = Self {
            decision,
            status: outcome.denial.map(Denial::status),
            reason: outcome.denial,
            summary: summary(outcome.denial, rule.as_deref(), namespace.as_deref()),
            rule_place: rule.as_ref().and_then(place),
            rule,
            signature: Some(signature),
            method: record.and_then(|record| text(&record.method)),
            host: record.and_then(|record| text(&record.host)),
            path: record.and_then(|record| text(&record.path)),
            namespace,
            provider: record.and_then(|record| text(&record.provider)),
            subject: record.and_then(|record| text(&record.subject)),
            workload: record.and_then(|record| text(&record.workload)),
            identity: record.and_then(|record| text(&record.identity)),
            grants: record.and_then(|record| record.grants.clone()),
            roles: record.and_then(|record| {
                let roles = record.roles.as_ref()?.iter();
                Some(roles.map(|role| role.as_str().to_owned()).collect())
            }),
            shadow: record
                .and_then(|record| record.shadow.as_ref())
                .map(|shadow| Shadow {
                    decision: shadow.decision,
                    rule: shadow.rule.clone(),
                    reason: shadow.reason,
                }),
            ..Self::default()
        };
        let operation = explanation.operation.as_ref().map_err(|denial| *denial);
        report.steps = target::steps(&question.request, operation, &explanation.routes);
        report.steps.extend(token::steps(question, answer));
        let caller = explanation.caller.as_ref();
        if caller.is_some() {
            report.steps.extend(caller::steps(policy, explanation));
        }
        if let Some(name) = explanation.bad_header {
            let finding = Finding::new(
                name,
                Verdict::No,
                "a rule asks for it, and it is there more than \
                 once, is no text, or is spelled with `_`",
            );
            report.steps.push(Step {
                step: "headers",
                findings: vec![finding],
            });
        }
        let known = Known {
            policy,
            operation: explanation.operation.as_ref().ok(),
            caller: caller.map(|caller| Caller {
                provider: &caller.provider,
                workload: caller.workload.as_deref(),
                roles: caller.role_names().collect(),
            }),
            certificate: question.request.certificate.spiffe_id.as_deref(),
            source: question.request.source.as_deref(),
        };
        report.add_rules(&known, &explanation.rules);
        let namespace = explanation.routes.first().map(|(_, namespace)| *namespace);
        report.notes = summary::notes(signature, &report, namespace);
        report
    }

    /// What was wrong with a request or its token, so that no rule was asked.
    pub(crate) fn refusal(&self) -> Option<String> {
        let has_rules = self.steps.iter().any(|step| step.step == "rules");
        let last = self
            .steps
            .last()
            .filter(|_| !has_rules && self.reason.is_some())?;
        let finding = last
            .findings
            .iter()
            .find(|finding| finding.verdict == Verdict::No)?;
        Some(format!(
            "{} {}: {}",
            last.step,
            finding.name,
            finding.details.join("; ")
        ))
    }

    /// The rules and, where none let it in, those that nearly did.
    pub(crate) fn add_rules(&mut self, known: &Known<'_>, rules: &[RuleTry<'_>]) {
        if rules.is_empty() {
            return;
        }
        let findings = rules::lines(known, rules, self.rule.as_deref());
        self.steps.push(Step {
            step: "rules",
            findings,
        });
        let is_missed = |denial: Option<Denial>| {
            matches!(denial, Some(Denial::RuleMissing | Denial::TokenMissing))
        };
        let would_be_missed = self
            .shadow
            .as_ref()
            .is_some_and(|shadow| is_missed(shadow.reason));
        if is_missed(self.reason) || would_be_missed {
            self.near_misses = near::misses(known, rules);
        }
    }
}

/// A list of texts as in the configuration.
fn texts(value: &serde_json::Value) -> String {
    let texts = value.as_array().into_iter().flatten();
    list(texts.map(|text| text.as_str().map_or_else(|| text.to_string(), quoted)))
}
