//! Values of claims that would begin a header of their own, or look like two, in tokens that the issuer
//! has signed: what the application behind nginx reads is one value, and it is the caller's.

use e2e::conversation::{Mismatch, expect};
use serde_json::{Value, json};

use crate::{
    Attack,
    site::{Caller, GUARDED, Site},
};

pub(crate) const ATTACKS: &[Attack<Site>] = &[
    Attack {
        row: 23,
        name: "a_subject_begins_no_header_and_looks_like_no_other",
        run: |site| Box::pin(subjects(site)),
    },
    Attack {
        row: 23,
        name: "a_role_that_is_not_listed_is_no_role_however_it_is_written",
        run: |site| Box::pin(roles(site)),
    },
];

/// A subject, and how a header holds it.
const SUBJECTS: &[(&str, &str)] = &[
    ("alice", "alice"),
    ("a\r\nx-injected: yes", "a%0D%0Ax-injected:%20yes"),
    ("a\nx-injected: yes", "a%0Ax-injected:%20yes"),
    ("a\rx-injected: yes", "a%0Dx-injected:%20yes"),
    (
        "a\r\n\r\nGET /admin HTTP/1.1\r\n",
        "a%0D%0A%0D%0AGET%20/admin%20HTTP/1.1%0D%0A",
    ),
    ("a\u{0}b", "a%00b"),
    ("a\tb", "a%09b"),
    (" a", "%20a"),
    ("a ", "a%20"),
    ("a,b", "a%2Cb"),
    (
        "a, x-identity-roles: admin",
        "a%2C%20x-identity-roles:%20admin",
    ),
    ("a%2Cb", "a%252Cb"),
    ("a#b", "a#b"),
    ("a;b=\"c\"", "a;b=\"c\""),
    ("\u{fc}", "%C3%BC"),
    ("\u{2028}x", "%E2%80%A8x"),
    ("\u{85}x", "%C2%85x"),
    ("\u{10a}x: y", "%C4%8Ax:%20y"),
    ("\u{d}\u{a}", "%0D%0A"),
    ("\u{7f}", "%7F"),
    ("\u{1f512}", "%F0%9F%94%92"),
];

async fn subjects(site: &Site) -> Result<(), Mismatch> {
    for (subject, escaped) in SUBJECTS {
        for door in GUARDED {
            let fields = mirrored(site, door, json!({ "sub": subject })).await?;
            let about = |what: &str| format!("{what} of {subject:?}");
            let wanted = format!("https://issuer.example#{escaped}");
            expect(
                &about("the subject"),
                values(&fields, "x-identity-subject"),
                vec![wanted.as_str()],
            )?;
            let workload = values(&fields, "x-identity-workload");
            let segments = workload.first().map_or(0, |id| id.split('/').count());
            expect(
                &about("the workload identities"),
                (workload.len(), segments),
                (1, 5),
            )?;
            let text = format!("{workload:?}");
            let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(',');
            expect(
                &about("the workload identity's letters"),
                (&text, is_plain),
                (&text, true),
            )?;
            expect(
                &about("injected headers"),
                values(&fields, "x-injected"),
                Vec::<&str>::new(),
            )?;
            expect(
                &about("roles"),
                values(&fields, "x-identity-roles"),
                Vec::<&str>::new(),
            )?;
        }
    }
    Ok(())
}

async fn roles(site: &Site) -> Result<(), Mismatch> {
    let cases: &[(Value, &[&str])] = &[
        (json!(["reader"]), &["reader"]),
        (json!(["writer", "reader", "writer"]), &["reader,writer"]),
        (json!(["reader\r\nx-injected: yes"]), &[]),
        (json!(["reader,writer"]), &[]),
        (json!(["reader", "admin"]), &["reader"]),
        (
            json!(["READER", " reader", "reader ", "reader\u{0}", "r\u{e9}ader"]),
            &[],
        ),
        (json!("reader"), &["reader"]),
        (json!("reader writer"), &[]),
        (json!({ "reader": true }), &[]),
        (json!([["reader"]]), &[]),
        (json!(null), &[]),
    ];
    for (claim, wanted) in cases {
        for door in GUARDED {
            let fields = mirrored(site, door, json!({ "roles": claim })).await?;
            let about = format!("the roles of {claim}");
            expect(&about, values(&fields, "x-identity-roles"), wanted.to_vec())?;
            expect(
                "injected headers",
                values(&fields, "x-injected"),
                Vec::<&str>::new(),
            )?;
        }
    }
    Ok(())
}

/// The header fields of a request with a token that has these claims.
async fn mirrored(
    site: &Site,
    door: crate::site::Door,
    claims: Value,
) -> Result<Vec<(String, String)>, Mismatch> {
    let head = format!(
        "GET /api/x HTTP/1.1\r\nhost: mirror.example.com\r\nauthorization: Bearer {}",
        site.token(&claims)
    );
    let of = (door, Caller::OfItsOwn);
    let sent = site
        .say_alone(of, &claims.to_string(), head.as_bytes())
        .await?;
    expect(
        &format!("the status of {claims}"),
        sent.answer.status,
        Some(200),
    )?;
    site.all_is_allowed(std::slice::from_ref(&sent)).await?;
    Ok(sent.mirrored())
}

fn values<'fields>(fields: &'fields [(String, String)], name: &str) -> Vec<&'fields str> {
    let named = fields
        .iter()
        .filter(|(field, _)| field.replace('_', "-") == name);
    named.map(|(_, value)| value.as_str()).collect()
}
