//! Where a request goes: host and path have one form, and it is its own.

use identity_filter::host::{Host, HostPattern};
use identity_filter::path::{CanonicalPath, PathPattern};

/// The first line is `:authority`, the rest is `:path` without its query.
pub(crate) fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (authority, path) = data.split_at(end.unwrap_or(data.len()));
    if let Some(host) = Host::parse(authority) {
        let name = host.as_str();
        assert!(
            !name
                .bytes()
                .any(|byte| byte.is_ascii_uppercase() || byte == b':')
        );
        assert_eq!(Host::parse(name.as_bytes()), Some(host.clone()));
        let forwarded = host.authority(authority);
        assert_eq!(Host::parse(forwarded.as_bytes()), Some(host.clone()));
        let pattern = HostPattern::parse(name).expect("a canonical host is a pattern");
        assert!(pattern.matches(&host));
        let below = HostPattern::parse(&format!("*.{name}"));
        assert!(below.is_none_or(|below| !below.matches(&host)));
    }
    let raw = path.strip_prefix(b"\n").unwrap_or(path);
    if let Some(path) = CanonicalPath::parse(raw) {
        let text = path.as_str();
        assert!(text.starts_with('/') && !text.contains("//"));
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && !b";\\?#".contains(&byte))
        );
        assert!(
            path.segments()
                .all(|segment| segment != "." && segment != "..")
        );
        assert_eq!(CanonicalPath::parse(text.as_bytes()), Some(path.clone()));
        let judged: Vec<_> = path.segments().map(|one| decoded(one.as_bytes())).collect();
        assert_eq!(resolved(&decoded(raw)), judged, "decoded, then resolved");
        assert_eq!(resolved(&decoded(&decoded(raw))), judged, "decoded twice");
        let pattern = PathPattern::parse(text);
        assert!(pattern.is_none_or(|pattern| pattern.matches(&path)));
    }
}

/// The bytes that escapes stand for, as a server would read them.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = text;
    while let Some((byte, after)) = left.split_first() {
        let escaped = after
            .get(..2)
            .and_then(|digits| core::str::from_utf8(digits).ok());
        let escaped = escaped.filter(|digits| *byte == b'%' && !digits.contains('+'));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                left = &after[2..];
            }
            None => {
                bytes.push(*byte);
                left = after;
            }
        }
    }
    bytes
}

/// The segments that are left when `.` and `..` are resolved.
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
