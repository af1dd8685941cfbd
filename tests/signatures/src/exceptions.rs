//! Where the filter is right to say something else than a file of vectors: each case by its number,
//! with the reason. The filter is never bent to such a case.

use crate::case::Want;

/// Cases of one file with one reason.
#[derive(Debug)]
pub struct Exception {
    /// The file, from the folder of the vectors.
    pub file: &'static str,
    /// Their `tcId`.
    pub cases: &'static [u64],
    /// What the filter must say.
    pub want: Want,
    /// Why.
    pub reason: &'static str,
}

/// All of them. Valid signatures with a shared secret need no entry: no algorithm of the filter has one.
pub const EXCEPTIONS: [Exception; 4] = [
    Exception {
        file: SIGNATURES,
        cases: &[346, 347, 350, 351],
        want: Want::Refuse,
        reason: "the key names another algorithm than the token, and the key decides (RFC 8725 section 3.1)",
    },
    Exception {
        file: SIGNATURES,
        cases: &[372, 373],
        want: Want::Refuse,
        reason: "a character is none of base64url's (RFC 7515 section 2)",
    },
    Exception {
        file: KEYS,
        cases: &[7],
        want: Want::Accept,
        reason: "a key made by a weak generator (ROCA) is the provider's to withdraw",
    },
    Exception {
        file: CRYPTO,
        cases: &[46],
        want: Want::Accept,
        reason: "a key made by a weak generator (ROCA) is the provider's to withdraw",
    },
];

/// What the filter must say to this case, where that is not what the file says.
#[must_use]
pub fn of(file: &str, case: u64) -> Option<Want> {
    EXCEPTIONS
        .iter()
        .find(|exception| exception.file == file && exception.cases.contains(&case))
        .map(|exception| exception.want)
}

const SIGNATURES: &str = "wycheproof/json_web_signature_test.json";
const KEYS: &str = "wycheproof/json_web_key_test.json";
const CRYPTO: &str = "wycheproof/json_web_crypto_test.json";
