//! From HAProxy to the front, as `docs/from-haproxy.md` tells it: the real HAProxy and the front with
//! the page's configurations before one gateway.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test says what it saw"
)]

mod ground;
mod guide;
mod haproxy;

use std::process::Command;

use e2e::{
    conversation::mirror::Mirror,
    deadline::eventually,
    http::{Ask, Reply},
    mesh::{DOWNSTREAM, LOG_LIMIT},
    token::with_broken_signature,
};
use ground::Ground;
use guide::Guide;
use http_body_util::Empty;
use hyper::{StatusCode, body::Bytes};
use serde_json::{Value, json};

#[tokio::test]
async fn haproxy_gives_the_front_a_share_of_connections_and_takes_it_back() {
    let guide = Guide::read();
    let ground = Ground::prepare(|_as_it_is| ()).await;
    let mut before = ground.haproxy(&guide).await;
    assert_eq!(by_the_front(&ground, 4).await, 0);

    let front = ground.front(&guide).await;
    curl_reaches_the_front(&guide, &ground).await;
    assert_eq!(by_the_front(&ground, 4).await, 0, "nobody else does");

    let share = ground.haproxy_with_a_share(&guide, &before).await;
    before.ended().await;
    let few = by_the_front(&ground, 20).await;
    assert!((1..=3).contains(&few), "10 of 100: {few} of 20");

    share
        .order(guide.asks_haproxy("set server split/front weight 50"))
        .await;
    let many = by_the_front(&ground, 14).await;
    assert!((4..=6).contains(&many), "50 of 140: {many} of 14");
    share
        .order(guide.asks_haproxy("set server split/front weight 0"))
        .await;
    assert_eq!(by_the_front(&ground, 10).await, 0, "taken back");

    share.order("set server split/front weight 10").await;
    share
        .order(guide.asks_haproxy("set server split/itself weight 0"))
        .await;
    assert_eq!(by_the_front(&ground, 10).await, 10);
    let proxied = async || {
        let lines = front.access_log().into_iter();
        let by_haproxy = lines.filter(|line| {
            let proxy = line["proxy"].as_str().unwrap_or_default();
            proxy.starts_with("127.0.0.1:") && line["alpn"] == "h2"
        });
        (by_haproxy.count() >= 10).then_some(())
    };
    eventually("their lines in the front's access log", LOG_LIMIT, proxied)
        .await
        .unwrap();
    let untrusted = "l4_front_downstream_connections_refused_total{listener=\"public\",termination=\"untrusted_proxy\"}";
    assert_eq!(front.metric(untrusted).await.unwrap(), 0);
}

#[tokio::test]
async fn a_front_that_is_stopped_takes_no_new_connection_with_it() {
    let guide = Guide::read();
    let ground = Ground::prepare(|_as_it_is| ()).await;
    let mut before = ground.haproxy(&guide).await;
    let front = ground.front(&guide).await;
    let share = ground.haproxy_with_a_share(&guide, &before).await;
    before.ended().await;
    share.order("set server split/front weight 90").await;
    assert!(by_the_front(&ground, 4).await > 0);
    drop(front);
    assert_eq!(by_the_front(&ground, 10).await, 0);
}

#[tokio::test]
async fn observing_denies_by_no_rule_and_records_what_would_be_denied() {
    let guide = Guide::read();
    let observe = block(&guide, "pluginConfig, for as long as it only observes");
    let ground = Ground::prepare(|plugin| {
        plugin["policy"]["mode"] = observe["policy"]["mode"].clone();
        for (name, value) in observe["headers"].as_object().unwrap() {
            plugin["headers"][name] = value.clone();
        }
        plugin["audit"] = json!({});
    })
    .await;
    let _haproxy = ground.haproxy(&guide).await;

    let allowed = ground
        .ask(ground.public, "/payments/list", "payments-admins")
        .await;
    assert_eq!(told(&allowed, "x-identity-roles"), ["admin"]);
    assert!(told(&allowed, "authorization")[0].starts_with("Bearer "));
    let unruled = ground
        .ask(ground.public, "/orders/list", "payments-admins")
        .await;
    assert_eq!(told(&unruled, "x-identity-roles"), [""; 0]);
    assert_eq!(told(&unruled, "authorization").len(), 1, "it is forwarded");
    let downstream = ground.downstream(ground.public);
    let without = Ask::get("api.example.com", "/payments/list");
    assert_eq!(
        ground.send(&downstream, without).await.status,
        StatusCode::OK
    );

    let audit = ground.audit(2).await;
    let would: Vec<(&Value, &Value, &Value)> = audit
        .iter()
        .map(|record| {
            let shadow = &record["shadow"];
            (&record["decision"], &shadow["decision"], &shadow["reason"])
        })
        .collect();
    let [allow, deny] = ["allow", "deny"].map(Value::from);
    let reasons = ["rule_missing", "token_missing"].map(Value::from);
    assert_eq!(
        would,
        [(&allow, &deny, &reasons[0]), (&allow, &deny, &reasons[1])]
    );
    for record in &audit {
        assert!(record["connection_id"].is_null(), "HAProxy sends none");
        let source = record["source"].as_str().unwrap();
        assert!(source.starts_with(&format!("{DOWNSTREAM}:")), "{source}");
    }

    // What no mode lets through.
    let forged = with_broken_signature(&ground.token("payments-admins"));
    for (ask, status) in [
        (
            Ask::get("api.example.com", "/payments/list").bearer(&forged),
            StatusCode::UNAUTHORIZED,
        ),
        (
            Ask::get("api.example.com", "/payments/a%2fb"),
            StatusCode::BAD_REQUEST,
        ),
        (
            Ask::get("other.example.com", "/payments/list"),
            StatusCode::FORBIDDEN,
        ),
    ] {
        let what = format!("{ask:?}");
        assert_eq!(ground.send(&downstream, ask).await.status, status, "{what}");
    }
}

#[tokio::test]
async fn one_deny_rule_is_enforced_while_the_others_are_observed() {
    let guide = Guide::read();
    let step = block(
        &guide,
        "pluginConfig: one deny rule is enforced, the others are observed",
    );
    let ground = Ground::prepare(|plugin| {
        plugin["policy"]["mode"] = step["policy"]["mode"].clone();
        let rules = plugin["policy"]["rules"].as_array_mut().unwrap();
        rules.extend(step["policy"]["rules"].as_array().unwrap().clone());
    })
    .await;
    let _haproxy = ground.haproxy(&guide).await;
    let downstream = ground.downstream(ground.public);
    let get = |path| Ask::get("api.example.com", path);
    let post = |path| Ask::post("api.example.com", path, Empty::<Bytes>::new());
    for (ask, status) in [
        (post("/orders/list"), StatusCode::FORBIDDEN),
        (get("/orders/list"), StatusCode::OK),
        (post("/payments/unruled/deeper"), StatusCode::OK),
    ] {
        let what = format!("{ask:?}");
        let ask = ask.bearer(&ground.token("payments-admins"));
        let reply = ground.send(&downstream, ask).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
    }
}

/// Opens so many connections to HAProxy, one after the other, with a request on each; says how many of
/// them came by the front. All of them are answered, and all keep the downstream's address.
async fn by_the_front(ground: &Ground, connections: usize) -> usize {
    let mut by_the_front = 0;
    for _connection in 0..connections {
        let reply = ground
            .ask(ground.public, "/payments/list", "payments-admins")
            .await;
        by_the_front += told(&reply, "x-connection-id").len();
        let forwarded = told(&reply, "x-forwarded-for");
        assert_eq!(forwarded, [DOWNSTREAM.to_string()]);
    }
    by_the_front
}

/// The page's command, for this run's addresses, with what curl needs to trust the run's authority.
async fn curl_reaches_the_front(guide: &Guide, ground: &Ground) {
    let command = guide.command("curl --connect-to");
    let here = command.replace("10.0.0.5:8443", &ground.front.to_string());
    assert_ne!(here, command);
    let authority = ground.pki.edge.certificate().display().to_string();
    let token = format!("authorization: Bearer {}", ground.token("payments-admins"));
    let mut words = here.split(' ');
    let mut curl = Command::new(words.next().unwrap());
    curl.args(words)
        .args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--interface",
        ])
        .arg(DOWNSTREAM.to_string())
        .args(["--cacert", &authority, "--header", &token]);
    let output = tokio::task::spawn_blocking(move || curl.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text} {output:?}");
    assert!(text.contains("x-connection-id: "), "{text}");
}

/// The values of a header of the request as the workload saw it.
fn told(reply: &Reply, header: &str) -> Vec<String> {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let mirror = Mirror::of(reply);
    mirror
        .values(header)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn block(guide: &Guide, title: &str) -> Value {
    serde_yaml_ng::from_str(&guide.block("yaml", title)).unwrap()
}
