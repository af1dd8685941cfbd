//! Hosts that one reader takes for another: who may have `open` and not `internal` must not be served by
//! `internal`, whatever stands in `Host`, in `:authority` and in the target.

use e2e::{conversation::Mismatch, raw_http2::Frames};

use crate::{
    Attack,
    site::{Caller, GUARDED, Site},
};

pub(crate) const ATTACKS: &[Attack<Site>] = &[Attack {
    row: 25,
    name: "a_host_is_served_as_it_was_judged",
    run: |site| Box::pin(spelled_by_hand(site)),
}];

/// By its name in the policy and in nginx, where it was served; nothing where it must not be.
type Host = Option<&'static str>;
/// A name, `:authority`, `host` where it is there too, and who serves it.
type Authority = (&'static str, &'static [u8], Option<&'static [u8]>, Host);
const OPEN: Host = Some("open.example.com");

/// The line of HTTP/1.1 and what follows it.
const LINES: &[(&str, &[u8], Host)] = &[
    ("as it is", b"/ HTTP/1.1\r\nhost: open.example.com", OPEN),
    ("in capitals", b"/ HTTP/1.1\r\nhost: OPEN.Example.COM", OPEN),
    ("a port", b"/ HTTP/1.1\r\nhost: open.example.com:8080", OPEN),
    (
        "a dot at the end",
        b"/ HTTP/1.1\r\nhost: open.example.com.",
        OPEN,
    ),
    (
        "a dot and a port",
        b"/ HTTP/1.1\r\nhost: open.example.com.:80",
        OPEN,
    ),
    (
        "another host",
        b"/ HTTP/1.1\r\nhost: internal.example.com",
        None,
    ),
    (
        "another host in capitals",
        b"/ HTTP/1.1\r\nhost: INTERNAL.example.com",
        None,
    ),
    (
        "another host with a dot",
        b"/ HTTP/1.1\r\nhost: internal.example.com.",
        None,
    ),
    (
        "another host with a port",
        b"/ HTTP/1.1\r\nhost: internal.example.com:80",
        None,
    ),
    (
        "another host with both",
        b"/ HTTP/1.1\r\nhost: internal.example.com.:80",
        None,
    ),
    (
        "two dots at the end",
        b"/ HTTP/1.1\r\nhost: internal.example.com..",
        None,
    ),
    (
        "a user before it",
        b"/ HTTP/1.1\r\nhost: open.example.com@internal.example.com",
        None,
    ),
    (
        "a user and a port",
        b"/ HTTP/1.1\r\nhost: open.example.com:80@internal.example.com",
        None,
    ),
    (
        "a user behind it",
        b"/ HTTP/1.1\r\nhost: internal.example.com@open.example.com",
        None,
    ),
    (
        "a port that is a name",
        b"/ HTTP/1.1\r\nhost: internal.example.com:open.example.com",
        None,
    ),
    (
        "two ports",
        b"/ HTTP/1.1\r\nhost: open.example.com:80:80",
        None,
    ),
    (
        "an empty port",
        b"/ HTTP/1.1\r\nhost: internal.example.com:",
        None,
    ),
    (
        "a list",
        b"/ HTTP/1.1\r\nhost: open.example.com,internal.example.com",
        None,
    ),
    (
        "a list with a space",
        b"/ HTTP/1.1\r\nhost: open.example.com internal.example.com",
        None,
    ),
    (
        "a path in it",
        b"/ HTTP/1.1\r\nhost: internal.example.com/open.example.com",
        None,
    ),
    (
        "a query in it",
        b"/ HTTP/1.1\r\nhost: internal.example.com?open.example.com",
        None,
    ),
    (
        "a fragment in it",
        b"/ HTTP/1.1\r\nhost: internal.example.com#open.example.com",
        None,
    ),
    (
        "a backslash in it",
        b"/ HTTP/1.1\r\nhost: internal.example.com\\open.example.com",
        None,
    ),
    (
        "escapes in it",
        b"/ HTTP/1.1\r\nhost: %69nternal.example.com",
        None,
    ),
    (
        "NUL in it",
        b"/ HTTP/1.1\r\nhost: internal.example.com\0.open.example.com",
        None,
    ),
    (
        "a tab in it",
        b"/ HTTP/1.1\r\nhost: internal.example.com\topen.example.com",
        None,
    ),
    (
        "wide letters",
        b"/ HTTP/1.1\r\nhost: \xef\xbd\x89nternal.example.com",
        None,
    ),
    (
        "a wide dot",
        b"/ HTTP/1.1\r\nhost: internal\xe3\x80\x82example.com",
        None,
    ),
    (
        "a name in Punycode",
        b"/ HTTP/1.1\r\nhost: xn--nternal-x1a.example.com",
        None,
    ),
    ("an address", b"/ HTTP/1.1\r\nhost: 127.0.0.1", None),
    ("an address of IPv6", b"/ HTTP/1.1\r\nhost: [::1]:80", None),
    (
        "a host below it",
        b"/ HTTP/1.1\r\nhost: x.open.example.com",
        None,
    ),
    ("an empty host", b"/ HTTP/1.1\r\nhost:", None),
    ("no host", b"/ HTTP/1.1\r\nx-other: y", None),
    (
        "two hosts",
        b"/ HTTP/1.1\r\nhost: open.example.com\r\nhost: internal.example.com",
        None,
    ),
    (
        "two hosts, the other way",
        b"/ HTTP/1.1\r\nhost: internal.example.com\r\nhost: open.example.com",
        None,
    ),
    (
        "a folded host",
        b"/ HTTP/1.1\r\nhost: open.example.com\r\n internal.example.com",
        None,
    ),
    (
        "a space before the colon",
        b"/ HTTP/1.1\r\nhost: open.example.com\r\nhost : internal.example.com",
        None,
    ),
    (
        "a forwarded host",
        b"/ HTTP/1.1\r\nhost: open.example.com\r\nx-forwarded-host: internal.example.com",
        OPEN,
    ),
    (
        "an absolute target",
        b"http://open.example.com/ HTTP/1.1\r\nhost: open.example.com",
        OPEN,
    ),
    (
        "an absolute target to another host",
        b"http://internal.example.com/ HTTP/1.1\r\nhost: open.example.com",
        None,
    ),
    (
        "a target with a user",
        b"http://open.example.com@internal.example.com/ HTTP/1.1\r\nhost: open.example.com",
        None,
    ),
    (
        "an absolute target without a host field",
        b"http://internal.example.com/ HTTP/1.1\r\nx-other: y",
        None,
    ),
    (
        "a network path as the target",
        b"//internal.example.com/x HTTP/1.1\r\nhost: open.example.com",
        OPEN,
    ),
    (
        "a host in the path",
        b"/http://internal.example.com/ HTTP/1.1\r\nhost: open.example.com",
        OPEN,
    ),
];

/// `:authority`, and `host` beside it, which counts for nothing.
const AUTHORITIES: &[Authority] = &[
    ("as it is", b"open.example.com", None, OPEN),
    ("in capitals", b"OPEN.example.com", None, OPEN),
    ("both", b"open.example.com", Some(b"open.example.com"), OPEN),
    ("another host", b"internal.example.com", None, None),
    (
        "another host with a dot",
        b"internal.example.com.",
        None,
        None,
    ),
    (
        "another host beside it, which the gateway drops",
        b"open.example.com",
        Some(b"internal.example.com"),
        OPEN,
    ),
    (
        "the other way",
        b"internal.example.com",
        Some(b"open.example.com"),
        None,
    ),
    (
        "a user",
        b"open.example.com@internal.example.com",
        None,
        None,
    ),
    (
        "a list",
        b"open.example.com,internal.example.com",
        None,
        None,
    ),
    (
        "a path",
        b"internal.example.com/open.example.com",
        None,
        None,
    ),
    ("NUL", b"internal.example.com\0", None, None),
    (
        "outside ASCII",
        b"\xef\xbd\x89nternal.example.com",
        None,
        None,
    ),
    ("empty", b"", None, None),
    (
        "empty, and a host",
        b"",
        Some(b"internal.example.com"),
        None,
    ),
];

async fn spelled_by_hand(site: &Site) -> Result<(), Mismatch> {
    let (mut sent, mut wanted) = (Vec::new(), Vec::new());
    for door in GUARDED {
        let of = (door, Caller::Alice);
        for (case, rest, host) in LINES {
            let head = [b"GET ", *rest].concat();
            sent.push(site.say_alone(of, case, &head).await?);
            wanted.push(*host);
        }
        for (case, authority, beside, host) in AUTHORITIES {
            let mut frames = Frames::new("GET", authority, b"/");
            if let Some(beside) = beside {
                frames = frames.field("host", *beside);
            }
            sent.push(site.send(of, case, frames).await?);
            wanted.push(*host);
        }
        // RFC 9113 section 8.3.1 lets a request have no `:authority`, and some gateways take `host` then.
        let mut frames = Frames::new("GET", b"", b"/").field("host", "internal.example.com");
        frames.fields.retain(|(name, _)| name != b":authority");
        sent.push(site.send(of, "no authority", frames).await?);
        wanted.push(None);
        let mut twice = Frames::new("GET", b"open.example.com", b"/");
        let second = (b":authority".to_vec(), b"internal.example.com".to_vec());
        twice.fields.insert(1, second);
        sent.push(site.send(of, "two authorities", twice).await?);
        wanted.push(None);
    }
    let seen = site.all_is_allowed(&sent).await?;
    for (sent, wanted) in sent.iter().zip(wanted) {
        let host = sent.line(&seen).and_then(|line| line["host"].as_str());
        if host != wanted {
            let about = format!("the host that served {} at {:?}", sent.case, sent.door);
            let seen = format!("{host:?}, {:?}", sent.answer.status);
            return Err(Mismatch::differs(&about, &seen, &format!("{wanted:?}")));
        }
    }
    Ok(())
}
