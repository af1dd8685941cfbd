//! What the gateway's own filters, and its access log, can read of a decision, value by value: policies of
//! the gateway match a text, and cannot look into a record.

use alloc::string::String;
use alloc::vec::Vec;

use crate::caller::Caller;

/// One fact about a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateValue {
    /// `allow` or `deny`.
    Decision,
    /// The namespace of the request.
    Namespace,
    /// The provider of the caller's token.
    Provider,
    /// The caller's roles in the namespace, sorted, separated by `,`.
    Roles,
    /// The rule that decided.
    Rule,
    /// Issuer and `sub`, as in the header.
    Subject,
    /// The workload identity.
    Workload,
}

impl StateValue {
    /// All of them, by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("decision", Self::Decision),
        ("namespace", Self::Namespace),
        ("provider", Self::Provider),
        ("roles", Self::Roles),
        ("rule", Self::Rule),
        ("subject", Self::Subject),
        ("workload", Self::Workload),
    ];

    /// The gateway's name of it, before which the gateway puts `wasm.`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Decision => "sallyport.decision",
            Self::Namespace => "sallyport.namespace",
            Self::Provider => "sallyport.provider",
            Self::Roles => "sallyport.roles",
            Self::Rule => "sallyport.rule",
            Self::Subject => "sallyport.subject",
            Self::Workload => "sallyport.workload",
        }
    }

    /// The value, if there is one. Facts about a caller are those of a token that was verified.
    pub(crate) fn of(self, known: &Known<'_>) -> Option<String> {
        let caller = known.caller;
        let text = match self {
            Self::Decision => Some(known.decision),
            Self::Namespace => known.namespace,
            Self::Provider => caller.map(|caller| caller.provider.as_str()),
            Self::Roles => {
                let roles: Vec<_> = caller?.role_names().collect();
                return (!roles.is_empty()).then(|| roles.join(","));
            }
            Self::Rule => known.rule,
            Self::Subject => caller.map(|caller| caller.subject.as_str()),
            Self::Workload => caller.and_then(|caller| caller.workload.as_deref()),
        };
        text.map(String::from)
    }
}

/// Where the access log finds the record of a request that was let in.
pub const ALLOW_RECORD: &str = "sallyport.allow";

/// What the gateway's function `declare_property` takes: that `key` is text, that it is written once, and that it lives as
/// long as the request. A protobuf message (`envoy.source.extensions.common.wasm.DeclarePropertyArguments`) of four
/// fields: `name` (1), `readonly` (2), `type` (3) and, left at its default, `span`.
#[must_use]
pub fn declaration(key: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(key.len() + 6);
    // A length of one byte: all keys are shorter than 128 bytes.
    message.extend([0x0a, u8::try_from(key.len()).unwrap_or_default()]);
    message.extend(key.as_bytes());
    // A field's number and its kind are one byte: 2 and 3, each a number.
    message.extend([0x10, READ_ONLY, 0x18, STRING]);
    message
}

/// Written once: no plugin behind the filter changes it.
const READ_ONLY: u8 = 1;
/// `WasmType::String`.
const STRING: u8 = 1;

/// What is known of a decision.
pub(crate) struct Known<'a> {
    pub(crate) decision: &'static str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) rule: Option<&'a str>,
    pub(crate) caller: Option<&'a Caller>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_the_message_that_the_gateway_reads() {
        let message = declaration("sallyport.rule");
        assert_eq!(message, b"\x0a\x0esallyport.rule\x10\x01\x18\x01");
        for (name, value) in StateValue::NAMES {
            assert_eq!(value.key(), ["sallyport.", name].concat());
            assert!(value.key().len() < 128);
        }
    }
}
