//! Which requests of which hosts go to which service, by VirtualService resources.
//!
//! A namespace has whole paths below a prefix. Where a VirtualService decides by anything else between two
//! services, neither has the requests: whose rules would have to be kept is not known before.

use std::collections::BTreeMap;

use identity_filter::host::HostPattern;
use identity_filter::path::CanonicalPath;
use serde_json::Value;

use super::loss::Losses;
use super::resource::{Kind, Resource, list};

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// To a service, by its namespace and name.
    Service(String, String),
    /// Out of the mesh.
    Outside,
    /// To several, by something else than host and path.
    Several,
}

/// A host and a prefix that one resource sends somewhere.
struct Claim<'a> {
    resource: &'a Resource,
    field: String,
    host: &'a str,
    prefix: String,
    owner: Owner,
    /// Whether something else decides, too.
    kind: Deciding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deciding {
    /// The prefix alone.
    Prefix,
    /// The path is exactly this.
    Whole,
    /// Other things, or the path in another way.
    Other,
}

/// What is known of the hosts.
#[derive(Default)]
pub(crate) struct Map {
    /// By host and prefix.
    pub(crate) owners: BTreeMap<(String, String), Owner>,
    /// Services whose requests arrive with another path or host than they had at the gateway.
    pub(crate) rewritten: Vec<Owner>,
}

impl Map {
    pub(crate) fn draw(resources: &[Resource], losses: &mut Losses) -> Self {
        let mut map = Self::default();
        let mut claims = Vec::new();
        for resource in resources
            .iter()
            .filter(|one| one.kind == Kind::VirtualService)
        {
            let gateways = resource.list("/spec/gateways");
            if !gateways.iter().any(|name| name != "mesh") {
                continue;
            }
            for (index, host) in resource.list("/spec/hosts").iter().enumerate() {
                let host = host.as_str().unwrap_or_default();
                if HostPattern::parse(host).is_none() {
                    losses.add(
                        resource,
                        &format!("spec.hosts[{index}]"),
                        format!("{host:?} is no host and no `*.` with a host"),
                        "its requests are of no namespace, and are denied",
                    );
                    continue;
                }
                map.claim(resource, host, &mut claims);
            }
        }
        map.settle(&claims, losses);
        map
    }

    fn claim<'a>(&mut self, resource: &'a Resource, host: &'a str, claims: &mut Vec<Claim<'a>>) {
        let first = claims.len();
        for (index, http) in resource.list("/spec/http").iter().enumerate() {
            let owner = owner(http, &resource.namespace);
            if http
                .get("rewrite")
                .is_some_and(|rewrite| !rewrite.is_null())
            {
                self.rewritten.push(owner.clone());
            }
            let all = [Value::Object(serde_json::Map::new())];
            let matches = list(http.get("match"));
            for (number, one) in if matches.is_empty() { &all } else { matches }
                .iter()
                .enumerate()
            {
                let (prefix, kind) = place(one);
                let is_shown = |earlier: &Claim<'_>| {
                    earlier.kind == Deciding::Prefix && is_below(&prefix, &earlier.prefix)
                };
                // What an earlier match takes never comes here.
                if claims.iter().skip(first).any(is_shown) {
                    continue;
                }
                let field = if matches.is_empty() {
                    format!("spec.http[{index}]")
                } else {
                    format!("spec.http[{index}].match[{number}]")
                };
                claims.push(Claim {
                    resource,
                    field,
                    host,
                    prefix,
                    owner: owner.clone(),
                    kind,
                });
            }
        }
    }

    fn settle(&mut self, claims: &[Claim<'_>], losses: &mut Losses) {
        for claim in claims {
            let of_host = || claims.iter().filter(|other| other.host == claim.host);
            let same = of_host().filter(|other| other.prefix == claim.prefix);
            // What does not fit goes to the next shorter prefix.
            let fallback = of_host()
                .filter(|other| {
                    other.kind == Deciding::Prefix && is_below(&claim.prefix, &other.prefix)
                })
                .max_by_key(|other| other.prefix.len());
            let takes_away = of_host().filter(|other| {
                other.kind == Deciding::Other && is_below(&claim.prefix, &other.prefix)
            });
            let mut owners: Vec<_> = same
                .chain(fallback)
                .chain(takes_away)
                .map(|one| &one.owner)
                .collect();
            owners.sort();
            owners.dedup();
            let owner = match owners.as_slice() {
                [one] => (*one).clone(),
                _ => Owner::Several,
            };
            if owner == Owner::Several {
                losses.add(
                    claim.resource,
                    &claim.field,
                    format!(
                        "host and path prefix alone do not say where requests of \"{}{}\" go",
                        claim.host, claim.prefix
                    ),
                    "they are of namespace \"undecided\", which has no rules: denied",
                );
            }
            self.owners
                .insert((claim.host.into(), claim.prefix.clone()), owner);
        }
        for claim in claims
            .iter()
            .filter(|claim| claim.kind == Deciding::Prefix && claim.prefix != "/")
        {
            let is_cut = ends_in_a_segment(claim);
            let beside = claims.iter().find(|other| {
                other.host == claim.host
                    && other.owner != claim.owner
                    && other.prefix != claim.prefix
                    && other.kind == Deciding::Prefix
                    && is_below(&claim.prefix, &other.prefix)
            });
            if let (true, Some(beside)) = (is_cut, beside) {
                losses.add(claim.resource, &format!("{}.uri.prefix", claim.field),
                    format!("it matches within a segment, so it sends \"{0}x\" here, too, and a namespace has whole segments: \
                        that is judged as a request of \"{1}{2}\"", claim.prefix, beside.host, beside.prefix),
                    format!("write the prefix as \"{}/\" beside an exact match", claim.prefix));
            }
        }
    }
}

fn ends_in_a_segment(claim: &Claim<'_>) -> bool {
    let pointer = format!(
        "/{}/uri/prefix",
        claim.field.replace(['.', '['], "/").replace(']', "")
    );
    claim
        .resource
        .text(&pointer)
        .is_some_and(|prefix| !prefix.ends_with('/'))
}

/// The prefix that a match is about.
fn place(one: &Value) -> (String, Deciding) {
    let members = one.as_object();
    let asks_more = members.into_iter().flatten().any(|(name, value)| {
        !matches!(name.as_str(), "uri" | "name" | "gateways") && !value.is_null()
    });
    let canonical = |text: &str| {
        let text = if text == "/" {
            text
        } else {
            text.trim_end_matches('/')
        };
        CanonicalPath::parse(text.as_bytes())
            .filter(|path| path.as_str() == text)
            .map(|_| text.to_owned())
    };
    let uri = one.get("uri").unwrap_or(&Value::Null);
    let (prefix, kind) = match (uri["prefix"].as_str(), uri["exact"].as_str()) {
        (Some(prefix), None) => (canonical(prefix), Deciding::Prefix),
        (None, Some(path)) => (canonical(path), Deciding::Whole),
        _ if uri.is_null() => (Some("/".into()), Deciding::Prefix),
        _ => (None, Deciding::Other),
    };
    match prefix {
        Some(prefix) if !asks_more => (prefix, kind),
        Some(prefix) => (prefix, Deciding::Other),
        None => ("/".into(), Deciding::Other),
    }
}

fn owner(http: &Value, namespace: &str) -> Owner {
    if http
        .get("delegate")
        .is_some_and(|delegate| !delegate.is_null())
    {
        return Owner::Several;
    }
    let hosts = list(http.get("route"))
        .iter()
        .filter_map(|route| route.pointer("/destination/host")?.as_str());
    let mut owners: Vec<_> = hosts.map(|host| service(host, namespace)).collect();
    owners.sort();
    owners.dedup();
    match owners.as_slice() {
        [] => Owner::Outside,
        [one] => one.clone(),
        _ => Owner::Several,
    }
}

/// A destination as Istio reads it: a short name is of the resource's own namespace.
fn service(host: &str, namespace: &str) -> Owner {
    let name = host.split(".svc.").next().unwrap_or(host);
    let name = name.strip_suffix(".svc").unwrap_or(name);
    let is_inner = name.len() < host.len();
    match name.split('.').collect::<Vec<_>>().as_slice() {
        [name] => Owner::Service(namespace.into(), (*name).into()),
        [name, namespace] if is_inner => Owner::Service((*namespace).into(), (*name).into()),
        _ => Owner::Outside,
    }
}

/// Whether a prefix is another one or below it, by whole segments.
pub(crate) fn is_below(prefix: &str, other: &str) -> bool {
    other == "/"
        || prefix
            .strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
