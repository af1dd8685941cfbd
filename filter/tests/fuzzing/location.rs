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
    if let Some(path) = CanonicalPath::parse(path.strip_prefix(b"\n").unwrap_or(path)) {
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
        let pattern = PathPattern::parse(text);
        assert!(pattern.is_none_or(|pattern| pattern.matches(&path)));
    }
}
