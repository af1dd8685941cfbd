//! Why a condition does not hold.

use serde_json::Value;

use super::{Condition, Fact, Facts};

/// The innermost condition that does not hold and without which the whole does not.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmet<'a> {
    /// It.
    pub condition: &'a Condition,
    /// What the fact is that it is about, where it is about one and the fact is there.
    pub value: Option<Value>,
}

impl Condition {
    /// Why it does not hold; nothing when it does.
    #[must_use]
    pub fn unmet(&self, facts: &Facts<'_>) -> Option<Unmet<'_>> {
        if self.holds(facts) {
            return None;
        }
        let value = match self {
            Self::All(conditions) => {
                return conditions
                    .iter()
                    .find_map(|condition| condition.unmet(facts));
            }
            // With one condition alone there is nothing to choose from.
            Self::Any(conditions) => match conditions.as_slice() {
                [only] => return only.unmet(facts),
                _ => None,
            },
            Self::Is { fact, .. } => value(fact, facts),
            Self::Not(condition) => match &**condition {
                Self::Is { fact, .. } => value(fact, facts),
                _ => None,
            },
        };
        Some(Unmet {
            condition: self,
            value,
        })
    }
}

fn value(fact: &Fact, facts: &Facts<'_>) -> Option<Value> {
    match fact {
        Fact::Claim(path) => facts.claims.and_then(|claims| claims.at(path)).cloned(),
        fact => facts.text(fact).map(Value::from),
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::string::ToString as _;
    use alloc::vec;

    use super::*;
    use crate::claims::{ClaimPath, Claims};
    use crate::condition::Test;

    fn is(claim: &str, text: &str) -> Condition {
        Condition::Is {
            fact: Fact::Claim(ClaimPath::parse(claim).unwrap()),
            test: Test::Equals(text.into()),
        }
    }

    #[test]
    fn the_innermost_condition_that_fails_is_named() {
        let claims = Claims::parse(br#"{"a":"1","b":"2"}"#).unwrap();
        let facts = Facts {
            claims: Some(&claims),
            ..Facts::default()
        };
        let not = |condition| Condition::Not(Box::new(condition));
        let cases = [
            (is("a", "1"), None),
            (is("a", "2"), Some((r#"claim a equals "2""#, Some("1")))),
            (is("z", "2"), Some((r#"claim z equals "2""#, None))),
            (
                Condition::All(vec![is("a", "1"), Condition::All(vec![is("b", "1")])]),
                Some((r#"claim b equals "1""#, Some("2"))),
            ),
            (
                Condition::Any(vec![is("a", "2"), is("b", "1")]),
                Some((r#"any of (claim a equals "2", claim b equals "1")"#, None)),
            ),
            (
                Condition::Any(vec![is("a", "2")]),
                Some((r#"claim a equals "2""#, Some("1"))),
            ),
            (
                not(is("a", "1")),
                Some((r#"not claim a equals "1""#, Some("1"))),
            ),
            (
                not(Condition::All(vec![is("a", "1"), is("b", "2")])),
                Some((
                    r#"not all of (claim a equals "1", claim b equals "2")"#,
                    None,
                )),
            ),
        ];
        for (condition, want) in cases {
            let unmet = condition.unmet(&facts);
            assert_eq!(unmet.is_none(), condition.holds(&facts));
            let got = unmet.map(|unmet| (unmet.condition.to_string(), unmet.value));
            let want = want.map(|(text, value)| (text.into(), value.map(Value::from)));
            assert_eq!(got, want, "{condition:?}");
        }
    }
}
