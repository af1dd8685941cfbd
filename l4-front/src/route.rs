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

/// The routes of one listener.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    patterns: HashMap<NamePattern, ClusterIndex>,
    default: Option<ClusterIndex>,
}

impl Routes {
    /// Adds a route; false if `pattern` has one already.
    #[must_use]
    pub(crate) fn add(&mut self, pattern: NamePattern, cluster: ClusterIndex) -> bool {
        self.patterns.insert(pattern, cluster).is_none()
    }

    /// Sets the route for everything else, names that are not sent included; false if one is set.
    #[must_use]
    pub(crate) fn add_default(&mut self, cluster: ClusterIndex) -> bool {
        self.default.replace(cluster).is_none()
    }

    /// The cluster for a name in lower case: the exact name before the longest wildcard before the
    /// default. `None`: the connection must be refused.
    pub(crate) fn pick(&self, name: Option<&str>) -> Option<ClusterIndex> {
        let by_name = name.and_then(|name| {
            let exact = self.patterns.get(&NamePattern::Exact(name.to_owned()));
            exact.or_else(|| {
                let mut rest = name;
                while let Some((_label, parent)) = rest.split_once('.') {
                    if let found @ Some(_) =
                        self.patterns.get(&NamePattern::Below(parent.to_owned()))
                    {
                        return found;
                    }
                    rest = parent;
                }
                None
            })
        });
        by_name.copied().or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(patterns: &[(&str, usize)], default: Option<usize>) -> Routes {
        let mut routes = Routes::default();
        for (pattern, cluster) in patterns {
            assert!(routes.add(NamePattern::parse(pattern).unwrap(), ClusterIndex(*cluster)));
        }
        if let Some(cluster) = default {
            assert!(routes.add_default(ClusterIndex(cluster)));
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
            assert_eq!(routes.pick(Some(name)), want.map(ClusterIndex), "{name}");
        }
        assert_eq!(routes.pick(None), None);
    }

    #[test]
    fn the_default_takes_what_no_route_names() {
        let routes = routes(&[("example.com", 1)], Some(9));
        assert_eq!(routes.pick(Some("other.org")), Some(ClusterIndex(9)));
        assert_eq!(routes.pick(None), Some(ClusterIndex(9)));
        assert_eq!(routes.pick(Some("example.com")), Some(ClusterIndex(1)));
    }

    #[test]
    fn a_second_route_for_a_name_is_seen() {
        let mut routes = routes(&[("example.com", 1)], None);
        assert!(!routes.add(NamePattern::parse("EXAMPLE.com").unwrap(), ClusterIndex(2)));
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
