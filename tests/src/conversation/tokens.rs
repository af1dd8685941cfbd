//! Who is let in: good tokens, and tokens that are wrong in one thing each.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    mirror::Mirror,
    verdict::{PAYMENTS, allowed, denied, get, open},
};
use crate::{
    http::{Ask, Exchange},
    issuer::{ALICE, CAROL, ERIN, FRANK, GRACE},
    mesh::{IssuerAtStart, Mesh},
    token::with_broken_signature,
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "tokens",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "a good token passes, and the workload sees the mapped identity only",
            run: |mesh| Outcome::of(identity_is_mapped(mesh)),
        },
        Step {
            name: "ES256 tokens pass as RS256 tokens do",
            run: |mesh| Outcome::of(es256_passes(mesh)),
        },
        Step {
            name: "so do PS256, EdDSA and Ed25519 tokens, each as its own subject",
            run: |mesh| Outcome::of(every_algorithm_passes(mesh)),
        },
        Step {
            name: "no token is denied",
            run: |mesh| Outcome::of(missing(mesh)),
        },
        Step {
            name: "an expired token is denied",
            run: |mesh| Outcome::of(expired(mesh)),
        },
        Step {
            name: "a token for another audience is denied",
            run: |mesh| Outcome::of(other_audience(mesh)),
        },
        Step {
            name: "a token of another issuer is denied",
            run: |mesh| Outcome::of(other_issuer(mesh)),
        },
        Step {
            name: "a token with a broken signature is denied",
            run: |mesh| Outcome::of(broken_signature(mesh)),
        },
        Step {
            name: "an unsigned token is denied",
            run: |mesh| Outcome::of(unsigned(mesh)),
        },
        Step {
            name: "HS256 with the issuer's public key as the secret is denied",
            run: |mesh| Outcome::of(public_key_as_secret(mesh)),
        },
    ],
};

/// Over both protocols: HTTP/1.1 goes out with capitals in its header names.
async fn identity_is_mapped(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(ALICE).await?;
    for protocol in ["h2", "http/1.1"] {
        let dialer = mesh.downstream(PAYMENTS.0).speaking(&[protocol]);
        let mut exchange = Exchange::open(&dialer).await?;
        let mirror = allowed(
            &mut exchange,
            forging_everything(get(PAYMENTS).bearer(&token)),
        )
        .await?;
        sees_only_alice(&mirror, &mesh.issuer.url())?;
    }
    Ok("200, spiffe://cluster.local/ns/people/sa/alice with the role admin".to_owned())
}

/// Identity headers as an impostor would send them: plain, twice, with an underscore, with a name
/// of his own.
fn forging_everything(ask: Ask) -> Ask {
    ask.header("x-identity-workload", "forged")
        .header("x-identity-workload", "forged-again")
        .header("x-identity-subject", "forged")
        .header("x-identity-roles", "forged,admin")
        .header("x-identity-namespace", "forged")
        .header("x-identity-provider", "forged")
        .header("x-identity-decision", "forged")
        .header("x-identity-anything", "forged")
        .header("x_identity_workload", "forged")
        .header("x-identity_roles", "forged")
        .header("x-connection-id", "forged")
}

fn sees_only_alice(mirror: &Mirror, issuer: &str) -> Result<(), Mismatch> {
    let forged: Vec<_> = mirror
        .fields()
        .filter(|(_, value)| value.contains("forged"))
        .collect();
    expect(
        "what the workload saw of the forged headers",
        forged,
        [("", ""); 0],
    )?;
    expect("the workload", mirror.workload(), "payments")?;
    let workload = mirror.value("x-identity-workload")?;
    expect(
        "x-identity-workload",
        workload,
        "spiffe://cluster.local/ns/people/sa/alice",
    )?;
    expect(
        "x-identity-roles",
        mirror.value("x-identity-roles")?,
        "admin",
    )?;
    expect(
        "x-identity-namespace",
        mirror.value("x-identity-namespace")?,
        "payments",
    )?;
    expect(
        "x-identity-provider",
        mirror.value("x-identity-provider")?,
        "people",
    )?;
    let subject = mirror.value("x-identity-subject")?;
    expect(
        "x-identity-subject holds the issuer",
        subject.starts_with(issuer),
        true,
    )?;
    expect(
        "x-identity-subject holds the sub",
        subject.ends_with("alice"),
        true,
    )?;
    expect(
        "the token at the workload",
        mirror.values("authorization"),
        [""; 0],
    )?;
    Ok(())
}

async fn es256_passes(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(CAROL).await?;
    let mut exchange = open(mesh, "shop.orders.example.com").await?;
    let ask = Ask::get("shop.orders.example.com", "/basket").bearer(&token);
    let mirror = allowed(&mut exchange, ask).await?;
    expect("the workload", mirror.workload(), "orders")?;
    let workload = mirror.value("x-identity-workload")?;
    expect(
        "x-identity-workload",
        workload,
        "spiffe://cluster.local/ns/people/sa/carol",
    )?;
    Ok(format!("200, {workload}"))
}

/// Tokens of the certified provider; whoever is named in them is who the workload hears of.
async fn every_algorithm_passes(mesh: &Mesh) -> Result<String, Mismatch> {
    let mut names = Vec::new();
    for person in [ERIN, FRANK, GRACE] {
        let token = mesh.issuer.token(person).await?;
        let header = token.split('.').next().unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
        let header: Value = serde_json::from_slice(&header).unwrap_or_default();
        expect("alg", &header["alg"], person.algorithm)?;
        let mut exchange = open(mesh, PAYMENTS.0).await?;
        let mirror = allowed(&mut exchange, get(PAYMENTS).bearer(&token)).await?;
        expect(
            "x-identity-workload",
            mirror.value("x-identity-workload")?,
            format!("spiffe://cluster.local/ns/people/sa/{}", person.name).as_str(),
        )?;
        names.push(person.algorithm);
    }
    Ok(format!("200 each: {}", names.join(", ")))
}

async fn missing(mesh: &Mesh) -> Result<String, Mismatch> {
    denied(
        mesh,
        get(PAYMENTS),
        StatusCode::UNAUTHORIZED,
        "token_missing",
    )
    .await
}

async fn expired(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh
        .issuer
        .draft(ALICE)
        .expired_by(600)
        .signed(mesh.issuer.rsa())?;
    unauthorized(mesh, &token, "token_expired").await
}

async fn other_audience(mesh: &Mesh) -> Result<String, Mismatch> {
    let draft = mesh
        .issuer
        .draft(ALICE)
        .with("aud", json!("api://elsewhere"));
    unauthorized(mesh, &draft.signed(mesh.issuer.rsa())?, "audience_mismatch").await
}

async fn other_issuer(mesh: &Mesh) -> Result<String, Mismatch> {
    let draft = mesh
        .issuer
        .draft(ALICE)
        .with("iss", json!("https://issuer.example"));
    unauthorized(mesh, &draft.signed(mesh.issuer.rsa())?, "issuer_unknown").await
}

async fn broken_signature(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = with_broken_signature(&mesh.issuer.token(ALICE).await?);
    unauthorized(mesh, &token, "signature_invalid").await
}

async fn unsigned(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.draft(ALICE).unsigned(mesh.issuer.rsa());
    unauthorized(mesh, &token, "algorithm_refused").await
}

async fn public_key_as_secret(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh
        .issuer
        .draft(ALICE)
        .authenticated_with_public_key(mesh.issuer.rsa());
    unauthorized(mesh, &token, "algorithm_refused").await
}

async fn unauthorized(mesh: &Mesh, token: &str, reason: &str) -> Result<String, Mismatch> {
    denied(
        mesh,
        get(PAYMENTS).bearer(token),
        StatusCode::UNAUTHORIZED,
        reason,
    )
    .await
}
