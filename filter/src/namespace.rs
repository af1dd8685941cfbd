//! Namespaces and the routes that belong to them: which namespace a request is for.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::grant::Grant;
use crate::host::{Host, HostPattern};
use crate::path::CanonicalPath;
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

/// Hosts and path prefixes, and whose they are.
#[derive(Debug, Default)]
pub struct Routes(Vec<Route>);

/// One route. Invariant: no two routes of a [`Routes`] have the same host and prefix.
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
    /// Puts the routes into the order in which they are tried: the exact host before the wildcard, the
    /// longer wildcard before the shorter, the longer prefix before the shorter.
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| {
            core::cmp::Reverse((route.host.specificity(), route.prefix.segments().count()))
        });
        Self(routes)
    }

    /// The namespace that `host` and `path` belong to.
    #[must_use]
    pub fn find(&self, host: &Host, path: &CanonicalPath) -> Option<&Namespace> {
        self.0
            .iter()
            .find(|route| route.host.matches(host) && is_prefix(&route.prefix, path))
            .map(|route| &*route.namespace)
    }
}

/// Whole segments: `/pay` is no prefix of `/payments`.
fn is_prefix(prefix: &CanonicalPath, path: &CanonicalPath) -> bool {
    let mut segments = path.segments();
    prefix
        .segments()
        .all(|segment| segments.next() == Some(segment))
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
