//! Conditions on facts about a request and its caller: a claim, a header, the workload identity, the
//! provider's name, the client certificate; and how they are joined.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::claims::{self, ClaimPath, Claims, Text};
use crate::headers::Headers;
use crate::identity;
use crate::spiffe::SpiffePattern;

mod unmet;
mod words;

pub use unmet::Unmet;

/// What must hold. How deep conditions are joined is bounded where they are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Each of these.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
    /// Something about one fact.
    Is {
        /// Which fact.
        fact: Fact,
        /// What must hold of it.
        test: Test,
    },
    /// Not this.
    Not(Box<Self>),
}

/// Something that is known about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The SPIFFE id of the client certificate that the front verified.
    Certificate,
    /// A claim of the token.
    Claim(ClaimPath),
    /// The value of a header, by its name in lower case.
    Header(String),
    /// The name of the provider.
    Provider,
    /// The workload identity.
    Workload,
}

/// How a fact is judged. All but `Present` fail when the fact is absent, and a text is compared byte
/// for byte.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A list has this element.
    Contains {
        /// The element.
        element: String,
        /// What the claim means when it is a text.
        text_means: Text,
    },
    /// The value is this text, integer or boolean.
    Equals(Value),
    /// The text fits a pattern in which `*` stands for any run of characters, none included.
    Glob(String),
    /// The text is a SPIFFE id in this trust domain.
    InTrustDomain(String),
    /// The value is one of these.
    OneOf(Vec<Value>),
    /// The text begins so.
    Prefix(String),
    /// The fact is there, or is not; `null` counts as not there.
    Present(bool),
    /// The text is a SPIFFE id that fits, by whole segments.
    Spiffe(SpiffePattern),
}

/// The facts that conditions are judged against; what is not known is not there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The SPIFFE id of the client certificate.
    pub certificate: Option<&'a str>,
    /// The claims of a verified token.
    pub claims: Option<&'a Claims>,
    /// The headers of the request.
    pub headers: Option<&'a Headers>,
    /// The name of the provider that signed the claims.
    pub provider: Option<&'a str>,
    /// The workload identity.
    pub workload: Option<&'a str>,
}

impl Facts<'_> {
    /// A fact that is a text, as all but claims are.
    fn text<'a>(&'a self, fact: &'a Fact) -> Option<&'a str> {
        match fact {
            Fact::Certificate => self.certificate,
            Fact::Claim(_) => None,
            Fact::Header(name) => self
                .headers
                .and_then(|headers| headers.only(name))
                .and_then(|value| core::str::from_utf8(value).ok()),
            Fact::Provider => self.provider,
            Fact::Workload => self.workload,
        }
    }
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let (fact, test) = match self {
            Self::All(conditions) => {
                return conditions.iter().all(|condition| condition.holds(facts));
            }
            Self::Any(conditions) => {
                return conditions.iter().any(|condition| condition.holds(facts));
            }
            Self::Not(condition) => return !condition.holds(facts),
            Self::Is { fact, test } => (fact, test),
        };
        match fact {
            Fact::Claim(path) => test.accepts(facts.claims.and_then(|claims| claims.at(path))),
            fact => test.accepts(facts.text(fact).map(Value::from).as_ref()),
        }
    }

    /// Hands every fact that it is about to `visit`.
    pub fn for_each_fact<'a>(&'a self, visit: &mut dyn FnMut(&'a Fact)) {
        match self {
            Self::All(conditions) | Self::Any(conditions) => {
                for condition in conditions {
                    condition.for_each_fact(visit);
                }
            }
            Self::Is { fact, .. } => visit(fact),
            Self::Not(condition) => condition.for_each_fact(visit),
        }
    }

    /// Whether it is about a fact for which `is_wanted` says yes.
    pub fn is_about(&self, is_wanted: impl Fn(&Fact) -> bool) -> bool {
        let mut found = false;
        self.for_each_fact(&mut |fact| found |= is_wanted(fact));
        found
    }
}

impl Test {
    fn accepts(&self, value: Option<&Value>) -> bool {
        let value = value.filter(|value| !value.is_null());
        let text = value.and_then(Value::as_str);
        match self {
            Self::Contains {
                element,
                text_means,
            } => value.is_some_and(|value| {
                claims::listed(value, *text_means).any(|listed| listed == element)
            }),
            Self::Equals(wanted) => value == Some(wanted),
            Self::Glob(pattern) => {
                text.is_some_and(|text| fits(pattern.as_bytes(), text.as_bytes()))
            }
            Self::InTrustDomain(domain) => {
                text.is_some_and(|text| identity::is_in_trust_domain(text, domain))
            }
            Self::OneOf(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Self::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix.as_str())),
            Self::Present(wanted) => value.is_some() == *wanted,
            Self::Spiffe(pattern) => text.is_some_and(|text| pattern.matches(text)),
        }
    }
}

/// Whether `text` fits `pattern`. Only the last `*` is ever tried again, so the work is bounded by the
/// product of both lengths.
pub(crate) fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', after)), _) => {
                retry = Some((after, text));
                pattern = after;
            }
            (Some((wanted, after)), Some((byte, rest))) if wanted == byte => {
                (pattern, text) = (after, rest);
            }
            (None, None) => return true,
            _ => {
                let Some((after, [_, rest @ ..])) = retry else {
                    return false;
                };
                retry = Some((after, rest));
                (pattern, text) = (after, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_test_judges_as_documented() {
        let claims = Claims::parse(
            br#"{"sub":"alice","groups":["dev","ops"],"scope":"read write","level":3,"mfa":true,"none":null}"#,
        )
        .unwrap();
        let text = |text: &str| String::from(text);
        let contains = |element: &str, text_means| Test::Contains {
            element: element.into(),
            text_means,
        };
        let cases = [
            ("sub", Test::Equals("alice".into()), true),
            ("sub", Test::Equals("Alice".into()), false),
            ("level", Test::Equals(3.into()), true),
            ("level", Test::Equals("3".into()), false),
            ("mfa", Test::Equals(true.into()), true),
            ("groups", Test::Equals("dev".into()), false),
            ("sub", Test::OneOf(vec!["bob".into(), "alice".into()]), true),
            ("missing", Test::OneOf(vec![Value::Null]), false),
            ("groups", contains("ops", Text::Element), true),
            ("groups", contains("op", Text::Words), false),
            ("scope", contains("write", Text::Words), true),
            ("scope", contains("write", Text::Element), false),
            ("sub", contains("alice", Text::Element), true),
            ("level", contains("3", Text::Element), false),
            ("sub", Test::Prefix(text("ali")), true),
            ("sub", Test::Prefix(text("lic")), false),
            ("sub", Test::Glob(text("a*e")), true),
            ("groups", Test::Glob(text("*")), false),
            ("sub", Test::Present(true), true),
            ("none", Test::Present(true), false),
            ("none", Test::Present(false), true),
            ("missing", Test::Present(false), true),
        ];
        let facts = Facts {
            claims: Some(&claims),
            ..Facts::default()
        };
        for (path, test, want) in cases {
            let fact = Fact::Claim(ClaimPath::parse(path).unwrap());
            let condition = Condition::Is { fact, test };
            assert_eq!(condition.holds(&facts), want, "{condition:?}");
        }
    }

    #[test]
    fn what_is_known_besides_claims_is_a_fact_too() {
        let is = |fact: &Fact, text: &str| Condition::Is {
            fact: fact.clone(),
            test: Test::Equals(text.into()),
        };
        let headers = Headers::new(vec![
            ("x-tenant".into(), b"a".to_vec()),
            ("x-twice".into(), b"a".to_vec()),
            ("x-twice".into(), b"a".to_vec()),
            ("x-binary".into(), vec![0xff]),
        ]);
        let facts = Facts {
            certificate: Some("c"),
            claims: None,
            headers: Some(&headers),
            provider: Some("p"),
            workload: Some("w"),
        };
        let cases = [
            (Fact::Certificate, "c", true),
            (Fact::Provider, "p", true),
            (Fact::Workload, "w", true),
            (Fact::Workload, "p", false),
            (Fact::Header("x-tenant".into()), "a", true),
            (Fact::Header("x-twice".into()), "a", false),
            (Fact::Header("x-binary".into()), "\u{fffd}", false),
            (Fact::Claim(ClaimPath::parse("sub").unwrap()), "p", false),
        ];
        for (fact, text, want) in cases {
            assert_eq!(is(&fact, text).holds(&facts), want, "{fact:?}");
            let unknown = is(&fact, text).holds(&Facts::default());
            assert!(!unknown, "{fact:?} is not known");
        }
    }

    #[test]
    fn conditions_are_joined_as_written() {
        let holds = |claim: &str| Condition::Is {
            fact: Fact::Claim(ClaimPath::parse(claim).unwrap()),
            test: Test::Present(true),
        };
        let claims = Claims::parse(br#"{"a":1,"b":1}"#).unwrap();
        let facts = Facts {
            claims: Some(&claims),
            ..Facts::default()
        };
        let both = |one, two| vec![holds(one), holds(two)];
        let not = |condition| Condition::Not(Box::new(condition));
        let cases = [
            (Condition::All(both("a", "b")), true),
            (Condition::All(both("a", "z")), false),
            (Condition::Any(both("z", "b")), true),
            (Condition::Any(both("y", "z")), false),
            (not(holds("z")), true),
            (not(Condition::Any(both("z", "b"))), false),
            (
                Condition::All(vec![holds("a"), not(Condition::All(both("a", "z")))]),
                true,
            ),
        ];
        for (condition, want) in cases {
            assert_eq!(condition.holds(&facts), want, "{condition:?}");
        }
    }

    #[test]
    fn globs_match_runs_of_anything() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "a", true),
            ("*:role/*", "arn:aws:iam::1:role/x/y", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("*aab", "aaaab", true),
            ("a?", "ab", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(
                fits(pattern.as_bytes(), text.as_bytes()),
                want,
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_glob_of_pieces_fits_their_join(pieces in proptest::collection::vec("[ab]{0,3}", 1..5)) {
            prop_assert!(fits(pieces.join("*").as_bytes(), pieces.join("aab").as_bytes()));
        }
    }
}
