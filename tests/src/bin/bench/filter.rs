//! The identity filter in Envoy beside Envoy's own jwt_authn and rbac.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use e2e::{
    dialer::Dialer,
    error::HarnessError,
    http::{Ask, Exchange},
    issuer::{self, ALICE, Issuer},
    pki::Pki,
    ports,
    process::Process,
    run_folder::RunFolder,
    tools,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    cpu::{start_on_first, time_of},
    figures::{Series, print, progress},
};

/// How much is done.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// How often the subjects take turns.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Requests a round, all with the same token.
    #[arg(long, default_value_t = 16_000)]
    requests: u32,
}

const HOST: &str = "pay.example.com";
const CONNECTIONS: u32 = 8;
/// V8 compiles the filter first.
const START_LIMIT: Duration = Duration::from_secs(60);

struct Subject {
    name: &'static str,
    process: Process,
    address: SocketAddr,
}

/// Runs the plan and prints the table.
pub(crate) async fn run(plan: &Plan) -> Result<(), HarnessError> {
    let folder = RunFolder::create()?;
    let pki = Pki::create(&folder)?;
    let mut issuer = Issuer::prepare(&pki, &folder)?;
    issuer.start(&folder).await?;
    let dialer = Dialer::public(issuer.address(), issuer::HOST, pki.provider.root());
    let keys = Exchange::open(&dialer)
        .await?
        .send(Ask::get(issuer::HOST, "/jwks"))
        .await?
        .json();
    let token = issuer.token(ALICE).await?;
    let native = |cache: bool| vec![jwt_authn(&issuer, &keys, cache), rbac()];
    let chains = [
        ("plain route", Vec::new()),
        ("jwt_authn + rbac", native(false)),
        ("jwt_authn with its cache + rbac", native(true)),
        ("identity filter", vec![identity_filter(&issuer, &keys)?]),
    ];
    let mut subjects = Vec::new();
    for (number, (name, filters)) in chains.into_iter().enumerate() {
        subjects.push(start(number, name, filters, &folder).await?);
    }
    let mut series = vec![Series::default(); subjects.len()];
    for round in 1..=plan.rounds {
        for (subject, series) in subjects.iter().zip(&mut series) {
            progress(&format!(
                "round {round} of {}: {}",
                plan.rounds, subject.name
            ));
            load(subject, &token, plan.requests / 8).await?;
            let start = time_of(&subject.process);
            load(subject, &token, plan.requests).await?;
            let spent = time_of(&subject.process) - start;
            series.push(spent.as_secs_f64() * 1e6 / f64::from(plan.requests));
        }
    }
    let mut rows = vec![
        ["", "CPU µs per request", "above the plain route"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (subject, figures) in subjects.iter().zip(&series) {
        let above = series.first().map(|plain| figures.above(plain).shown());
        rows.push(vec![
            subject.name.to_owned(),
            figures.shown(),
            above.unwrap_or_default(),
        ]);
    }
    print(
        &format!("medians of {} rounds (smallest to largest)", plan.rounds),
        &rows,
    );
    Ok(())
}

async fn load(subject: &Subject, token: &str, requests: u32) -> Result<(), HarnessError> {
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut exchange = Exchange::open_clear(subject.address).await?;
        let (token, name) = (token.to_owned(), subject.name);
        tasks.spawn(async move {
            for _ in 0..requests / CONNECTIONS {
                let reply = exchange
                    .send(Ask::get(HOST, "/payments/1").bearer(&token))
                    .await?;
                if reply.status != StatusCode::OK {
                    return Err(HarnessError::Answer {
                        peer: name.to_owned(),
                        got: format!("{}: {}", reply.status, reply.text()),
                        expected: "200 to every request",
                    });
                }
            }
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap_or_else(|broken| {
            Err(HarnessError::Answer {
                peer: subject.name.to_owned(),
                got: broken.to_string(),
                expected: "an unbroken load",
            })
        })?;
    }
    Ok(())
}

async fn start(
    number: usize,
    name: &'static str,
    mut filters: Vec<Value>,
    folder: &RunFolder,
) -> Result<Subject, HarnessError> {
    let address = ports::free()?;
    filters.push(named(
        "envoy.filters.http.router",
        "router.v3.Router",
        json!({}),
    ));
    let bootstrap = json!({ "static_resources": { "listeners": [{
        "name": "bench",
        "address": { "socket_address": {
            "address": address.ip().to_string(), "port_value": address.port(),
        } },
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "bench",
                "http_filters": filters,
                "route_config": { "virtual_hosts": [{
                    "name": "all", "domains": ["*"], "routes": [{
                        "match": { "prefix": "/" },
                        "direct_response": { "status": 200, "body": { "inline_string": "ok" } },
                    }],
                }] },
            },
        }] }],
    }] } });
    let config = folder.write(&format!("bench-{number}.json"), &format!("{bootstrap:#}"))?;
    let config = config.to_string_lossy();
    let arguments = [
        "--config-path",
        &config,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "error",
    ];
    let mut process = start_on_first(
        &format!("bench-envoy-{number}"),
        &tools::envoy()?,
        &arguments,
        folder,
    )?;
    process
        .ready_when(START_LIMIT, async || {
            TcpStream::connect(address).await.is_ok()
        })
        .await?;
    Ok(Subject {
        name,
        process,
        address,
    })
}

fn named(name: &str, kind: &str, mut config: Value) -> Value {
    config["@type"] = json!(format!(
        "type.googleapis.com/envoy.extensions.filters.http.{kind}"
    ));
    json!({ "name": name, "typed_config": config })
}

fn jwt_authn(issuer: &Issuer, keys: &Value, cache: bool) -> Value {
    let mut provider = json!({
        "issuer": issuer.url(),
        "audiences": [issuer::AUDIENCE],
        "local_jwks": { "inline_string": keys.to_string() },
        "payload_in_metadata": "claims",
        "require_expiration": true,
    });
    if cache {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": 1000 });
    }
    let config = json!({
        "providers": { "people": provider },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "people" } }],
    });
    named(
        "envoy.filters.http.jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        config,
    )
}

/// The rule that the identity filter's configuration of a run has for this request.
fn rbac() -> Value {
    let group = json!({ "metadata": {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{ "key": "claims" }, { "key": "groups" }],
        "value": { "list_match": { "one_of": { "string_match": { "exact": "payments-admins" } } } },
    } });
    let what = json!({ "and_rules": { "rules": [
        { "header": { "name": ":method", "string_match": { "exact": "GET" } } },
        { "header": { "name": ":authority", "string_match": { "exact": HOST } } },
        { "url_path": { "path": { "prefix": "/payments/" } } },
    ] } });
    let config = json!({ "rules": {
        "action": "ALLOW",
        "policies": { "admins": { "permissions": [what], "principals": [group] } },
    } });
    named("envoy.filters.http.rbac", "rbac.v3.RBAC", config)
}

fn identity_filter(issuer: &Issuer, keys: &Value) -> Result<Value, HarnessError> {
    let mut configuration = e2e::plugin::configuration(issuer);
    configuration["providers"][0]["jwks"] = json!({ "inline": keys });
    let wasm = json!({ "config": {
        "name": "identity",
        "root_id": "identity",
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": tools::filter()? } },
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": configuration.to_string(),
        },
    } });
    Ok(named("envoy.filters.http.wasm", "wasm.v3.Wasm", wasm))
}
