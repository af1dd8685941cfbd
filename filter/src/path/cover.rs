//! What patterns of paths have in common, without a path at hand: for those who ask whether a rule can ever
//! be about a request. Where an answer is not certain, it is the one that claims less.

use super::{CanonicalPath, Part, PathPattern};

impl PathPattern {
    /// Every path below a prefix, and the prefix itself.
    #[must_use]
    pub fn all_below(prefix: &CanonicalPath) -> Self {
        let path = prefix.as_str();
        Self {
            text: [path.strip_suffix('/').unwrap_or(path), "/**"].concat(),
            head: prefix
                .segments()
                .map(|segment| Part::Literal(segment.into()))
                .collect(),
            tail: Some([].into()),
        }
    }

    /// Whether every path that `other` means is meant by this one, too; no is no certain answer.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |(wide, narrow): (&Part, &Part)| match wide {
            Part::AnySegment => true,
            Part::Literal(_) => wide == narrow,
        };
        let head_covers = self.head.iter().zip(&other.head).all(covers);
        let Some(tail) = &self.tail else {
            return other.tail.is_none() && self.head.len() == other.head.len() && head_covers;
        };
        // Without `**`, the segments that the end is compared with must not be those of the beginning.
        let (end, is_long_enough) = match &other.tail {
            Some(end) => (end, other.head.len() >= self.head.len()),
            None => (
                &other.head,
                other.head.len() >= self.head.len() + tail.len(),
            ),
        };
        is_long_enough
            && end.len() >= tail.len()
            && head_covers
            && tail.iter().rev().zip(end.iter().rev()).all(covers)
    }

    /// Whether some path that it means is below the prefix.
    #[must_use]
    pub fn meets(&self, prefix: &CanonicalPath) -> bool {
        let mut parts = self.head.iter();
        prefix.segments().all(|segment| match parts.next() {
            Some(part) => part.matches(segment),
            None => self.tail.is_some(),
        })
    }

    /// Whether every path that it means is below the prefix.
    #[must_use]
    pub fn is_below(&self, prefix: &CanonicalPath) -> bool {
        let mut parts = self.head.iter();
        prefix.segments().all(
            |segment| matches!(parts.next(), Some(Part::Literal(literal)) if literal == segment),
        )
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    fn path(text: &str) -> CanonicalPath {
        CanonicalPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let cases = [
            ("/**", "/", true),
            ("/**", "/a/**/b", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/{id}/b", true),
            ("/a/**", "/b/**", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a", false),
            ("/a/b", "/a/*", false),
            ("/a/*", "/a/**", false),
            ("/**/z", "/a/z", true),
            ("/**/z", "/a/**/z", true),
            ("/**/z", "/a/**", false),
            ("/a/**/a", "/a", false),
            ("/a/b/**", "/a/**/b", false),
        ];
        for (wide, narrow, want) in cases {
            let covers = pattern(wide).covers(&pattern(narrow));
            assert_eq!(covers, want, "{wide} {narrow}");
        }
    }

    #[test]
    fn a_prefix_is_met_or_holds_all() {
        let cases = [
            ("/a/**", "/", true, true),
            ("/a/**", "/a", true, true),
            ("/a/**", "/a/b", true, false),
            ("/**", "/a", true, false),
            ("/a", "/a/b", false, false),
            ("/*/b", "/a", true, false),
            ("/b/**", "/a", false, false),
            ("/", "/a", false, false),
        ];
        for (text, prefix, meets, is_below) in cases {
            let (text, prefix) = (pattern(text), path(prefix));
            let got = (text.meets(&prefix), text.is_below(&prefix));
            assert_eq!(got, (meets, is_below), "{text:?} {prefix:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_said_of_patterns_holds_of_every_path(
            one in "(/(a|b|\\*)){0,3}(/\\*\\*)?(/(a|b)){0,2}", two in "(/(a|b|\\*)){0,3}(/\\*\\*)?(/(a|b)){0,2}",
            prefix in "(/[ab]){0,2}", paths in prop::collection::vec("(/[ab]){1,5}", 20)
        ) {
            let read = |text: &str| pattern(if text.is_empty() { "/" } else { text });
            let (one, two) = (read(&one), read(&two));
            let below = PathPattern::all_below(&path(if prefix.is_empty() { "/" } else { &prefix }));
            let prefix = path(if prefix.is_empty() { "/" } else { &prefix });
            let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
            for path in &paths {
                if one.covers(&two) && two.matches(path) {
                    prop_assert!(one.matches(path));
                }
                if one.matches(path) && below.matches(path) {
                    prop_assert!(one.meets(&prefix));
                }
                if one.is_below(&prefix) && one.matches(path) {
                    prop_assert!(below.matches(path));
                }
            }
        }
    }
}
