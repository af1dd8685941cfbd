//! Methods that one reader takes for another, and requests that are no plain ones: tunnels, upgrades,
//! gRPC, preflights.

use e2e::{conversation::Mismatch, raw_http2::Frames};

use crate::{
    Attack,
    site::{Caller, GUARDED, Sent, Site, doors::OVERRIDES},
};

pub(crate) const ATTACKS: &[Attack<Site>] = &[
    Attack {
        row: 26,
        name: "a_method_is_served_as_it_was_judged",
        run: |site| Box::pin(methods(site)),
    },
    Attack {
        row: 26,
        name: "headers_that_name_another_method_or_target_change_nothing",
        run: |site| Box::pin(overrides(site)),
    },
    Attack {
        row: 26,
        name: "tunnels_upgrades_and_grpc_are_judged_like_all_requests",
        run: |site| Box::pin(other_protocols(site)),
    },
    Attack {
        row: 26,
        name: "a_preflight_passes_where_a_rule_says_so_and_nowhere_else",
        run: |site| Box::pin(preflights(site)),
    },
];

/// What was sent, and whether it must be served.
type Tried = Vec<(Sent, bool)>;

async fn methods(site: &Site) -> Result<(), Mismatch> {
    let methods: &[(&str, bool)] = &[
        ("GET", true),
        ("HEAD", true),
        ("get", false),
        ("Get", false),
        ("POST", false),
        ("PUT", false),
        ("PATCH", false),
        ("DELETE", false),
        ("OPTIONS", false),
        ("TRACE", false),
        ("TRACK", false),
        ("PROPFIND", false),
        ("MKCOL", false),
        ("PURGE", false),
        ("PRI", false),
        ("GETX", false),
        ("G\u{0}T", false),
    ];
    let mut tried = Tried::new();
    for door in GUARDED {
        let of = (door, Caller::Alice);
        for (method, passes) in methods {
            let case = format!("the method {method:?}");
            let head = format!("{method} /public/x HTTP/1.1\r\nhost: site.example.com");
            let said = site.say_alone(of, &case, head.as_bytes());
            tried.push((said.await?, *passes));
            let frames = Frames::new(method, b"site.example.com", b"/public/x");
            tried.push((site.send(of, &case, frames).await?, *passes));
        }
        for (case, path) in [
            ("a method in the query", "/public/x?_method=DELETE"),
            (
                "a method in the query, otherwise",
                "/public/x?method=delete",
            ),
        ] {
            let frames = Frames::new("GET", b"site.example.com", path.as_bytes());
            tried.push((site.send(of, case, frames).await?, true));
        }
    }
    served_as_wanted(site, tried).await
}

/// `site` has no rule on them: they pass, and the server behind gets the method and the path that were
/// judged. `strict` has a rule that refuses them.
async fn overrides(site: &Site) -> Result<(), Mismatch> {
    let mut tried = Tried::new();
    for door in GUARDED {
        let of = (door, Caller::Alice);
        for name in OVERRIDES {
            let value = if name.contains("method") {
                "DELETE"
            } else {
                "/admin/panel"
            };
            let case = format!("{name}: {value}");
            let ask = |host: &str, path: &str, name: &str| {
                Frames::new("GET", host.as_bytes(), path.as_bytes()).field(name, value)
            };
            let harmless = ask("site.example.com", "/public/x", name);
            tried.push((site.send(of, &case, harmless).await?, true));
            let denied = ask("site.example.com", "/admin/panel", name);
            tried.push((site.send(of, &case, denied).await?, false));
            let denied = ask("open.example.com", "/admin/panel", name);
            tried.push((site.send(of, &case, denied).await?, false));
            let strict = ask("strict.example.com", "/x", name);
            tried.push((site.send(of, &case, strict).await?, false));
            // Other spellings of a name that a rule asks for are refused before it is asked.
            let spelled = name.replace('-', "_");
            let strict = ask("strict.example.com", "/x", &spelled);
            tried.push((
                site.send(of, &format!("{spelled}: {value}"), strict)
                    .await?,
                false,
            ));
            let written = name.to_ascii_uppercase();
            let head = format!("GET /x HTTP/1.1\r\nhost: strict.example.com\r\n{written}: {value}");
            let said = site.say_alone(of, &case, head.as_bytes());
            tried.push((said.await?, false));
        }
        let plain = Frames::new("GET", b"strict.example.com", b"/x");
        tried.push((site.send(of, "no such header", plain).await?, true));
    }
    served_as_wanted(site, tried).await
}

async fn other_protocols(site: &Site) -> Result<(), Mismatch> {
    const WEBSOCKET: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
    let lines = [
        ("a tunnel", "CONNECT internal.example.com:443 HTTP/1.1\r\nhost: internal.example.com:443".to_owned(), false),
        ("a tunnel to an open host", "CONNECT open.example.com:80 HTTP/1.1\r\nhost: open.example.com:80".to_owned(), false),
        ("a tunnel with a path", "CONNECT /public/x HTTP/1.1\r\nhost: open.example.com".to_owned(), false),
        ("a WebSocket", format!("GET /public/x HTTP/1.1\r\nhost: open.example.com\r\n{WEBSOCKET}"), true),
        ("a WebSocket to what is denied", format!("GET /admin/x HTTP/1.1\r\nhost: open.example.com\r\n{WEBSOCKET}"), false),
        ("another upgrade", "GET /admin/x HTTP/1.1\r\nhost: open.example.com\r\nconnection: upgrade\r\nupgrade: h2c".to_owned(), false),
        ("old HTTP", "GET /admin/x HTTP/1.0\r\nhost: open.example.com".to_owned(), false),
        ("HTTP without a version", "GET /admin/x\r\nhost: open.example.com".to_owned(), false),
    ];
    let mut tried = Tried::new();
    for door in GUARDED {
        let of = (door, Caller::Alice);
        for (case, head, passes) in &lines {
            let said = site.say_alone(of, case, head.as_bytes());
            tried.push((said.await?, *passes));
        }
        let grpc = |path: &str| {
            Frames::new("POST", b"open.example.com", path.as_bytes())
                .field("content-type", "application/grpc")
                .field("te", "trailers")
        };
        let calls = [
            ("a gRPC call", "/package.Service/Method", true),
            ("a gRPC call to what is denied", "/admin/Method", false),
        ];
        for (case, path, passes) in calls {
            tried.push((site.send(of, case, grpc(path)).await?, passes));
        }
        let mut tunnel = Frames::new("CONNECT", b"open.example.com:80", b"/public/x");
        tunnel
            .fields
            .push((b":protocol".to_vec(), b"websocket".to_vec()));
        tried.push((
            site.send(of, "a tunnel of RFC 8441, out of order", tunnel)
                .await?,
            false,
        ));
        let mut tunnel = Frames::new("CONNECT", b"open.example.com:80", b"");
        tunnel
            .fields
            .retain(|(name, _)| name != b":path" && name != b":scheme");
        tried.push((site.send(of, "a tunnel", tunnel).await?, false));
    }
    served_as_wanted(site, tried).await
}

async fn preflights(site: &Site) -> Result<(), Mismatch> {
    const ORIGIN: (&str, &str) = ("origin", "https://app.example.com");
    const ASKED: (&str, &str) = ("access-control-request-method", "POST");
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, &str, &str, &str, Fields<'_>, bool)] = &[
        (
            "a preflight",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[ORIGIN, ASKED],
            true,
        ),
        (
            "of another origin",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[("origin", "https://evil.example"), ASKED],
            false,
        ),
        (
            "of a longer origin",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[("origin", "https://app.example.com.evil.example"), ASKED],
            false,
        ),
        (
            "of two origins",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[ORIGIN, ("origin", "https://evil.example"), ASKED],
            false,
        ),
        (
            "of an origin in another spelling",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[("Origin", "https://APP.example.com"), ASKED],
            false,
        ),
        (
            "without a method asked for",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[ORIGIN],
            false,
        ),
        (
            "without an origin",
            "OPTIONS",
            "mirror",
            "/api/x",
            &[ASKED],
            false,
        ),
        (
            "with another method",
            "POST",
            "mirror",
            "/api/x",
            &[ORIGIN, ASKED],
            false,
        ),
        (
            "of another path",
            "OPTIONS",
            "mirror",
            "/other",
            &[ORIGIN, ASKED],
            false,
        ),
        (
            "by way of its path",
            "OPTIONS",
            "mirror",
            "/api/../other",
            &[ORIGIN, ASKED],
            false,
        ),
        (
            "where no rule is about it",
            "OPTIONS",
            "site",
            "/public/x",
            &[ORIGIN, ASKED],
            false,
        ),
        (
            "where a rule lets in who is known",
            "OPTIONS",
            "open",
            "/public/x",
            &[ORIGIN, ASKED],
            false,
        ),
        (
            "with an override",
            "OPTIONS",
            "site",
            "/public/x",
            &[ORIGIN, ASKED, ("x-http-method-override", "GET")],
            false,
        ),
    ];
    let mut tried = Tried::new();
    for door in GUARDED {
        let of = (door, Caller::Nobody);
        for (case, method, name, path, fields, passes) in cases {
            let host = format!("{name}.example.com");
            let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0");
            let mut frames = Frames::new(method, host.as_bytes(), path.as_bytes());
            for (name, value) in *fields {
                head.push_str(&format!("\r\n{name}: {value}"));
                frames = frames.field(name.to_ascii_lowercase(), *value);
            }
            let said = site.say_alone(of, case, head.as_bytes());
            tried.push((said.await?, *passes));
            tried.push((site.send(of, case, frames).await?, *passes));
        }
    }
    served_as_wanted(site, tried).await
}

async fn served_as_wanted(site: &Site, tried: Tried) -> Result<(), Mismatch> {
    let (sent, wanted): (Vec<_>, Vec<_>) = tried.into_iter().unzip();
    let seen = site.all_is_allowed(&sent).await?;
    for (sent, passes) in sent.iter().zip(wanted) {
        if sent.line(&seen).is_some() != passes {
            let about = format!("{} at {:?}", sent.case, sent.door);
            let seen = format!("{:?}, {:?}", sent.line(&seen), sent.answer.status);
            let expected = if passes { "served" } else { "refused" };
            return Err(Mismatch::differs(&about, &seen, expected));
        }
    }
    Ok(())
}
