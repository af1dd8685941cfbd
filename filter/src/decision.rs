//! Why a request is denied, and what its sender learns of it (RFC 6750 section 3).
//!
//! Two audiences: the audit record gets the reason, the sender a status and the decision id. A status
//! that told more would tell an attacker which rule to try next.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::path::upper_digit;
use crate::time::UnixTime;
use crate::token::TokenError;
use crate::verify::Refusal;

/// Why a request is denied. [`Denial::name`] has the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// The token's algorithm is unknown or not in the provider's list.
    AlgorithmRefused,
    /// Neither the gateway nor the filter can check the token's algorithm, which is in the list.
    AlgorithmUnavailable,
    /// The token is for somebody else.
    AudienceMismatch,
    /// The token is bound to another client certificate than that of the connection.
    CertificateMismatch,
    /// The token is bound to a client certificate, and the front has verified none.
    CertificateMissing,
    /// A claim is not what the provider's configuration requires.
    ClaimMismatch,
    /// The token is bound to something that the filter cannot check, such as a key (DPoP).
    ConfirmationUnsupported,
    /// The caller has more groups than the token has room for, and what it may do depends on them.
    GroupsOverage,
    /// `:method` or another header without which nothing can be judged is missing, repeated or no text.
    HeaderInvalid,
    /// `:authority` is missing, repeated or no plain host name.
    HostInvalid,
    /// What the configuration makes of the caller's claims is longer, or has more elements, than may be.
    IdentityTooLarge,
    /// No provider has the token's issuer.
    IssuerUnknown,
    /// None of the issuer's keys is the one that the token names.
    KeyUnknown,
    /// The issuer's keys have not been fetched yet.
    KeysUnavailable,
    /// No namespace has a route for host and path.
    NamespaceUnknown,
    /// `:path` is missing, repeated, or can be read in more than one way.
    PathAmbiguous,
    /// A deny rule matched.
    RuleDenied,
    /// No allow rule matched.
    RuleMissing,
    /// The signature is not the issuer's.
    SignatureInvalid,
    /// The token was made by another load balancer than the one that its provider names.
    SignerRefused,
    /// Too many bad tokens have come from the request's source; this one was not looked at.
    SourceThrottled,
    /// There is more than one credential.
    TokenAmbiguous,
    /// The token is over.
    TokenExpired,
    /// The token was made to live longer than its provider's tokens may.
    TokenLifetimeRefused,
    /// Not a compact JWS with a claims set, or a required claim is missing or of another type.
    TokenMalformed,
    /// There is no credential, and the request needs one.
    TokenMissing,
    /// The token is not valid yet, or says that it was made in the future.
    TokenNotYetValid,
    /// The token is of an issuer whose tokens nobody but itself can read.
    TokenOpaque,
    /// The token stands where its provider does not allow it.
    TokenSourceRefused,
    /// The token or its header is larger than allowed.
    TokenTooLarge,
    /// `typ` is not that of a credential of the provider.
    TokenTypeRefused,
    /// The token is not bound to a client certificate, and its provider's tokens must be.
    TokenUnbound,
    /// As many requests wait for keys as may.
    TooManyWaiting,
}

impl Denial {
    /// What it is called in audit records, response code details and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlgorithmRefused => "algorithm_refused",
            Self::AlgorithmUnavailable => "algorithm_unavailable",
            Self::AudienceMismatch => "audience_mismatch",
            Self::CertificateMismatch => "certificate_mismatch",
            Self::CertificateMissing => "certificate_missing",
            Self::ClaimMismatch => "claim_mismatch",
            Self::ConfirmationUnsupported => "confirmation_unsupported",
            Self::GroupsOverage => "groups_overage",
            Self::HeaderInvalid => "header_invalid",
            Self::HostInvalid => "host_invalid",
            Self::IdentityTooLarge => "identity_too_large",
            Self::IssuerUnknown => "issuer_unknown",
            Self::KeyUnknown => "key_unknown",
            Self::KeysUnavailable => "keys_unavailable",
            Self::NamespaceUnknown => "namespace_unknown",
            Self::PathAmbiguous => "path_ambiguous",
            Self::RuleDenied => "rule_denied",
            Self::RuleMissing => "rule_missing",
            Self::SignatureInvalid => "signature_invalid",
            Self::SignerRefused => "signer_refused",
            Self::SourceThrottled => "source_throttled",
            Self::TokenAmbiguous => "token_ambiguous",
            Self::TokenExpired => "token_expired",
            Self::TokenLifetimeRefused => "token_lifetime_refused",
            Self::TokenMalformed => "token_malformed",
            Self::TokenMissing => "token_missing",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenOpaque => "token_opaque",
            Self::TokenSourceRefused => "token_source_refused",
            Self::TokenTooLarge => "token_too_large",
            Self::TokenTypeRefused => "token_type_refused",
            Self::TokenUnbound => "token_unbound",
            Self::TooManyWaiting => "too_many_waiting",
        }
    }

    /// What the gateway's access log says about where the response comes from (`%RESPONSE_CODE_DETAILS%`), in the
    /// form that the gateway's own filters use. The sender does not get it.
    #[must_use]
    pub fn details(self) -> String {
        format!("identity_filter_access_denied{{{}}}", self.name())
    }

    /// What the sender learns.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::HeaderInvalid | Self::HostInvalid | Self::PathAmbiguous => 400,
            Self::AlgorithmRefused
            | Self::AudienceMismatch
            | Self::CertificateMismatch
            | Self::CertificateMissing
            | Self::ClaimMismatch
            | Self::ConfirmationUnsupported
            | Self::IssuerUnknown
            | Self::KeyUnknown
            | Self::SignatureInvalid
            | Self::SignerRefused
            | Self::TokenAmbiguous
            | Self::TokenExpired
            | Self::TokenLifetimeRefused
            | Self::TokenMalformed
            | Self::TokenMissing
            | Self::TokenNotYetValid
            | Self::TokenOpaque
            | Self::TokenSourceRefused
            | Self::TokenTooLarge
            | Self::TokenTypeRefused
            | Self::TokenUnbound => 401,
            Self::GroupsOverage
            | Self::IdentityTooLarge
            | Self::NamespaceUnknown
            | Self::RuleDenied
            | Self::RuleMissing => 403,
            Self::SourceThrottled => 429,
            Self::AlgorithmUnavailable | Self::KeysUnavailable | Self::TooManyWaiting => 503,
        }
    }

    /// The whole response. `retry_after`: the seconds after which another attempt makes sense, where they
    /// are known (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn reply(self, decision: &str, retry_after: Option<u64>) -> Reply {
        let mut headers = vec![("content-type", "application/json")];
        match self {
            // RFC 6750 section 3.1: no error code where no credential was presented.
            Self::TokenMissing => headers.push(("www-authenticate", r#"Bearer realm="gateway""#)),
            _ if self.status() == 401 => {
                headers.push((
                    "www-authenticate",
                    r#"Bearer realm="gateway", error="invalid_token""#,
                ));
            }
            _ => {}
        }
        Reply {
            status: self.status(),
            headers,
            retry_after: retry_after.map(|seconds| seconds.to_string()),
            body: format!(r#"{{"decision":"{decision}"}}"#),
        }
    }
}

impl From<TokenError> for Denial {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::TokenMalformed,
            TokenError::TooLarge => Self::TokenTooLarge,
        }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Algorithm => Self::AlgorithmRefused,
            Refusal::AlgorithmUnavailable => Self::AlgorithmUnavailable,
            Refusal::Audience => Self::AudienceMismatch,
            Refusal::CertificateMismatch => Self::CertificateMismatch,
            Refusal::CertificateMissing => Self::CertificateMissing,
            Refusal::Claim => Self::ClaimMismatch,
            Refusal::Confirmation => Self::ConfirmationUnsupported,
            Refusal::Expired => Self::TokenExpired,
            Refusal::GroupsOverage => Self::GroupsOverage,
            Refusal::Key => Self::KeyUnknown,
            Refusal::KeysUnavailable => Self::KeysUnavailable,
            Refusal::Lifetime => Self::TokenLifetimeRefused,
            Refusal::Malformed => Self::TokenMalformed,
            Refusal::NotYetValid => Self::TokenNotYetValid,
            Refusal::Signature => Self::SignatureInvalid,
            Refusal::Signer => Self::SignerRefused,
            Refusal::Type => Self::TokenTypeRefused,
            Refusal::Unbound => Self::TokenUnbound,
        }
    }
}

/// A response to a denied request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The value of `Retry-After`.
    pub retry_after: Option<String>,
    /// Its body.
    pub body: String,
}

/// Makes decision ids: UUIDs of version 7 (RFC 9562 section 5.7), so that they sort by time.
///
/// They must be unique and need not be secret: a counter follows the time, and a seed of each worker's
/// own follows the counter.
#[derive(Debug)]
pub struct DecisionIds {
    seed: u64,
    count: u64,
}

impl DecisionIds {
    /// `seed` must differ between workers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    /// The next id.
    pub fn next(&mut self, now: UnixTime) -> String {
        self.count = self.count.wrapping_add(1);
        let millis = now.millis() & 0xffff_ffff_ffff;
        // The low bits of the counter follow the time, and all of it is mixed into the seed.
        let tail = self.seed.wrapping_add(self.count) & 0x3fff_ffff_ffff_ffff | 1 << 63;
        let [_, _, a, b, c, d, e, f] = millis.to_be_bytes();
        let [.., g, h] = (0x7000 | self.count & 0xfff).to_be_bytes();
        let mut id = String::with_capacity(36);
        for (index, byte) in [a, b, c, d, e, f, g, h]
            .into_iter()
            .chain(tail.to_be_bytes())
            .enumerate()
        {
            if matches!(index, 4 | 6 | 8 | 10) {
                id.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                id.push(char::from(upper_digit(digit).to_ascii_lowercase()));
            }
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_sender_learns_a_status_and_the_decision_id() {
        let reply = Denial::TokenExpired.reply("7", None);
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (401, r#"{"decision":"7"}"#)
        );
        assert!(reply.headers.contains(&(
            "www-authenticate",
            r#"Bearer realm="gateway", error="invalid_token""#
        )));
        let reply = Denial::TokenMissing.reply("7", None);
        assert!(
            reply
                .headers
                .contains(&("www-authenticate", r#"Bearer realm="gateway""#))
        );
        for denial in [
            Denial::RuleMissing,
            Denial::PathAmbiguous,
            Denial::KeysUnavailable,
        ] {
            assert_eq!(
                denial.reply("7", None).headers,
                [("content-type", "application/json")]
            );
            assert_eq!(denial.reply("7", None).body, r#"{"decision":"7"}"#);
        }
        let reply = Denial::SourceThrottled.reply("7", Some(6));
        assert_eq!(
            (reply.status, reply.retry_after.as_deref()),
            (429, Some("6"))
        );
    }

    #[test]
    fn the_access_log_learns_the_reason() {
        assert_eq!(
            Denial::TokenExpired.details(),
            "identity_filter_access_denied{token_expired}"
        );
    }

    #[test]
    fn decision_ids_are_unique_uuids_that_sort_by_time() {
        let mut ids = DecisionIds::new(u64::MAX - 3);
        let made: BTreeSet<_> = (0..10_000)
            .map(|_| ids.next(UnixTime::from_millis(1_795_393_482_123)))
            .collect();
        assert_eq!(made.len(), 10_000);
        for id in &made {
            assert_eq!(id.len(), 36);
            assert!(id.starts_with("01a20"), "{id}");
            assert_eq!(&id[14..15], "7");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"));
        }
        assert!(ids.next(UnixTime::from_millis(1_795_393_482_124)) > *made.last().unwrap());
    }
}
