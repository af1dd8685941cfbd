use alloc::format;

use proptest::prelude::*;

use super::*;

fn canonical(path: &str) -> Option<String> {
    CanonicalPath::parse(path.as_bytes()).map(|path| path.0)
}

#[test]
fn every_spelling_has_one_form_or_none() {
    let cases = [
        ("/", Some("/")),
        ("/a/b", Some("/a/b")),
        ("/a/b/", Some("/a/b/")),
        ("//a///b", Some("/a/b")),
        ("/a/./b", Some("/a/b")),
        ("/a/.", Some("/a/")),
        ("/a/..", Some("/")),
        ("/a/../b", Some("/b")),
        ("/a//b/../c", Some("/a/c")),
        ("/a/..//b", Some("/b")),
        ("/a/%2e%2E/b", Some("/b")),
        ("/a/.%2e/b", Some("/b")),
        ("/%61dmin", Some("/admin")),
        ("/%7euser", Some("/~user")),
        ("/a%40b", Some("/a@b")),
        ("/a%20b", Some("/a%20b")),
        ("/a%3bb", Some("/a%3Bb")),
        ("/caf%c3%a9", Some("/caf%C3%A9")),
        ("/...", Some("/...")),
        ("/..a", Some("/..a")),
        ("/..", None),
        ("/a//../b", None),
        ("/a//./../b", None),
        ("//..", None),
        ("/a/../..", None),
        ("/a%2fb", None),
        ("/a%2Fb", None),
        ("/a%5cb", None),
        ("/a\\b", None),
        ("/a%00", None),
        ("/a%0d%0a", None),
        ("/a%7f", None),
        ("/a%", None),
        ("/a%2", None),
        ("/a%zz", None),
        ("/a%252fb", None),
        ("/a%25", None),
        ("/a/..;/b", None),
        ("/a;x=1", None),
        ("/a#b", None),
        ("/a b", None),
        ("/a\u{e9}", None),
        ("/%c0%ae%c0%ae/", None),
        ("/%ff", None),
        ("", None),
        ("a", None),
        ("*", None),
        ("http://host/a", None),
    ];
    for (path, want) in cases {
        assert_eq!(canonical(path).as_deref(), want, "{path}");
    }
}

#[test]
fn the_query_is_cut_at_the_first_question_mark() {
    assert_eq!(
        split_query(b"/a?b=/../c?d"),
        (&b"/a"[..], &b"?b=/../c?d"[..])
    );
    assert_eq!(split_query(b"/a"), (&b"/a"[..], &b""[..]));
}

#[test]
fn patterns_match_whole_segments() {
    let cases = [
        ("/", "/", true),
        ("/", "/a", false),
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz/", true),
        ("/healthz", "/healthzz", false),
        ("/healthz", "/Healthz", false),
        ("/v1/orders/{id}", "/v1/orders/7", true),
        ("/v1/orders/{id}", "/v1/orders", false),
        ("/v1/orders/{id}", "/v1/orders/", false),
        ("/v1/orders/{id}", "/v1/orders/7/lines", false),
        ("/v1/*/lines", "/v1/7/lines", true),
        ("/v1/*/lines", "/v1/lines", false),
        ("/files/**", "/files", true),
        ("/files/**", "/files/a/b", true),
        ("/files/**", "/filesystem", false),
        ("/**", "/", true),
        ("/**", "/a/b", true),
        ("/**/edit", "/a/b/edit", true),
        ("/**/edit", "/edit", true),
        ("/a/**/a", "/a", false),
        ("/a/**/a", "/a/a", true),
        ("/a/**/{x}/z", "/a/y/z", true),
        ("/a/**/{x}/z", "/a/z", false),
    ];
    for (pattern, path, want) in cases {
        let path = CanonicalPath::parse(path.as_bytes()).unwrap();
        let pattern = PathPattern::parse(pattern).unwrap();
        assert_eq!(
            pattern.matches(&path),
            want,
            "{pattern:?} {}",
            path.as_str()
        );
    }
}

#[test]
fn patterns_that_cannot_mean_what_they_say_are_refused() {
    for pattern in [
        "", "a", "*", "/a*", "/*.json", "/***", "/**/a/**", "/a//b", "/a/../b", "/%61", "/a%2fb",
        "/{}", "/{a b}", "/{id}x", "/a?b", "/a;b", "//",
    ] {
        assert_eq!(PathPattern::parse(pattern), None, "{pattern}");
    }
}

/// The bytes that escapes stand for, as a server would read them.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = text.iter().copied();
    while let Some(byte) = left.next() {
        let mut digits = left.clone();
        match (
            byte,
            digits.next().and_then(digit),
            digits.next().and_then(digit),
        ) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                left = digits;
            }
            _ => bytes.push(byte),
        }
    }
    bytes
}

/// The segments that are left when `.` and `..` are resolved, as a server would that takes `//` for one slash.
fn resolved(path: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            _ => segments.push(segment.to_vec()),
        }
    }
    segments
}

/// Steps that servers disagree about, and some that they do not.
const TRICKY: &str = "(/|//|\\.|\\.\\.|%2[eEfF5]|%5[cC]|%25[2][eEfF]|%61|%40|%3b|%c3%a9|%00|%|;|\\\\|\\?|#|a|b|~){0,16}";

proptest! {
    #[test]
    fn servers_that_decode_early_late_or_twice_see_the_segments_that_were_judged(path in TRICKY) {
        let raw = format!("/{path}");
        if let Some(path) = CanonicalPath::parse(raw.as_bytes()) {
            let judged: Vec<_> = path.segments().map(|segment| decoded(segment.as_bytes())).collect();
            let raw = raw.as_bytes();
            prop_assert_eq!(&resolved(&decoded(raw)), &judged, "decoded, then resolved");
            prop_assert_eq!(&resolved(&decoded(&decoded(raw))), &judged, "decoded twice");
            let late: Vec<_> = resolved(path.as_str().as_bytes()).iter().map(|segment| decoded(segment)).collect();
            prop_assert_eq!(&late, &judged, "resolved, then decoded");
            for segment in &judged {
                prop_assert!(!segment.iter().any(|byte| b"/\\%".contains(byte) || *byte < 0x20));
                prop_assert!(!matches!(segment.as_slice(), b"" | b"." | b".."));
            }
        }
    }

    #[test]
    fn a_canonical_path_is_its_own_form(path in "(/|\\.|%2[eE]|%61|%40|%3b|%c3%a9|;|a|b|~){0,24}") {
        if let Some(path) = canonical(&format!("/{path}")) {
            prop_assert_eq!(canonical(&path), Some(path));
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(path: Vec<u8>) {
        if let Some(path) = CanonicalPath::parse(&path) {
            prop_assert!(path.as_str().starts_with('/'));
            prop_assert!(!path.as_str().contains("//"));
            prop_assert!(path.segments().all(|segment| segment != "." && segment != ".."));
        }
    }

    #[test]
    fn a_canonical_path_matches_itself_as_a_pattern(path in "(/[a-z~]{1,3}){1,4}") {
        let path = CanonicalPath::parse(path.as_bytes()).unwrap();
        prop_assert!(PathPattern::parse(path.as_str()).unwrap().matches(&path));
    }
}
