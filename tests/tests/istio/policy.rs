//! The filter's configuration is changed while the gateway serves, well and badly.

use std::time::Duration;

use e2e::{
    deadline::eventually,
    http::{Ask, Exchange},
    istio::{
        control_plane::{ControlPlane, sum_with},
        ground::{Ground, Way},
    },
    load::{Load, Tally},
};
use hyper::StatusCode;
use serde_json::json;

pub(crate) async fn a_bad_configuration_is_refused_and_the_old_one_goes_on_to_decide() {
    let mut ground = Ground::prepare().await.unwrap();
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);

    let good = ground.plugin.clone();
    ground.plugin["policy"]["mode"] = json!("lenient");
    ground.tell(&way.control).unwrap();
    refused(&way.control).await;
    for _request in 0..20 {
        assert_eq!(payments(&ground, &way).await, StatusCode::OK);
        assert_eq!(orders(&ground, &way).await, StatusCode::FORBIDDEN);
        assert_eq!(
            status(&ground, &way, "/payments/list", None).await,
            StatusCode::UNAUTHORIZED
        );
    }
    let log = way.gateway.log();
    assert!(log.contains("lenient"), "the log names what is refused");

    ground.plugin = good;
    ground.plugin["policy"]["rules"][1]["roles"] = json!(["nobody"]);
    ground.tell(&way.control).unwrap();
    eventually("the next configuration", LIMIT, async || {
        (payments(&ground, &way).await == StatusCode::FORBIDDEN).then_some(())
    })
    .await
    .unwrap();
}

/// Envoy opens a listener as soon as an attempt to configure its filters has ended, however it
/// ended.
pub(crate) async fn a_new_gateway_with_a_bad_configuration_says_it_is_ready_and_refuses_everything()
{
    let mut ground = Ground::prepare().await.unwrap();
    let good = ground.plugin.clone();
    ground.plugin["policy"]["mode"] = json!("lenient");
    let way = ground.open().await.unwrap();
    refused(&way.control).await;
    assert_eq!(way.agent.readiness().await.unwrap(), StatusCode::OK);
    for _request in 0..5 {
        assert_eq!(
            payments(&ground, &way).await,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(
            status(&ground, &way, "/orders/list", None).await,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    }
    assert_eq!(ground.workload.requests(), 0);
    let line = eventually("the access log", LIMIT, async || {
        way.gateway.access_log().into_iter().next()
    })
    .await
    .unwrap();
    assert_eq!(line["flags"], "NFCF", "{line}");

    ground.plugin = good;
    ground.tell(&way.control).unwrap();
    eventually("a request that passes", LIMIT, async || {
        (payments(&ground, &way).await == StatusCode::OK).then_some(())
    })
    .await
    .unwrap();
}

/// `/orders/list` is forbidden to payments' administrators at first, and then allowed to them.
pub(crate) async fn a_policy_changed_under_load_decides_each_request_by_the_old_or_by_the_new() {
    let mut ground = Ground::prepare().await.unwrap();
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let before = ground.workload.requests();
    let honest = load(&ground, &way, "/payments/list", Some("payments-admins"));
    let changing = load(&ground, &way, "/orders/list", Some("payments-admins"));
    let anonymous = load(&ground, &way, "/payments/list", None);
    honest.goes_on(LOAD, "200").await.unwrap();
    changing.goes_on(LOAD, "403").await.unwrap();

    ground.plugin["grants"][1]["when"] =
        json!([{ "claim": "groups", "contains": "payments-admins" }]);
    ground.tell(&way.control).unwrap();
    changing.goes_on(LOAD, "200").await.unwrap();
    honest.goes_on(LOAD, "200").await.unwrap();
    anonymous.goes_on(LOAD, "401").await.unwrap();

    let (honest, changing) = (honest.end().await, changing.end().await);
    assert_eq!(statuses(&anonymous.end().await), ["401"]);
    assert_eq!(statuses(&honest), ["200"]);
    assert_eq!(statuses(&changing), ["200", "403"]);
    let allowed = honest["200"] + changing["200"];
    assert_eq!(ground.workload.requests() - before, allowed);
}

pub(crate) fn load(ground: &Ground, way: &Way, path: &'static str, group: Option<&str>) -> Load {
    let token = group.map(|group| ground.token(group).unwrap());
    Load::start(&ground.downstream(&way.front), asking(path, token))
}

/// A request of this path, with this token.
pub(crate) fn asking(
    path: &'static str,
    token: Option<String>,
) -> impl Fn() -> Ask + Clone + Send + Sync {
    move || {
        let ask = Ask::get("api.example.com", path);
        match &token {
            Some(token) => ask.bearer(token),
            None => ask,
        }
    }
}

pub(crate) fn statuses(tally: &Tally) -> Vec<&str> {
    tally.keys().map(String::as_str).collect()
}

/// Istiod has heard from Envoy that it does not take what it was sent.
async fn refused(control: &ControlPlane) {
    eventually("a refusal that istiod counts", LIMIT, async || {
        let metrics = control.metrics().await.ok()?;
        let refused = sum_with(&metrics, "pilot_total_xds_rejects", "")?;
        (refused > 0.0).then_some(())
    })
    .await
    .unwrap();
}

pub(crate) async fn payments(ground: &Ground, way: &Way) -> StatusCode {
    status(ground, way, "/payments/list", Some("payments-admins")).await
}

async fn orders(ground: &Ground, way: &Way) -> StatusCode {
    status(ground, way, "/orders/list", Some("payments-admins")).await
}

async fn status(ground: &Ground, way: &Way, path: &str, group: Option<&str>) -> StatusCode {
    let mut ask = Ask::get("api.example.com", path);
    if let Some(group) = group {
        ask = ask.bearer(&ground.token(group).unwrap());
    }
    let mut exchange = Exchange::open(&ground.downstream(&way.front))
        .await
        .unwrap();
    exchange.send(ask).await.unwrap().status
}

/// Requests of a load before something happens, and after it.
pub(crate) const LOAD: usize = 60;

/// A push, and the compilation of the module.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
