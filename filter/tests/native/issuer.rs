//! An issuer of our own: its keys. Everything is signed by AWS-LC, so the filter is never tested against
//! itself.

use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
pub(crate) use signatures::signer::Signer;

/// RSA keys are made once per test binary.
pub(crate) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rs256("rsa", KeySize::Rsa2048));
pub(crate) static EC: LazyLock<Signer> = LazyLock::new(|| Signer::es256("ec"));
