//! Policies by chance, in what both sides can say: who, from where, and which methods, hosts, paths and
//! headers. Here is also what the identity filter is told about them; [`crate::native`] has the other side.

use e2e::random::Random;
use serde_json::{Value, json};

/// The rules of one door.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<Rule>,
}

/// A rule; an empty list asks for nothing.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) is_deny: bool,
    pub(crate) methods: Vec<&'static str>,
    pub(crate) hosts: Vec<&'static str>,
    pub(crate) paths: Vec<Path>,
    pub(crate) who: Who,
    pub(crate) claim: Option<Test>,
    pub(crate) header: Option<Test>,
    pub(crate) sources: Vec<&'static str>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Anybody,
    /// Who has a token.
    Known,
    /// Who has one of these among their roles.
    Roles(Vec<&'static str>),
    /// Exactly these.
    Subjects(Vec<&'static str>),
}

/// Which paths, by their segments; `*` is one of any name.
#[derive(Debug, Clone)]
pub(crate) enum Path {
    /// This one.
    Exact(Vec<&'static str>),
    /// What is below this one.
    Below(Vec<&'static str>),
    /// What ends with this segment.
    Ending(&'static str),
    /// A template: one `*` for each segment of any name, at most one `**` for any number of them.
    Template(Vec<&'static str>),
}

/// What a header or a claim must be.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) is: Is,
    pub(crate) negated: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Is {
    Exactly(&'static str),
    Prefixed(&'static str),
    There,
}

impl Policy {
    /// One to five rules, one of which lets somebody in.
    pub(crate) fn by_chance(random: &mut Random) -> Self {
        let count = 1 + random.below(5);
        let rules = (0..count).map(|number| {
            let is_deny = number > 0 && random.below(2) == 0;
            let mut rule = Rule::by_chance(random, is_deny);
            // Where all else is allowed, who gets around a rule that denies is let in.
            if number == 0 && random.below(2) == 0 {
                rule.methods.clear();
                rule.hosts.clear();
                rule.paths.clear();
            }
            rule
        });
        Self {
            rules: rules.collect(),
        }
    }

    /// What the identity filter is told.
    pub(crate) fn for_filter(&self, key: &Value) -> Value {
        let rules = self.rules.iter().enumerate();
        let rules: Vec<_> = rules
            .map(|(number, rule)| rule.for_filter(number))
            .collect();
        json!({
            "providers": [{
                "name": "people", "issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["ES256"],
                "jwks": { "inline": { "keys": [key] } },
            }],
            "namespaces": [{ "name": "all", "routes": [{ "host": "*.test" }] }],
            "identities": [{ "name": "people", "provider": "people",
                "workload": "spiffe://test/people/{claim:sub}" }],
            "grants": [{ "name": "roles", "namespace": "all", "provider": "people",
                "roles_from": { "claim": "roles", "allow": ROLES } }],
            "policy": { "rules": rules },
            "limits": { "failures_per_source": 1_000_000, "failure_window_seconds": 1 },
        })
    }
}

impl Rule {
    fn by_chance(random: &mut Random, is_deny: bool) -> Self {
        let who = match random.below(if is_deny { 3 } else { 5 }) {
            0 => Who::Roles(some(random, &ROLES)),
            1 => Who::Subjects(some(random, &SUBJECTS)),
            3 | 4 => Who::Known,
            _ => Who::Anybody,
        };
        // A caller without a token has no claim to be asked for.
        let claim = if who == Who::Anybody {
            None
        } else {
            Test::by_chance(random, 4, &CLAIMS)
        };
        let is_narrow = |random: &mut Random, of: usize| random.below(of) == 0;
        Self {
            is_deny,
            methods: if is_narrow(random, 2) {
                some(random, &METHODS)
            } else {
                Vec::new()
            },
            hosts: if is_narrow(random, 2) {
                some(random, &HOSTS)
            } else {
                Vec::new()
            },
            paths: match random.below(6) {
                0 => Vec::new(),
                1 => vec![Path::by_chance(random), Path::by_chance(random)],
                _ => vec![Path::by_chance(random)],
            },
            who,
            claim,
            header: Test::by_chance(random, 4, &HEADERS),
            sources: if is_narrow(random, 5) {
                some(random, &SOURCES)
            } else {
                Vec::new()
            },
        }
    }

    fn for_filter(&self, number: usize) -> Value {
        let mut rule = json!({
            "name": format!("rule-{number}"),
            "namespace": "all",
            "action": if self.is_deny { "deny" } else { "allow" },
        });
        match &self.who {
            Who::Anybody if self.is_deny => {}
            Who::Anybody => rule["anonymous"] = json!(true),
            Who::Known => rule["authenticated"] = json!(true),
            Who::Roles(roles) => rule["roles"] = json!(roles),
            Who::Subjects(subjects) => {
                let id = |subject: &&str| format!("spiffe://test/people/{subject}");
                rule["identities"] = json!(subjects.iter().map(id).collect::<Vec<_>>());
            }
        }
        let claim = self.claim.iter().map(|test| test.for_filter("claim"));
        let header = self.header.iter().map(|test| test.for_filter("header"));
        let when: Vec<_> = claim.chain(header).collect();
        let paths: Vec<_> = self.paths.iter().map(Path::for_filter).collect();
        let lists = [
            ("methods", json!(self.methods)),
            ("hosts", json!(self.hosts)),
            ("paths", json!(paths)),
            ("sources", json!(self.sources)),
            ("when", json!(when)),
        ];
        for (name, list) in lists {
            if list.as_array().is_some_and(|list| !list.is_empty()) {
                rule[name] = list;
            }
        }
        rule
    }
}

impl Path {
    fn by_chance(random: &mut Random) -> Self {
        let count = 1 + random.below(3);
        let mut segments: Vec<_> = (0..count).map(|_| random.pick(&SEGMENTS)).collect();
        match random.below(6) {
            0 | 1 => Self::Exact(segments),
            2 | 3 => Self::Below(segments),
            4 => Self::Ending(segments[0]),
            _ => {
                let any = random.below(segments.len());
                segments[any] = "*";
                if random.below(2) == 0 {
                    segments.push("**");
                }
                if random.below(4) == 0 {
                    segments.push(random.pick(&SEGMENTS));
                }
                Self::Template(segments)
            }
        }
    }

    /// As a list of segments in which `**` stands for any number of them.
    pub(crate) fn segments(&self) -> Vec<&'static str> {
        match self {
            Self::Exact(segments) | Self::Template(segments) => segments.clone(),
            Self::Below(segments) => segments.iter().copied().chain(["**"]).collect(),
            Self::Ending(segment) => vec!["**", segment],
        }
    }

    fn for_filter(&self) -> String {
        format!("/{}", self.segments().join("/"))
    }
}

impl Test {
    fn by_chance(random: &mut Random, of: usize, names: &[&'static str]) -> Option<Self> {
        (random.below(of) == 0).then(|| Self {
            name: random.pick(names),
            is: match random.below(3) {
                0 => Is::There,
                1 => Is::Prefixed("go"),
                _ => Is::Exactly("gold"),
            },
            negated: random.below(3) == 0,
        })
    }

    fn for_filter(&self, fact: &str) -> Value {
        let mut condition = json!({});
        condition[fact] = json!(self.name);
        match self.is {
            Is::Exactly(value) => condition["equals"] = json!(value),
            Is::Prefixed(prefix) => condition["prefix"] = json!(prefix),
            Is::There => condition["present"] = json!(true),
        }
        if self.negated {
            return json!({ "not": condition });
        }
        condition
    }
}

/// One or two of these.
fn some(random: &mut Random, of: &[&'static str]) -> Vec<&'static str> {
    let first = random.pick(of);
    let second = random.pick(of);
    if random.below(2) == 0 || second == first {
        return vec![first];
    }
    vec![first, second]
}

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "api";
pub(crate) const ROLES: [&str; 3] = ["reader", "writer", "admin"];
pub(crate) const SUBJECTS: [&str; 3] = ["alice", "bob", "carol"];
pub(crate) const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
pub(crate) const HOSTS: [&str; 4] = ["api.test", "shop.test", "*.shop.test", "*.test"];
pub(crate) const SEGMENTS: [&str; 4] = ["a", "b", "c", "~x"];
pub(crate) const CLAIMS: [&str; 1] = ["tier"];
pub(crate) const HEADERS: [&str; 2] = ["x-tier", "x-plan"];
/// Of the loopback network, as requests are sent there.
pub(crate) const SOURCES: [&str; 3] = ["127.0.0.2/32", "127.0.3.0/24", "127.0.0.0/30"];
