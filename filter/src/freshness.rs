//! How long a provider says that its key set holds (RFC 9111 section 4.2).
//!
//! What it says is a wish: the configuration bounds it from both sides. `Expires` is not read; a
//! provider that means it sends `Cache-Control`, which goes before (section 5.3).

use core::time::Duration;

use crate::headers::Headers;

/// How long an answer is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// For this long from now on; nothing when it must not be kept at all.
    For(Duration),
    /// The answer does not say.
    Unsaid,
}

impl Freshness {
    /// Reads `Cache-Control` and `Age`. What cannot be read counts as stale (section 4.2.1).
    #[must_use]
    pub fn of(headers: &Headers) -> Self {
        let mut least = None;
        let directives = headers
            .all("cache-control")
            .flat_map(|value| value.split(|byte| *byte == b','));
        for directive in directives {
            let directive = directive.trim_ascii();
            let (name, argument) = match directive.iter().position(|byte| *byte == b'=') {
                Some(place) => (
                    directive.get(..place).unwrap_or_default(),
                    directive.get(place + 1..),
                ),
                None => (directive, None),
            };
            let seconds = if name.eq_ignore_ascii_case(b"max-age") {
                argument.and_then(seconds).unwrap_or(0)
            } else if name.eq_ignore_ascii_case(b"no-store")
                || name.eq_ignore_ascii_case(b"no-cache")
            {
                0
            } else {
                continue;
            };
            least = Some(least.map_or(seconds, |least: u64| least.min(seconds)));
        }
        let Some(seconds_fresh) = least else {
            return Self::Unsaid;
        };
        let age = headers.only("age").and_then(seconds).unwrap_or(0);
        Self::For(Duration::from_secs(seconds_fresh.saturating_sub(age)))
    }
}

/// Whole seconds, with or without quotes (section 1.2.2); more than fit are a very long time.
fn seconds(text: &[u8]) -> Option<u64> {
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = core::str::from_utf8(text).ok()?;
    Some(text.parse().unwrap_or(A_LONG_TIME))
}

const A_LONG_TIME: u64 = 1 << 31;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn cache_control_is_read_as_rfc_9111_says() {
        let for_seconds = |seconds| Freshness::For(Duration::from_secs(seconds));
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Freshness);
        let cases: [Case<'_>; 14] = [
            ("nothing", &[], Freshness::Unsaid),
            (
                "other directives",
                &[("cache-control", "public, must-revalidate")],
                Freshness::Unsaid,
            ),
            (
                "max-age",
                &[("cache-control", "public, max-age=600")],
                for_seconds(600),
            ),
            (
                "in any case",
                &[("Cache-Control", "MAX-AGE=600")],
                for_seconds(600),
            ),
            (
                "quoted",
                &[("cache-control", "max-age=\"60\"")],
                for_seconds(60),
            ),
            (
                "less its age",
                &[("cache-control", "max-age=600"), ("age", "200")],
                for_seconds(400),
            ),
            (
                "older than it may be",
                &[("cache-control", "max-age=600"), ("age", "900")],
                for_seconds(0),
            ),
            (
                "no-store",
                &[("cache-control", "max-age=600, no-store")],
                for_seconds(0),
            ),
            ("no-cache", &[("cache-control", "no-cache")], for_seconds(0)),
            (
                "no-cache in a header of its own",
                &[
                    ("cache-control", "max-age=9"),
                    ("cache-control", "no-cache"),
                ],
                for_seconds(0),
            ),
            (
                "the least counts",
                &[("cache-control", "max-age=60, max-age=30")],
                for_seconds(30),
            ),
            (
                "no number",
                &[("cache-control", "max-age=soon")],
                for_seconds(0),
            ),
            ("no value", &[("cache-control", "max-age")], for_seconds(0)),
            (
                "more than fits",
                &[("cache-control", "max-age=99999999999999999999999")],
                for_seconds(1 << 31),
            ),
        ];
        for (name, headers, want) in cases {
            let entries = headers
                .iter()
                .map(|(name, value)| ((*name).into(), value.as_bytes().to_vec()))
                .collect::<Vec<_>>();
            assert_eq!(Freshness::of(&Headers::new(entries)), want, "{name}");
        }
    }
}
