//! The name of the host that a request is for, in one form, and the patterns that match it.
//!
//! Two spellings of a host must not lead to two decisions (CVE-2021-39155 was a matter of case), so a
//! host is lower-cased, its port and one trailing dot are cut, and what is then no plain name is refused.

use alloc::string::String;

/// A canonical host: lower case, no port, no trailing dot; letters, digits, `-`, `_` and dots only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// Reads `:authority` as it came (RFC 9110 section 7.2).
    #[must_use]
    pub fn parse(authority: &[u8]) -> Option<Self> {
        let authority = core::str::from_utf8(authority).ok()?;
        let (name, _port) = split_port(authority)?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        is_name(&name).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The authority that goes on to the workload: this name, with the port that came with it.
    #[must_use]
    pub fn authority(&self, original: &[u8]) -> String {
        let port = core::str::from_utf8(original)
            .ok()
            .and_then(split_port)
            .and_then(|(_, port)| port);
        let mut authority = self.0.clone();
        if let Some(port) = port {
            authority.push(':');
            authority.push_str(port);
        }
        authority
    }
}

/// A host, or every host below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// `*.suffix`: one label or more in front of it, and never the suffix itself.
    Below(String),
}

impl HostPattern {
    /// Reads `host` or `*.host`, written in the canonical form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (suffix, is_below) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        let is_canonical = is_name(suffix) && !suffix.bytes().any(|byte| byte.is_ascii_uppercase());
        is_canonical.then(|| {
            if is_below {
                Self::Below(suffix.into())
            } else {
                Self::Exact(suffix.into())
            }
        })
    }

    /// Whether `host` is one of those meant.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Exact(name) => *name == host.0,
            Self::Below(suffix) => is_below(&host.0, suffix),
        }
    }

    /// Whether some host is meant by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(two)) => one == two,
            (Self::Exact(name), Self::Below(suffix)) | (Self::Below(suffix), Self::Exact(name)) => {
                is_below(name, suffix)
            }
            (Self::Below(one), Self::Below(two)) => {
                one == two || is_below(one, two) || is_below(two, one)
            }
        }
    }

    /// Whether every host that `other` means is meant by this one, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(two)) => one == two,
            (Self::Exact(_), Self::Below(_)) => false,
            (Self::Below(suffix), Self::Exact(name)) => is_below(name, suffix),
            (Self::Below(suffix), Self::Below(narrow)) => {
                suffix == narrow || is_below(narrow, suffix)
            }
        }
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

/// Name and port; nothing when the port is no number.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((name, port)) => {
            let is_port =
                (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
            is_port.then_some((name, Some(port)))
        }
    }
}

/// Labels of letters, digits, `-` and `_`, each 1 to 63 long, 253 in all (RFC 1035 section 2.3.4).
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_has_one_form() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"api.example.com", Some("api.example.com")),
            (b"API.Example.COM", Some("api.example.com")),
            (b"api.example.com:8443", Some("api.example.com")),
            (b"api.example.com.", Some("api.example.com")),
            (b"api.example.com.:443", Some("api.example.com")),
            (b"127.0.0.1:80", Some("127.0.0.1")),
            (b"localhost", Some("localhost")),
            (b"api.example.com..", None),
            (b"api..example.com", None),
            (b".example.com", None),
            (b"user@api.example.com", None),
            (b"api.example.com:", None),
            (b"api.example.com:x", None),
            (b"api.example.com:80:80", None),
            (b"api.example.com/path", None),
            (b"api example.com", None),
            (b"api.example.com\0", None),
            (b"b\xc3\xbccher.example", None),
            (b"\xff", None),
            (b"[::1]:80", None),
            (b"", None),
        ];
        for (authority, want) in cases {
            let got = Host::parse(authority);
            assert_eq!(
                got.as_ref().map(Host::as_str),
                *want,
                "{}",
                authority.escape_ascii()
            );
        }
    }

    #[test]
    fn the_forwarded_authority_keeps_only_the_port() {
        for (authority, want) in [
            ("API.example.com.:8443", "api.example.com:8443"),
            ("api.example.com", "api.example.com"),
        ] {
            let host = Host::parse(authority.as_bytes()).unwrap();
            assert_eq!(host.authority(authority.as_bytes()), want);
        }
    }

    #[test]
    fn a_wildcard_means_every_host_below() {
        let cases = [
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "www.example.com", false),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
        ];
        for (pattern, host, want) in cases {
            let host = Host::parse(host.as_bytes()).unwrap();
            assert_eq!(
                HostPattern::parse(pattern).unwrap().matches(&host),
                want,
                "{pattern}"
            );
        }
        for pattern in [
            "*",
            "*.",
            "a.*.com",
            "*a.com",
            "API.example.com",
            "a:80",
            "",
            "a.",
        ] {
            assert_eq!(HostPattern::parse(pattern), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_host_is_its_own_form(authority: Vec<u8>) {
            if let Some(host) = Host::parse(&authority) {
                prop_assert_eq!(Host::parse(host.as_str().as_bytes()), Some(host));
            }
        }

        #[test]
        fn every_spelling_of_a_host_is_one_host(
            name in "[a-z0-9_-]{1,5}(\\.[a-z0-9_-]{1,5}){0,2}", upper in any::<u32>(), port in "(:[0-9]{1,5})?", dot in "\\.?"
        ) {
            let spelled: String = name
                .char_indices()
                .map(|(index, letter)| if upper >> index & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
                .collect();
            let host = Host::parse([spelled.as_str(), &dot, &port].concat().as_bytes());
            prop_assert_eq!(host.as_ref().map(Host::as_str), Some(name.as_str()));
        }

        #[test]
        fn patterns_overlap_when_one_host_matches_both(
            one in "(\\*\\.)?[ab](\\.[ab]){0,2}", two in "(\\*\\.)?[ab](\\.[ab]){0,2}", host in "[ab](\\.[ab]){0,3}"
        ) {
            let (one, two) = (HostPattern::parse(&one).unwrap(), HostPattern::parse(&two).unwrap());
            let host = Host::parse(host.as_bytes()).unwrap();
            if one.matches(&host) && two.matches(&host) {
                prop_assert!(one.overlaps(&two));
            }
            if one.covers(&two) && two.matches(&host) {
                prop_assert!(one.matches(&host));
            }
        }
    }
}
