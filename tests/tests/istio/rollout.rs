//! Another version of the filter takes the place of the one that serves.

use std::{fs, process::Command};

use e2e::{
    deadline::eventually,
    istio::ground::{Ground, Way},
    load::Load,
    token::with_broken_signature,
    tools,
};
use hyper::StatusCode;

use crate::{
    page,
    policy::{LIMIT, LOAD, asking, load, payments, statuses},
};

#[tokio::test]
async fn a_new_image_under_load_loses_no_request_and_lets_none_in_that_it_should_not() {
    let mut ground = Ground::prepare().await.unwrap();
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

    let honest = honest.end().await;
    assert_eq!(statuses(&forged.end().await), ["401"]);
    assert_eq!(statuses(&foreign.end().await), ["403"]);
    assert_eq!(statuses(&honest), ["200"]);
    assert_eq!(ground.workload.requests() - before, honest["200"]);
}

/// The same module with a custom section more, which makes it another one (WebAssembly core
/// specification, section 5.5.3): Envoy shares a VM between equal modules.
fn next_image(ground: &Ground) -> String {
    let mut module = fs::read(tools::filter().unwrap()).unwrap();
    module.extend(b"\x00\x08\x07version");
    let folder = ground.folder.path().join("next");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("plugin.wasm"), module).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    let packed = Command::new("tar")
        .args(["--create", "--gzip", "--file=layer.tar.gz", "plugin.wasm"])
        .current_dir(&folder)
        .status();
    assert!(packed.unwrap().success());
    let (name, _digest) = ground.image.split_once('@').unwrap();
    let name = name.trim_start_matches("oci://");
    let pushed = Command::new(tools::oras().unwrap())
        .args([
            "push",
            "--plain-http",
            "--format",
            "go-template={{.digest}}",
        ])
        .args([
            "--config",
            "config.json:application/vnd.oci.image.config.v1+json",
        ])
        .arg(format!("{name}:next"))
        .arg("layer.tar.gz:application/vnd.oci.image.layer.v1.tar+gzip")
        .current_dir(&folder)
        .output()
        .unwrap();
    let digest = String::from_utf8(pushed.stdout).unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");
    format!("oci://{name}@{}", digest.trim())
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
