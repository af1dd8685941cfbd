//! Patterns of SPIFFE ids (SPIFFE-ID section 2), by whole segments.

use alloc::string::String;
use core::fmt;

use crate::identity::{ID_LIMIT, is_segment_part};
use crate::path::PathPattern;

/// The ids that `spiffe://DOMAIN/ns/*/sa/batch` means: the trust domain as it is, `*` for exactly one
/// segment, one `**` for any number of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffePattern {
    domain: String,
    path: PathPattern,
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}{}", self.domain, self.path)
    }
}

impl SpiffePattern {
    /// Reads a pattern.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, path) = split(text)?;
        let is_domain_byte =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        let is_readable = !domain.is_empty()
            && domain.bytes().all(is_domain_byte)
            && segments(path).all(|segment| matches!(segment, "*" | "**") || is_segment(segment));
        let path = PathPattern::parse(path).filter(|_| is_readable)?;
        Some(Self {
            domain: domain.into(),
            path,
        })
    }

    /// Whether `id` is one of those meant. What is no SPIFFE id is none of them.
    #[must_use]
    pub fn matches(&self, id: &str) -> bool {
        split(id).is_some_and(|(domain, path)| {
            id.len() <= ID_LIMIT
                && domain == self.domain
                && segments(path).all(is_segment)
                && self.path.matches_segments(segments(path))
        })
    }

    /// Whether every id that `other` means is meant by this one, too; no is no certain answer.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.domain == other.domain && self.path.covers(&other.path)
    }
}

/// The trust domain, and the path with its first slash.
fn split(id: &str) -> Option<(&str, &str)> {
    let rest = id.strip_prefix("spiffe://")?;
    Some(rest.split_at(rest.find('/')?))
}

fn segments(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn is_segment(text: &str) -> bool {
    is_segment_part(text) && !matches!(text, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_pattern_means_whole_segments() {
        let cases = [
            ("spiffe://a.b/ns/x/sa/y", "spiffe://a.b/ns/x/sa/y", true),
            ("spiffe://a.b/ns/x/sa/y", "spiffe://a.b/ns/x/sa/yy", false),
            ("spiffe://a.b/ns/*/sa/y", "spiffe://a.b/ns/x/sa/y", true),
            ("spiffe://a.b/ns/*/sa/y", "spiffe://a.b/ns/x/z/sa/y", false),
            ("spiffe://a.b/ns/*/sa/y", "spiffe://a.b/ns//sa/y", false),
            ("spiffe://a.b/ns/x/**", "spiffe://a.b/ns/x/sa/y", true),
            ("spiffe://a.b/ns/x/**", "spiffe://a.b/ns/x", true),
            ("spiffe://a.b/ns/x/**", "spiffe://a.b/ns/xy/sa/y", false),
            ("spiffe://a.b/ns/x/**", "spiffe://a.b/ns/x/../z", false),
            ("spiffe://a.b/**", "spiffe://a.b", false),
            ("spiffe://a.b/**", "spiffe://a.b/", false),
            ("spiffe://a.b/**", "spiffe://a.b.c/x", false),
            ("spiffe://a.b/**", "spiffe://A.b/x", false),
            ("spiffe://a.b/**", "http://a.b/x", false),
            ("spiffe://a.b/**", "spiffe://a.b/x%2fy", false),
            ("spiffe://a.b/**", "", false),
        ];
        for (pattern, id, want) in cases {
            let pattern = SpiffePattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(id), want, "{pattern:?} {id}");
        }
        let all = SpiffePattern::parse("spiffe://a/**").unwrap();
        assert!(!all.matches(&format!("spiffe://a/{}", "x".repeat(ID_LIMIT))));
    }

    #[test]
    fn what_could_mean_no_id_is_no_pattern() {
        for pattern in [
            "",
            "*",
            "a/b",
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///b",
            "spiffe://*/b",
            "spiffe://A/b",
            "spiffe://a:1/b",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://a/../b",
            "spiffe://a/b*",
            "spiffe://a/{id}",
            "spiffe://a/**/**",
            "spiffe://a/b c",
        ] {
            assert_eq!(SpiffePattern::parse(pattern), None, "{pattern}");
        }
    }
}
