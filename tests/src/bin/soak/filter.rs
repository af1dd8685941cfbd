//! The filter's soak: one real Envoy with the real module, and a million requests of honest and of hostile senders, each of
//! which must get the answer that its kind deserves. The provider of keys is slow and broken for a while, and changes its key
//! on the way. At the end no VM may have died, and memory must have been flat since the warm-up.

mod classes;
mod director;
mod key_server;
mod load;
mod material;
mod report;
mod watch;

use std::sync::Arc;

use clap::Args as Arguments;
use e2e::{
    error::HarnessError,
    pki::Pki,
    plain_gateway::{self, PlainGateway, clear_cluster, identity_filter},
    plugin,
    process::Process,
    run_folder::RunFolder,
    tools,
};
use serde_json::{Value, json};

use self::{key_server::KeyServer, load::Load, material::Material, report::Report, watch::Watch};

/// Of `soak filter`.
#[derive(Debug, Arguments)]
pub(crate) struct Args {
    /// How many requests are sent.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    requests: u64,
    /// How many connections send them.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=200))]
    connections: u64,
    /// Chooses the requests; the same number chooses the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object instead of the tables.
    #[arg(long)]
    json: bool,
}

/// The filter fetches keys from here.
const CLUSTER: &str = "issuer";

/// What the route tells of the identity headers that the filter has set.
const SEEN: [(&str, &str); 2] = [
    ("x-seen-subject", "%REQ(X-IDENTITY-SUBJECT)%"),
    ("x-seen-roles", "%REQ(X-IDENTITY-ROLES)%"),
];

/// True when everything held.
pub(crate) async fn run(args: &Args) -> Result<bool, HarnessError> {
    let mut folder = RunFolder::create()?;
    let pki = Pki::create(&folder)?;
    eprintln!("  tokens: {} of each provider's keys", material::POOL);
    let material = Arc::new(Material::make(&pki, &folder).await?);
    let keys = KeyServer::start(material.keys_before()).await?;
    let gateway = start(&material, &keys, &folder).await?;
    let load = Load::new(
        args.requests,
        args.seed,
        gateway.address,
        Arc::clone(&material),
    );
    load.is_ready().await?;
    let mut watch = Watch::begin(&gateway, args.requests).await?;
    let senders = load.start(args.connections);
    let directed = director::run(&load, &keys, &mut watch).await;
    let tallies = senders.ended().await?;
    directed?;
    watch.sample(load.sent()).await?;
    let report = Report::new(args.requests, tallies, watch.end().await?);
    report.show(args.json);
    let is_good = report.is_good();
    if !is_good {
        folder.keep();
    }
    Ok(is_good)
}

async fn start(
    material: &Material,
    keys: &KeyServer,
    folder: &RunFolder,
) -> Result<PlainGateway, HarnessError> {
    let plan = plain_gateway::Plan {
        filters: vec![identity_filter(
            &tools::filter()?,
            &configuration(material, keys),
        )],
        clusters: vec![clear_cluster(CLUSTER, keys.address())],
        answer_headers: SEEN.to_vec(),
        ..plain_gateway::Plan::default()
    };
    PlainGateway::start("soak-envoy", plan, Process::start, folder).await
}

fn configuration(material: &Material, keys: &KeyServer) -> Value {
    let mut configuration = plugin::configuration(material.issuer());
    configuration["providers"][0]["jwks"] = json!({
        "cluster": CLUSTER,
        "uri": format!("http://{}/jwks", keys.address()),
        "refresh_seconds": 5,
        "refresh_max_seconds": 5,
        "timeout_seconds": 1,
        // Senders that name an unknown key wait for it, and should not take the whole time of a run.
        "wait_milliseconds": 200,
    });
    configuration
}
