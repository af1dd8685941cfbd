//! The decision in one sentence, and what must be known to trust the answer.

use identity_filter::decision::Denial;
use identity_filter::namespace::Namespace;

use super::Report;
use crate::caller::Signature;

pub(crate) fn summary(
    denial: Option<Denial>,
    rule: Option<&str>,
    namespace: Option<&str>,
) -> String {
    let of = namespace.map_or_else(String::new, |namespace| {
        format!(" of namespace {namespace}")
    });
    match (denial, rule) {
        (None, Some(rule)) => format!("rule {rule}{of} lets it in"),
        (None, None) => format!("no rule{of} lets it in, and the policy is in shadow mode"),
        (Some(Denial::RuleDenied), Some(rule)) => format!("rule {rule}{of} keeps it out"),
        (Some(Denial::RuleMissing), _) => format!("no rule{of} lets this caller in"),
        (Some(Denial::TokenMissing), _) => {
            format!("there is no token, and no rule{of} lets the request in without one")
        }
        (Some(denial), _) => meaning(denial).into(),
    }
}

/// What a reason means.
pub(crate) const fn meaning(denial: Denial) -> &'static str {
    match denial {
        Denial::AlgorithmRefused => "the token's algorithm is none of the provider's",
        Denial::AlgorithmUnavailable => "the gateway cannot check the token's algorithm",
        Denial::AudienceMismatch => "the token is for somebody else",
        Denial::CertificateMismatch => "the token is bound to another client certificate",
        Denial::CertificateMissing => {
            "the token is bound to a client certificate, and none was verified"
        }
        Denial::ClaimMismatch => "a claim is not what the provider's `required_claims` ask for",
        Denial::ConfirmationUnsupported => {
            "the token is bound to something that the filter does not check"
        }
        Denial::GroupsOverage => "the caller has more groups than the token has room for",
        Denial::HeaderInvalid => {
            "a header without which nothing can be judged is missing, repeated or no text"
        }
        Denial::HostInvalid => "the host is missing, repeated or no plain name",
        Denial::IdentityTooLarge => {
            "what would be said of the caller, in its workload id or in headers, is more than may be"
        }
        Denial::IssuerUnknown => "no provider has the token's issuer",
        Denial::KeyUnknown => "the provider has no key of the name that the token gives",
        Denial::KeysUnavailable => "the provider's keys were not there",
        Denial::NamespaceUnknown => "no namespace has a route for this host and path",
        Denial::PathAmbiguous => "the path can be read in more than one way",
        Denial::RuleDenied => "a deny rule keeps it out",
        Denial::RuleMissing => "no rule lets this caller in",
        Denial::SignatureInvalid => "the signature is not the provider's",
        Denial::SignerRefused => "another load balancer than the provider's made the token",
        Denial::SourceThrottled => "too many bad tokens have come from the client's address",
        Denial::TokenAmbiguous => "there is more than one credential",
        Denial::TokenExpired => "the token is over",
        Denial::TokenLifetimeRefused => {
            "the token was made to live longer than its provider's tokens may"
        }
        Denial::TokenMalformed => {
            "the token, or a claim that it must have, is not of the right form"
        }
        Denial::TokenMissing => "there is no token",
        Denial::TokenNotYetValid => "the token is not valid yet",
        Denial::TokenOpaque => "the token is of an issuer whose tokens nobody else can read",
        Denial::TokenSourceRefused => "the token stands where its provider's tokens may not stand",
        Denial::TokenTooLarge => {
            "the token is longer than `limits.token_bytes`, or its header than 4 KiB"
        }
        Denial::TokenTypeRefused => "the token's `typ` is not that of a credential",
        Denial::TokenUnbound => {
            "the token is not bound to a client certificate, and the provider's tokens must be"
        }
        Denial::TooManyWaiting => "too many requests were waiting for keys",
    }
}

pub(super) fn notes(
    signature: Signature,
    report: &Report,
    namespace: Option<&Namespace>,
) -> Vec<String> {
    let mut notes = Vec::new();
    match signature {
        Signature::AlgorithmNotHere => notes.push(
            "the signature was NOT checked: only a gateway can check this algorithm".to_owned(),
        ),
        Signature::Claimed => notes.push(
            "claims were given, not a token: they are taken as if their provider had signed them".into(),
        ),
        Signature::KeysNotHere => notes.push(
            "the signature was NOT checked: the provider's keys are fetched by the gateway; give them with \
             --keys FILE"
                .into(),
        ),
        Signature::Checked | Signature::NoToken | Signature::NotReached => {}
    }
    if let Some(shadow) = &report.shadow {
        let by = shadow
            .rule
            .as_ref()
            .map_or_else(String::new, |rule| format!(" by rule {rule}"));
        let why = shadow
            .reason
            .filter(|_| shadow.rule.is_none())
            .map_or_else(String::new, |reason| format!(": {}", meaning(reason)));
        let done = if shadow.decision == "allow" {
            "let in"
        } else {
            "kept out"
        };
        notes.push(format!(
            "if every rule were enforced it would be {done}{by}{why}"
        ));
    } else if namespace.is_some_and(|namespace| namespace.policy.is_shadow) {
        notes.push("the policy is in shadow mode".into());
    }
    notes
}
