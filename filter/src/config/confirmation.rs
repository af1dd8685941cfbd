//! Checks what the tokens of a provider may be bound to.

use alloc::format;

use super::ConfigError;
use super::wire::{CertificateBinding, Provider};
use crate::confirmation::{CERTIFICATE, Confirmations};

pub(super) fn build(at: &str, written: &Provider) -> Result<Confirmations, ConfigError> {
    let certificate_required = matches!(written.certificate_binding, CertificateBinding::Required);
    let at = format!("{at}.confirmations_checked_elsewhere");
    let Some(checked_elsewhere) = &written.confirmations_checked_elsewhere else {
        return Ok(Confirmations {
            certificate_required,
            ..Confirmations::default()
        });
    };
    if certificate_required {
        return Err(ConfigError::fields(
            at,
            "says nothing beside `certificate_binding: required`: every token must be bound to a certificate",
        ));
    }
    if checked_elsewhere.is_empty() {
        return Err(ConfigError::fields(
            at,
            "at least one member of cnf must be there, such as jkt",
        ));
    }
    let is_name = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    for (index, name) in checked_elsewhere.iter().enumerate() {
        if !is_name(name) || name == CERTIFICATE {
            return Err(ConfigError::value(
                format!("{at}[{index}]"),
                name,
                "the name of a member of cnf, such as jkt: 1 to 64 visible ASCII characters, and not \
                 x5t#S256, which the filter itself checks",
            ));
        }
    }
    Ok(Confirmations {
        certificate_required,
        checked_elsewhere: checked_elsewhere.clone(),
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    fn confirmations(fields: &Value) -> Result<Confirmations, String> {
        let mut document = json!({
            "providers": [{"name": "p", "issuer": "https://id.test", "audiences": ["api"],
                "algorithms": ["ES256"], "jwks": {"cluster": "c", "uri": "https://id.test/keys"}}],
            "namespaces": [], "policy": {"rules": []}
        });
        let provider = document["providers"][0].as_object_mut().unwrap();
        provider.extend(fields.as_object().unwrap().clone());
        Config::parse(document.to_string().as_bytes())
            .map(|config| config.providers[0].confirmations.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_fields_may_be_left_out() {
        let jkt = json!({"certificate_binding": "if_present", "confirmations_checked_elsewhere": ["jkt"]});
        let cases = [
            (json!({}), false, 0),
            (json!({"certificate_binding": "if_present"}), false, 0),
            (json!({"certificate_binding": "required"}), true, 0),
            (jkt, false, 1),
        ];
        for (fields, certificate_required, elsewhere) in cases {
            let got = confirmations(&fields).unwrap();
            assert_eq!(
                (got.certificate_required, got.checked_elsewhere.len()),
                (certificate_required, elsewhere),
                "{fields}"
            );
        }
    }

    #[test]
    fn what_says_nothing_or_takes_the_check_away_is_refused() {
        let cases = [
            (
                json!({"certificate_binding": "ignore"}),
                "providers[0].certificate_binding: unknown variant `ignore`, expected `if_present` or `required`",
            ),
            (
                json!({"confirmations_checked_elsewhere": []}),
                "providers[0].confirmations_checked_elsewhere: at least one member of cnf",
            ),
            (
                json!({"confirmations_checked_elsewhere": ["jkt", "x5t#S256"]}),
                "providers[0].confirmations_checked_elsewhere[1]: is \"x5t#S256\", allowed is the name",
            ),
            (
                json!({"confirmations_checked_elsewhere": [""]}),
                "providers[0].confirmations_checked_elsewhere[0]: is \"\", allowed is the name",
            ),
            (
                json!({"certificate_binding": "required", "confirmations_checked_elsewhere": ["jkt"]}),
                "providers[0].confirmations_checked_elsewhere: says nothing beside `certificate_binding: required`",
            ),
        ];
        for (fields, want) in cases {
            let error = confirmations(&fields).unwrap_err();
            assert!(error.starts_with(want), "{fields}: {error}");
        }
    }
}
