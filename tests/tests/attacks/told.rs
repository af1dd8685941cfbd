//! What workloads are told of a caller by the configuration's own headers: claims that would say more, in them and
//! beside them.

use std::iter::repeat_n;

use e2e::conversation::{Mismatch, expect};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{
    Attack,
    range::{Range, ask, of_case},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 23,
        name: "no_claim_begins_a_header_or_another_element",
        run: |range| Box::pin(injection(range)),
    },
    Attack {
        row: 23,
        name: "what_is_too_much_for_a_header_is_denied_whole",
        run: |range| Box::pin(sizes(range)),
    },
];

const EMAIL: &str = "x-identity-email";
const GROUPS: &str = "x-identity-groups";

async fn injection(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let cases = [
        ("plain", json!("a@example.com"), "a@example.com"),
        (
            "a line",
            json!("a\r\nx-identity-roles: admin"),
            "a%0D%0Ax-identity-roles:%20admin",
        ),
        (
            "an end of headers",
            json!("a\r\n\r\nGET /"),
            "a%0D%0A%0D%0AGET%20/",
        ),
        ("a zero byte", json!("a\u{0}b"), "a%00b"),
        ("a list", json!("a,admins"), "a%2Cadmins"),
        ("an escape", json!("a%2Cadmins"), "a%252Cadmins"),
        ("other letters", json!("ä\u{2028}"), "%C3%A4%E2%80%A8"),
        ("spaces", json!(" a\t"), "%20a%09"),
    ];
    for (case, hostile, want) in cases {
        let draft = range
            .draft(key)
            .claim("email", hostile.clone())
            .claim("groups", json!([hostile, hostile]));
        let token = draft.signed(key)?;
        let forged = ask()
            .bearer(&token)
            .header(EMAIL, "root@example.com")
            .header("x_identity_groups", "admins");
        let passed = range.stand.allowed(forged).await;
        let passed = passed.map_err(|mismatch| of_case(case, &mismatch))?;
        expect(case, passed.values(EMAIL), vec![want])?;
        // Twice the same is once in a list, and one element is all that it looks like.
        expect(case, passed.values(GROUPS), vec![want])?;
        let none: Vec<&str> = Vec::new();
        expect(case, passed.values("x_identity_groups"), none.clone())?;
        expect(case, passed.values("x-identity-roles"), none)?;
    }
    Ok(())
}

async fn sizes(range: &Range) -> Result<(), Mismatch> {
    let key = &range.keys.p256;
    let text = |length: usize| "x".repeat(length);
    let groups = |count: usize, group: &str| json!(repeat_n(group, count).collect::<Vec<_>>());
    let cases: [(&str, &str, Value, Value); 4] = [
        ("a text", "email", json!(text(1024)), json!(text(1025))),
        (
            "an element",
            "groups",
            json!([text(1024)]),
            json!(["a", text(1025)]),
        ),
        ("elements", "groups", groups(512, "a"), groups(513, "a")),
        // Three bytes each, once escaped.
        (
            "all together",
            "groups",
            json!([",".repeat(1024)]),
            json!(
                (0..6)
                    .map(|n| format!("{n}{}", ",".repeat(1000)))
                    .collect::<Vec<_>>()
            ),
        ),
    ];
    for (case, claim, fits, too_much) in cases {
        let token = range.draft(key).claim(claim, fits).signed(key)?;
        range.passes(case, &token).await?;
        let token = range.draft(key).claim(claim, too_much).signed(key)?;
        let denied = range.stand.denied(
            ask().bearer(&token),
            StatusCode::FORBIDDEN,
            "identity_too_large",
        );
        denied.await.map_err(|mismatch| of_case(case, &mismatch))?;
        range.honest_passes().await?;
    }
    Ok(())
}
