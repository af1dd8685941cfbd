//! The gateway's own signature check.

use proxy_wasm::hostcalls;

use crate::algorithm::Algorithm;
use crate::signature::{Engine, PublicKey, host};

/// BoringSSL in the gateway.
#[derive(Debug)]
pub(super) struct Host;

impl Engine for Host {
    fn checks(&self, algorithm: Algorithm) -> bool {
        host::hash(algorithm).is_some()
    }

    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(request) = host::request(algorithm, key, text, signature) else {
            return false;
        };
        let answer = hostcalls::call_foreign_function(host::FUNCTION, Some(&request));
        answer.is_ok_and(|answer| answer.is_some_and(|answer| host::says_valid(&answer)))
    }
}
