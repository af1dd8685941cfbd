//! Which workloads a resource is for: all, the gateway's, or some behind it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Mesh;
use super::resource::{Kind, Resource, list};
use super::target::Target;

/// Where a resource is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// At the gateway and at every workload.
    Root,
    /// At the gateway.
    Gateway,
    /// At workloads behind it.
    Workload,
}

/// Whether a resource is for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Picks {
    No,
    /// The manifests do not say.
    Unknown,
    Yes,
}

pub(crate) fn of(resource: &Resource, resources: &[Resource], mesh: &Mesh<'_>) -> Level {
    let labels = labels(resource);
    let references = references(resource);
    let kinds: Vec<_> = references
        .iter()
        .filter_map(|reference| reference["kind"].as_str())
        .collect();
    if kinds
        .iter()
        .any(|kind| matches!(*kind, "Gateway" | "GatewayClass"))
    {
        return Level::Gateway;
    }
    if labels.is_empty() && kinds.is_empty() && resource.namespace == mesh.root {
        return Level::Root;
    }
    let is_of_gateway = |gateway: &&Resource| {
        gateway.kind == Kind::Gateway
            && labels.iter().all(|(name, value)| {
                gateway
                    .at("/spec/selector")
                    .and_then(|labels| labels.get(name))
                    .and_then(Value::as_str)
                    == Some(value)
            })
    };
    let is_usual = labels == [("istio", "ingressgateway")] || labels == [("istio", "ingress")];
    let picks_gateway =
        !labels.is_empty() && (is_usual || resources.iter().any(|one| is_of_gateway(&one)));
    if picks_gateway || mesh.gateways.contains(&resource.namespace) {
        Level::Gateway
    } else {
        Level::Workload
    }
}

/// Whether the resource is for the target's requests.
pub(crate) fn picks(
    resource: &Resource,
    target: &Target,
    resources: &[Resource],
    mesh: &Mesh<'_>,
) -> Picks {
    match of(resource, resources, mesh) {
        Level::Root => Picks::Yes,
        Level::Gateway
            if has_several_gateways(resource.kind, resources, mesh) && !is_for_all(resource) =>
        {
            Picks::Unknown
        }
        Level::Gateway => Picks::Yes,
        Level::Workload => {
            let Some(namespace) = &target.namespace else {
                return Picks::No;
            };
            // A selector in the root namespace reaches into every other.
            if resource.namespace != *namespace && resource.namespace != mesh.root {
                return Picks::No;
            }
            let services: Vec<_> = references(resource)
                .iter()
                .filter_map(|one| one["name"].as_str())
                .collect();
            if !services.is_empty() {
                let is_it = target
                    .service
                    .as_ref()
                    .is_some_and(|name| services.contains(&name.as_str()));
                return if is_it { Picks::Yes } else { Picks::No };
            }
            let mut answer = Picks::Yes;
            for (name, value) in labels(resource) {
                match target.labels.iter().find(|(known, _)| known == name) {
                    Some((_, known)) if known == value => {}
                    Some(_) => return Picks::No,
                    None => answer = Picks::Unknown,
                }
            }
            answer
        }
    }
}

/// The labels that a resource's selector asks for.
pub(crate) fn labels(resource: &Resource) -> Vec<(&str, &str)> {
    let labels = resource
        .at("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect()
}

pub(crate) fn references(resource: &Resource) -> Vec<&Value> {
    let one = resource.at("/spec/targetRef");
    list(resource.at("/spec/targetRefs"))
        .iter()
        .chain(one)
        .collect()
}

fn is_for_all(resource: &Resource) -> bool {
    labels(resource).is_empty() && references(resource).is_empty()
}

/// Whether resources of this kind tell gateways apart: which of them a host is served by is then not known.
fn has_several_gateways(kind: Kind, resources: &[Resource], mesh: &Mesh<'_>) -> bool {
    let aims: BTreeSet<String> = resources
        .iter()
        .filter(|one| {
            one.kind == kind && !is_for_all(one) && of(one, resources, mesh) == Level::Gateway
        })
        .map(|one| format!("{:?} {:?}", labels(one), references(one)))
        .collect();
    aims.len() > 1
}
