//! Headers by which a client says who it is, or what the gateway would say of it: the application behind
//! nginx sees none of them, on whatever way the request came through the policy.

use e2e::{conversation::Mismatch, raw_http2::Frames};

use crate::{
    Attack,
    site::{Caller, GUARDED, Sent, Site},
};

pub(crate) const ATTACKS: &[Attack<Site>] = &[
    Attack {
        row: 22,
        name: "identity_headers_of_clients_reach_nobody",
        run: |site| Box::pin(identity_headers(site)),
    },
    Attack {
        row: 22,
        name: "headers_of_the_gateway_are_not_taken_from_clients",
        run: |site| Box::pin(gateway_headers(site)),
    },
];

/// Ways through the policy: with a token, without one, as a preflight.
const WAYS: [(&str, &str, Caller); 3] = [
    ("GET", "/api/x", Caller::Alice),
    ("GET", "/health/x", Caller::Nobody),
    ("OPTIONS", "/api/x", Caller::Nobody),
];

/// nginx hands `_` on as it comes, and an application that reads `HTTP_X_IDENTITY_SUBJECT` knows no
/// difference.
const IDENTITY: &[&str] = &[
    "x-identity-subject",
    "X-Identity-Subject",
    "X-IDENTITY-SUBJECT",
    "x_identity_subject",
    "X_IDENTITY_SUBJECT",
    "x-identity_subject",
    "x_identity-subject",
    "X_Identity-Roles",
    "x-identity-roles",
    "x_identity_roles",
    "x-identity-workload",
    "x_identity_workload",
    "x-identity-provider",
    "x-identity-namespace",
    "x_identity_namespace",
    "x-identity-decision",
    "x-identity-anything",
    "x-identity-",
    "x_identity_",
    "x-connection-id",
    "x_connection_id",
    "X-Connection_Id",
];

/// What the gateway itself sets, or never lets in from outside.
const GATEWAY: &[&str] = &["x-envoy-original-path", "x-forwarded-client-cert"];

async fn identity_headers(site: &Site) -> Result<(), Mismatch> {
    let mut sent = Vec::new();
    for name in IDENTITY {
        sent.extend(forged(site, &[name]).await?);
        sent.extend(forged(site, &[name, name]).await?);
    }
    sent.extend(forged(site, IDENTITY).await?);
    sent.extend(in_trailers(site).await?);
    nothing_forged_arrived(site, &sent).await
}

async fn gateway_headers(site: &Site) -> Result<(), Mismatch> {
    let mut sent = Vec::new();
    for name in GATEWAY {
        sent.extend(forged(site, &[name]).await?);
        sent.extend(forged(site, &[name, name]).await?);
    }
    nothing_forged_arrived(site, &sent).await
}

/// On every way, at every door, in both versions of HTTP.
async fn forged(site: &Site, names: &[&str]) -> Result<Vec<Sent>, Mismatch> {
    let mut sent = Vec::new();
    for door in GUARDED {
        let mut wire = site.wire(door);
        for (method, path, caller) in WAYS {
            let case = format!("{method} {path} with {names:?}");
            let mut head =
                format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n{PREFLIGHT_FIELDS}");
            let mut frames = preflight(Frames::new(method, HOST.as_bytes(), path.as_bytes()));
            for name in names {
                head.push_str(&format!("\r\n{name}: {FORGED}"));
                frames = frames.field(name.to_ascii_lowercase(), FORGED);
            }
            let of = (door, caller);
            sent.push(site.say(&mut wire, of, &case, head.as_bytes()).await?);
            sent.push(site.send(of, &case, frames).await?);
        }
    }
    Ok(sent)
}

async fn in_trailers(site: &Site) -> Result<Vec<Sent>, Mismatch> {
    let mut sent = Vec::new();
    for door in GUARDED {
        for (path, caller) in [("/api/x", Caller::Alice), ("/health/x", Caller::Nobody)] {
            let mut frames = Frames::new("POST", HOST.as_bytes(), path.as_bytes());
            for name in IDENTITY {
                frames = frames.trailer(name.to_ascii_lowercase(), FORGED);
            }
            let case = format!("POST {path} with trailers");
            sent.push(site.send((door, caller), &case, frames).await?);
        }
    }
    Ok(sent)
}

async fn nothing_forged_arrived(site: &Site, sent: &[Sent]) -> Result<(), Mismatch> {
    let seen = site.all_is_allowed(sent).await?;
    for sent in sent {
        let about = |what: &str| format!("{what} of {} at {:?}", sent.case, sent.door);
        if !sent.answer.is(200) {
            let status = format!("{:?}", sent.answer.status);
            return Err(Mismatch::differs(&about("the status"), &status, "200"));
        }
        let fields = sent.mirrored();
        let is_wrong = |(name, value): &&(String, String)| {
            let name = name.replace('_', "-");
            let is_ours = match name.as_str() {
                "x-identity-subject" => value == SUBJECT,
                "x-identity-workload" => value == "spiffe://example.com/people/alice",
                "x-identity-provider" => value == "people",
                "x-identity-namespace" => value == "mirror",
                "x-identity-decision" => true,
                name => !name.starts_with("x-identity-") && name != "x-connection-id",
            };
            value.contains(FORGED) || !is_ours
        };
        if let Some(field) = fields.iter().find(is_wrong) {
            return Err(Mismatch::differs(
                &about("a header"),
                &format!("{field:?}"),
                "none",
            ));
        }
        let told = fields.iter().any(|(name, _)| name == "x-identity-subject");
        let at_nginx = sent
            .line(&seen)
            .map_or("", |line| line["subject"].as_str().unwrap_or_default());
        let expected = if told { SUBJECT } else { "" };
        if at_nginx != expected || told != sent.is_known() {
            let seen = format!("{at_nginx:?}, told: {told}");
            return Err(Mismatch::differs(&about("the subject"), &seen, expected));
        }
    }
    Ok(())
}

/// What makes a preflight, and does no harm to other requests.
fn preflight(frames: Frames) -> Frames {
    frames
        .field("origin", "https://app.example.com")
        .field("access-control-request-method", "GET")
}

const PREFLIGHT_FIELDS: &str =
    "origin: https://app.example.com\r\naccess-control-request-method: GET";
const HOST: &str = "mirror.example.com";
const FORGED: &str = "forged";
const SUBJECT: &str = "https://issuer.example#alice";
