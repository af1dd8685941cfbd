//! Who may do what: a role counts in its own namespace and nowhere else.

use hyper::StatusCode;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    verdict::{ORDERS, PAYMENTS, allowed, denied, get, open},
};
use crate::{
    http::Ask,
    issuer::{ALICE, BOB, CAROL, Person},
    mesh::{IssuerAtStart, Mesh},
};

/// The steps.
pub const CHAPTER: Chapter = Chapter {
    name: "roles",
    issuer: IssuerAtStart::Up,
    steps: &[
        Step {
            name: "a caller without the role is denied",
            run: |mesh| Outcome::of(forbidden(mesh, BOB, PAYMENTS, "rule_missing")),
        },
        Step {
            name: "the role of the namespace orders is worth nothing in payments",
            run: |mesh| Outcome::of(forbidden(mesh, CAROL, PAYMENTS, "rule_missing")),
        },
        Step {
            name: "the role of the namespace payments is worth nothing in orders",
            run: |mesh| Outcome::of(forbidden(mesh, ALICE, ORDERS, "rule_missing")),
        },
        Step {
            name: "a host that no namespace claims is denied, whoever asks",
            run: |mesh| Outcome::of(forbidden(mesh, ALICE, NOBODYS, "namespace_unknown")),
        },
        Step {
            name: "the public path passes without a token, and without an identity",
            run: |mesh| Outcome::of(public_path(mesh)),
        },
    ],
};

async fn forbidden(
    mesh: &Mesh,
    person: Person,
    place: (&str, &str),
    reason: &str,
) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(person).await?;
    denied(
        mesh,
        get(place).bearer(&token),
        StatusCode::FORBIDDEN,
        reason,
    )
    .await
}

async fn public_path(mesh: &Mesh) -> Result<String, Mismatch> {
    let host = "shop.orders.example.com";
    let mut exchange = open(mesh, host).await?;
    let ask = Ask::get(host, "/healthz").header("x-identity-workload", "forged");
    let mirror = allowed(&mut exchange, ask).await?;
    expect("the workload", mirror.workload(), "orders")?;
    for name in ["subject", "workload", "roles", "provider"] {
        let header = format!("x-identity-{name}");
        expect(&header, mirror.values(&header), [""; 0])?;
    }
    Ok("200, no identity headers".to_owned())
}

/// The gateway has a route for it, so it is the filter that denies.
const NOBODYS: (&str, &str) = ("www.example.com", "/payments/list");
