//! What overlays may add: the successor of WasmPlugin, and a second check of tokens by other code.

use e2e::{
    conversation::mirror::Mirror,
    deadline::eventually,
    http::{Exchange, Reply},
    istio::{
        ground::{Ground, Way},
        overlay::Extension,
    },
    token::{SigningKey, with_broken_signature},
};
use hyper::StatusCode;
use serde_json::json;

use crate::{
    page,
    policy::{LIMIT, asking, payments},
};

pub(crate) async fn a_traffic_extension_brings_the_filter_as_the_plugin_does() {
    let mut ground = Ground::prepare().await.unwrap();
    ground.extension = Extension::TrafficExtension;
    let way = ground.open().await.unwrap();
    let dump = page(way.gateway.admin(), "/config_dump?resource=ecds_filters").await;
    let filter = &dump["configs"][0]["ecds_filter"];
    let name = "extensions.istio.io/trafficextension/istio-ingress.identity-filter";
    assert_eq!(filter["name"], name, "{filter:#}");
    assert_eq!(
        filter["typed_config"]["config"]["failure_policy"],
        "FAIL_CLOSED"
    );

    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let before = ground.workload.requests();
    let honest = ground.token("payments-admins").unwrap();
    let forged = with_broken_signature(&honest);
    for (path, token, status) in [
        ("/payments/list", None, StatusCode::UNAUTHORIZED),
        ("/payments/list", Some(forged), StatusCode::UNAUTHORIZED),
        ("/orders/list", Some(honest), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(
            reply(&ground, &way, path, token).await.status,
            status,
            "{path}"
        );
    }
    assert_eq!(ground.workload.requests(), before);

    ground.plugin["policy"]["rules"][1]["roles"] = json!(["nobody"]);
    ground.tell(&way.control).unwrap();
    eventually("a changed policy", LIMIT, async || {
        (payments(&ground, &way).await == StatusCode::FORBIDDEN).then_some(())
    })
    .await
    .unwrap();
}

/// With the token that the filter hands on, and takes from nobody else.
pub(crate) async fn a_second_check_sees_the_token_and_refuses_what_it_does_not_know() {
    let mut ground = Ground::prepare().await.unwrap();
    ground.plugin["headers"]["forward_token"] = json!(true);
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let token = ground.token("payments-admins").unwrap();
    let passed = reply(&ground, &way, "/payments/list", Some(token.clone())).await;
    let authorization = Mirror::of(&passed).values("authorization").len();
    assert_eq!(authorization, 0, "the second check takes it away");

    let other = SigningKey::es256("ground").unwrap();
    ground.second_check = json!({ "keys": [other.public_jwk()] });
    ground.tell(&way.control).unwrap();
    let refused = eventually("a refusal", LIMIT, async || {
        let reply = reply(&ground, &way, "/payments/list", Some(token.clone())).await;
        (reply.status != StatusCode::OK).then_some(reply)
    })
    .await
    .unwrap();
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.text(), "Jwt verification fails");
    let before = ground.workload.requests();
    assert_eq!(payments(&ground, &way).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ground.workload.requests(), before);
}

async fn reply(ground: &Ground, way: &Way, path: &'static str, token: Option<String>) -> Reply {
    let mut exchange = Exchange::open(&ground.downstream(&way.front))
        .await
        .unwrap();
    exchange.send(asking(path, token)()).await.unwrap()
}
