//! What is said to a running mesh, step by step, and what must come of it. The demo's `--check` and
//! the end-to-end tests both walk these steps.
//!
//! A chapter needs nothing but a fresh mesh. Several chapters can be walked on one mesh in the
//! order of [`CHAPTERS`]: the first one starts the OpenID provider, the last one ends the front.

pub mod attribution;
pub mod binding;
pub mod failures;
pub mod gateway_door;
pub mod key_set;
pub mod malformed;
pub mod mirror;
pub mod roles;
pub mod tokens;
pub mod transport;
pub mod verdict;

use std::{fmt::Debug, pin::Pin};

use crate::{
    error::HarnessError,
    mesh::{IssuerAtStart, Mesh},
};

/// Steps that belong together.
#[derive(Debug)]
pub struct Chapter {
    /// What they are about.
    pub name: &'static str,
    /// How the mesh has to be started for them.
    pub issuer: IssuerAtStart,
    /// In order.
    pub steps: &'static [Step],
}

/// One thing that is said, with what must come of it.
#[derive(Debug)]
pub struct Step {
    /// A fact about the product.
    pub name: &'static str,
    run: for<'mesh> fn(&'mesh mut Mesh) -> Outcome<'mesh>,
}

impl Step {
    /// Says it, and gives back what was seen, in a few words.
    ///
    /// # Errors
    /// [`Mismatch`] if the fact does not hold.
    pub async fn run(&self, mesh: &mut Mesh) -> Result<String, Mismatch> {
        (self.run)(mesh).await
    }
}

/// A step that is under way.
pub struct Outcome<'mesh>(Pin<Box<dyn Future<Output = Result<String, Mismatch>> + 'mesh>>);

impl<'mesh> Outcome<'mesh> {
    fn of(step: impl Future<Output = Result<String, Mismatch>> + 'mesh) -> Self {
        Self(Box::pin(step))
    }
}

impl Future for Outcome<'_> {
    type Output = Result<String, Mismatch>;

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

/// A fact that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// Something else was seen.
    #[error("{about} is {seen}, {expected} was expected")]
    Differs {
        /// What was looked at.
        about: String,
        /// What stood there.
        seen: String,
        /// What should have.
        expected: String,
    },
    /// The exchange did not even come about.
    #[error("{}", .0.chain())]
    Harness(#[from] HarnessError),
}

/// Holds what was seen against what was expected.
///
/// # Errors
/// [`Mismatch`] if they are not the same.
pub fn expect<T: PartialEq<U> + Debug, U: Debug>(
    about: &str,
    seen: T,
    expected: U,
) -> Result<(), Mismatch> {
    if seen == expected {
        return Ok(());
    }
    Err(Mismatch::differs(
        about,
        &format!("{seen:?}"),
        &format!("{expected:?}"),
    ))
}

impl Mismatch {
    /// Something else was seen than expected.
    #[must_use]
    pub fn differs(about: &str, seen: &str, expected: &str) -> Self {
        Self::Differs {
            about: about.to_owned(),
            seen: seen.chars().take(SHOWN_CHARS).collect(),
            expected: expected.chars().take(SHOWN_CHARS).collect(),
        }
    }
}

/// A mirrored request holds a whole token, which nobody wants to see on a terminal.
const SHOWN_CHARS: usize = 300;

/// Every chapter, in the order in which one mesh can hear them all.
pub const CHAPTERS: &[&Chapter] = &[
    &key_set::CHAPTER,
    &tokens::CHAPTER,
    &binding::CHAPTER,
    &roles::CHAPTER,
    &malformed::CHAPTER,
    &transport::CHAPTER,
    &attribution::CHAPTER,
    &gateway_door::CHAPTER,
    &failures::CHAPTER,
];
