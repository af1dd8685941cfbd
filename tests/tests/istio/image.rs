//! The filter's image cannot be had, or is another one: nothing passes until the right one is
//! there.

use std::time::Duration;

use e2e::{
    deadline::eventually,
    http::{Ask, Exchange, Reply},
    istio::{
        agent::Agent,
        control_plane::sum_with,
        ground::{Ground, Way},
    },
};
use hyper::StatusCode;

use crate::page;

pub(crate) async fn nothing_passes_with_an_image_of_another_digest_and_the_right_one_recovers() {
    let mut ground = Ground::prepare().await.unwrap();
    let way = ground.open().await.unwrap();
    let passes = ask(&ground, &way).await;
    assert_eq!(passes.status, StatusCode::OK, "{}", passes.text());

    let right = ground.image.clone();
    let (name, _digest) = right.split_once('@').unwrap();
    ground.image = format!("{name}@sha256:{}", "5".repeat(64));
    ground.tell(&way.control).unwrap();
    fetches(&way.agent, "the failed pull", |good, bad| {
        good == 1.0 && bad == 1.0
    })
    .await;
    eventually("a denial", LIMIT, async || {
        (ask(&ground, &way).await.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await
    .unwrap();
    nothing_passes(&ground, &way).await;

    ground.image = right;
    ground.tell(&way.control).unwrap();
    passes_again(&ground, &way).await;
}

pub(crate) async fn a_registry_that_was_down_at_the_start_is_asked_again_when_the_filter_is_changed()
 {
    let mut ground = Ground::prepare().await.unwrap();
    ground.registry.kill();
    let way = ground.open().await.unwrap();
    fetches(&way.agent, "the failed pull", |good, bad| {
        good == 0.0 && bad == 1.0
    })
    .await;
    nothing_passes(&ground, &way).await;

    ground.registry.start_again(&ground.folder).await.unwrap();
    nothing_passes(&ground, &way).await;
    let metrics = way.agent.metrics().await.unwrap();
    assert_eq!(counted(&metrics), (0.0, 1.0), "the agent tries once");

    ground.plugin["policy"]["rules"]
        .as_array_mut()
        .unwrap()
        .pop();
    ground.tell(&way.control).unwrap();
    passes_again(&ground, &way).await;
}

pub(crate) async fn a_registry_that_was_down_at_the_start_is_asked_again_when_istiod_is_started_anew()
 {
    let mut ground = Ground::prepare().await.unwrap();
    ground.registry.kill();
    let mut way = ground.open().await.unwrap();
    nothing_passes(&ground, &way).await;
    ground.registry.start_again(&ground.folder).await.unwrap();
    way.control.kill();
    way.control.start_again(&ground.folder).await.unwrap();
    passes_again(&ground, &way).await;
}

async fn ask(ground: &Ground, way: &Way) -> Reply {
    let token = ground.token("payments-admins").unwrap();
    let mut exchange = Exchange::open(&ground.downstream(&way.front))
        .await
        .unwrap();
    let ask = Ask::get("api.example.com", "/payments/list");
    exchange.send(ask.bearer(&token)).await.unwrap()
}

/// Neither with a good token nor without one, nor what the policy leaves open to everybody; and the
/// denial is not the filter's.
async fn nothing_passes(ground: &Ground, way: &Way) {
    let heard = || (ground.workload.requests(), way.gateway.audit().len());
    let before = heard();
    for _attempt in 0..5 {
        let reply = ask(ground, way).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_eq!(reply.text(), "RBAC: access denied");
        let mut exchange = Exchange::open(&ground.downstream(&way.front))
            .await
            .unwrap();
        for path in ["/payments/list", "/orders/healthz", "/healthz"] {
            let spoofed = Ask::get("api.example.com", path)
                .header("x-identity-decision", "allow")
                .header("x-identity-roles", "admin");
            let reply = exchange.send(spoofed).await.unwrap();
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        }
    }
    assert_eq!(heard(), before, "requests at the workload, audit records");
    let dump = page(way.gateway.admin(), "/config_dump?resource=ecds_filters").await;
    let config = &dump["configs"][0]["ecds_filter"]["typed_config"];
    let kind = config["@type"].as_str().unwrap();
    assert!(kind.ends_with("rbac.v3.RBAC"), "{dump:#}");
    assert_eq!(config["rules_stat_prefix"], "wasm-default-deny", "{dump:#}");
}

async fn passes_again(ground: &Ground, way: &Way) {
    eventually("a request that passes", LIMIT, async || {
        (ask(ground, way).await.status == StatusCode::OK).then_some(())
    })
    .await
    .unwrap();
    let unknown = Exchange::open(&ground.downstream(&way.front))
        .await
        .unwrap()
        .send(Ask::get("api.example.com", "/payments/list"))
        .await
        .unwrap();
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
}

/// Waits for pulls as the agent counts them, those that succeeded and those that did not.
async fn fetches(agent: &Agent, what: &str, are: fn(f64, f64) -> bool) {
    eventually(what, LIMIT, async || {
        let (good, bad) = counted(&agent.metrics().await.ok()?);
        are(good, bad).then_some(())
    })
    .await
    .unwrap();
}

fn counted(metrics: &str) -> (f64, f64) {
    let with = |label| sum_with(metrics, FETCHES, label).unwrap_or(0.0);
    let good = with("result=\"success\"");
    (good, with("") - good)
}

const FETCHES: &str = "istio_agent_wasm_remote_fetch_count";

/// A push, a pull, and the compilation of the module.
const LIMIT: Duration = Duration::from_secs(60);
