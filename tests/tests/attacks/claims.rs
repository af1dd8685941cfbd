//! Tokens that are genuine, and not for this: of another kind, for somebody else, of another time, of
//! another issuer, of another holder.

use e2e::{
    clock::unix_now,
    conversation::{Mismatch, expect},
};
use serde_json::{Value, json};

use crate::{
    Attack,
    forge::Draft,
    range::{PARTNERS, PEOPLE, Range, STRICT, ask},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 17,
        name: "tokens_of_another_kind_or_for_another_are_refused",
        run: |range| Box::pin(substitution(range)),
    },
    Attack {
        row: 18,
        name: "tokens_hold_in_their_time_only",
        run: |range| Box::pin(times(range)),
    },
    Attack {
        row: 19,
        name: "an_issuer_is_its_exact_bytes",
        run: |range| Box::pin(issuers(range)),
    },
    Attack {
        row: 20,
        name: "bound_tokens_do_not_pass_as_bearer_tokens",
        run: |range| Box::pin(stolen(range)),
    },
];

async fn check(range: &Range, cases: Vec<(&str, Draft, &str)>) -> Result<(), Mismatch> {
    for (case, draft, reason) in cases {
        let token = draft.signed(&range.keys.p256)?;
        range.refused(case, &token, reason).await?;
    }
    Ok(())
}

async fn substitution(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let people = || range.draft(key);
    let strict = || range.draft_of(STRICT, key);
    range
        .passes("what the strict provider takes", &strict().signed(key)?)
        .await?;
    range
        .passes(
            "a token without typ",
            &people().headless("typ").signed(key)?,
        )
        .await?;
    let many = people().claim("aud", json!(["api://others", "api://orders"]));
    range
        .passes("two audiences, one of them ours", &many.signed(key)?)
        .await?;
    check(
        range,
        vec![
            (
                "a logout token",
                people().head("typ", "logout+jwt"),
                "token_type_refused",
            ),
            (
                "a DPoP proof",
                people().head("typ", "dpop+jwt"),
                "token_type_refused",
            ),
            (
                "a security event",
                people().head("typ", "secevent+jwt"),
                "token_type_refused",
            ),
            (
                "a refresh token",
                people().head("typ", "Refresh"),
                "token_type_refused",
            ),
            (
                "a request object",
                people().head("typ", "oauth-authz-req+jwt"),
                "token_type_refused",
            ),
            (
                "typ with a space",
                people().head("typ", "JWT "),
                "token_type_refused",
            ),
            (
                "an empty typ",
                people().head("typ", ""),
                "token_type_refused",
            ),
            (
                "typ that is a list",
                people().head("typ", json!(["JWT"])),
                "token_malformed",
            ),
            (
                "an ID token where access tokens are asked for",
                strict().head("typ", "JWT"),
                "token_type_refused",
            ),
            (
                "no typ where access tokens are asked for",
                strict().headless("typ"),
                "token_type_refused",
            ),
            (
                "token_use id",
                strict().claim("token_use", "id"),
                "claim_mismatch",
            ),
            (
                "token_use in another case",
                strict().claim("token_use", "ACCESS"),
                "claim_mismatch",
            ),
            (
                "no token_use",
                strict().without("token_use"),
                "claim_mismatch",
            ),
            (
                "another tenant",
                strict().claim("tid", "their-tenant"),
                "claim_mismatch",
            ),
            (
                "our tenant in a list",
                strict().claim("tid", json!(["our-tenant"])),
                "claim_mismatch",
            ),
            (
                "another audience",
                people().claim("aud", "api://payments"),
                "audience_mismatch",
            ),
            ("no audience", people().without("aud"), "audience_mismatch"),
            (
                "an audience that begins as ours",
                people().claim("aud", "api://orders/admin"),
                "audience_mismatch",
            ),
            (
                "our audience in capitals",
                people().claim("aud", "API://ORDERS"),
                "audience_mismatch",
            ),
            (
                "an empty list of audiences",
                people().claim("aud", json!([])),
                "audience_mismatch",
            ),
            (
                "other audiences",
                people().claim("aud", json!(["a", "b"])),
                "audience_mismatch",
            ),
            (
                "our audience among a list's spaces",
                people().claim("aud", "a api://orders"),
                "audience_mismatch",
            ),
            (
                "our audience in azp alone",
                people().claim("aud", "x").claim("azp", "api://orders"),
                "audience_mismatch",
            ),
            (
                "an audience that is a number",
                people().claim("aud", 1),
                "token_malformed",
            ),
            (
                "audiences that are not all texts",
                people().claim("aud", json!(["api://orders", 1])),
                "token_malformed",
            ),
            (
                "an audience in an object",
                people().claim("aud", json!({ "api://orders": 1 })),
                "token_malformed",
            ),
            ("no subject", people().without("sub"), "token_malformed"),
            (
                "an empty subject",
                people().claim("sub", ""),
                "token_malformed",
            ),
            (
                "a subject that is a list",
                people().claim("sub", json!(["alice"])),
                "token_malformed",
            ),
            (
                "a subject of 256 bytes",
                people().claim("sub", "s".repeat(256)),
                "token_malformed",
            ),
        ],
    )
    .await
}

/// The forms of numbers are those of row 9.
async fn times(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let people = || range.draft(key);
    let strict = || range.draft_of(STRICT, key);
    let now = unix_now();
    // The leeway is 60 s; on both sides of it there is room for a slow machine.
    range
        .passes(
            "half the leeway late",
            &people().claim("exp", now - 30).signed(key)?,
        )
        .await?;
    range
        .passes(
            "half the leeway early",
            &people()
                .claim("nbf", now + 30)
                .claim("iat", now + 30)
                .signed(key)?,
        )
        .await?;
    range
        .passes("no iat and no nbf", &people().without("iat").signed(key)?)
        .await?;
    check(
        range,
        vec![
            ("no exp", people().without("exp"), "token_malformed"),
            (
                "exp 61 s ago",
                people().claim("exp", now - 61),
                "token_expired",
            ),
            (
                "exp 14 minutes ago, within other readers' leeway",
                people().claim("exp", now - 840),
                "token_expired",
            ),
            ("exp 0", people().claim("exp", 0), "token_expired"),
            (
                "exp in milliseconds, long ago",
                people().claim("exp", 1),
                "token_expired",
            ),
            (
                "nbf tomorrow",
                people().claim("nbf", now + 86_400),
                "token_not_yet_valid",
            ),
            (
                "nbf in 14 minutes",
                people().claim("nbf", now + 840),
                "token_not_yet_valid",
            ),
            (
                "iat tomorrow",
                people().claim("iat", now + 86_400),
                "token_not_yet_valid",
            ),
            (
                "nbf at the end of time",
                people().claim("nbf", 1_u64 << 53),
                "token_not_yet_valid",
            ),
            (
                "a life that is longer than allowed",
                strict().claim("exp", now + 601).claim("iat", now),
                "token_lifetime_refused",
            ),
            (
                "an end in 285 million years",
                strict().claim("exp", 1_u64 << 53),
                "token_lifetime_refused",
            ),
            (
                "no start where life is bounded",
                strict().without("iat"),
                "token_malformed",
            ),
            (
                "a start in the future, to make life short",
                strict().claim("iat", now + 3600).claim("exp", now + 3700),
                "token_not_yet_valid",
            ),
        ],
    )
    .await
}

async fn issuers(range: &Range) -> Result<(), Mismatch> {
    let (ours, partners) = (&range.keys.p256, &range.keys.partners);
    let passed = range.honest_passes().await?;
    expect(
        "the provider",
        passed.value("x-identity-provider")?,
        "people",
    )?;
    let token = range.draft_of(PARTNERS, partners).signed(partners)?;
    let passed = range.passes("a partner's token", &token).await?;
    expect(
        "the provider",
        passed.value("x-identity-provider")?,
        "partners",
    )?;
    // The keys of both have the same name.
    let crossed = range.draft_of(PARTNERS, partners).signed(ours)?;
    range
        .refused("a partner's name, our key", &crossed, "signature_invalid")
        .await?;
    let crossed = range.draft_of(PEOPLE, ours).signed(partners)?;
    range
        .refused("our name, a partner's key", &crossed, "signature_invalid")
        .await?;
    let rsa = range
        .draft_of(PARTNERS, &range.keys.rsa)
        .signed(&range.keys.rsa)?;
    range
        .refused(
            "a partner's name, a key that only we have",
            &rsa,
            "key_unknown",
        )
        .await?;
    let unknown = [
        "https://issuer.example",
        "https://issuer.example/people//",
        "https://issuer.example/People",
        "https://ISSUER.example/people",
        "HTTPS://issuer.example/people",
        "http://issuer.example/people",
        "https://issuer.example:443/people",
        "https://issuer.example./people",
        "https://people@issuer.example/people",
        "https://issuer.example@attacker.example/people",
        "https://issuer.example/people?",
        "https://issuer.example/people#",
        "https://issuer.example/%70eople",
        "https://issuer.example/x/../people",
        "https://\u{456}ssuer.example/people",
        "https://issuer.example/people\u{0}",
        " https://issuer.example/people",
        "https://issuer.example/people\n",
        "issuer.example/people",
        "",
        "*",
    ];
    for issuer in unknown {
        let token = range.draft(ours).claim("iss", issuer).signed(ours)?;
        range
            .refused(&format!("iss {issuer:?}"), &token, "issuer_unknown")
            .await?;
    }
    for issuer in [
        json!([PEOPLE]),
        json!({ "iss": PEOPLE }),
        json!(null),
        json!(1),
    ] {
        let token = range
            .draft(ours)
            .claim("iss", issuer.clone())
            .signed(ours)?;
        range
            .refused(&format!("iss {issuer}"), &token, "token_malformed")
            .await?;
    }
    let nameless = range.draft(ours).without("iss").signed(ours)?;
    range
        .refused("no iss", &nameless, "token_malformed")
        .await?;
    Ok(())
}

/// Nothing can tell a bearer token's thief from its owner until it ends. What can be told are tokens that
/// say that they are bound to somebody's key, and tokens in places where their provider's do not stand.
/// Who holds the certificate is the chapter `bound tokens` of the conversation.
async fn stolen(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let bound = |cnf: Value| range.draft(key).claim("cnf", cnf);
    let strict = range.draft_of(STRICT, key);
    // RFC 8705 appendix A.
    let thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    let cases = vec![
        (
            "bound to a certificate (RFC 8705)",
            bound(json!({ "x5t#S256": thumbprint })),
            "certificate_missing",
        ),
        (
            "bound to a certificate and a key",
            bound(json!({ "x5t#S256": thumbprint, "jkt": thumbprint })),
            "certificate_missing",
        ),
        (
            "bound to a key (RFC 9449)",
            bound(json!({ "jkt": thumbprint })),
            "confirmation_unsupported",
        ),
        (
            "bound to nothing known",
            bound(json!({})),
            "confirmation_unsupported",
        ),
        (
            "bound to half a thumbprint",
            bound(json!({ "x5t#S256": "bwcK" })),
            "token_malformed",
        ),
        ("bound to a text", bound(json!("me")), "token_malformed"),
        ("bound to null", bound(json!(null)), "token_malformed"),
        (
            "bound where no token may be",
            strict.claim("cnf", json!({ "x5t#S256": thumbprint })),
            "claim_mismatch",
        ),
    ];
    check(range, cases).await?;
    let token = range.draft(key).signed(key)?;
    let moved = ask().header("x-token", token.as_str());
    range
        .refused_ask(
            "in a header of another provider",
            moved,
            "token_source_refused",
        )
        .await?;
    let moved = ask().header("cookie", format!("session={token}"));
    range
        .refused_ask(
            "in a cookie of another provider",
            moved,
            "token_source_refused",
        )
        .await?;
    Ok(())
}
