//! Who may do what: a role counts in its own namespace and nowhere else.

use hyper::StatusCode;

use super::{
    Chapter, Mismatch, Outcome, Step, expect,
    mirror::Mirror,
    verdict::{ORDERS, PAYMENTS, allowed, denied, get, open},
};
use crate::{
    http::{Ask, Exchange},
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
            name: "no spelling of a path or a host leads from orders into payments",
            run: |mesh| Outcome::of(no_detour(mesh)),
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

/// Carol may act in orders. Whether a spelling is refused or taken for orders is not the question
/// here.
async fn no_detour(mesh: &Mesh) -> Result<String, Mismatch> {
    let token = mesh.issuer.token(CAROL).await?;
    let before = mesh.payments.requests();
    for (host, path) in DETOURS {
        for protocol in ["h2", "http/1.1"] {
            let dialer = mesh.downstream(PAYMENTS.0).speaking(&[protocol]);
            let mut exchange = Exchange::open(&dialer).await?;
            let reply = exchange.send(Ask::get(host, path).bearer(&token)).await?;
            let answered_by = Mirror::of(&reply).workload().to_owned();
            let about = format!("who answered {host}{path} over {protocol}");
            expect(&about, answered_by == "payments", false)?;
        }
    }
    expect(
        "the requests that reached payments",
        mesh.payments.requests(),
        before,
    )?;
    Ok(format!("{} spellings, none arrived", DETOURS.len()))
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

/// Ways to write what one reader may take for orders and another for payments.
const DETOURS: &[(&str, &str)] = &[
    ("api.example.com", "/orders/../payments/list"),
    ("api.example.com", "/orders/%2e%2e/payments/list"),
    ("api.example.com", "/orders/..%2fpayments/list"),
    ("api.example.com", "/orders/..%5cpayments/list"),
    ("api.example.com", "/orders/..;/payments/list"),
    ("api.example.com", "/orders//../payments/list"),
    ("api.example.com", "/orders/%252e%252e/payments/list"),
    ("api.example.com", "//payments/list"),
    ("api.example.com", "/./payments/list"),
    ("api.example.com", "/payments%2flist"),
    ("api.example.com", "/%70ayments/list"),
    ("api.example.com", "/payments/list?/orders/list"),
    ("API.EXAMPLE.COM", "/payments/list"),
    ("api.example.com.", "/payments/list"),
    ("api.example.com:443", "/payments/list"),
    ("PAY.example.com", "/balance"),
    ("pay.example.com.", "/balance"),
    ("pay.example.com:8443", "/balance"),
];

/// The gateway has a route for it, so it is the filter that denies.
const NOBODYS: (&str, &str) = ("www.example.com", "/payments/list");
