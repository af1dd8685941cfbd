//! Tokens of a load balancer of AWS through a real gateway: the preset `aws-alb`, and a key server that has
//! one PEM file for each `kid`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use e2e::{
    clock::unix_now,
    deadline::eventually,
    error::HarnessError,
    http::{Ask, Exchange, Reply},
    issuer,
    key_server::{Answer, KeyServer},
    log,
    mesh::LOG_LIMIT,
    pki::Pki,
    ports,
    process::Process,
    run_folder::RunFolder,
    token::SigningKey,
    tools,
    workload::Workload,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

#[tokio::test]
async fn the_first_request_waits_for_the_key_of_its_token_and_is_let_in() {
    let stage = Stage::set().await;
    let token = stage.token(&json!({}));
    let address = stage.address;
    let waiting = tokio::spawn(async move { send(address, &token).await });
    stage.keys.was_asked(&page(KID), 1).await.unwrap();
    assert_eq!(stage.audit().len(), 0, "it is not decided yet");
    assert_eq!(stage.workload.requests(), 0);
    stage.gate.close();
    let reply = waiting.await.unwrap().unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let seen = reply.text();
    assert!(seen.contains("https://id.example.com#alice"), "{seen}");
    for header in [
        "x-amzn-oidc-data",
        "x-amzn-oidc-identity",
        "x-amzn-oidc-accesstoken",
    ] {
        assert!(!seen.contains(header), "{header}: {seen}");
    }
    let again = send(address, &stage.token(&json!({}))).await.unwrap();
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(stage.asked(), (1, vec![]));
}

#[tokio::test]
async fn names_that_are_no_key_are_denied_and_only_uuids_are_asked_for() {
    let stage = Stage::set().await;
    stage.gate.close();
    let upper = KID.to_uppercase();
    for kid in [
        "..",
        "../../secret",
        "key-1",
        "%2e%2e",
        &upper,
        "",
        &format!("{KID}/.."),
    ] {
        stage
            .denied(
                &json!({ "kid": kid }),
                StatusCode::UNAUTHORIZED,
                "key_unknown",
            )
            .await;
    }
    assert_eq!(stage.asked(), (0, vec![]));
    for _attempt in 0..3 {
        let unknown = json!({ "kid": UNKNOWN_KID });
        stage
            .denied(&unknown, StatusCode::UNAUTHORIZED, "key_unknown")
            .await;
    }
    assert_eq!(stage.asked(), (0, vec![page(UNKNOWN_KID)]), "once");
    let reply = send(stage.address, &stage.token(&json!({}))).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
}

#[tokio::test]
async fn what_another_load_balancer_signs_is_denied_without_a_question() {
    let stage = Stage::set().await;
    let others = [
        json!({ "signer": SIGNER.replace("123456789012", "210987654321") }),
        json!({ "signer": SIGNER.replace("eu-central-1", "us-east-1") }),
    ];
    for other in others {
        stage
            .denied(&other, StatusCode::UNAUTHORIZED, "signer_refused")
            .await;
    }
    assert_eq!(stage.asked(), (0, vec![]));
    stage.gate.close();
    let expired = json!({ "exp": unix_now() - 120 });
    stage
        .denied(&expired, StatusCode::UNAUTHORIZED, "token_expired")
        .await;
}

#[tokio::test]
async fn a_key_that_does_not_come_in_time_is_unavailable() {
    let stage = Stage::set().await;
    // The key server takes the question and never answers.
    stage
        .denied(
            &json!({}),
            StatusCode::SERVICE_UNAVAILABLE,
            "keys_unavailable",
        )
        .await;
    assert_eq!(stage.asked(), (1, vec![]));
}

/// A gateway, a workload behind it and the key server.
struct Stage {
    key: SigningKey,
    keys: KeyServer,
    /// The key is given once it is closed.
    gate: Arc<Semaphore>,
    workload: Workload,
    address: SocketAddr,
    gateway: Process,
    _folder: RunFolder,
}

impl Stage {
    async fn set() -> Self {
        let folder = RunFolder::create().unwrap();
        let key = SigningKey::es256(KID).unwrap();
        let pki = Pki::create(&folder).unwrap();
        let keys = KeyServer::start(&pki.issuer).await.unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let pem = key.public_pem().to_owned();
        keys.answer(&page(KID), Answer::Held(Arc::clone(&gate), pem));
        let workload = Workload::start("orders").await.unwrap();
        let (address, admin) = (ports::free().unwrap(), ports::free().unwrap());
        let bootstrap = bootstrap(address, admin, &keys, &pki, &workload).to_string();
        let config = folder.write("gateway.json", &bootstrap).unwrap();
        let config = config.to_string_lossy();
        let arguments = [
            "--config-path",
            &config,
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
        ];
        let program = tools::envoy().unwrap();
        let mut gateway = Process::start("gateway", &program, &arguments, &folder).unwrap();
        let ready = async || {
            let asked = async {
                let mut exchange = Exchange::open_clear(admin).await?;
                exchange.send(Ask::get("admin", "/ready")).await
            };
            asked
                .await
                .is_ok_and(|reply| reply.status == StatusCode::OK)
        };
        gateway.ready_when(START_LIMIT, ready).await.unwrap();
        Self {
            key,
            keys,
            gate,
            workload,
            address,
            gateway,
            _folder: folder,
        }
    }

    /// A good token with these changes in its header.
    fn token(&self, changes: &Value) -> String {
        let end = unix_now() + 120;
        let mut header = json!({ "typ": "JWT", "kid": KID, "alg": "ES256", "iss": ISSUER, "client": "client-1",
            "signer": SIGNER, "exp": end });
        for (name, value) in changes.as_object().unwrap() {
            header[name] = value.clone();
        }
        let claims =
            json!({ "sub": "alice", "email": "alice@example.com", "iss": ISSUER, "exp": end });
        self.key.sign_padded(&header, &claims).unwrap()
    }

    /// How often the key was asked for, and what else was.
    fn asked(&self) -> (usize, Vec<String>) {
        (self.keys.asked(&page(KID)), self.keys.strays())
    }

    fn audit(&self) -> Vec<Value> {
        log::audit_records(self.gateway.log())
    }

    async fn denied(&self, changes: &Value, status: StatusCode, reason: &str) {
        let before = self.workload.requests();
        let reply = send(self.address, &self.token(changes)).await.unwrap();
        assert_eq!(reply.status, status, "{changes}: {}", reply.text());
        let decision = reply.json()["decision"].clone();
        let record = eventually("the audit record", LOG_LIMIT, async || {
            let mut records = self.audit().into_iter();
            records.find(|record| record["decision_id"] == decision)
        })
        .await
        .unwrap();
        assert_eq!(record["reason"], reason, "{changes}");
        assert_eq!(self.workload.requests(), before, "{changes}");
    }
}

fn page(kid: &str) -> String {
    format!("/keys/{kid}")
}

async fn send(gateway: SocketAddr, token: &str) -> Result<Reply, HarnessError> {
    let ask = Ask::get("api.example.com", "/orders/1")
        .header("x-amzn-oidc-data", token)
        .header("x-amzn-oidc-identity", "admin")
        .header("x-amzn-oidc-accesstoken", "opaque");
    Exchange::open_clear(gateway).await?.send(ask).await
}

fn bootstrap(
    address: SocketAddr,
    admin: SocketAddr,
    keys: &KeyServer,
    pki: &Pki,
    workload: &Workload,
) -> Value {
    let typed = |kind: &str| format!("type.googleapis.com/envoy.extensions.filters.{kind}");
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let cluster = |name: &str, address: SocketAddr| {
        let endpoints =
            json!([{ "lb_endpoints": [{ "endpoint": { "address": socket(address) } }] }]);
        json!({ "name": name, "type": "STATIC", "connect_timeout": "2s",
            "load_assignment": { "cluster_name": name, "endpoints": endpoints } })
    };
    let mut keys_cluster = cluster("keys", keys.address());
    keys_cluster["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": issuer::HOST,
            "common_tls_context": { "validation_context": {
                "trusted_ca": { "filename": pki.provider.certificate() },
                "match_typed_subject_alt_names": [{ "san_type": "DNS", "matcher": { "exact": issuer::HOST } }],
            } },
        },
    });
    let plugin = json!({
        "providers": [{
            "name": "alb", "preset": "aws-alb", "issuer": ISSUER, "audiences": ["client-1"], "signer": SIGNER,
            "jwks": { "cluster": "keys", "key_uri": "https://localhost/keys/{kid}", "wait_milliseconds": 5000,
                "timeout_seconds": 30 },
        }],
        "namespaces": [{ "name": "orders", "routes": [{ "host": "api.example.com", "path_prefix": "/orders" }] }],
        "policy": { "rules": [{ "name": "all", "namespace": "orders", "authenticated": true }] },
    });
    json!({
        "admin": { "address": socket(admin) },
        "static_resources": {
            "listeners": [{ "name": "gateway", "address": socket(address), "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": typed("network.http_connection_manager.v3.HttpConnectionManager"),
                    "stat_prefix": "gateway",
                    "http_filters": [{
                        "name": "envoy.filters.http.wasm",
                        "typed_config": { "@type": typed("http.wasm.v3.Wasm"), "config": {
                            "name": "identity",
                            "root_id": "identity",
                            "vm_config": {
                                "runtime": "envoy.wasm.runtime.v8",
                                "code": { "local": { "filename": tools::filter().unwrap() } },
                            },
                            "configuration": {
                                "@type": "type.googleapis.com/google.protobuf.StringValue",
                                "value": plugin.to_string(),
                            },
                        } },
                    }, {
                        "name": "envoy.filters.http.router",
                        "typed_config": { "@type": typed("http.router.v3.Router") },
                    }],
                    "route_config": { "name": "all", "virtual_hosts": [{ "name": "all", "domains": ["*"],
                        "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "orders" } }] }] },
                },
            }] }] }],
            "clusters": [cluster("orders", workload.address()), keys_cluster],
        },
    })
}

const ISSUER: &str = "https://id.example.com";
const KID: &str = "0b3f1c2a-9f7e-4a51-8a55-1f0e3f6d2c11";
const UNKNOWN_KID: &str = "5f3cfb4a-6c1d-4f8e-b9a6-0d2f7e8c9b1a";
const SIGNER: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/50dc6c495c0c9188";

/// V8 compiles the filter without a baseline tier, once in the canary and once in the worker.
const START_LIMIT: Duration = Duration::from_secs(60);
