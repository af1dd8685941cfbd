//! Grants: which roles a caller has in one namespace.
//!
//! A grant belongs to its namespace and nothing else can reach it, so a role that was given in one
//! namespace means nothing in another.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::claims::{self, ClaimPath, Text};
use crate::condition::{Condition, Facts};

/// A role's name: letters, digits and `._:/-`, so that a list of roles reads in one way only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Role(String);

impl Role {
    /// Reads a name of 1 to 64 characters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
        ((1..=64).contains(&name.len()) && name.bytes().all(is_allowed)).then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One grant of one namespace.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its name in the configuration and in the audit record.
    pub name: String,
    /// Only for callers whom this provider has signed for.
    pub provider: Option<String>,
    /// Only for exactly this workload identity.
    pub workload: Option<String>,
    /// All of them must hold.
    pub when: Vec<Condition>,
    /// What the caller gets.
    pub gives: Gives,
}

/// The roles of a grant.
#[derive(Debug, Clone)]
pub enum Gives {
    /// The roles that a claim lists, as far as they are allowed here: a provider must not be able to
    /// name a role that the namespace's owner did not write down.
    FromClaim {
        /// Where the list is.
        claim: ClaimPath,
        /// What the claim means when it is a text.
        text_means: Text,
        /// The only roles that may come from it.
        allow: BTreeSet<Role>,
    },
    /// These.
    Roles(BTreeSet<Role>),
}

/// The roles of one caller in one namespace and the grants that gave them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Granted<'a> {
    /// Sorted, each once.
    pub roles: BTreeSet<&'a Role>,
    /// The names of the grants that gave at least one role, in the order of the configuration.
    pub grants: Vec<&'a str>,
}

/// Everything that `grants` give to the caller with these facts.
#[must_use]
pub fn granted<'a>(grants: &'a [Grant], facts: &Facts<'_>) -> Granted<'a> {
    let mut result = Granted::default();
    for grant in grants.iter().filter(|grant| grant.matches(facts)) {
        let before = result.grants.len();
        match &grant.gives {
            Gives::Roles(roles) => {
                result.roles.extend(roles);
                result.grants.push(&grant.name);
            }
            Gives::FromClaim {
                claim,
                text_means,
                allow,
            } => {
                let value = facts.claims.and_then(|claims| claims.at(claim)).into_iter();
                let listed = value.flat_map(|value| claims::listed(value, *text_means));
                for role in listed.filter_map(|name| allow.get(&Role::parse(name)?)) {
                    result.roles.insert(role);
                    if result.grants.len() == before {
                        result.grants.push(&grant.name);
                    }
                }
            }
        }
    }
    result
}

impl Grant {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.provider
            .as_ref()
            .is_none_or(|provider| facts.provider == Some(provider))
            && self
                .workload
                .as_ref()
                .is_none_or(|workload| facts.workload == Some(workload))
            && self.when.iter().all(|condition| condition.holds(facts))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::claims::Claims;
    use crate::condition::{Fact, Test};

    fn roles(names: &[&str]) -> BTreeSet<Role> {
        names
            .iter()
            .map(|name| Role::parse(name).unwrap())
            .collect()
    }

    fn grant(name: &str, gives: Gives) -> Grant {
        Grant {
            name: name.into(),
            provider: None,
            workload: None,
            when: vec![],
            gives,
        }
    }

    fn check(grants: &[Grant], claims: &str, workload: Option<&str>) -> (Vec<String>, Vec<String>) {
        let claims = Claims::parse(claims.as_bytes()).unwrap();
        let result = granted(
            grants,
            &Facts {
                claims: Some(&claims),
                provider: Some("okta"),
                workload,
                ..Facts::default()
            },
        );
        let roles = result.roles.iter().map(|role| role.0.clone()).collect();
        (
            roles,
            result
                .grants
                .iter()
                .map(|name| String::from(*name))
                .collect(),
        )
    }

    #[test]
    fn every_matching_grant_adds_its_roles() {
        let grants = [
            grant("a", Gives::Roles(roles(&["writer", "reader"]))),
            Grant {
                provider: Some("aws".into()),
                ..grant("other provider", Gives::Roles(roles(&["x"])))
            },
            Grant {
                workload: Some("spiffe://t/b".into()),
                ..grant("b", Gives::Roles(roles(&["batch"])))
            },
            Grant {
                when: vec![Condition::Is {
                    fact: Fact::Claim(ClaimPath::parse("groups").unwrap()),
                    test: Test::Contains {
                        element: "ops".into(),
                        text_means: Text::Element,
                    },
                }],
                ..grant("ops", Gives::Roles(roles(&["admin", "reader"])))
            },
        ];
        let got = check(&grants, "{}", None);
        assert_eq!(
            got,
            (vec!["reader".into(), "writer".into()], vec!["a".into()])
        );
        let (roles, names) = check(&grants, r#"{"groups":["ops"]}"#, Some("spiffe://t/b"));
        assert_eq!(roles, ["admin", "batch", "reader", "writer"]);
        assert_eq!(names, ["a", "b", "ops"]);
    }

    #[test]
    fn a_claim_gives_only_roles_that_are_allowed() {
        let claim = ClaimPath::parse("r").unwrap();
        let grants = [grant(
            "g",
            Gives::FromClaim {
                claim,
                text_means: Text::Words,
                allow: roles(&["reader", "writer"]),
            },
        )];
        let cases = [
            (r#"{"r":["reader","admin"]}"#, vec!["reader"]),
            (r#"{"r":"writer reader"}"#, vec!["reader", "writer"]),
            (r#"{"r":["Reader","reader,writer",""]}"#, vec![]),
            (r#"{"r":{"reader":true}}"#, vec![]),
            (r#"{}"#, vec![]),
        ];
        for (claims, want) in cases {
            let (roles, names) = check(&grants, claims, None);
            assert_eq!(roles, want, "{claims}");
            assert_eq!(names.len(), usize::from(!want.is_empty()), "{claims}");
        }
    }

    #[test]
    fn names_that_could_be_read_as_a_list_are_no_roles() {
        for name in ["", "a b", "a,b", "a;b", "é", "a\n", &"r".repeat(65)] {
            assert_eq!(Role::parse(name), None, "{name}");
        }
    }
}
