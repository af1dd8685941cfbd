//! What is signed in tests, for the native tests of the filter and for the same questions inside a gateway:
//! vectors that others made, each with the right verdict, and tokens that are made on purpose.
//!
//! It knows none of the filter's code: what must be accepted is read from the vectors and from
//! [`exceptions`], and [`signer`] signs by AWS-LC, so a fault of the filter cannot hide itself.

pub mod case;
pub mod exceptions;
pub mod outside;
pub mod primitives;
pub mod signer;
