//! What `docs/troubleshooting.md` says is seen when the two halves do not fit each other: real parts, each
//! with one thing wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;

use e2e::{
    deadline::eventually,
    dialer::Dialer,
    envoy::{Gateway, Surroundings},
    front::Front,
    http::{Ask, Exchange, Reply},
    issuer::{AUDIENCE, Issuer, KEY_SET},
    key_server::{Answer, KeyServer},
    mesh::{DOWNSTREAM, LOG_LIMIT},
    pki::Pki,
    plugin, ports,
    run_folder::RunFolder,
    token::{SigningKey, Token},
    workload::Workload,
};
use hyper::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn h2_is_refused_by_the_front_before_a_gateway_that_speaks_http_1_alone() {
    let stage = Stage::set(
        |envoy| {
            let tls = "/filter_chains/0/transport_socket/typed_config/common_tls_context";
            listener(envoy).pointer_mut(tls).unwrap()["alpn_protocols"] = json!(["http/1.1"]);
        },
        |front| front,
    )
    .await;
    assert!(stage.ask(&["h2"], get()).await.is_err());
    let line = stage.front_said().await;
    assert_eq!(line["termination"], "no_endpoint", "{line}");
    assert_eq!(line["alpn"], "h2", "{line}");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("application protocol"), "{error}");
    let reply = stage.ask(&["http/1.1"], get()).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
}

#[tokio::test]
async fn no_connection_of_the_front_is_understood_without_the_listener_filter() {
    let stage = Stage::set(without_the_listener_filter, |front| front).await;
    assert!(stage.ask(&["h2"], get()).await.is_err());
    let line = stage.front_said().await;
    assert_eq!(line["termination"], "no_endpoint", "{line}");
    assert!(
        line["error"].as_str().unwrap().starts_with("handshake: "),
        "{line}"
    );
    assert_eq!(stage.workload.requests(), 0);
}

#[tokio::test]
async fn everybody_has_the_address_of_a_front_that_sends_no_header() {
    let stage = Stage::set(without_the_listener_filter, |front| {
        assert!(front.contains("proxy_protocol: v2"));
        front.replace("proxy_protocol: v2", "proxy_protocol: none")
    })
    .await;
    let reply = stage.ask(&["h2"], get()).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let record = stage.audit().await;
    let source = record["source"].as_str().unwrap();
    assert!(source.starts_with("127.0.0.1:"), "{source}");
    assert!(record["connection_id"].is_null(), "{record}");
}

#[tokio::test]
async fn trusted_hops_let_clients_write_their_own_address() {
    let none: fn(&mut Value) = |_as_it_is| ();
    let one: fn(&mut Value) = |envoy| {
        let manager = "/filter_chains/0/filters/0/typed_config";
        listener(envoy).pointer_mut(manager).unwrap()["xff_num_trusted_hops"] = json!(1);
    };
    for (name, bootstrap, seen) in [
        ("none is trusted", none, DOWNSTREAM.to_string()),
        ("one is", one, "203.0.113.9".to_owned()),
    ] {
        let stage = Stage::set(bootstrap, |front| front).await;
        let ask = get().header("x-forwarded-for", "203.0.113.9");
        let reply = stage.ask(&["h2"], ask).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{name}: {}", reply.text());
        let record = stage.audit().await;
        let source = record["source"].as_str().unwrap();
        assert!(source.starts_with(&format!("{seen}:")), "{name}: {source}");
    }
}

#[tokio::test]
async fn a_workload_that_is_away_is_a_503_that_the_filter_has_let_through() {
    let away = |envoy: &mut Value| {
        let payments = &mut envoy["static_resources"]["clusters"][0];
        assert_eq!(payments["name"], "payments");
        let place = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address";
        // A port at which nobody is.
        payments.pointer_mut(place).unwrap()["port_value"] = json!(1);
    };
    let stage = Stage::set(away, |front| front).await;
    let elsewhere = Ask::get("api.example.com", "/orders/list");
    let reply = stage.ask(&["h2"], elsewhere).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let reply = stage.ask(&["h2"], get()).await.unwrap();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.json()["decision"].is_null(), "{}", reply.text());
    let line = eventually("the access log", LOG_LIMIT, async || {
        let mut lines = stage.gateway.access_log().into_iter();
        lines.find(|line| line["status"] == 503)
    })
    .await
    .unwrap();
    let details = line["details"].as_str().unwrap();
    assert!(
        details.starts_with("upstream_reset_before_response_started"),
        "{line}"
    );
    assert!(line["allowed"].as_str().unwrap().contains("decision_id"));
}

/// A front before one gateway, with keys, a token and a workload behind it. Fields are dropped in this
/// order: first who sends, last the files.
struct Stage {
    front: Front,
    gateway: Gateway,
    workload: Workload,
    token: String,
    pki: Pki,
    _keys: KeyServer,
    _folder: RunFolder,
}

impl Stage {
    async fn set(bootstrap: fn(&mut Value), edit: fn(String) -> String) -> Self {
        let folder = RunFolder::create().unwrap();
        let pki = Pki::create(&folder).unwrap();
        let issuer = Issuer::prepare(&pki, &folder).unwrap();
        let address = issuer.address();
        let keys = KeyServer::start_at(address, &pki.issuer).await.unwrap();
        let key = SigningKey::es256("stage").unwrap();
        keys.answer(KEY_SET, Answer::keys([&key.public_jwk()]));
        let workload = Workload::start("payments").await.unwrap();
        let around = Surroundings {
            pki: &pki,
            keys: address,
            plugin: &plugin::configuration(&issuer),
            workers: 1,
            bootstrap,
            payments: workload.address(),
            orders: workload.address(),
        };
        let gateway = Gateway::start("gateway", &around, &folder).await.unwrap();
        let gateways: [SocketAddr; 1] = [gateway.address()];
        let port = ports::free().unwrap();
        let front = Front::start_with(port, &gateways, &pki, &folder, edit);
        let token = Token::honest(&issuer.url(), AUDIENCE, "alice")
            .with("groups", json!(["payments-admins", "orders-admins"]))
            .signed(&key)
            .unwrap();
        Self {
            front: front.await.unwrap(),
            gateway,
            workload,
            token,
            pki,
            _keys: keys,
            _folder: folder,
        }
    }

    /// Sends this with a good token, as a downstream that speaks these protocols.
    async fn ask(&self, protocols: &[&str], ask: Ask) -> Result<Reply, e2e::error::HarnessError> {
        let root = self.pki.edge.root();
        let downstream = Dialer::public(self.front.address(), "api.example.com", root)
            .from(DOWNSTREAM)
            .speaking(protocols);
        let mut exchange = Exchange::open(&downstream).await?;
        exchange.send(ask.bearer(&self.token)).await
    }

    /// The first line of the front's access log.
    async fn front_said(&self) -> Value {
        let first = async || self.front.access_log().into_iter().next();
        eventually("the front's access log", LOG_LIMIT, first)
            .await
            .unwrap()
    }

    /// The first audit record.
    async fn audit(&self) -> Value {
        let first = async || self.gateway.audit().into_iter().next();
        eventually("an audit record", LOG_LIMIT, first)
            .await
            .unwrap()
    }
}

fn get() -> Ask {
    Ask::get("api.example.com", "/payments/list")
}

fn listener(envoy: &mut Value) -> &mut Value {
    &mut envoy["static_resources"]["listeners"][0]
}

fn without_the_listener_filter(envoy: &mut Value) {
    let filters = listener(envoy)["listener_filters"].as_array_mut().unwrap();
    assert_eq!(
        filters.remove(0)["name"],
        "envoy.filters.listener.proxy_protocol"
    );
}
