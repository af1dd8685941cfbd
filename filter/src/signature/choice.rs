//! Who checks the signatures of each algorithm: the host where it proves that it can, because it is
//! many times as fast; otherwise the software; for what neither can, nobody.

use alloc::boxed::Box;
use core::fmt;

use super::software::Software;
use super::{Engine, PublicKey, self_test};
use crate::algorithm::Algorithm;

/// Two engines and one verdict.
#[derive(Debug)]
pub struct Engines {
    host: Box<dyn Engine>,
    choices: [(Algorithm, Choice); Algorithm::ALL.len()],
}

/// Who checks an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The gateway.
    Host,
    /// Neither can: its tokens are refused.
    Nobody,
    /// The module itself.
    Software,
}

impl Engines {
    /// Asks the host to prove itself, algorithm by algorithm.
    #[must_use]
    pub fn choose(host: Box<dyn Engine>) -> Self {
        let choices = Algorithm::ALL.map(|algorithm| {
            let choice = if host.checks(algorithm) && self_test::passes(&*host, algorithm) {
                Choice::Host
            } else if Software.checks(algorithm) {
                Choice::Software
            } else {
                Choice::Nobody
            };
            (algorithm, choice)
        });
        Self { host, choices }
    }

    /// Who checks `algorithm`.
    #[must_use]
    pub fn choice(&self, algorithm: Algorithm) -> Choice {
        self.choices
            .iter()
            .find(|(other, _)| *other == algorithm)
            .map_or(Choice::Nobody, |(_, choice)| *choice)
    }

    /// How many algorithms fell to `choice`.
    #[must_use]
    pub fn count(&self, choice: Choice) -> u64 {
        let fell = |(_, other): &&(Algorithm, Choice)| *other == choice;
        self.choices.iter().filter(fell).count() as u64
    }
}

impl Engine for Engines {
    fn checks(&self, algorithm: Algorithm) -> bool {
        self.choice(algorithm) != Choice::Nobody
    }

    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        match self.choice(algorithm) {
            Choice::Host => self.host.is_valid(algorithm, key, text, signature),
            Choice::Software => Software.is_valid(algorithm, key, text, signature),
            Choice::Nobody => false,
        }
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (algorithm, choice)) in self.choices.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let choice = match choice {
                Choice::Host => "host",
                Choice::Nobody => "nobody",
                Choice::Software => "software",
            };
            write!(f, "{comma}{} {choice}", algorithm.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// A host that gives the same answer to everything.
    #[derive(Debug)]
    struct Always(bool);

    impl Engine for Always {
        fn checks(&self, _algorithm: Algorithm) -> bool {
            true
        }

        fn is_valid(&self, _: Algorithm, _: &PublicKey, _: &[u8], _: &[u8]) -> bool {
            self.0
        }
    }

    #[test]
    fn a_host_that_fails_its_test_checks_nothing() {
        for answer in [false, true] {
            let engines = Engines::choose(Box::new(Always(answer)));
            assert_eq!(engines.count(Choice::Host), 0);
            assert_eq!(engines.count(Choice::Software), 9);
            assert!(!engines.checks(Algorithm::Es512));
            assert!(
                engines
                    .to_string()
                    .starts_with("EdDSA software, ES256 software, ES384 software, ES512 nobody, ")
            );
        }
    }
}
