//! Headers: what came, what is stripped (always, first), what is set.
//!
//! Names and values are bytes from the network. A value that the filter sets is visible ASCII by
//! construction, so nothing in a token can begin a second header.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::TokenSource;
use crate::cookie;

/// The request headers as the gateway has them: names in lower case, pseudo-headers among them, every
/// value of a repeated header on its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Takes the map as it was read.
    #[must_use]
    pub const fn new(entries: Vec<(String, Vec<u8>)>) -> Self {
        Self(entries)
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Every value of the header `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of a header that is there exactly once.
    #[must_use]
    pub fn only<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Puts one value in place of all that a header has.
    pub fn set(&mut self, name: &str, value: &str) {
        self.set_bytes(name, value.as_bytes());
    }

    /// The same for a value that holds bytes of the request, such as its query.
    pub fn set_bytes(&mut self, name: &str, value: &[u8]) {
        let first = self
            .0
            .iter()
            .position(|(other, _)| other.eq_ignore_ascii_case(name));
        match first.and_then(|first| self.0.get_mut(first)) {
            // In its place: pseudo-headers stay before the others.
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name.into(), value.into())),
        }
        let mut seen = false;
        self.0.retain(|(other, _)| {
            let is_same = other.eq_ignore_ascii_case(name);
            let is_repeated = is_same && seen;
            seen |= is_same;
            !is_repeated
        });
    }

    /// Puts what `rewritten` gives in place of each value of a header; an empty one goes away.
    fn rewrite(&mut self, name: &str, rewritten: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        self.0.retain_mut(|(other, value)| {
            if other.eq_ignore_ascii_case(name)
                && let Some(new) = rewritten(value)
            {
                *value = new;
                return !value.is_empty();
            }
            true
        });
    }

    /// True when something was there to be removed.
    fn remove(&mut self, is_removed: impl Fn(&str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|(name, _)| !is_removed(name));
        self.0.len() != before
    }
}

/// Which headers tell a workload who is calling, and which hold credentials.
#[derive(Debug, Clone)]
pub struct IdentityHeaders {
    prefix: String,
    /// Other names that are stripped as if they had the prefix.
    unsigned: Vec<&'static str>,
    removed: Vec<String>,
    removed_cookies: Vec<String>,
}

impl IdentityHeaders {
    /// Headers with this prefix; nothing when it is no prefix that can be stripped safely.
    #[must_use]
    pub fn new(prefix: &str) -> Option<Self> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_usable = (5..=32).contains(&prefix.len())
            && prefix.starts_with("x-")
            && prefix.ends_with('-')
            && !prefix.contains("--")
            && prefix.bytes().all(is_allowed)
            && !GATEWAY_HEADERS
                .iter()
                .any(|name| name.starts_with(prefix) || prefix.starts_with(name));
        is_usable.then(|| Self {
            prefix: prefix.into(),
            unsigned: Vec::new(),
            removed: Vec::new(),
            removed_cookies: Vec::new(),
        })
    }

    /// The same, stripping these too: they say who is calling, and nobody has signed them.
    #[must_use]
    pub fn distrusting(mut self, names: impl Iterator<Item = &'static str>) -> Self {
        self.unsigned.extend(names);
        self
    }

    /// The same, removing the credentials of these sources before a request goes on.
    #[must_use]
    pub fn removing(mut self, sources: Vec<TokenSource>) -> Self {
        for source in sources {
            match source {
                TokenSource::Cookie { name } => self.removed_cookies.push(name),
                TokenSource::Header { name, .. } => self.removed.push(name),
            }
        }
        self
    }

    /// Whether only the filter may set the header `name`. `_` counts as `-`: many servers hand both to
    /// the application under one name.
    #[must_use]
    pub fn is_identity(&self, name: &str) -> bool {
        let same = |byte: u8| {
            if byte == b'_' {
                b'-'
            } else {
                byte.to_ascii_lowercase()
            }
        };
        let is = |wanted: &str, name: &[u8]| name.iter().map(|byte| same(*byte)).eq(wanted.bytes());
        let name = name.as_bytes();
        is(CONNECTION_ID, name)
            || self.unsigned.iter().any(|unsigned| is(unsigned, name))
            || name
                .get(..self.prefix.len())
                .is_some_and(|front| is(&self.prefix, front))
    }

    /// Removes every header that only the filter may set. True when there were some.
    pub fn strip(&self, headers: &mut Headers) -> bool {
        headers.remove(|name| self.is_identity(name))
    }

    /// Removes the headers and cookies that hold credentials, where they are not to be forwarded.
    pub fn remove_credentials(&self, headers: &mut Headers) {
        headers.rewrite("cookie", |value| {
            cookie::without(value, &self.removed_cookies)
        });
        let _any = headers.remove(|name| {
            self.removed
                .iter()
                .any(|removed| name.eq_ignore_ascii_case(removed))
        });
    }

    /// Sets the identity header that ends in `name`.
    pub fn set(&self, headers: &mut Headers, name: &str, value: &str) {
        headers.set(&format!("{}{name}", self.prefix), value);
    }
}

/// The header with the front's connection id.
pub const CONNECTION_ID: &str = "x-connection-id";

/// Prefixes and names that the gateway and the front use themselves.
const GATEWAY_HEADERS: [&str; 6] = [
    "x-envoy-",
    "x-forwarded-",
    "x-istio-",
    "x-request-id",
    "x-b3-",
    "x-connection-id",
];

/// Whether `name` can be the name of a header (RFC 9110 section 5.1), in lower case.
#[must_use]
pub fn is_header_name(name: &str) -> bool {
    let is_allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// `text` in visible ASCII: every other byte, and `%` and `,`, as `%` and two hexadecimal digits. A
/// comma would look like two values.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b',' {
            value.push(char::from(byte));
        } else {
            value.push_str(&format!("%{byte:02X}"));
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(|(name, _)| name).collect()
    }

    fn headers(names: &[&str]) -> Headers {
        Headers::new(
            names
                .iter()
                .map(|name| (String::from(*name), vec![0xff]))
                .collect(),
        )
    }

    #[test]
    fn every_spelling_of_an_identity_header_is_stripped() {
        let identity = IdentityHeaders::new("x-identity-").unwrap();
        let mut headers = headers(&[
            ":path",
            "x-identity-subject",
            "X-Identity-Roles",
            "x_identity_roles",
            "x-identity_new-one",
            "X-IDENTITY-",
            "x-connection-id",
            "X_Connection_Id",
            "x-identity",
            "x-identityx",
            "my-x-identity-a",
            "x-identity-subject",
            "accept",
        ]);
        assert!(identity.strip(&mut headers));
        assert!(
            !identity.strip(&mut headers),
            "nothing is left to be stripped"
        );
        assert_eq!(
            names(&headers),
            [
                ":path",
                "x-identity",
                "x-identityx",
                "my-x-identity-a",
                "accept"
            ]
        );
    }

    #[test]
    fn credentials_are_removed_by_name() {
        let identity = IdentityHeaders::new("x-identity-").unwrap();
        let header = |name: &str| TokenSource::Header {
            name: name.into(),
            scheme: None,
        };
        let cookie = TokenSource::Cookie { name: "s".into() };
        let identity = identity.removing(vec![header("authorization"), header("x-token"), cookie]);
        let mut headers = headers(&["authorization", "x-token", "Authorization", "x-tokens"]);
        for value in ["a=1; s=2", "s=3", "", "b=4;  c=5"] {
            headers.0.push(("Cookie".into(), value.into()));
        }
        identity.remove_credentials(&mut headers);
        assert_eq!(names(&headers), ["x-tokens", "Cookie", "Cookie", "Cookie"]);
        let cookies: Vec<_> = headers.all("cookie").collect();
        assert_eq!(cookies, [&b"a=1"[..], b"", b"b=4;  c=5"]);
    }

    #[test]
    fn set_leaves_exactly_one_value_in_place() {
        let mut headers = headers(&[":path", "a", "b", "A"]);
        headers.set("a", "1");
        headers.set("c", "2");
        assert_eq!(names(&headers), [":path", "a", "b", "c"]);
        assert_eq!(headers.only("a"), Some(&b"1"[..]));
    }

    #[test]
    fn a_repeated_header_has_no_only_value() {
        let headers = headers(&["a", "b", "A"]);
        assert_eq!((headers.only("a"), headers.only("c")), (None, None));
        assert!(headers.only("b").is_some());
    }

    #[test]
    fn prefixes_that_would_strip_other_headers_are_refused() {
        for prefix in [
            "",
            "x-",
            "x-a",
            "identity-",
            "x-Identity-",
            "x_identity_",
            "x-identity",
            "x-envoy-",
            "x-e--",
            "x-envoy-original-",
            "x-forwarded-",
            "x-request-",
            "x-connection-",
            "x-b3-",
        ] {
            assert!(IdentityHeaders::new(prefix).is_none(), "{prefix}");
        }
        assert!(IdentityHeaders::new("x-acme-").is_some());
    }

    proptest! {
        #[test]
        fn an_escaped_text_is_one_visible_value(one: String, two: String) {
            prop_assert!(escaped(&one).bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
            prop_assert_eq!(escaped(&one) == escaped(&two), one == two);
        }
    }
}
