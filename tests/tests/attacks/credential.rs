//! Where a token stands, and what a refusal tells.

use e2e::conversation::{Mismatch, expect};
use e2e::http::{Ask, Reply};
use hyper::{StatusCode, header};
use serde_json::json;

use crate::{
    Attack,
    range::{Range, STRICT, ask, of_case},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 21,
        name: "a_request_has_one_credential_or_none",
        run: |range| Box::pin(one_credential(range)),
    },
    Attack {
        row: 30,
        name: "refusals_of_all_kinds_look_the_same",
        run: |range| Box::pin(no_oracle(range)),
    },
];

async fn one_credential(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let good = range.draft(key).signed(key)?;
    let strict = range.draft_of(STRICT, key).signed(key)?;
    let authorization = |value: String| ask().header("authorization", value);
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let passed = range
            .stand
            .allowed(authorization(format!("{scheme} {good}")))
            .await;
        passed.map_err(|mismatch| of_case(scheme, &mismatch))?;
    }
    for ask in [
        ask().header("x-token", strict.as_str()),
        ask().header("cookie", format!("a=b; session={strict}")),
    ] {
        range.stand.allowed(ask).await?;
    }
    // The gateway itself joins Authorization headers, and an empty one adds nothing to another.
    let empty = ask().bearer(&good).header("authorization", "");
    range.stand.allowed(empty).await?;
    let cookie = |value: String| ask().header("cookie", value);
    let both = |name: &'static str, value: &str| ask().bearer(&good).header(name, value.to_owned());
    let cases: Vec<(&str, Ask, &str)> = vec![
        (
            "two Authorization headers",
            ask().bearer(&good).bearer(&good),
            "token_ambiguous",
        ),
        (
            "a good one and a Basic one",
            ask().bearer(&good).header("authorization", "Basic YTpi"),
            "token_ambiguous",
        ),
        // The gateway has made one header of them, and that is of another scheme.
        (
            "a Basic one and a good one",
            ask().header("authorization", "Basic YTpi").bearer(&good),
            "token_missing",
        ),
        (
            "a good one and garbage (CVE-2026-26308)",
            ask().bearer(&good).header("authorization", "x"),
            "token_ambiguous",
        ),
        (
            "Bearer a, Bearer b",
            authorization(format!("Bearer {good}, Bearer {good}")),
            "token_ambiguous",
        ),
        (
            "Bearer a,b",
            authorization(format!("Bearer {good},{good}")),
            "token_ambiguous",
        ),
        (
            "Bearer a,",
            authorization(format!("Bearer {good},")),
            "token_ambiguous",
        ),
        (
            "Bearer a; b",
            authorization(format!("Bearer {good}; {good}")),
            "token_malformed",
        ),
        (
            "two spaces",
            authorization(format!("Bearer  {good}")),
            "token_malformed",
        ),
        (
            "a tab",
            authorization(format!("Bearer\t{good}")),
            "token_malformed",
        ),
        (
            "a space and a tab",
            authorization(format!("Bearer \t{good}")),
            "token_malformed",
        ),
        (
            "the scheme alone",
            authorization("Bearer".to_owned()),
            "token_malformed",
        ),
        (
            "the scheme twice",
            authorization(format!("Bearer Bearer {good}")),
            "token_malformed",
        ),
        (
            "no space",
            authorization(format!("Bearer{good}")),
            "token_missing",
        ),
        (
            "a colon",
            authorization(format!("Bearer: {good}")),
            "token_missing",
        ),
        ("no scheme", authorization(good.clone()), "token_missing"),
        (
            "another scheme",
            authorization(format!("DPoP {good}")),
            "token_missing",
        ),
        (
            "a header and a header",
            both("x-token", &strict),
            "token_ambiguous",
        ),
        (
            "a header and a cookie",
            both("cookie", &format!("session={strict}")),
            "token_ambiguous",
        ),
        (
            "a cookie and a header",
            cookie(format!("session={strict}")).header("x-token", strict.clone()),
            "token_ambiguous",
        ),
        (
            "a cookie twice",
            cookie(format!("session={strict}; session={strict}")),
            "token_ambiguous",
        ),
        (
            "a cookie in two headers",
            cookie(format!("session={strict}")).header("cookie", format!("session={strict}")),
            "token_ambiguous",
        ),
        (
            "a cookie behind a comma",
            cookie(format!("a=b, session={strict}; session={strict}")),
            "token_ambiguous",
        ),
        (
            "the query alone",
            Ask::get(
                "api.example.com",
                &format!("/payments/list?access_token={good}"),
            ),
            "token_missing",
        ),
        (
            "a form's name in a header",
            ask().header("access_token", good.clone()),
            "token_missing",
        ),
        (
            "a proxy's header",
            ask().header("proxy-authorization", format!("Bearer {good}")),
            "token_missing",
        ),
    ];
    for (case, ask, reason) in cases {
        range.refused_ask(case, ask, reason).await?;
    }
    Ok(())
}

/// What a stranger can see of a refusal.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body_length: usize,
}

impl Seen {
    /// Without the decision id and the clock, which differ each time.
    fn of(reply: &Reply) -> Self {
        let fields = reply
            .headers
            .iter()
            .filter(|(name, _)| **name != header::DATE);
        let mut headers: Vec<_> = fields
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        headers.sort();
        Self {
            status: reply.status,
            headers,
            body_length: reply.body.len(),
        }
    }
}

async fn no_oracle(range: &Range) -> Result<(), Mismatch> {
    let keys = &range.keys;
    let key = &keys.p256;
    let draft = || range.draft(key);
    let cases = [
        ("token_malformed", "a.b.c".to_owned()),
        ("token_too_large", "a".repeat(17_000)),
        (
            "issuer_unknown",
            draft()
                .claim("iss", "https://unknown.example")
                .signed(key)?,
        ),
        (
            "algorithm_refused",
            draft().head("alg", "HS256").signed(key)?,
        ),
        (
            "token_type_refused",
            draft().head("typ", "logout+jwt").signed(key)?,
        ),
        ("key_unknown", draft().head("kid", "unknown").signed(key)?),
        ("signature_invalid", draft().signed(&keys.attacker)?),
        (
            "audience_mismatch",
            draft().claim("aud", "unknown").signed(key)?,
        ),
        ("token_expired", draft().claim("exp", 1).signed(key)?),
        (
            "token_not_yet_valid",
            draft().claim("nbf", 1_u64 << 52).signed(key)?,
        ),
        (
            "token_lifetime_refused",
            range
                .draft_of(STRICT, key)
                .claim("exp", 1_u64 << 52)
                .signed(key)?,
        ),
        (
            "claim_mismatch",
            range
                .draft_of(STRICT, key)
                .claim("tid", "unknown")
                .signed(key)?,
        ),
        // The reason would tell that the signature was good.
        ("token_malformed", draft().without("sub").signed(key)?),
    ];
    let mut first = None;
    for (reason, token) in cases {
        let seen = Seen::of(&range.refused(reason, &token, reason).await?);
        let first: &Seen = first.get_or_insert_with(|| seen.clone());
        expect(reason, &seen, first)?;
    }
    // Without a credential the challenge names no error (RFC 6750 section 3.1); it is another question.
    let missing = range
        .refused_ask("no token", ask(), "token_missing")
        .await?;
    expect(
        "the challenge",
        challenge(&missing),
        Some("Bearer realm=\"gateway\"".to_owned()),
    )?;
    // Who has a good token learns that it is not enough, and from the status alone.
    let token = draft().signed(key)?;
    let elsewhere = Ask::get("elsewhere.example.com", "/").bearer(&token);
    let forbidden = range
        .stand
        .denied(elsewhere, StatusCode::FORBIDDEN, "namespace_unknown")
        .await?;
    expect("the challenge", challenge(&forbidden), None)?;
    let text = forbidden.text();
    expect(
        "the body",
        forbidden.json(),
        json!({ "decision": forbidden.json()["decision"] }),
    )?;
    expect("the reason in the body", text.contains("namespace"), false)
}

fn challenge(reply: &Reply) -> Option<String> {
    let value = reply.headers.get(header::WWW_AUTHENTICATE)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
