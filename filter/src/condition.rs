//! One condition on a fact about the caller: a claim, the workload identity or the provider's name.

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::claims::{self, ClaimPath, Claims, Text};
use crate::identity;

/// What must hold of one fact.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Which fact.
    pub fact: Fact,
    /// What must hold.
    pub test: Test,
}

/// Something that is known about an authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A claim of the token.
    Claim(ClaimPath),
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
}

/// The facts that conditions are judged against.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The claims of a verified token.
    pub claims: &'a Claims,
    /// The name of the provider that signed them.
    pub provider: &'a str,
    /// The workload identity, where there is one.
    pub workload: Option<&'a str>,
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        match &self.fact {
            Fact::Claim(path) => self.test.accepts(facts.claims.at(path)),
            Fact::Provider => self.test.accepts(Some(&Value::from(facts.provider))),
            Fact::Workload => self.test.accepts(facts.workload.map(Value::from).as_ref()),
        }
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
            claims: &claims,
            provider: "okta",
            workload: None,
        };
        for (path, test, want) in cases {
            let fact = Fact::Claim(ClaimPath::parse(path).unwrap());
            let condition = Condition { fact, test };
            assert_eq!(condition.holds(&facts), want, "{condition:?}");
        }
    }

    #[test]
    fn provider_and_workload_are_facts_too() {
        let claims = Claims::parse(b"{}").unwrap();
        let mut facts = Facts {
            claims: &claims,
            provider: "okta",
            workload: None,
        };
        let provider = Condition {
            fact: Fact::Provider,
            test: Test::Equals("okta".into()),
        };
        let workload = Condition {
            fact: Fact::Workload,
            test: Test::Prefix("spiffe://a/".into()),
        };
        assert!(provider.holds(&facts));
        assert!(!workload.holds(&facts));
        facts.workload = Some("spiffe://a/b");
        assert!(workload.holds(&facts));
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
