//! Which `typ` of a token's header a provider's credentials have (RFC 8725 section 3.11).
//!
//! An issuer signs other things with the same keys: logout tokens, DPoP proofs, security events. What
//! tells them apart is `typ`, and they must not pass as credentials.

use alloc::string::String;
use alloc::vec::Vec;

/// The accepted types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTypes {
    /// In lower case, without `application/`.
    accepted: Vec<String>,
    may_be_absent: bool,
}

impl Default for TokenTypes {
    /// `JWT` (RFC 7519 section 5.1), `at+jwt` (RFC 9068 section 2.1), or none: many issuers write none.
    fn default() -> Self {
        Self::or_absent(&["jwt", "at+jwt"])
    }
}

impl TokenTypes {
    /// Exactly these, and no token without a type. Nothing when one of them is no type or none is left.
    #[must_use]
    pub fn exactly(names: &[String]) -> Option<Self> {
        let is_type_byte = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'/' | b'_')
        };
        let is_type =
            |name: &String| (1..=64).contains(&name.len()) && name.bytes().all(is_type_byte);
        (!names.is_empty() && names.iter().all(is_type)).then(|| Self {
            accepted: names.iter().map(|name| plain(name)).collect(),
            may_be_absent: false,
        })
    }

    /// These, in lower case, or none at all.
    #[must_use]
    pub fn or_absent(names: &[&str]) -> Self {
        Self {
            accepted: names.iter().map(|name| String::from(*name)).collect(),
            may_be_absent: true,
        }
    }

    /// A `typ` that a credential may have; nothing where it needs none.
    #[must_use]
    pub fn example(&self) -> Option<&str> {
        let first = self.accepted.first().map(String::as_str);
        first.filter(|_| !self.may_be_absent)
    }

    /// Whether a token with this `typ` may be a credential.
    #[must_use]
    pub fn accept(&self, written: Option<&str>) -> bool {
        written.map_or(self.may_be_absent, |written| {
            self.accepted.contains(&plain(written))
        })
    }
}

/// RFC 7515 section 4.1.9: a media type, in any case, whose `application/` may be left out.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("application/").map_or_else(
        || name.clone(),
        |rest| {
            if rest.contains('/') {
                name.clone()
            } else {
                rest.into()
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_type_is_compared_as_a_media_type() {
        let listed =
            TokenTypes::exactly(&["at+jwt".into(), "application/Secevent+JWT".into()]).unwrap();
        let default = TokenTypes::default();
        let cases = [
            (None, true, false),
            (Some(""), false, false),
            (Some("JWT"), true, false),
            (Some("jwt"), true, false),
            (Some("application/jwt"), true, false),
            (Some("at+jwt"), true, true),
            (Some("application/AT+JWT"), true, true),
            (Some("secevent+jwt"), false, true),
            (Some("logout+jwt"), false, false),
            (Some("application/application/jwt"), false, false),
            (Some("text/jwt"), false, false),
            (Some("JWT "), false, false),
        ];
        for (written, by_default, by_list) in cases {
            assert_eq!(default.accept(written), by_default, "{written:?}");
            assert_eq!(listed.accept(written), by_list, "{written:?}");
        }
    }

    #[test]
    fn a_list_names_types() {
        for names in [vec![], vec![""], vec!["JWT", "a b"]] {
            let names: Vec<_> = names.into_iter().map(String::from).collect();
            assert_eq!(TokenTypes::exactly(&names), None, "{names:?}");
        }
    }
}
