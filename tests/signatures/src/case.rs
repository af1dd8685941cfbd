//! A vector: a key set, what was signed, and the verdict.

use serde_json::Value;

/// Cases that share their keys.
#[derive(Debug)]
pub struct Group {
    /// Where it is from.
    pub name: String,
    /// A key set (RFC 7517 section 5), as a provider would publish it.
    pub keys: Value,
    /// At least one.
    pub cases: Vec<Case>,
}

/// One vector.
#[derive(Debug)]
pub struct Case {
    /// Its number in the source, and what the source says about it.
    pub name: String,
    /// What is to be judged.
    pub signed: Signed,
    /// The right verdict.
    pub want: Want,
}

/// What is to be judged.
#[derive(Debug)]
pub enum Signed {
    /// A whole token: its form, its header and the choice of the key count as well.
    Token(String),
    /// A bare text and its signature, where the token's form has no say.
    Text {
        /// The name of the algorithm in JOSE.
        algorithm: &'static str,
        /// What was signed.
        text: Vec<u8>,
        /// As JOSE writes it.
        signature: Vec<u8>,
    },
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Every engine that checks the algorithm accepts it.
    Accept,
    /// The source leaves it to the verifier: the engines need only agree.
    Agree,
    /// Every engine refuses it.
    Refuse,
}

impl Want {
    /// Whether these verdicts of the engines are right. Without any there is nothing to be right about.
    #[must_use]
    pub fn is_met_by(self, verdicts: &[bool]) -> bool {
        let Some(first) = verdicts.first() else {
            return false;
        };
        verdicts.iter().all(|other| other == first)
            && match self {
                Self::Accept => *first,
                Self::Agree => true,
                Self::Refuse => !first,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_disagree_are_never_right() {
        for want in [Want::Accept, Want::Agree, Want::Refuse] {
            assert!(!want.is_met_by(&[true, false]), "{want:?}");
            assert!(!want.is_met_by(&[]), "{want:?}");
            assert_eq!(want.is_met_by(&[true, true]), want != Want::Refuse);
            assert_eq!(want.is_met_by(&[false]), want != Want::Accept);
        }
    }
}
