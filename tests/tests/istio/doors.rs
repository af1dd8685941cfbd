//! Whoever reaches the gateway past the front gets nowhere, and the gateway counts it.

use std::net::SocketAddr;

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    envoy::honest_header,
    http::{Ask, Exchange, Reply},
    istio::ground::Ground,
};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{
    page,
    policy::{LIMIT, payments},
};

pub(crate) async fn what_does_not_come_from_the_front_is_refused_and_counted() {
    let ground = Ground::prepare().await.unwrap();
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let before = ground.workload.requests();
    let (gateway, pki) = (&way.gateway, &ground.pki);
    let bare = gateway.dialer_without_credentials(pki);
    let token = ground.token("payments-admins").unwrap();
    for (who, dialer, counter) in [
        (
            "without a PROXY header",
            bare.clone().as_identity(&pki.front),
            "proxy_proto.not_found_disallowed",
        ),
        (
            "with the certificate of another mesh member",
            gateway
                .dialer_past_the_front(pki)
                .as_identity(&pki.stranger),
            "ssl.fail_verify_san",
        ),
        (
            "without a certificate",
            bare.saying_first(honest_header()),
            "ssl.fail_verify_no_cert",
        ),
    ] {
        let so_far = count(gateway.admin(), counter).await;
        assert!(!is_answered(&dialer, &token).await, "{who}");
        let now = count(gateway.admin(), counter).await;
        assert_eq!(now, so_far + 1, "{who}: {counter}");
    }
    assert_eq!(ground.workload.requests(), before);
    assert!(is_answered(&gateway.dialer_past_the_front(pki), &token).await);
    assert_eq!(ground.workload.requests(), before + 1);
}

/// As with the Gateway API, which has no field for the front's name.
pub(crate) async fn who_is_not_the_front_is_refused_by_the_policy_where_the_handshake_lets_him_in()
{
    let mut ground = Ground::prepare().await.unwrap();
    ground.edit = name_no_front_in_the_handshake;
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let before = ground.workload.requests();
    let past_the_front = way.gateway.dialer_past_the_front(&ground.pki);
    let stranger = past_the_front.as_identity(&ground.pki.stranger);
    let refused = ask(&stranger, &ground).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.text(), "RBAC: access denied");
    assert_eq!(ground.workload.requests(), before);

    ground.edit = |resources| {
        name_no_front_in_the_handshake(resources);
        name_no_front_in_policies(resources);
    };
    ground.tell(&way.control).unwrap();
    eventually("what istiod was told", LIMIT, async || {
        (ask(&stranger, &ground).await.status == StatusCode::OK).then_some(())
    })
    .await
    .unwrap();
}

fn name_no_front_in_the_handshake(resources: &mut [Value]) {
    for gateway in resources.iter_mut().filter(|one| one["kind"] == "Gateway") {
        let tls = gateway["spec"]["servers"][0]["tls"].as_object_mut();
        tls.unwrap().remove("subjectAltNames").unwrap();
    }
}

fn name_no_front_in_policies(resources: &mut [Value]) {
    for policy in resources {
        let nobody = json!({ "matchLabels": { "istio": "nobody" } });
        match policy["metadata"]["name"].as_str() {
            Some("sallyport-not-the-front") => policy["spec"]["selector"] = nobody,
            Some("sallyport-decided") => {
                let rule = policy["spec"]["rules"][0].as_object_mut();
                rule.unwrap().remove("from").unwrap();
            }
            _other => {}
        }
    }
}

async fn ask(dialer: &Dialer, ground: &Ground) -> Reply {
    let token = ground.token("payments-admins").unwrap();
    let ask = Ask::get("api.example.com", "/payments/list").bearer(&token);
    let mut exchange = Exchange::open(dialer).await.unwrap();
    exchange.send(ask).await.unwrap()
}

/// In TLS 1.3 a refused certificate shows only after the handshake: what tells is whether an answer
/// comes.
async fn is_answered(dialer: &Dialer, token: &str) -> bool {
    let Ok(mut exchange) = Exchange::open(dialer).await else {
        return false;
    };
    let ask = Ask::get("api.example.com", "/payments/list").bearer(token);
    exchange.send(ask).await.is_ok()
}

/// Of all of Envoy's counters whose name ends so.
async fn count(admin: SocketAddr, name: &str) -> u64 {
    let stats = page(admin, "/stats?format=json").await;
    let stats = stats["stats"].as_array().unwrap();
    let named = stats.iter().filter(|stat| {
        stat["name"]
            .as_str()
            .is_some_and(|found| found.ends_with(name))
    });
    named.filter_map(|stat| stat["value"].as_u64()).sum()
}
