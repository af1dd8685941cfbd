//! Istiod goes away, and comes again.

use e2e::{deadline::eventually, istio::ground::Ground};
use hyper::StatusCode;
use serde_json::json;

use crate::policy::{LIMIT, LOAD, load, payments, statuses};

pub(crate) async fn traffic_goes_on_without_istiod_and_one_that_is_started_again_takes_over() {
    let mut ground = Ground::prepare().await.unwrap();
    let mut way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let honest = load(&ground, &way, "/payments/list", Some("payments-admins"));
    let foreign = load(&ground, &way, "/orders/list", Some("payments-admins"));
    honest.goes_on(LOAD, "200").await.unwrap();

    way.control.kill();
    assert!(way.control.metrics().await.is_err());
    honest.goes_on(LOAD, "200").await.unwrap();
    foreign.goes_on(LOAD, "403").await.unwrap();

    way.control.start_again(&ground.folder).await.unwrap();
    honest.goes_on(LOAD, "200").await.unwrap();
    assert_eq!(statuses(&honest.end().await), ["200"]);
    assert_eq!(statuses(&foreign.end().await), ["403"]);

    ground.plugin["policy"]["rules"][1]["roles"] = json!(["nobody"]);
    ground.tell(&way.control).unwrap();
    eventually("what the new istiod was told", LIMIT, async || {
        (payments(&ground, &way).await == StatusCode::FORBIDDEN).then_some(())
    })
    .await
    .unwrap();
}
