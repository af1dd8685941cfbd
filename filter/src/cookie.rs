//! The `Cookie` header (RFC 6265 section 4.2): the values of one cookie, and the header without it.
//!
//! Cookies are one list, also when HTTP/2 spreads it over several fields (RFC 9113 section 8.2.3).
//! Servers differ in how they read what is not quite a cookie list. Every reading counts here: what
//! anybody might take for the cookie is found, so that the caller can refuse a second one.

use alloc::vec::Vec;

/// Whether `name` can be the name of a cookie (RFC 6265 section 4.1.1).
#[must_use]
pub fn is_cookie_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// What stands behind the cookies of this name in one header. A value is empty when the cookie has
/// none.
pub fn values<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    header
        .split(|byte| *byte == b';')
        .filter_map(move |pair| value(pair, name))
}

/// Whether some server could see another cookie of this name in the header than [`values`] does: one
/// behind a comma (RFC 2109 section 4.2.2), or with borders elsewhere because quotes hide a semicolon.
#[must_use]
pub fn is_ambiguous(header: &[u8], name: &str) -> bool {
    header.split(|byte| *byte == b';').any(|pair| {
        let quotes = pair.iter().filter(|byte| **byte == b'"').count();
        let mut behind_commas = pair.split(|byte| *byte == b',').skip(1);
        quotes % 2 == 1 || behind_commas.any(|pair| value(pair, name).is_some())
    })
}

/// The header without the cookies of these names, every other byte as it was; `None` when it has none
/// of them.
#[must_use]
pub fn without(header: &[u8], names: &[alloc::string::String]) -> Option<Vec<u8>> {
    let is_kept = |pair: &&[u8]| !names.iter().any(|name| value(pair, name).is_some());
    let pairs = || header.split(|byte| *byte == b';');
    if pairs().all(|pair| is_kept(&pair)) {
        return None;
    }
    let kept = pairs().filter(is_kept).collect::<Vec<_>>().join(&b';');
    // The space belonged to the separator that is gone.
    Some(kept.trim_ascii_start().into())
}

fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (before, value) = match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (before, rest) = pair.split_at(at);
            (before, rest.get(1..).unwrap_or_default())
        }
        None => (pair, &[][..]),
    };
    (before.trim_ascii() == name.as_bytes()).then_some(value)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_cookie_of_the_name_is_found() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"s=1", &[b"1"]),
            (b"a=b; s=1", &[b"1"]),
            (b"a=b;s=1;c=d", &[b"1"]),
            (b"s=1; s=2", &[b"1", b"2"]),
            (b"S=1; ss=2; s2=3; a=s=4", &[]),
            (b" s =1", &[b"1"]),
            (b"s= 1", &[b" 1"]),
            (b"s", &[b""]),
            (b"s=", &[b""]),
            (b"s=a=b", &[b"a=b"]),
            (b"\ts\t=1;;", &[b"1"]),
        ];
        for (header, want) in cases {
            let found: Vec<_> = values(header, "s").collect();
            assert_eq!(found, *want, "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn readings_that_differ_are_noticed() {
        let cases: &[(&[u8], bool)] = &[
            (b"a=b; s=1", false),
            (b"a=\"b\"; s=1", false),
            (b"a=x,y; s=1", false),
            (b"a=x, s=2; s=1", true),
            (b"a=x,s; s=1", true),
            (b"a=\"x; s=1; y\"", true),
        ];
        for (header, want) in cases {
            assert_eq!(
                is_ambiguous(header, "s"),
                *want,
                "{}",
                String::from_utf8_lossy(header)
            );
        }
    }

    #[test]
    fn one_cookie_is_taken_out_and_the_others_stay_as_they_were() {
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"a=b; c=d", None),
            (b"", None),
            (b"s=1", Some(b"")),
            (b"s=1; a=b", Some(b"a=b")),
            (b"a=b; s=1", Some(b"a=b")),
            (b"a=b; s=1; c=\"d\"", Some(b"a=b; c=\"d\"")),
            (b"a=b;s;c=d,  e", Some(b"a=b;c=d,  e")),
            (b"a=\xff; s=1; s=2", Some(b"a=\xff")),
            (b"a=b; s=1; ", Some(b"a=b; ")),
        ];
        for (header, want) in cases {
            assert_eq!(
                without(header, &["s".into()]).as_deref(),
                *want,
                "{}",
                String::from_utf8_lossy(header)
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_left_holds_the_other_cookies_and_no_more(header in "[as =;,\"]{0,30}") {
            let left = without(header.as_bytes(), &["s".into()]);
            let left = left.as_deref().unwrap_or(header.as_bytes());
            prop_assert_eq!(values(left, "s").count(), 0);
            let others = |header: &[u8]| -> Vec<Vec<u8>> { values(header, "a").map(<[u8]>::to_vec).collect() };
            prop_assert_eq!(others(left), others(header.as_bytes()));
        }
    }

    #[test]
    fn names_are_those_of_the_rfc() {
        let names = [
            "session",
            "__Host-id",
            "a.b",
            "",
            "a b",
            "a;b",
            "a=b",
            "\u{e9}",
        ];
        let usable: Vec<_> = names.map(is_cookie_name).into();
        assert_eq!(
            usable,
            vec![true, true, true, false, false, false, false, false]
        );
    }
}
