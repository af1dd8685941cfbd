//! What the sidecars refuse, past the gateway: by the guard of a namespace (`istio-manifests/base/workload`)
//! as istiod gives it to them. Every refusal is seen to go away with the policy that it is said to come
//! from.

use std::time::Duration;

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    http::{Ask, Exchange, Reply},
    istio::{control_plane::sum_with, guarded::Guarded},
    pki::{Identity, STRANGER},
};
use hyper::StatusCode;
use serde_json::json;

pub(crate) async fn a_workload_hears_the_gateway_alone_and_what_was_decided_for_its_namespace() {
    let guarded = Guarded::start().await.unwrap();
    let (pki, workload) = (&guarded.pki, &guarded.payments);
    let neighbour = &guarded.sidecars[1].identity;
    let before = workload.requests();
    for (who, identity, headers) in [
        ("the gateway, undecided", &pki.gateway, &DECIDED[1..]),
        ("the gateway, for no namespace", &pki.gateway, &DECIDED[..1]),
        (
            "the gateway, for another namespace",
            &pki.gateway,
            &FOREIGN[..],
        ),
        ("the other workload", neighbour, &[]),
        (
            "the other workload, as the gateway",
            neighbour,
            &DECIDED[..],
        ),
        ("another member of the mesh", &pki.stranger, &[]),
        (
            "another member, as the gateway",
            &pki.stranger,
            &DECIDED[..],
        ),
        ("the front, as the gateway", &pki.front, &DECIDED[..]),
    ] {
        let reply = ask(&guarded, identity, headers).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{who}");
        assert_eq!(reply.text(), "RBAC: access denied", "{who}");
    }
    assert_eq!(workload.requests(), before);
    assert_eq!(
        ask(&guarded, &pki.gateway, &DECIDED).await.status,
        StatusCode::OK
    );
    assert_eq!(workload.requests(), before + 1);
    let metrics = guarded.sidecars[0].agent.metrics().await.unwrap();
    assert_eq!(sum_with(&metrics, "envoy_http_rbac", REFUSED), Some(8.0));

    let policies = ["nothing-by-default", "from-the-gateway", DENIAL];
    let mut served = guarded.served.clone();
    for name in policies {
        served = served.without("AuthorizationPolicy", "payments", name);
    }
    guarded.tell(&served).unwrap();
    answers(&guarded, &pki.stranger, &DECIDED, StatusCode::OK).await;
    guarded.tell(&guarded.served).unwrap();
    answers(&guarded, &pki.stranger, &DECIDED, StatusCode::FORBIDDEN).await;
}

/// A team may let others call its workload; that is no leave to say who somebody else is.
pub(crate) async fn who_may_call_a_workload_may_still_not_bring_the_gateways_headers() {
    let guarded = Guarded::start().await.unwrap();
    let caller = &guarded.pki.stranger;
    let leave = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": { "name": "from-a-neighbour", "namespace": "payments" },
        "spec": { "action": "ALLOW", "rules": [{ "from": [{ "source": {
            "principals": [STRANGER.trim_start_matches("spiffe://")],
        } }] }] },
    });
    let open = guarded.served.with(leave);
    guarded.tell(&open).unwrap();
    answers(&guarded, caller, &[], StatusCode::OK).await;
    let before = guarded.payments.requests();
    for name in SET_BY_THE_FILTER {
        for value in ["payments", ""] {
            let reply = ask(&guarded, caller, &[(name, value)]).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}: {value:?}");
        }
    }
    assert_eq!(guarded.payments.requests(), before);

    guarded
        .tell(&open.without("AuthorizationPolicy", "payments", DENIAL))
        .unwrap();
    answers(&guarded, caller, &DECIDED, StatusCode::OK).await;
}

pub(crate) async fn a_workload_takes_no_clear_text_and_nobody_without_a_certificate() {
    let guarded = Guarded::start().await.unwrap();
    let address = guarded.payments.address();
    let before = guarded.payments.requests();
    assert!(clear(&guarded).await.is_none());
    let nobody = Dialer::mesh(address, HOST, guarded.pki.mesh.root()).speaking(&["http/1.1"]);
    assert!(reply_to(&nobody).await.is_none());
    let other_mesh = nobody.as_identity(&guarded.pki.partner);
    assert!(reply_to(&other_mesh).await.is_none());
    assert_eq!(guarded.payments.requests(), before);

    let permissive = guarded
        .served
        .without("PeerAuthentication", "payments", "default");
    guarded.tell(&permissive).unwrap();
    // Then RBAC is what refuses.
    let reply = eventually("an answer to clear text", LIMIT, async || {
        clear(&guarded).await
    });
    assert_eq!(reply.await.unwrap().status, StatusCode::FORBIDDEN);
}

async fn clear(guarded: &Guarded) -> Option<Reply> {
    let mut exchange = Exchange::open_clear(guarded.payments.address())
        .await
        .ok()?;
    exchange.send(Ask::get(HOST, "/payments/list")).await.ok()
}

/// In TLS 1.3 a refused certificate shows only after the handshake.
async fn reply_to(dialer: &Dialer) -> Option<Reply> {
    let mut exchange = Exchange::open(dialer).await.ok()?;
    exchange.send(Ask::get(HOST, "/payments/list")).await.ok()
}

/// Straight to the workload of `payments`, with a certificate and what the gateway might have said.
async fn ask(guarded: &Guarded, identity: &Identity, headers: &[(&'static str, &str)]) -> Reply {
    let root = guarded.pki.mesh.root();
    let dialer = Dialer::mesh(guarded.payments.address(), HOST, root).speaking(&["http/1.1"]);
    let mut ask = Ask::get(HOST, "/payments/list");
    for (name, value) in headers {
        ask = ask.header(name, *value);
    }
    let mut exchange = Exchange::open(&dialer.as_identity(identity)).await.unwrap();
    exchange.send(ask).await.unwrap()
}

/// As soon as the sidecar has what istiod was told.
async fn answers(
    guarded: &Guarded,
    identity: &Identity,
    headers: &[(&'static str, &str)],
    status: StatusCode,
) {
    eventually("what istiod was told", LIMIT, async || {
        (ask(guarded, identity, headers).await.status == status).then_some(())
    })
    .await
    .unwrap();
}

const HOST: &str = "payments.payments.svc.cluster.local";

/// The policy by which nobody but the gateway may bring its headers.
const DENIAL: &str = "no-identity-from-elsewhere";

/// What the filter would have set for an administrator of `payments`.
const DECIDED: [(&str, &str); 4] = [
    ("x-identity-decision", "00000000000000000000000000000000"),
    ("x-identity-namespace", "payments"),
    (
        "x-identity-workload",
        "spiffe://cluster.local/ns/people/sa/alice",
    ),
    ("x-identity-roles", "admin"),
];

/// The same for one of `orders`.
const FOREIGN: [(&str, &str); 4] = [
    DECIDED[0],
    ("x-identity-namespace", "orders"),
    DECIDED[2],
    DECIDED[3],
];

/// All that the filter sets by itself (docs/filter.md, "Headers").
const SET_BY_THE_FILTER: [&str; 7] = [
    "x-connection-id",
    "x-identity-decision",
    "x-identity-namespace",
    "x-identity-provider",
    "x-identity-roles",
    "x-identity-subject",
    "x-identity-workload",
];

/// Labels of what RBAC refuses to those who call the workload's port.
const REFUSED: &str =
    r#"authz_enforce_result="denied",http_conn_manager_prefix="inbound_0.0.0.0_8080""#;

/// A push.
const LIMIT: Duration = Duration::from_secs(30);
