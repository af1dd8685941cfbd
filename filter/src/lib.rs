//! The identity filter: who is calling, what may they do, and what the workload is told.
//!
//! The walk of one request ([`gate::decide`]), each step in a module of its own:
//! 1. [`headers`] strips every identity header that the client sent, whatever happens later.
//! 2. [`host`] and [`path`] bring the target into one form, or refuse it.
//! 3. [`namespace`] finds whose request it is.
//! 4. [`credential`] finds the one credential, in a header or a [`cookie`], [`token`] and [`claims`] read it.
//! 5. [`verify`] checks it with the keys of its issuer ([`jwks`], [`keyring`]) and an engine
//!    ([`signature`], by one [`algorithm`]). When keys are fetched is for [`refresh`] to say, by what [`freshness`] reads and
//!    [`lease`] allows; keys that are fetched one by one, as [`pem`] under a [`uuid`], are on a [`shelf`]; a request that
//!    comes before them is among the [`waiting`]. A
//!    token that [`cache`] knows skips the reading and the signature check; [`confirmation`] asks for the
//!    certificate that a token is bound to, and [`throttle`] stops those who send bad ones.
//! 6. [`identity`] maps claims to a workload identity, [`grant`] to roles in the namespace, [`claim_header`] to headers: that
//!    is the [`caller`].
//! 7. [`policy`] decides; [`decision`] is what the sender learns, [`audit`] what the log learns.
//!
//! Why a decision is what it is, [`gate::explanation`] tells whoever asks afterwards, without a gateway.
//!
//! All of this is a functional core without a clock, a network or a host: it takes bytes and `now` and
//! returns data. Only `wasm` talks to the gateway, and it exists only where the gateway does.
//! No panic may be reachable from the network: a panic ends the worker's VM for every later request.

#![no_std]
#![warn(clippy::indexing_slicing, clippy::std_instead_of_core)]
#![cfg_attr(
    test,
    expect(clippy::indexing_slicing, reason = "a test that panics has failed")
)]

extern crate alloc;

pub mod algorithm;
pub mod audit;
pub mod base64url;
pub mod cache;
pub mod caller;
pub mod claim_header;
pub mod claims;
pub mod condition;
pub mod config;
pub mod confirmation;
pub mod cookie;
pub mod credential;
pub mod decision;
pub mod freshness;
pub mod gate;
pub mod grant;
pub mod headers;
pub mod host;
pub mod identity;
pub mod jitter;
pub mod json;
pub mod jwks;
pub mod keyring;
pub mod lease;
pub mod namespace;
pub mod path;
pub mod pem;
pub mod policy;
pub mod refresh;
pub mod rules;
pub mod shelf;
pub mod signature;
pub mod spiffe;
pub mod state;
pub mod stats;
pub mod throttle;
pub mod time;
pub mod token;
pub mod token_type;
pub mod uuid;
pub mod verify;
pub mod waiting;

#[cfg(any(all(target_arch = "wasm32", feature = "entry"), lint_shell))]
mod wasm;
