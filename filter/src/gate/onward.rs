//! What a request that is let in looks like to the workload.

use super::{Context, Findings};
use crate::config::Config;
use crate::headers::{self, CONNECTION_ID, Headers};
use crate::path;
use crate::policy::{Disclosure, Operation};

/// Puts the forms that were judged in place of those that came, so that nobody judges them anew.
pub(super) fn forward_target(headers: &mut Headers, operation: &Operation) -> bool {
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
pub(super) fn set_facts(
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
        caller.for_each_header(names, &mut |name, value| {
            headers.add(name, value.as_bytes())
        });
    }
}
