//! What is recorded of a decision.

use super::{Context, Findings};
use crate::audit::{self, AllowRecord, AuditRecord};
use crate::headers::Headers;
use crate::path;

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
        rule: findings.rule,
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
        rule: findings.rule.map(Into::into),
        method: headers.only(":method").map(audit::excerpt),
        host: operation.map_or_else(host, |operation| Some(operation.host.as_str().into())),
        path: operation.map_or_else(path, |operation| Some(operation.path.as_str().into())),
        shadow: findings.shadow.clone(),
        status: None,
        reason: None,
    }
}
