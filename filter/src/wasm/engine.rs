//! The gateway's own signature check, where it passes the self-test, and the software where not.

use core::fmt;

use proxy_wasm::hostcalls;

use crate::signature::{Engine, PublicKey, Software, host, self_test};
use crate::token::{Algorithm, Jws};

/// Who checks the signatures of each algorithm.
#[derive(Debug)]
pub(super) struct Engines {
    es256: &'static dyn Engine,
    rs256: &'static dyn Engine,
}

impl Engines {
    /// Asks the host to prove itself, algorithm by algorithm.
    pub(super) fn choose() -> Self {
        let choose = |algorithm| -> &'static dyn Engine {
            if self_test::passes(&Host, algorithm) {
                &Host
            } else {
                &Software
            }
        };
        Self {
            es256: choose(Algorithm::Es256),
            rs256: choose(Algorithm::Rs256),
        }
    }

    /// How many algorithms the host checks.
    pub(super) fn checked_by_host(&self) -> u64 {
        [self.es256, self.rs256]
            .into_iter()
            .filter(|engine| engine.name() == Host.name())
            .count() as u64
    }
}

impl Engine for Engines {
    fn is_valid(&self, key: &PublicKey, jws: &Jws<'_>) -> bool {
        match key.algorithm() {
            Algorithm::Es256 => self.es256.is_valid(key, jws),
            Algorithm::Rs256 => self.rs256.is_valid(key, jws),
        }
    }

    fn name(&self) -> &'static str {
        "chosen"
    }
}

impl fmt::Display for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ES256 {}, RS256 {}",
            self.es256.name(),
            self.rs256.name()
        )
    }
}

/// BoringSSL in the gateway.
#[derive(Debug)]
struct Host;

impl Engine for Host {
    fn is_valid(&self, key: &PublicKey, jws: &Jws<'_>) -> bool {
        let Some(request) = host::request(key, jws) else {
            return false;
        };
        let answer = hostcalls::call_foreign_function(host::FUNCTION, Some(&request));
        answer.is_ok_and(|answer| answer.is_some_and(|answer| host::says_valid(&answer)))
    }

    fn name(&self) -> &'static str {
        "host"
    }
}
