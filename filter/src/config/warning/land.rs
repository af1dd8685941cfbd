//! The routes of all namespaces: whose a request is, and which routes of others come first.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Concern, Warning, say};
use crate::config::wire;
use crate::host::HostPattern;
use crate::path::{CanonicalPath, PathPattern};

/// Every route of the document.
pub(super) struct Land<'a> {
    routes: Vec<Route<'a>>,
}

/// One route, and whose it is.
pub(super) struct Route<'a> {
    pub(super) at: String,
    pub(super) namespace: &'a str,
    host: HostPattern,
    prefix: CanonicalPath,
}

/// Requests: a host, or hosts, and paths.
pub(super) type Piece = (HostPattern, PathPattern);

impl<'a> Land<'a> {
    pub(super) fn survey(document: &'a wire::Document) -> Self {
        let mut routes = Vec::new();
        for (index, namespace) in document.namespaces.iter().enumerate() {
            for (number, route) in namespace.routes.iter().enumerate() {
                let prefix = route.path_prefix.as_deref().unwrap_or("/");
                // Both can be read: the document is right.
                let host = HostPattern::parse(&route.host);
                let prefix = CanonicalPath::parse(prefix.as_bytes());
                if let Some((host, prefix)) = host.zip(prefix) {
                    routes.push(Route {
                        at: format!("namespaces[{index}].routes[{number}]"),
                        namespace: &namespace.name,
                        host,
                        prefix,
                    });
                }
            }
        }
        Self { routes }
    }

    /// What of `hosts` (all, when there are none) and of `path` (all, when there is none) is the namespace's;
    /// and a route of another one that takes some of it away.
    pub(super) fn pieces(
        &self,
        namespace: &str,
        hosts: &[HostPattern],
        path: Option<&PathPattern>,
    ) -> (Vec<Piece>, Option<&Route<'a>>) {
        let (mut pieces, mut taken) = (Vec::new(), None);
        for route in self
            .routes
            .iter()
            .filter(|route| route.namespace == namespace)
        {
            if path.is_some_and(|path| !path.meets(&route.prefix)) {
                continue;
            }
            let path = path
                .cloned()
                .unwrap_or_else(|| PathPattern::all_below(&route.prefix));
            let all = core::slice::from_ref(&route.host);
            for host in if hosts.is_empty() { all } else { hosts } {
                if !host.overlaps(&route.host) {
                    continue;
                }
                let host = if route.host.covers(host) {
                    host
                } else {
                    &route.host
                };
                match self.taker(route, host, &path) {
                    Some(taker) => taken = Some(taker),
                    None => pieces.push((host.clone(), path.clone())),
                }
            }
        }
        (pieces, taken)
    }

    /// A route of another namespace that is more specific than `own` and matches all of the piece.
    fn taker(&self, own: &Route<'_>, host: &HostPattern, path: &PathPattern) -> Option<&Route<'a>> {
        self.routes.iter().find(|other| {
            other.namespace != own.namespace
                && other.comes_before(own)
                && other.host.covers(host)
                && path.is_below(&other.prefix)
        })
    }

    pub(super) fn find(&self, document: &wire::Document, found: &mut Vec<Warning>) {
        for (index, namespace) in document.namespaces.iter().enumerate() {
            let at = format!("namespaces[{index}]");
            let name = || namespace.name.clone();
            let is_its = |rule: &wire::Rule| rule.namespace == namespace.name;
            if namespace.routes.is_empty() {
                say(found, at, Concern::NoRoutes { namespace: name() });
            } else if !document.policy.rules.iter().any(is_its) {
                say(found, at, Concern::NoRules { namespace: name() });
            }
        }
        for route in &self.routes {
            // A longer path of the same host is what routes are for. That a host with a shorter path comes before
            // a longer path is what surprises.
            let is_cut = |other: &&Route<'_>| {
                other.namespace != route.namespace
                    && other.host != route.host
                    && route.host.covers(&other.host)
                    && other.prefix.segments().count() < route.prefix.segments().count()
                    && PathPattern::all_below(&route.prefix).is_below(&other.prefix)
            };
            for other in self.routes.iter().filter(is_cut) {
                let host = match &other.host {
                    HostPattern::Exact(name) => name.clone(),
                    HostPattern::Below(suffix) => format!("*.{suffix}"),
                };
                let concern = Concern::RouteCut {
                    value: format!("{host}{}", route.prefix.as_str()),
                    namespace: other.namespace.into(),
                    other: other.at.clone(),
                };
                say(found, route.at.clone(), concern);
            }
        }
    }
}

impl Route<'_> {
    /// Whether it decides where both match (`Routes::find`).
    fn comes_before(&self, other: &Self) -> bool {
        if self.host == other.host {
            self.prefix.segments().count() > other.prefix.segments().count()
        } else {
            other.host.covers(&self.host)
        }
    }
}
