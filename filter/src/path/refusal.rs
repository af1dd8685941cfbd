//! Why a path has no canonical form, where the decision asks only whether it has one.

use alloc::vec::Vec;
use core::fmt;

use super::{CanonicalPath, digit, is_plain, normalise_escapes};

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A `%` without two hexadecimal digits.
    BrokenEscape,
    /// An escape for a character that servers treat in different ways.
    Escape(u8),
    /// A byte that cannot stand in a path.
    Byte(u8),
    /// It does not begin with a slash.
    NoSlash,
    /// Its escapes are not UTF-8.
    NotText,
    /// `..` above the root.
    UpAboveRoot,
    /// `..` behind two slashes.
    UpFromEmpty,
}

impl Refusal {
    /// Why [`CanonicalPath::parse`] refuses a path; nothing when it does not.
    #[must_use]
    pub fn of(path: &[u8]) -> Option<Self> {
        if CanonicalPath::parse(path).is_some() {
            return None;
        }
        let mut rest = path;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if *byte == b'%' {
                let [high, low, after @ ..] = rest else {
                    return Some(Self::BrokenEscape);
                };
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Some(Self::BrokenEscape);
                };
                let value = high << 4 | low;
                if value < 0x20 || matches!(value, b'/' | b'\\' | b'%' | 0x7f) {
                    return Some(Self::Escape(value));
                }
                rest = after;
            } else if *byte != b'/' && !is_plain(*byte) {
                return Some(Self::Byte(*byte));
            }
        }
        let Some(text) = normalise_escapes(path) else {
            return Some(Self::NotText);
        };
        let Some(text) = text.strip_prefix('/') else {
            return Some(Self::NoSlash);
        };
        let mut segments = Vec::new();
        for segment in text.split('/') {
            match segment {
                "." => {}
                ".." if segments.last() == Some(&"") => return Some(Self::UpFromEmpty),
                ".." if segments.pop().is_none() => return Some(Self::UpAboveRoot),
                ".." => {}
                _ => segments.push(segment),
            }
        }
        None
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenEscape => f.write_str("a `%` without two hexadecimal digits"),
            Self::Escape(byte) => write!(
                f,
                "the escape %{byte:02X}, which some servers resolve and others do not"
            ),
            Self::Byte(byte) if byte.is_ascii_graphic() => write!(
                f,
                "the character `{}`, which some servers take for another or for an end",
                char::from(*byte)
            ),
            Self::Byte(byte) => write!(f, "the byte 0x{byte:02X}, which must be escaped"),
            Self::NoSlash => f.write_str("no slash at its beginning"),
            Self::NotText => f.write_str("escapes that are not UTF-8"),
            Self::UpAboveRoot => f.write_str("a way up above the root"),
            Self::UpFromEmpty => f.write_str("a way up from an empty segment (`//..`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_refusal_has_its_reason() {
        for (path, want) in [
            ("/a%2Fb", Refusal::Escape(b'/')),
            ("/a%5cb", Refusal::Escape(b'\\')),
            ("/a%", Refusal::BrokenEscape),
            ("/a%4", Refusal::BrokenEscape),
            ("/a%zz", Refusal::BrokenEscape),
            ("/..;/a", Refusal::Byte(b';')),
            ("/a b", Refusal::Byte(b' ')),
            ("/%ff", Refusal::NotText),
            ("a", Refusal::NoSlash),
            ("", Refusal::NoSlash),
            ("/a/../..", Refusal::UpAboveRoot),
            ("/a//../b", Refusal::UpFromEmpty),
        ] {
            assert_eq!(Refusal::of(path.as_bytes()), Some(want), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_refused_has_a_reason_and_nothing_else_has(
            path in "(/|\\.|%|%2f|%2e|%c3|%a9|%41|a|;|\\\\|é|\\*){0,8}",
        ) {
            let refusal = Refusal::of(path.as_bytes());
            prop_assert_eq!(refusal.is_none(), CanonicalPath::parse(path.as_bytes()).is_some());
        }
    }
}
