//! Another version of the filter takes the place of the one that serves.

use std::fs;

use e2e::{
    deadline::eventually,
    istio::{
        ground::{Ground, Way},
        image,
    },
    load::Load,
    token::with_broken_signature,
    tools,
};
use hyper::StatusCode;

use crate::{
    page,
    policy::{LIMIT, LOAD, asking, load, payments},
};

pub(crate) async fn a_new_image_under_load_loses_no_request_and_lets_none_in_that_it_should_not() {
    new_image_under_load(Ground::prepare().await.unwrap(), &[]).await;
}

/// A machine that is slow may need longer than the default for the new module's keys.
pub(crate) async fn at_the_default_wait_a_new_image_lets_none_in_that_it_should_not() {
    let mut ground = Ground::prepare().await.unwrap();
    let keys = ground.plugin["providers"][0]["jwks"].as_object_mut();
    keys.unwrap().remove("wait_milliseconds").unwrap();
    new_image_under_load(ground, &["503"]).await;
}

/// `tolerated` may come beside the statuses that have to.
async fn new_image_under_load(mut ground: Ground, tolerated: &[&str]) {
    let way = ground.open().await.unwrap();
    assert_eq!(payments(&ground, &way).await, StatusCode::OK);
    let before = ground.workload.requests();
    let forged = with_broken_signature(&ground.token("payments-admins").unwrap());
    let forged = Load::start(
        &ground.downstream(&way.front),
        asking("/payments/list", Some(forged)),
    );
    let foreign = load(&ground, &way, "/orders/list", Some("payments-admins"));
    let honest = load(&ground, &way, "/payments/list", Some("payments-admins"));
    honest.goes_on(LOAD, "200").await.unwrap();

    ground.image = next_image(&ground);
    ground.tell(&way.control).unwrap();
    runs(&way, &ground.image).await;
    honest.goes_on(LOAD, "200").await.unwrap();
    foreign.goes_on(LOAD, "403").await.unwrap();
    forged.goes_on(LOAD, "401").await.unwrap();

    let (honest, foreign, forged) = (honest.end().await, foreign.end().await, forged.end().await);
    for (tally, due) in [(&honest, "200"), (&foreign, "403"), (&forged, "401")] {
        println!("{tally:?}");
        let others = tally.keys().filter(|status| *status != due);
        for status in others {
            assert!(tolerated.contains(&status.as_str()), "{due}: {tally:?}");
        }
    }
    assert_eq!(ground.workload.requests() - before, honest["200"]);
}

/// The same module with a custom section more, which makes it another one (WebAssembly core
/// specification, section 5.5.3): Envoy shares a VM between equal modules.
fn next_image(ground: &Ground) -> String {
    let mut module = fs::read(tools::filter().unwrap()).unwrap();
    module.extend(b"\x00\x08\x07version");
    image::push(&ground.image, "next", &module, &ground.folder).unwrap()
}

/// Waits until Envoy has this image's module.
async fn runs(way: &Way, image: &str) {
    let digest = image.rsplit(':').next().unwrap();
    eventually("the new module in Envoy", LIMIT, async || {
        let dump = page(way.gateway.admin(), "/config_dump?resource=ecds_filters").await;
        dump.to_string()
            .contains(&format!("/{digest}.wasm"))
            .then_some(())
    })
    .await
    .unwrap();
}
