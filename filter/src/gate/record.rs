//! What is recorded of a decision.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Context, Findings};
use crate::audit::{self, AllowRecord, AuditRecord};
use crate::config::Config;
use crate::decision::Denial;
use crate::headers::Headers;
use crate::path;
use crate::policy::Disclosure;
use crate::state::{Known, StateValue};

/// What the gateway does not know by itself, for its access log.
pub(super) fn allow_record<'a>(
    context: &'a Context<'_>,
    findings: &'a Findings<'_>,
) -> AllowRecord<'a> {
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
        rule: findings.rule.map(|rule| rule.name.as_str()),
        path_template: path_template(findings),
        duration_microseconds: microseconds(findings.took),
        waited_microseconds: context.waited.map(microseconds),
        shadow: findings.shadow.as_ref(),
    }
}

/// All that is known, for the log.
pub(super) fn record(
    headers: &Headers,
    context: &Context<'_>,
    findings: &Findings<'_>,
) -> AuditRecord {
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
        rule: findings.rule.map(|rule| rule.name.clone()),
        method: headers.only(":method").map(audit::excerpt),
        host: operation.map_or_else(host, |operation| Some(operation.host.as_str().into())),
        path: operation.map_or_else(path, |operation| Some(operation.path.as_str().into())),
        path_template: path_template(findings).map(Into::into),
        duration_microseconds: microseconds(findings.took),
        waited_microseconds: context.waited.map(microseconds),
        shadow: findings.shadow.clone(),
        status: None,
        reason: None,
    }
}

/// What the gateway's own filters are to see, as far as it is known.
pub(super) fn state(
    config: &Config,
    findings: &Findings<'_>,
    judged: Result<Disclosure, Denial>,
) -> Vec<(StateValue, String)> {
    // Whom a rule lets in without asking who it is, is nobody to the gateway's own filters either.
    let is_nobody = judged.is_ok_and(|disclosure| disclosure != Disclosure::Identity);
    let known = Known {
        decision: if judged.is_ok() { "allow" } else { "deny" },
        namespace: findings.namespace.map(|namespace| namespace.name.as_str()),
        rule: findings.rule.map(|rule| rule.name.as_str()),
        caller: findings.caller().filter(|_caller| !is_nobody),
    };
    let values = config.state.iter();
    values
        .filter_map(|value| Some((*value, value.of(&known)?)))
        .collect()
}

fn path_template<'a>(findings: &Findings<'a>) -> Option<&'a str> {
    let path = &findings.operation.as_ref()?.path;
    Some(findings.rule?.scope.path_template(path))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
