//! From the server name that the downstream asks for to a cluster.

use std::collections::HashMap;

use crate::cluster::ClusterIndex;

/// A server name that a route is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum NamePattern {
    /// Exactly this name, in lower case.
    Exact(String),
    /// Every name below this one, at any depth: `*.example.com` without its star.
    Below(String),
}

impl NamePattern {
    /// Parses `name` or `*.name`; `None` if it is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text.as_str()),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return None;
        }
        let name = name.to_owned();
        Some(if wildcard {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }
}

/// What becomes of the client's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It ends here; another one leads to the endpoint.
    Terminate,
    /// It ends at the endpoint: the client's records go there as they are.
    PassThrough,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) cluster: ClusterIndex,
    pub(crate) mode: Mode,
}

/// A route of one name, or the default.
#[derive(Debug)]
struct Route {
    /// Offered by the clients that it is for; empty: it is for all.
    alpn: Vec<Vec<u8>>,
    target: Target,
}

/// The routes of one listener.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    patterns: HashMap<NamePattern, Vec<Route>>,
    default: Vec<Route>,
}

impl Routes {
    /// Adds a route for `pattern`, or for everything else, names that are not sent included. False
    /// if it could never be told from one that is there: one for the same name and for all
    /// protocols, or for one of the same protocols.
    #[must_use]
    pub(crate) fn add(
        &mut self,
        pattern: Option<NamePattern>,
        alpn: &[Vec<u8>],
        target: Target,
    ) -> bool {
        let routes = match pattern {
            None => &mut self.default,
            Some(pattern) => self.patterns.entry(pattern).or_default(),
        };
        let is_new = routes.iter().all(|route| {
            route.alpn.is_empty() != alpn.is_empty()
                || (!alpn.is_empty() && alpn.iter().all(|name| !route.alpn.contains(name)))
        });
        if is_new {
            let alpn = alpn.to_vec();
            let at = if alpn.is_empty() {
                routes.len()
            } else {
                // Before the one that takes all protocols.
                routes.partition_point(|route| !route.alpn.is_empty())
            };
            routes.insert(at, Route { alpn, target });
        }
        is_new
    }

    /// True if a connection's route must be known before its TLS begins.
    pub(crate) fn passes_through(&self) -> bool {
        self.patterns
            .values()
            .flatten()
            .chain(&self.default)
            .any(|route| route.target.mode == Mode::PassThrough)
    }

    /// Where a client goes that asks for `name`, in lower case, and offers these protocols: the
    /// exact name before the longest wildcard before the default; for one name, the first route
    /// for a protocol that is offered before the one for all. `None`: it must be refused.
    pub(crate) fn pick(&self, name: Option<&str>, offered: &[&[u8]]) -> Option<Target> {
        let fits = |route: &&Route| {
            route.alpn.is_empty()
                || route
                    .alpn
                    .iter()
                    .any(|name| offered.contains(&name.as_slice()))
        };
        let find = |routes: &[Route]| routes.iter().find(fits).map(|route| route.target);
        let by = |pattern: NamePattern| self.patterns.get(&pattern).and_then(|found| find(found));
        let by_name = name.and_then(|name| {
            by(NamePattern::Exact(name.to_owned())).or_else(|| {
                let mut rest = name;
                while let Some((_label, parent)) = rest.split_once('.') {
                    if let found @ Some(_) = by(NamePattern::Below(parent.to_owned())) {
                        return found;
                    }
                    rest = parent;
                }
                None
            })
        });
        by_name.or_else(|| find(&self.default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(cluster: usize) -> Target {
        Target {
            cluster: ClusterIndex(cluster),
            mode: Mode::Terminate,
        }
    }

    fn pattern(name: &str) -> Option<NamePattern> {
        Some(NamePattern::parse(name).unwrap())
    }

    fn routes(patterns: &[(&str, usize)], default: Option<usize>) -> Routes {
        let mut routes = Routes::default();
        for (name, cluster) in patterns {
            assert!(routes.add(pattern(name), &[], to(*cluster)));
        }
        if let Some(cluster) = default {
            assert!(routes.add(None, &[], to(cluster)));
        }
        routes
    }

    #[test]
    fn the_most_specific_route_wins() {
        let routes = routes(
            &[
                ("*.example.com", 1),
                ("*.a.example.com", 2),
                ("b.a.example.com", 3),
            ],
            None,
        );
        for (name, want) in [
            ("x.example.com", Some(1)),
            ("x.y.example.com", Some(1)),
            ("x.a.example.com", Some(2)),
            ("b.a.example.com", Some(3)),
            ("a.example.com", Some(1)),
            ("example.com", None),
            ("badexample.com", None),
            ("com", None),
        ] {
            assert_eq!(routes.pick(Some(name), &[]), want.map(to), "{name}");
        }
        assert_eq!(routes.pick(None, &[]), None);
    }

    #[test]
    fn the_default_takes_what_no_route_names() {
        let routes = routes(&[("example.com", 1)], Some(9));
        assert_eq!(routes.pick(Some("other.org"), &[]), Some(to(9)));
        assert_eq!(routes.pick(None, &[]), Some(to(9)));
        assert_eq!(routes.pick(Some("example.com"), &[]), Some(to(1)));
    }

    #[test]
    fn the_route_for_an_offered_protocol_goes_first() {
        let mut routes = routes(&[("*.example.com", 1), ("a.example.com", 2)], None);
        let acme = [b"acme-tls/1".to_vec()];
        assert!(routes.add(pattern("a.example.com"), &acme, to(3)));
        assert!(routes.add(pattern("b.example.com"), &acme, to(4)));
        for (name, offered, want) in [
            ("a.example.com", &[&b"acme-tls/1"[..]][..], 3),
            ("a.example.com", &[b"h2", b"acme-tls/1"], 3),
            ("a.example.com", &[b"h2"], 2),
            ("a.example.com", &[], 2),
            ("b.example.com", &[b"acme-tls/1"], 4),
            ("b.example.com", &[b"h2"], 1),
        ] {
            assert_eq!(
                routes.pick(Some(name), offered),
                Some(to(want)),
                "{name} {offered:?}"
            );
        }
    }

    #[test]
    fn a_second_route_for_a_name_is_seen() {
        let mut routes = routes(&[("example.com", 1)], Some(1));
        assert!(!routes.add(pattern("EXAMPLE.com"), &[], to(2)));
        assert!(!routes.add(None, &[], to(2)));
        let (h2, http) = (b"h2".to_vec(), b"http/1.1".to_vec());
        assert!(routes.add(pattern("example.com"), std::slice::from_ref(&h2), to(2)));
        assert!(!routes.add(pattern("example.com"), &[http, h2], to(3)));
    }

    #[test]
    fn one_route_through_is_enough_to_read_hellos_first() {
        let mut routes = routes(&[("example.com", 1)], None);
        assert!(!routes.passes_through());
        let through = Target {
            mode: Mode::PassThrough,
            ..to(2)
        };
        assert!(routes.add(None, &[], through));
        assert!(routes.passes_through());
    }

    #[test]
    fn only_host_names_are_patterns() {
        for bad in [
            "",
            "*",
            "*.",
            "a..b",
            ".a",
            "a.*.b",
            "a b",
            "1.2.3.4:5",
            "ä.example",
        ] {
            assert_eq!(NamePattern::parse(bad), None, "{bad:?}");
        }
    }
}
