//! Where a provider's keys come from, and the algorithms that they are for.

use identity_filter::jwks::KeySet;
use serde_json::{Value, json};

use super::{Draft, LEFT_OUT};
use crate::import::resource::list;

impl Draft<'_, '_> {
    /// Where the keys come from, and the algorithms that they are for.
    pub(super) fn keys(&mut self, rule: &Value, issuer: &str) -> Option<(Value, Value)> {
        if let Some(text) = rule["jwks"].as_str() {
            if KeySet::parse(text.as_bytes()).is_err() {
                self.lose(
                    "jwks",
                    "none of the keys can be used: too short, private, or of an unknown kind",
                    LEFT_OUT,
                );
                return None;
            }
            let set: Value = serde_json::from_str(text).unwrap_or_default();
            let algorithms = algorithms(&set);
            return Some((json!({"inline": set}), algorithms));
        }
        let uri = rule["jwksUri"]
            .as_str()
            .or_else(|| rule["jwks_uri"].as_str());
        let guess = format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
        let uri = uri.unwrap_or_else(|| {
            self.lose("", "neither `jwksUri` nor `jwks` is there, and the filter does not ask the issuer where its keys are",
                "the address of the keys is a guess: take `jwks_uri` from the issuer's .well-known/openid-configuration");
            &guess
        });
        let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok()),
            None => (
                authority,
                match scheme {
                    "https" => Some(443),
                    "http" => Some(80),
                    _ => None,
                },
            ),
        };
        let is_plain = uri
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let Some(port) = port
            .filter(|_| is_plain && identity_filter::host::Host::parse(host.as_bytes()).is_some())
        else {
            self.lose(
                "jwksUri",
                "is no https:// or http:// address with a host name",
                LEFT_OUT,
            );
            return None;
        };
        let uri = if rest.contains('/') {
            uri.to_owned()
        } else {
            format!("{uri}/")
        };
        let mut jwks = json!({"cluster": format!("outbound|{port}||{host}"), "uri": uri});
        if let Some(timeout) = rule["timeout"].as_str() {
            match timeout
                .strip_suffix('s')
                .and_then(|number| number.parse::<u32>().ok())
            {
                Some(seconds @ 1..=30) => jwks["timeout_seconds"] = seconds.into(),
                _ => self.lose(
                    "timeout",
                    &format!("{timeout:?} is not a whole number of seconds from 1 to 30"),
                    "5 seconds",
                ),
            }
        }
        Some((jwks, json!(ALGORITHMS)))
    }
}

/// The algorithms for which the set has keys.
fn algorithms(set: &Value) -> Value {
    let of = |key: &Value| -> &[&str] {
        let named = EACH.iter().position(|name| key["alg"] == *name);
        if let Some(one) = named.and_then(|index| EACH.get(index..=index)) {
            return one;
        }
        match (key["kty"].as_str(), key["crv"].as_str()) {
            (Some("RSA"), _) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            (Some("EC"), Some("P-256")) => &["ES256"],
            (Some("EC"), Some("P-384")) => &["ES384"],
            (Some("EC"), Some("P-521")) => &["ES512"],
            (Some("OKP"), _) => &["EdDSA"],
            _ => &[],
        }
    };
    let mut found: Vec<&str> = list(set.get("keys")).iter().flat_map(of).copied().collect();
    found.sort_unstable();
    found.dedup();
    json!(found)
}

/// What jwt_authn believes and every gateway can check.
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];
/// The same, and what some gateways cannot check.
const EACH: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "ES512",
];
