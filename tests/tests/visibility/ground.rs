//! The gateway of these tests: labels are taken out of metrics as the page says, and behind the filter a policy
//! of Envoy's own decides by what the filter has left in filter state.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use e2e::{
    conversation::Mismatch,
    error::HarnessError,
    http::{Ask, Exchange},
    key_server::{Answer, KeyServer},
    plugin::ISSUER_CLUSTER,
    stand::{Stand, url},
    token::{SigningKey, Token},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// The gateway and who signs for its providers.
pub(crate) struct Ground {
    pub(crate) stand: Stand,
    pub(crate) rsa: SigningKey,
    pub(crate) ed25519: SigningKey,
    /// The keys of the provider `slow` come when this is closed.
    pub(crate) slow: Arc<Semaphore>,
    tokens: AtomicU64,
}

impl Ground {
    pub(crate) async fn start() -> Result<Self, Mismatch> {
        Self::start_with(bootstrap).await
    }

    /// The same with the filter twice, one behind the other.
    pub(crate) async fn start_with_two_filters() -> Result<Self, Mismatch> {
        Self::start_with(|envoy| {
            let filters = http_filters(envoy);
            let mut second = filters[0].clone();
            for name in ["name", "root_id"] {
                second["typed_config"]["config"][name] = json!("second");
            }
            filters.insert(1, second);
        })
        .await
    }

    async fn start_with(bootstrap: fn(&mut Value)) -> Result<Self, Mismatch> {
        let rsa = SigningKey::rs256("rsa")?;
        let ed25519 = SigningKey::ed25519("ed25519", "EdDSA")?;
        let slow = Arc::new(Semaphore::new(0));
        let publish = |server: &KeyServer| {
            let mut lost = rsa.public_jwk();
            lost["d"] = json!("AQAB");
            lost["kid"] = json!("lost");
            let (rsa, ed25519) = (rsa.public_jwk(), ed25519.public_jwk());
            server.answer("/people", Answer::keys([&rsa, &ed25519, &lost]));
            server.answer("/away", Answer::Failure);
            server.answer("/wilting", Answer::keys([&rsa]));
            let keys = json!({ "keys": [rsa] }).to_string();
            server.answer("/slow", Answer::Held(Arc::clone(&slow), keys));
            configuration(server)
        };
        let stand = Stand::start_with(1, bootstrap, publish).await?;
        Ok(Self {
            stand,
            rsa,
            ed25519,
            slow,
            tokens: AtomicU64::new(0),
        })
    }

    /// A token of a provider for this subject. No two are the same.
    pub(crate) fn token(
        &self,
        provider: &str,
        subject: &str,
        key: &SigningKey,
    ) -> Result<String, HarnessError> {
        let issuer = format!("https://{provider}.example");
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        Token::honest(&issuer, AUDIENCE, subject)
            .with("jti", json!(number))
            .signed(key)
    }

    /// A request of a caller that `people` knows.
    pub(crate) fn ask(&self, subject: &str, path: &str) -> Result<Ask, HarnessError> {
        Ok(get(path).bearer(&self.token("people", subject, &self.rsa)?))
    }

    /// What Prometheus would read.
    pub(crate) async fn scrape(&self) -> Result<String, HarnessError> {
        let admin = self.stand.gateway.admin();
        let ask = Ask::get(&admin.to_string(), "/stats/prometheus");
        Ok(Exchange::open_clear(admin).await?.send(ask).await?.text())
    }
}

pub(crate) fn get(path: &str) -> Ask {
    Ask::get("api.example.com", path)
}

/// A page of the documentation.
pub(crate) fn page(name: &str) -> String {
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
    fs::read_to_string(docs.join(name)).unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

/// The example on the filter's page that begins with this member.
pub(crate) fn example(member: &str) -> Value {
    let page = page("filter.md");
    let mut blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|block| block.split("```").next());
    let block = blocks.find(|block| block.starts_with(&format!("{member}:")));
    let block = block.unwrap_or_else(|| panic!("no example of {member}"));
    let document = serde_yaml_ng::Deserializer::from_str(block);
    Value::deserialize(document).unwrap_or_else(|error| panic!("{member}: {error}"))
}

/// As the page says, and one policy of Envoy's behind the filter.
fn bootstrap(envoy: &mut Value) {
    envoy["stats_config"] = example("stats_config")["stats_config"].clone();
    let fields = &mut connection_manager(envoy)["access_log"][0]["typed_config"]["log_format"]["json_format"];
    for value in VALUES {
        fields[format!("state_{value}")] =
            json!(format!("%FILTER_STATE(wasm.sallyport.{value}:PLAIN)%"));
    }
    fields["cel"] = json!(
        "%CEL(filter_state['wasm.sallyport.workload'] == 'spiffe://cluster.local/ns/people/sa/alice')%"
    );
    http_filters(envoy).insert(1, policy());
}

fn connection_manager(envoy: &mut Value) -> &mut Value {
    let place = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let manager = envoy.pointer_mut(place);
    manager.unwrap_or_else(|| panic!("the harness configures an HTTP connection manager"))
}

fn http_filters(envoy: &mut Value) -> &mut Vec<Value> {
    let filters = connection_manager(envoy)["http_filters"].as_array_mut();
    filters.unwrap_or_else(|| panic!("the connection manager has filters"))
}

/// Lets in the workload `alice`, on whatever path, and on one path whoever is nobody.
fn policy() -> Value {
    let mut alice = example("principals")["principals"].clone();
    alice[0]["filter_state"]["string_match"] =
        json!({ "exact": "spiffe://cluster.local/ns/people/sa/alice" });
    let is_somebody = json!({ "filter_state": {
        "key": "wasm.sallyport.subject", "string_match": { "safe_regex": { "regex": ".+" } },
    } });
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": { "action": "ALLOW", "policies": {
                "alice": { "permissions": [{ "any": true }], "principals": alice },
                "nobody": {
                    "permissions": [{ "url_path": { "path": { "exact": "/payments/healthz" } } }],
                    "principals": [{ "not_id": is_somebody }],
                },
            } },
        },
    })
}

fn configuration(server: &KeyServer) -> Value {
    let provider = |name: &str| {
        json!({
            "name": name,
            "issuer": format!("https://{name}.example"),
            "audiences": [AUDIENCE],
            "algorithms": ["RS256", "EdDSA"],
            "jwks": {
                "cluster": ISSUER_CLUSTER,
                "uri": url(server, &format!("/{name}")),
                "refresh_seconds": if name == "wilting" { 5 } else { 300 },
                "refresh_max_seconds": if name == "wilting" { 5 } else { 300 },
                "timeout_seconds": 30,
                "wait_milliseconds": if name == "away" { 0 } else { 10_000 },
            },
        })
    };
    json!({
        "providers": PROVIDERS.map(provider),
        "namespaces": [{ "name": "payments", "routes": [{ "host": "api.example.com" }] }],
        "identities": PROVIDERS.map(|name| json!({
            "name": name,
            "provider": name,
            "workload": format!("spiffe://cluster.local/ns/{name}/sa/{{claim:sub}}"),
        })),
        "grants": [{ "name": "everybody", "namespace": "payments", "roles": ["reader", "auditor"],
            "when": [{ "attribute": "workload", "prefix": "spiffe://" }] }],
        "policy": { "rules": [
            { "name": "health", "namespace": "payments", "anonymous": true, "paths": ["/payments/healthz"] },
            { "name": "no-secrets", "namespace": "payments", "action": "deny",
              "paths": ["/payments/secrets/**"] },
            { "name": "soon", "namespace": "payments", "action": "deny", "mode": "shadow",
              "paths": ["/payments/old"] },
            { "name": "later", "namespace": "payments", "authenticated": true, "mode": "shadow",
              "paths": ["/later"] },
            { "name": "v1.read_it", "namespace": "payments", "roles": ["reader"],
              "paths": ["/payments/{what}"] },
        ] },
        "audit": { "allow_sample": { "one_in": 1 } },
        "filter_state": { "values": VALUES },
        "limits": { "cached_tokens": 1, "failures_per_source": 3, "failure_window_seconds": 3600 },
    })
}

const AUDIENCE: &str = "api://orders";

/// `away` gives no keys, and `wilting` gives them once.
const PROVIDERS: [&str; 4] = ["people", "away", "wilting", "slow"];

/// Everything that can stand in filter state.
const VALUES: [&str; 7] = [
    "decision",
    "namespace",
    "provider",
    "roles",
    "rule",
    "subject",
    "workload",
];
