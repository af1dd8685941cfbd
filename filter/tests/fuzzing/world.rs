//! A small world, chosen by bytes: three namespaces whose routes overlap, grants and rules in them, and one request. What
//! each means is said here a second time, as plainly as can be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::gateway::{ISSUER, key};

/// Names and routes: a host and a path prefix each.
pub(crate) const NAMESPACES: [(&str, &[(&str, &str)]); 3] = [
    ("red", &[("a.test", "/"), ("*.b.test", "/")]),
    (
        "green",
        &[("c.test", "/x"), ("a.b.test", "/"), ("*.b.test", "/x/y")],
    ),
    ("blue", &[("c.test", "/"), ("*.c.b.test", "/")]),
];
const ROLES: [&str; 3] = ["admin", "reader", "writer"];
const GROUPS: [&str; 2] = ["a", "b"];
const METHODS: [&str; 3] = ["GET", "POST", "CONNECT"];
const HOSTS: [&str; 8] = [
    "a.test",
    "c.test",
    "a.b.test",
    "x.b.test",
    "c.b.test",
    "x.c.b.test",
    "b.test",
    "d.test",
];
const PATHS: [&str; 8] = [
    "/",
    "/x",
    "/x/",
    "/x/y",
    "/x/y/z",
    "/y",
    "/x/1/lines",
    "/xy",
];
const PATTERNS: [&str; 10] = [
    "/",
    "/x",
    "/x/{id}",
    "/x/**",
    "/**",
    "/**/y",
    "/x/*/lines",
    "/*/y/**",
    "/x/y",
    "/x/**/lines",
];
/// Hosts that rules ask for, by namespace.
const ASKED: [[&str; 3]; 3] = [
    ["a.test", "*.b.test", "x.b.test"],
    ["c.test", "a.b.test", "*.c.b.test"],
    ["c.test", "x.c.b.test", "*.c.b.test"],
];

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) is_shadow: bool,
    pub(crate) grants: Vec<Grant>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) namespace: usize,
    roles: Vec<&'static str>,
    /// Who gets them; nobody in particular: whom the claim `roles` names.
    group: Option<&'static str>,
}

/// Whom a rule is about besides everything else that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Of a deny rule: everybody.
    Anybody,
    Authenticated,
    Role(&'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Its place among all rules, which stays when others are taken away.
    pub(crate) number: usize,
    pub(crate) namespace: usize,
    pub(crate) is_deny: bool,
    /// Whether it is in shadow mode, where it says so itself.
    pub(crate) mode: Option<bool>,
    who: Who,
    methods: Vec<&'static str>,
    hosts: Vec<&'static str>,
    paths: Vec<&'static str>,
    /// A group, and whether the caller must be in it or must not.
    group: Option<(&'static str, bool)>,
}

#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    pub(crate) caller: Option<Caller>,
}

#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) groups: Vec<&'static str>,
    pub(crate) roles: Vec<&'static str>,
}

fn number(bytes: &mut dyn Iterator<Item = u8>, below: usize) -> usize {
    usize::from(bytes.next().unwrap_or_default()) % below
}

fn pick<T: Copy>(bytes: &mut dyn Iterator<Item = u8>, all: &[T]) -> T {
    all[number(bytes, all.len())]
}

/// Those of `all` whose bit is set in the next byte.
fn some<T: Copy>(bytes: &mut dyn Iterator<Item = u8>, all: &[T]) -> Vec<T> {
    let bits = bytes.next().unwrap_or_default();
    let chosen = all
        .iter()
        .enumerate()
        .filter(|(index, _)| bits >> index & 1 == 1);
    chosen.map(|(_, one)| *one).collect()
}

impl World {
    pub(crate) fn read(bytes: &mut dyn Iterator<Item = u8>) -> Self {
        let is_shadow = number(bytes, 4) == 3;
        let grants = (0..number(bytes, 5)).map(|_| Grant::read(bytes)).collect();
        let rules = (0..number(bytes, 12))
            .map(|place| Rule::read(place, bytes))
            .collect();
        Self {
            is_shadow,
            grants,
            rules,
        }
    }

    /// The caller's roles in a namespace, in order.
    pub(crate) fn roles(&self, namespace: usize, caller: &Caller) -> Vec<String> {
        let own = self
            .grants
            .iter()
            .filter(|grant| grant.namespace == namespace);
        let given = own.flat_map(|grant| {
            let is_given = |role: &&&str| match grant.group {
                Some(group) => caller.groups.contains(&group),
                None => caller.roles.contains(*role),
            };
            grant
                .roles
                .iter()
                .filter(is_given)
                .map(|role| String::from(*role))
                .collect::<Vec<_>>()
        });
        given.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(crate) fn document(&self) -> Value {
        let namespaces = NAMESPACES.iter().map(|(name, routes)| {
            let routes: Vec<_> = routes
                .iter()
                .map(|(host, prefix)| json!({"host": host, "path_prefix": prefix}))
                .collect();
            json!({"name": name, "routes": routes})
        });
        let grants = self.grants.iter().enumerate().map(|(index, grant)| {
            let mut written =
                json!({"name": format!("g{index}"), "namespace": NAMESPACES[grant.namespace].0});
            match grant.group {
                Some(group) => {
                    written["roles"] = json!(grant.roles);
                    written["when"] = json!([{"claim": "groups", "contains": group}]);
                }
                None => written["roles_from"] = json!({"claim": "roles", "allow": grant.roles}),
            }
            written
        });
        let rules = self.rules.iter().map(Rule::document);
        json!({
            "providers": [{"name": "main", "issuer": ISSUER, "audiences": ["api"], "algorithms": ["EdDSA"],
                           "jwks": {"inline": {"keys": [key("ed")]}}}],
            "namespaces": namespaces.collect::<Vec<_>>(),
            "grants": grants.collect::<Vec<_>>(),
            "policy": {"mode": mode(self.is_shadow), "rules": rules.collect::<Vec<_>>()},
            "audit": {"log_allows": true}
        })
    }
}

const fn mode(is_shadow: bool) -> &'static str {
    if is_shadow { "shadow" } else { "enforce" }
}

impl Grant {
    fn read(bytes: &mut dyn Iterator<Item = u8>) -> Self {
        let namespace = number(bytes, NAMESPACES.len());
        let mut roles = some(bytes, &ROLES);
        if roles.is_empty() {
            roles.push(ROLES[0]);
        }
        let group = pick(bytes, &[Some(GROUPS[0]), Some(GROUPS[1]), None]);
        Self {
            namespace,
            roles,
            group,
        }
    }
}

impl Rule {
    fn read(place: usize, bytes: &mut dyn Iterator<Item = u8>) -> Self {
        let namespace = number(bytes, NAMESPACES.len());
        let is_deny = number(bytes, 4) == 3;
        let everybody = if is_deny {
            Who::Anybody
        } else {
            Who::Authenticated
        };
        let who = pick(
            bytes,
            &[
                Who::Role(ROLES[0]),
                Who::Role(ROLES[1]),
                Who::Role(ROLES[2]),
                everybody,
                Who::Anybody,
            ],
        );
        let asks_nothing = who == Who::Anybody && !is_deny;
        let groups = [
            None,
            None,
            Some((GROUPS[0], true)),
            Some((GROUPS[0], false)),
            Some((GROUPS[1], true)),
        ];
        Self {
            number: place,
            namespace,
            is_deny,
            who,
            mode: pick(bytes, &[None, None, Some(false), Some(true)]),
            methods: some(bytes, &METHODS),
            hosts: some(bytes, &ASKED[namespace]),
            paths: {
                let count = number(bytes, 4);
                (0..count).map(|_| pick(bytes, &PATTERNS)).collect()
            },
            group: pick(bytes, &groups).filter(|_| !asks_nothing),
        }
    }

    /// Whether it lets in whoever asks, so that nobody is told who that was.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.who == Who::Anybody && !self.is_deny
    }

    fn document(&self) -> Value {
        let mut written = json!({"name": format!("r{}", self.number), "namespace": NAMESPACES[self.namespace].0,
                                 "action": if self.is_deny { "deny" } else { "allow" }});
        match self.who {
            Who::Role(role) => written["roles"] = json!([role]),
            Who::Authenticated => written["authenticated"] = json!(true),
            Who::Anybody if !self.is_deny => written["anonymous"] = json!(true),
            Who::Anybody => {}
        }
        if let Some(is_shadow) = self.mode {
            written["mode"] = json!(mode(is_shadow));
        }
        for (name, list) in [
            ("methods", &self.methods),
            ("hosts", &self.hosts),
            ("paths", &self.paths),
        ] {
            if !list.is_empty() {
                written[name] = json!(list);
            }
        }
        if let Some((group, is_in)) = self.group {
            let contains = json!({"claim": "groups", "contains": group});
            written["when"] = if is_in {
                json!([contains])
            } else {
                json!([{"not": contains}])
            };
        }
        written
    }

    /// `roles`: the caller's; nothing without a token.
    pub(crate) fn is_about(&self, ask: &Ask, roles: Option<&[String]>) -> bool {
        let is_tunnel = ask.method == "CONNECT";
        let methods = if self.methods.is_empty() {
            !is_tunnel || self.is_deny
        } else {
            self.methods.contains(&ask.method)
        };
        let is_in = |group| {
            ask.caller
                .as_ref()
                .is_some_and(|caller| caller.groups.contains(&group))
        };
        methods
            && (self.hosts.is_empty()
                || self
                    .hosts
                    .iter()
                    .any(|pattern| host_fits(pattern, ask.host)))
            && (self.paths.is_empty()
                || self
                    .paths
                    .iter()
                    .any(|pattern| path_fits(&split(pattern), &split(ask.path))))
            && self
                .group
                .is_none_or(|(group, wanted)| is_in(group) == wanted)
            && match self.who {
                Who::Anybody => true,
                Who::Authenticated => roles.is_some(),
                Who::Role(role) => {
                    roles.is_some_and(|roles| roles.iter().any(|other| other == role))
                }
            }
    }
}

impl Ask {
    pub(crate) fn read(bytes: &mut dyn Iterator<Item = u8>) -> Self {
        Self {
            method: pick(bytes, &METHODS),
            host: pick(bytes, &HOSTS),
            path: pick(bytes, &PATHS),
            caller: (number(bytes, 4) != 3).then(|| Caller {
                groups: some(bytes, &GROUPS),
                roles: some(bytes, &ROLES),
            }),
        }
    }
}

/// The namespace of the most specific route: an exact host first, then the longer host, then the longer prefix.
pub(crate) fn route(ask: &Ask) -> Option<usize> {
    let routes = NAMESPACES
        .iter()
        .enumerate()
        .flat_map(|(namespace, (_, routes))| {
            routes
                .iter()
                .map(move |(host, prefix)| (namespace, *host, *prefix))
        });
    let fitting = routes.filter(|(_, host, prefix)| {
        host_fits(host, ask.host) && split(ask.path).starts_with(&split(prefix))
    });
    let best =
        fitting.max_by_key(|(_, host, prefix)| (!host.starts_with('*'), host.len(), prefix.len()));
    best.map(|(namespace, _, _)| namespace)
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

fn split(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .collect()
}

fn path_fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((&"**", after)), rest) => {
            path_fits(after, path) || rest.is_some_and(|(_, rest)| path_fits(pattern, rest))
        }
        (Some((wanted, after)), Some((segment, rest))) => {
            (*wanted == "*" || wanted.starts_with('{') || wanted == segment)
                && path_fits(after, rest)
        }
        (Some(_), None) => false,
    }
}
