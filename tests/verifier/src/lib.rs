//! The filter's two signature engines behind HTTP, in a Wasm module of their own: what a test asks here is
//! answered by the gateway's own `verify_signature` and by the module's software, as in the filter.
//!
//! A request's body is `{"keys": KEYSET, "signed": [...]}` with either `{"token": TEXT}` or
//! `{"algorithm": NAME, "text": BASE64URL, "signature": BASE64URL}` in the list. The answer is
//! `{"engines": TEXT, "verdicts": [[HOST, SOFTWARE], ...]}`, each true, false, or null where the engine
//! does not check the algorithm.
//!
//! Only a gateway of a test loads it. It is no part of the filter and reads nothing but a test's requests.

// The names by which the file below knows what it needs.
#[cfg(any(target_arch = "wasm32", lint_shell))]
use identity_filter::{algorithm, signature};

// The very file that the filter's shell has: the call into the gateway is what is to be tested.
#[cfg(any(target_arch = "wasm32", lint_shell))]
#[path = "../../../filter/src/wasm/engine.rs"]
mod engine;
#[cfg(any(target_arch = "wasm32", lint_shell))]
mod question;
