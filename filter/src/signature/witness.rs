//! An engine that remembers whether it was asked: most refusals are made before any signature is looked at.

use core::cell::Cell;

use super::{Engine, PublicKey};
use crate::algorithm::Algorithm;

/// Another engine, and what it was asked for last.
#[derive(Debug)]
pub(crate) struct Witness<'a> {
    engine: &'a dyn Engine,
    checked: Cell<Option<Algorithm>>,
}

impl<'a> Witness<'a> {
    pub(crate) const fn new(engine: &'a dyn Engine) -> Self {
        Self {
            engine,
            checked: Cell::new(None),
        }
    }

    /// The algorithm of the signature that was checked, if one was.
    pub(crate) const fn checked(&self) -> Option<Algorithm> {
        self.checked.get()
    }
}

impl Engine for Witness<'_> {
    fn checks(&self, algorithm: Algorithm) -> bool {
        self.engine.checks(algorithm)
    }

    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        self.checked.set(Some(algorithm));
        self.engine.is_valid(algorithm, key, text, signature)
    }
}
