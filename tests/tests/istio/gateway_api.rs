//! The gateway and its routes in the words of the Gateway API (`components/gateway-api`): istiod reads
//! them from a Kubernetes API and makes of them what it makes of its own.

use std::slice;

use e2e::{
    conversation::mirror::Mirror,
    deadline::eventually,
    http::{Ask, Exchange},
    istio::{
        ground::{Ground, Way},
        overlay::Words,
    },
    token::with_broken_signature,
};
use hyper::StatusCode;

use crate::{
    conversation::{filters_are_in_their_order, nothing_was_refused},
    policy::{LIMIT, asking, payments},
};

pub(crate) async fn a_gateway_in_the_words_of_the_gateway_api_decides_and_routes() {
    let ground = ground().await;
    let way = ground.open().await.unwrap();
    let listener = filters_are_in_their_order(&way.gateway).await;
    let chains = listener["filter_chains"].as_array().unwrap();
    let mut names: Vec<&str> = chains
        .iter()
        .flat_map(|chain| {
            chain["filter_chain_match"]["server_names"]
                .as_array()
                .unwrap()
        })
        .filter_map(|name| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, HOSTS);

    answers_at_last(&ground, &way, StatusCode::OK).await;
    lets_in_whom_it_knows_without_his_own_headers(&ground, &way).await;
    refuses_the_others(&ground, &way).await;
    refuses_who_is_not_the_front(&ground, &way).await;
    nothing_was_refused(slice::from_ref(&way.control)).await;
}

pub(crate) async fn a_route_to_another_namespace_needs_its_grant() {
    let mut ground = ground().await;
    ground.edit = |resources| {
        for grant in resources
            .iter_mut()
            .filter(|one| one["kind"] == "ReferenceGrant")
        {
            grant["spec"]["from"][0]["namespace"] = "elsewhere".into();
        }
    };
    let way = ground.open().await.unwrap();
    answers_at_last(&ground, &way, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(ground.workload.requests(), 0);
}

async fn ground() -> Ground {
    let mut ground = Ground::prepare().await.unwrap();
    ground.words = Words::GatewayApi;
    ground
}

/// Istiod may send a listener before the routes that it makes for it.
async fn answers_at_last(ground: &Ground, way: &Way, status: StatusCode) {
    eventually("the routes", LIMIT, async || {
        (payments(ground, way).await == status).then_some(())
    })
    .await
    .unwrap();
}

async fn lets_in_whom_it_knows_without_his_own_headers(ground: &Ground, way: &Way) {
    let token = ground.token("payments-admins").unwrap();
    for (host, path) in HOSTS.into_iter().zip(["/payments/list", "/balance"]) {
        let downstream = ground.downstream(&way.front).named(host);
        let mut exchange = Exchange::open(&downstream).await.unwrap();
        let ask = Ask::get(host, path)
            .bearer(&token)
            .header("x-identity-workload", "forged")
            .header("x-identity-anything", "forged");
        let reply = exchange.send(ask).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{host}");
        let seen = Mirror::of(&reply);
        assert_eq!(seen.values("x-identity-workload"), [WORKLOAD], "{host}");
        assert_eq!(seen.values("x-identity-namespace"), ["payments"], "{host}");
        assert!(
            seen.fields().all(|(_name, value)| value != "forged"),
            "{host}"
        );
    }
}

async fn refuses_the_others(ground: &Ground, way: &Way) {
    let before = ground.workload.requests();
    let honest = ground.token("payments-admins").unwrap();
    let forged = with_broken_signature(&honest);
    for (path, token, status) in [
        ("/payments/list", None, StatusCode::UNAUTHORIZED),
        ("/payments/list", Some(forged), StatusCode::UNAUTHORIZED),
        ("/orders/list", Some(honest), StatusCode::FORBIDDEN),
    ] {
        let downstream = ground.downstream(&way.front);
        let mut exchange = Exchange::open(&downstream).await.unwrap();
        let reply = exchange.send(asking(path, token)()).await.unwrap();
        assert_eq!(reply.status, status, "{path}");
    }
    assert_eq!(ground.workload.requests(), before);
}

/// By the policy alone: the handshake does not know the front's name here.
async fn refuses_who_is_not_the_front(ground: &Ground, way: &Way) {
    let before = ground.workload.requests();
    let token = ground.token("payments-admins").unwrap();
    let front = way.gateway.dialer_past_the_front(&ground.pki);
    let stranger = front.as_identity(&ground.pki.stranger);
    let mut exchange = Exchange::open(&stranger).await.unwrap();
    let refused = exchange.send(asking("/payments/list", Some(token))()).await;
    let refused = refused.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.text(), "RBAC: access denied");
    assert_eq!(ground.workload.requests(), before);
}

/// Whose token it is, in the words of the policy.
const WORKLOAD: &str = "spiffe://cluster.local/ns/people/sa/alice";

/// Of the Gateway's listeners, and of the routes of each.
const HOSTS: [&str; 2] = ["api.example.com", "pay.example.com"];
