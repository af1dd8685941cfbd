//! The workloads that requests go to, each a namespace of the configuration.

use std::collections::BTreeMap;

use identity_filter::host::HostPattern;
use serde_json::Value;

use super::Mesh;
use super::level::{self, Level};
use super::loss::Losses;
use super::resource::{Kind, Resource, list};
use super::route::{Map, Owner};

/// Workloads with the same policies, and which requests are theirs.
#[derive(Debug)]
pub(crate) struct Target {
    /// The name of the namespace in the configuration.
    pub(crate) name: String,
    /// The namespace in Kubernetes; nothing for what no workload of the mesh answers.
    pub(crate) namespace: Option<String>,
    pub(crate) service: Option<String>,
    /// Labels that all of its workloads have.
    pub(crate) labels: Vec<(String, String)>,
    /// Hosts and path prefixes.
    pub(crate) routes: Vec<(String, String)>,
    /// Whether its requests arrive with another path or host than they had at the gateway.
    pub(crate) is_rewritten: bool,
    /// Whether it is not known whose policies are in force.
    pub(crate) is_undecided: bool,
}

pub(crate) fn find(resources: &[Resource], mesh: &Mesh<'_>, losses: &mut Losses) -> Vec<Target> {
    let map = Map::draw(resources, losses);
    let mut found: BTreeMap<String, Target> = BTreeMap::new();
    for ((host, prefix), owner) in &map.owners {
        let fresh = of_owner(owner, resources, map.rewritten.contains(owner));
        let target = found.entry(fresh.name.clone()).or_insert(fresh);
        target.routes.push((host.clone(), prefix.clone()));
    }
    add_selected(resources, mesh, &mut found);
    add_gateway(resources, mesh, &mut found);
    share_out(&mut found);
    for target in found.values().filter(|target| target.routes.is_empty()) {
        let is_its = |one: &&Resource| {
            is_policy(one)
                && Some(&one.namespace) == target.namespace.as_ref()
                && level::picks(one, target, resources, mesh) == level::Picks::Yes
        };
        if let Some(resource) = resources.iter().find(is_its) {
            losses.add(
                resource,
                "spec",
                "no VirtualService and no rule names a host that leads to its workloads",
                format!("namespace {:?} has no routes: give it some", target.name),
            );
        }
    }
    found.into_values().collect()
}

fn of_owner(owner: &Owner, resources: &[Resource], is_rewritten: bool) -> Target {
    let mut target = Target {
        name: OUTSIDE.into(),
        namespace: None,
        service: None,
        labels: Vec::new(),
        routes: Vec::new(),
        is_rewritten,
        is_undecided: false,
    };
    match owner {
        Owner::Outside => {}
        Owner::Several => {
            target.name = UNDECIDED.into();
            target.is_undecided = true;
        }
        Owner::Service(namespace, name) => {
            let is_it = |one: &&Resource| {
                one.kind == Kind::Service && one.namespace == *namespace && one.name == *name
            };
            let selector = resources
                .iter()
                .find(is_it)
                .and_then(|one| one.at("/spec/selector")?.as_object());
            let pairs = selector.into_iter().flatten();
            target.labels = pairs
                .filter_map(|(label, value)| Some((label.clone(), value.as_str()?.into())))
                .collect();
            target.name = safe(&format!("{namespace}.{name}"));
            target.namespace = Some(namespace.clone());
            target.service = Some(name.clone());
        }
    }
    target
}

/// Where no VirtualService leads into a namespace with policies: what their selectors tell apart, with the hosts
/// that their rules name.
fn add_selected(resources: &[Resource], mesh: &Mesh<'_>, found: &mut BTreeMap<String, Target>) {
    let reached: Vec<_> = found
        .values()
        .filter_map(|target| target.namespace.clone())
        .collect();
    for resource in resources.iter().filter(|one| is_policy(one)) {
        let is_placed = reached.contains(&resource.namespace) || resource.namespace == mesh.root;
        if is_placed || level::of(resource, resources, mesh) != Level::Workload {
            continue;
        }
        let labels = level::labels(resource);
        let references = level::references(resource);
        let service = references.first().and_then(|one| one["name"].as_str());
        let parts = labels.iter().map(|(_, value)| *value).chain(service);
        let name = safe(
            &std::iter::once(resource.namespace.as_str())
                .chain(parts)
                .collect::<Vec<_>>()
                .join("."),
        );
        let target = found.entry(name.clone()).or_insert_with(|| Target {
            name,
            namespace: Some(resource.namespace.clone()),
            service: service.map(String::from),
            labels: labels
                .iter()
                .map(|(label, value)| ((*label).into(), (*value).into()))
                .collect(),
            routes: Vec::new(),
            is_rewritten: false,
            is_undecided: false,
        });
        for host in hosts(resource) {
            if !target.routes.contains(&(host.clone(), "/".into())) {
                target.routes.push((host, "/".into()));
            }
        }
    }
}

/// What the gateway has policies for, and no VirtualService and no other policy says whose it is.
fn add_gateway(resources: &[Resource], mesh: &Mesh<'_>, found: &mut BTreeMap<String, Target>) {
    let is_at_gateway =
        |one: &&Resource| is_policy(one) && level::of(one, resources, mesh) != Level::Workload;
    let policies: Vec<_> = resources.iter().filter(is_at_gateway).collect();
    if policies.is_empty() {
        return;
    }
    let is_known = |host: &str| {
        found
            .values()
            .any(|target| target.routes.iter().any(|(known, _)| known == host))
    };
    let mut routes = Vec::new();
    let gateways = resources.iter().filter(|one| one.kind == Kind::Gateway);
    let served = gateways
        .flat_map(|gateway| gateway.list("/spec/servers"))
        .flat_map(|server| list(server.get("hosts")));
    let served = served
        .filter_map(Value::as_str)
        .map(|host| host.rsplit('/').next().unwrap_or(host).to_owned());
    for host in served.chain(policies.iter().flat_map(|policy| hosts(policy))) {
        let route = (host, "/".to_owned());
        if HostPattern::parse(&route.0).is_some() && !is_known(&route.0) && !routes.contains(&route)
        {
            routes.push(route);
        }
    }
    if !routes.is_empty() {
        let fresh = of_owner(&Owner::Outside, resources, false);
        found
            .entry(fresh.name.clone())
            .or_insert(fresh)
            .routes
            .extend(routes);
    }
}

/// A route is of one namespace: what several claim is of none.
fn share_out(found: &mut BTreeMap<String, Target>) {
    let mut count: BTreeMap<(String, String), usize> = BTreeMap::new();
    for route in found.values().flat_map(|target| &target.routes) {
        *count.entry(route.clone()).or_default() += 1;
    }
    let shared: Vec<_> = count
        .into_iter()
        .filter(|(_, claims)| *claims > 1)
        .map(|(route, _)| route)
        .collect();
    if shared.is_empty() {
        return;
    }
    for target in found.values_mut() {
        target.routes.retain(|route| !shared.contains(route));
    }
    let mut fresh = of_owner(&Owner::Several, &[], false);
    fresh.name = UNDECIDED.into();
    found
        .entry(UNDECIDED.into())
        .or_insert(fresh)
        .routes
        .extend(shared);
}

/// The hosts that the rules of a policy name, as far as they are routes.
fn hosts(resource: &Resource) -> Vec<String> {
    let rules = resource.list("/spec/rules").iter();
    let operations = rules
        .flat_map(|rule| list(rule.get("to")))
        .filter_map(|to| to.get("operation"));
    let hosts = operations
        .flat_map(|operation| list(operation.get("hosts")))
        .filter_map(Value::as_str);
    let plain = hosts.map(|host| host.split(':').next().unwrap_or(host).to_ascii_lowercase());
    plain
        .filter(|host| HostPattern::parse(host).is_some())
        .collect()
}

pub(crate) const fn is_policy(resource: &Resource) -> bool {
    matches!(
        resource.kind,
        Kind::AuthorizationPolicy | Kind::RequestAuthentication
    )
}

/// A name as the configuration takes it.
pub(crate) fn safe(name: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    name.chars()
        .filter(|letter| is_allowed(*letter))
        .take(64)
        .collect()
}

const OUTSIDE: &str = "gateway";
const UNDECIDED: &str = "undecided";
