//! The filter from outside, without a gateway: requests go in as headers, decisions come out. Tokens are
//! signed, and signatures checked, by AWS-LC in the place of the gateway's BoringSSL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, also in its helpers"
)]

mod algorithms;
mod binding;
mod claim_headers;
mod counts;
mod decisions;
mod documents;
mod explanation;
mod host;
mod isolation;
mod issuer;
mod load_balancers;
mod mapping;
mod memory;
mod preset_traps;
mod presets;
mod records;
mod request;
mod rules;
mod tokens;
mod vectors;
mod walk;
