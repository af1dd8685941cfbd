//! The filter's VM ends while the gateway serves: nothing passes without it.

use std::{fs, time::Duration};

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    http::{Ask, Exchange},
    istio::{
        ground::{Ground, Way},
        image,
    },
    load::CONNECTIONS,
    tools,
    trap::{self, MOST_HEADERS},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    page,
    policy::{LIMIT, LOAD, asking, load, payments, statuses},
};

pub(crate) async fn with_fail_close_nothing_passes_until_the_filter_is_configured_anew() {
    let mut ground = with_a_trap().await;
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    assert_eq!(failure_policy(&way).await, "FAIL_CLOSED");
    let before = ground.workload.requests();

    end_the_vm(&ground, &way).await;
    nothing_passes(&ground, &way).await;
    sleep(LONGER_THAN_A_RELOAD).await;
    nothing_passes(&ground, &way).await;
    assert_eq!(ground.workload.requests(), before, "nothing may pass");
    assert_eq!(way.agent.readiness().await.unwrap(), StatusCode::OK);

    ground.plugin["policy"]["rules"]
        .as_array_mut()
        .unwrap()
        .pop();
    ground.tell(&way.control).unwrap();
    eventually("a request that passes", LIMIT, async || {
        (payments(&ground, &way).await == StatusCode::OK).then_some(())
    })
    .await
    .unwrap();
}

pub(crate) async fn with_fail_reload_the_vm_comes_back_and_nothing_passes_meanwhile() {
    let mut ground = with_a_trap().await;
    ground.edit = |resources| {
        for plugin in resources
            .iter_mut()
            .filter(|one| one["kind"] == "WasmPlugin")
        {
            plugin["spec"]["failStrategy"] = json!("FAIL_RELOAD");
        }
    };
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    assert_eq!(failure_policy(&way).await, "FAIL_RELOAD");
    let before = ground.workload.requests();
    let honest = load(&ground, &way, "/payments/list", Some("payments-admins"));
    let foreign = load(&ground, &way, "/orders/list", Some("payments-admins"));
    let anonymous = load(&ground, &way, "/payments/list", None);
    honest.goes_on(LOAD, "200").await.unwrap();

    for _time in 0..TIMES {
        end_the_vm(&ground, &way).await;
        honest.goes_on(LOAD, "200").await.unwrap();
    }
    let honest = honest.end().await;
    assert_eq!(statuses(&honest), ["200", "503"]);
    assert_eq!(statuses(&foreign.end().await), ["403", "503"]);
    assert_eq!(statuses(&anonymous.end().await), ["401", "503"]);
    // An honest request that was at the workload when the VM ended has 503 for an answer; each
    // connection has one request at a time.
    let without_an_answer = ground.workload.requests() - before - honest["200"];
    assert!(
        without_an_answer <= TIMES * CONNECTIONS,
        "{without_an_answer} more have passed than were let in: {honest:?}"
    );
}

/// Neither with a good token nor without one, nor what the policy leaves open to everybody.
async fn nothing_passes(ground: &Ground, way: &Way) {
    let token = ground.token("payments-admins").unwrap();
    for _request in 0..20 {
        for (path, token) in [
            ("/payments/list", Some(token.clone())),
            ("/payments/list", None),
            ("/healthz", None),
        ] {
            let status = status(&ground.downstream(&way.front), asking(path, token)()).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
    }
}

/// With `FAIL_RELOAD`, Envoy starts a new VM a second after one has ended, with some jitter.
const LONGER_THAN_A_RELOAD: Duration = Duration::from_secs(3);

/// How often the VM ends.
const TIMES: usize = 2;

/// Before anything else stands on it.
async fn with_a_trap() -> Ground {
    let mut ground = Ground::prepare().await.unwrap();
    let module = fs::read(tools::filter().unwrap()).unwrap();
    let module = trap::set_in(&module).expect("the filter has the callback");
    ground.image = image::push(&ground.image, "trap", &module, &ground.folder).unwrap();
    ground
}

/// An honest request in all but the number of its headers.
async fn end_the_vm(ground: &Ground, way: &Way) {
    let token = ground.token("payments-admins").unwrap();
    let mut ask = asking("/payments/list", Some(token))();
    for _header in 0..MOST_HEADERS {
        ask = ask.header("x-filler", "so");
    }
    let status = status(&ground.downstream(&way.front), ask).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    eventually("the trap in the gateway's log", LIMIT, async || {
        way.gateway.log().contains("unreachable").then_some(())
    })
    .await
    .unwrap();
}

async fn status(dialer: &Dialer, ask: Ask) -> StatusCode {
    let mut exchange = Exchange::open(dialer).await.unwrap();
    exchange.send(ask).await.unwrap().status
}

/// As Envoy has it.
async fn failure_policy(way: &Way) -> String {
    let dump = page(way.gateway.admin(), "/config_dump?resource=ecds_filters").await;
    let config: &Value = &dump["configs"][0]["ecds_filter"]["typed_config"]["config"];
    config["failure_policy"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
