//! Namespaces and the routes that belong to them: which namespace a request is for.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::grant::Grant;
use crate::host::{Host, HostPattern};
use crate::path::{self, CanonicalPath};
use crate::policy::Policy;

/// A namespace holds its own grants and rules. Neither can be reached but through the namespace of
/// the request, and that is why a role of one namespace means nothing in another.
#[derive(Debug)]
pub struct Namespace {
    /// Its name in the configuration, in the headers and in the audit record.
    pub name: String,
    /// Who has which roles here.
    pub grants: Vec<Grant>,
    /// What the roles may do here.
    pub policy: Policy,
}

/// Hosts and path prefixes, and whose they are. A request looks under its host and each whole-segment
/// prefix of its path, and never at the routes of others.
#[derive(Debug, Default)]
pub struct Routes {
    /// By host and prefix in one text: `api.example.com/pay`.
    exact: BTreeMap<String, Rc<Namespace>>,
    /// The same for the hosts below one: `orders.example.com/pay`.
    below: BTreeMap<String, Rc<Namespace>>,
    /// The segments of the longest prefix.
    deepest: usize,
}

/// One route. No two routes of a [`Routes`] have the same host and prefix.
#[derive(Debug)]
pub struct Route {
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths below them; `/` is all.
    pub prefix: CanonicalPath,
    /// Whose.
    pub namespace: Rc<Namespace>,
}

impl Routes {
    /// Files the routes by host and prefix.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut result = Self::default();
        for route in routes {
            let (filed, host) = match route.host {
                HostPattern::Exact(host) => (&mut result.exact, host),
                HostPattern::Below(host) => (&mut result.below, host),
            };
            let prefix = route.prefix.as_str();
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            result.deepest = result.deepest.max(route.prefix.segments().count());
            filed.insert([&host, prefix].concat(), route.namespace);
        }
        result
    }

    /// The namespace of every route.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        let routes = self.exact.values().chain(self.below.values());
        routes.map(|namespace| &**namespace)
    }

    /// The namespace that `host` and `path` belong to, by the most specific route: the exact host before the
    /// wildcard, the longer wildcard before the shorter, the longer prefix before the shorter.
    #[must_use]
    pub fn find(&self, host: &Host, path: &CanonicalPath) -> Option<&Namespace> {
        self.search(host, path, |_host, _route, namespace| Some(namespace))
    }

    /// Every route that host and path fit, the one that decides first: host and prefix in one text, and
    /// whose it is.
    #[must_use]
    pub fn fitting(&self, host: &Host, path: &CanonicalPath) -> Vec<(String, &Namespace)> {
        let mut fitting = Vec::new();
        let _all: Option<()> = self.search(host, path, |wildcard, route, namespace| {
            fitting.push(([wildcard, route].concat(), namespace));
            None
        });
        fitting
    }

    /// Hands the routes that host and path fit to `take`, the most specific first, until it takes one.
    fn search<'a, T>(
        &'a self,
        host: &Host,
        path: &CanonicalPath,
        mut take: impl FnMut(&'static str, &str, &'a Namespace) -> Option<T>,
    ) -> Option<T> {
        let target = [host.as_str(), path.as_str()].concat();
        let ends: Vec<_> = path::prefix_ends(path.as_str(), self.deepest)
            .map(|end| host.as_str().len() + end)
            .collect();
        let (target, ends) = (&target, &ends);
        let prefixes =
            move |start: usize| ends.iter().filter_map(move |end| target.get(start..*end));
        // What follows a dot is a host that this one is below.
        let suffixes = host.as_str().match_indices('.').map(|(dot, _)| dot + 1);
        prefixes(0)
            .find_map(|prefix| take("", prefix, self.exact.get(prefix)?))
            .or_else(|| {
                let mut below = suffixes.flat_map(prefixes);
                below.find_map(|prefix| take("*.", prefix, self.below.get(prefix)?))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_route_decides() {
        let route = |name: &str, host: &str, prefix: &str| Route {
            host: HostPattern::parse(host).unwrap(),
            prefix: CanonicalPath::parse(prefix.as_bytes()).unwrap(),
            namespace: Rc::new(Namespace {
                name: name.into(),
                grants: Vec::new(),
                policy: Policy::default(),
            }),
        };
        let routes = Routes::new(alloc::vec![
            route("everything", "*.example.com", "/"),
            route("wide", "*.example.com", "/very/long/prefix"),
            route("narrow", "*.b.example.com", "/"),
            route("api", "api.example.com", "/"),
            route("pay", "api.example.com", "/pay"),
            route("refunds", "api.example.com", "/pay/refunds"),
            route("only", "only.example.com", "/a"),
        ]);
        let cases = [
            ("api.example.com", "/", Some("api")),
            ("api.example.com", "/pay", Some("pay")),
            ("api.example.com", "/pay/", Some("pay")),
            ("api.example.com", "/pay/1", Some("pay")),
            ("api.example.com", "/payments", Some("api")),
            ("api.example.com", "/pay/refunds/1", Some("refunds")),
            ("api.example.com", "/very/long/prefix", Some("api")),
            ("www.example.com", "/pay", Some("everything")),
            ("www.example.com", "/very/long/prefix/x", Some("wide")),
            ("a.b.example.com", "/very/long/prefix/x", Some("narrow")),
            ("only.example.com", "/a", Some("only")),
            ("only.example.com", "/b", Some("everything")),
            ("example.com", "/", None),
            ("other.org", "/", None),
        ];
        for (host, path, want) in cases {
            let host = Host::parse(host.as_bytes()).unwrap();
            let path = CanonicalPath::parse(path.as_bytes()).unwrap();
            let found = routes
                .find(&host, &path)
                .map(|namespace| namespace.name.as_str());
            assert_eq!(found, want, "{} {}", host.as_str(), path.as_str());
        }
    }
}
