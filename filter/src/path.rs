//! The path of a request in one canonical form (RFC 3986 section 6.2.2), or a refusal.
//!
//! Decisions are made on the canonical path and the same path goes on to the workload, so that what was
//! judged is what arrives. What two servers may read differently has no canonical form: an encoded
//! slash, backslash, percent sign or control character, a raw `;` (some servers cut it off before they
//! look, which makes `/..;/` a way up), bytes outside ASCII, a way up from an empty segment or above the
//! root.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

mod refusal;

pub use refusal::Refusal;

/// A canonical path: begins with `/`; no empty segment but the last, no dot segment; escapes only
/// where a character cannot stand for itself, with upper-case digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath(String);

impl CanonicalPath {
    /// Reads the part of `:path` before the `?`.
    #[must_use]
    pub fn parse(path: &[u8]) -> Option<Self> {
        if is_canonical(path) {
            return core::str::from_utf8(path)
                .ok()
                .map(|path| Self(path.into()));
        }
        let decoded = normalise_escapes(path)?;
        let mut segments = Vec::new();
        let mut ends_with_slash = false;
        for segment in decoded.strip_prefix('/')?.split('/') {
            ends_with_slash = matches!(segment, "" | "." | "..");
            match segment {
                "." => {}
                // One server takes `//` for one slash and goes up from what is before it; another goes
                // up from the empty segment.
                ".." if segments.last() == Some(&"") => return None,
                ".." => drop(segments.pop()?),
                _ => segments.push(segment),
            }
        }
        segments.retain(|segment| !segment.is_empty());
        let mut canonical = String::with_capacity(decoded.len());
        for segment in &segments {
            canonical.push('/');
            canonical.push_str(segment);
        }
        if ends_with_slash || segments.is_empty() {
            canonical.push('/');
        }
        Some(Self(canonical))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments. A slash at the end adds none: it makes no difference to any rule.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }
}

/// The path and the query of `:path`; the query keeps its `?`.
#[must_use]
pub fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let end = target
        .iter()
        .position(|byte| *byte == b'?')
        .unwrap_or(target.len());
    target.split_at(end)
}

/// Whether there is nothing to be done to a path, as with most. Escapes and segments that begin with a dot are
/// for [`CanonicalPath::parse`] to look at.
fn is_canonical(path: &[u8]) -> bool {
    let mut after_slash = false;
    path.first() == Some(&b'/')
        && path.iter().all(|byte| {
            let is_segment_of_its_own = after_slash && matches!(byte, b'/' | b'.');
            after_slash = *byte == b'/';
            (after_slash || is_plain(*byte)) && !is_segment_of_its_own
        })
}

/// Where the first `deepest` whole segments of a canonical path end, the longest prefix first and the empty
/// one last: of `/a/b` these are `/a/b`, `/a` and nothing.
pub(crate) fn prefix_ends(path: &str, deepest: usize) -> impl Iterator<Item = usize> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let ends = path.match_indices('/').map(|(end, _)| end);
    let ends: Vec<_> = ends
        .chain([path.len()])
        .take(deepest.saturating_add(1))
        .collect();
    ends.into_iter().rev()
}

/// Resolves every escape that stands for a character which may stand there itself.
fn normalise_escapes(path: &[u8]) -> Option<String> {
    let mut normal = String::with_capacity(path.len());
    let mut escaped = Vec::new();
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let value = digit(bytes.next()?)? << 4 | digit(bytes.next()?)?;
            if value < 0x20 || matches!(value, b'/' | b'\\' | b'%' | 0x7f) {
                return None;
            }
            if is_plain(value) {
                normal.push(char::from(value));
            } else {
                normal.push('%');
                normal.push(char::from(upper_digit(value >> 4)));
                normal.push(char::from(upper_digit(value & 15)));
            }
            escaped.push(value);
        } else if byte == b'/' || is_plain(byte) {
            normal.push(char::from(byte));
            escaped.push(byte);
        } else {
            return None;
        }
    }
    // Escapes may spell UTF-8, and then only well: an overlong form is a second spelling.
    core::str::from_utf8(&escaped).is_ok().then_some(normal)
}

/// `pchar` of RFC 3986 section 3.3 without escapes and without `;`.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
        )
        || matches!(byte, b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The hexadecimal digit for a value below 16.
pub(crate) const fn upper_digit(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'A' + value - 10
    }
}

/// The paths that a rule means: `/v1/orders/{id}`, `/files/**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    head: Vec<Part>,
    /// What follows `**`, where the pattern has one.
    tail: Option<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    AnySegment,
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, part: &Part| match part {
            Part::Literal(literal) => write!(f, "/{literal}"),
            Part::AnySegment => f.write_str("/*"),
        };
        self.head.iter().try_for_each(|head| part(f, head))?;
        if let Some(tail) = &self.tail {
            f.write_str("/**")?;
            tail.iter().try_for_each(|tail| part(f, tail))?;
        }
        Ok(())
    }
}

impl PathPattern {
    /// Reads a pattern: canonical segments, `*` or `{name}` for exactly one segment, and at most one
    /// `**` for any number of segments, none included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut pattern = Self {
            text: text.into(),
            head: Vec::new(),
            tail: None,
        };
        let text = text.strip_prefix('/')?;
        for segment in text.strip_suffix('/').unwrap_or(text).split('/') {
            if segment == "**" {
                if pattern.tail.replace(Vec::new()).is_some() {
                    return None;
                }
            } else if !text.is_empty() {
                let part = Part::parse(segment)?;
                pattern
                    .tail
                    .as_mut()
                    .unwrap_or(&mut pattern.head)
                    .push(part);
            }
        }
        Some(pattern)
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments that every path begins with which is meant: of `/v1/orders/{id}` it is `/v1/orders`.
    #[must_use]
    pub fn literal_head(&self) -> String {
        let mut head = String::new();
        for part in &self.head {
            let Part::Literal(literal) = part else {
                break;
            };
            head.push('/');
            head.push_str(literal);
        }
        head
    }

    /// Whether `path` is one of those meant.
    #[must_use]
    pub fn matches(&self, path: &CanonicalPath) -> bool {
        self.matches_segments(path.segments())
    }

    /// The same for segments that are not those of a request's path.
    pub(crate) fn matches_segments<'a>(
        &self,
        mut segments: impl DoubleEndedIterator<Item = &'a str>,
    ) -> bool {
        let head_matches = self
            .head
            .iter()
            .all(|part| segments.next().is_some_and(|segment| part.matches(segment)));
        let tail_matches = self.tail.iter().flatten().rev().all(|part| {
            segments
                .next_back()
                .is_some_and(|segment| part.matches(segment))
        });
        head_matches && tail_matches && (self.tail.is_some() || segments.next().is_none())
    }
}

impl Part {
    fn parse(segment: &str) -> Option<Self> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if segment == "*" {
            return Some(Self::AnySegment);
        }
        if let Some(name) = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            return is_name(name).then_some(Self::AnySegment);
        }
        // A `*` inside a segment looks like a pattern and would be none.
        let is_canonical = !segment.contains('*')
            && CanonicalPath::parse(["/", segment].concat().as_bytes())
                .is_some_and(|path| path.as_str().strip_prefix('/') == Some(segment));
        (is_canonical && !segment.is_empty()).then(|| Self::Literal(segment.into()))
    }

    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == segment,
            Self::AnySegment => true,
        }
    }
}

mod cover;

#[cfg(test)]
mod tests;
