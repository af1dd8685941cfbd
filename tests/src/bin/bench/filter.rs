//! The identity filter in Envoy beside Envoy's own jwt_authn and rbac.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use e2e::{
    clock::unix_now,
    dialer::Dialer,
    error::HarnessError,
    http::{Ask, Exchange},
    issuer::{self, ALICE, Issuer},
    pki::Pki,
    plain_gateway::{self, PlainGateway, identity_filter},
    run_folder::RunFolder,
    token::SigningKey,
    tools,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

mod native;
mod scale;

use native::{jwt_authn, rbac};

use crate::{
    cpu::{start_on_first, time_of},
    figures::{Series, print, progress},
    memory,
    plot::{self, Row},
};

/// How much is done.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// How often the subjects take turns.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Requests a round and algorithm, all with the same token; a sixteenth of them where the module checks signatures.
    #[arg(long, default_value_t = 16_000)]
    requests: u32,
    /// One JSON object instead of the tables; its ratios are those of RS256.
    #[arg(long)]
    json: bool,
    /// Writes the figures above the plain route as bars, too.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct Target {
    host: &'static str,
    path: &'static str,
}

const TARGET: Target = Target {
    host: "pay.example.com",
    path: "/payments/1",
};
const CONNECTIONS: u32 = 8;
const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];

/// One Envoy.
pub(crate) struct Subject {
    name: &'static str,
    /// Of the planned requests, one in so many is made.
    share: u32,
    pub(crate) gateway: PlainGateway,
}

/// The figures of a run, by subject and algorithm.
struct Figures {
    names: Vec<&'static str>,
    series: Vec<[Series; 2]>,
}

/// Runs the plan and prints what it has found.
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
    let figures = measure(plan, &issuer, &keys, &folder).await?;
    if let Some(path) = &plan.plot {
        figures.plot(path)?;
    }
    progress("memory of a worker's VM: ten providers, a full cache");
    let vm_bytes = memory::of_a_full_worker(&issuer, &keys, &folder).await?;
    let scale = scale::measure(plan, &issuer, &keys, &folder).await?;
    let module_bytes = read(&tools::filter()?)?.len();
    if plan.json {
        print_object(&figures, &scale, module_bytes, vm_bytes);
    } else {
        print_tables(plan, &figures, module_bytes, vm_bytes);
        scale.print(plan.rounds);
    }
    Ok(())
}

async fn measure(
    plan: &Plan,
    issuer: &Issuer,
    keys: &Value,
    folder: &RunFolder,
) -> Result<Figures, HarnessError> {
    let native = |cache: bool| vec![jwt_authn(issuer, keys, cache), rbac()];
    let ours = |module: &Path, tokens: u32| {
        vec![identity_filter(
            module,
            &filter_configuration(issuer, keys, tokens),
        )]
    };
    let (module, deaf) = (tools::filter()?, without_the_hosts_check(folder)?);
    let chains = [
        ("plain route", Vec::new(), 1),
        ("jwt_authn + rbac", native(false), 1),
        ("jwt_authn with its cache + rbac", native(true), 1),
        ("identity filter, warm", ours(&module, 1000), 1),
        ("identity filter, cold, host engine", ours(&module, 0), 1),
        ("identity filter, cold, module's engine", ours(&deaf, 0), 16),
    ];
    let mut subjects = Vec::new();
    for (number, (name, filters, share)) in chains.into_iter().enumerate() {
        subjects.push(start(number, name, share, filters, folder).await?);
    }
    let tokens = [token(issuer, issuer.rsa())?, token(issuer, issuer.ec())?];
    let mut figures = Figures {
        names: subjects.iter().map(|subject| subject.name).collect(),
        series: vec![Default::default(); subjects.len()],
    };
    for round in 1..=plan.rounds {
        for (subject, series) in subjects.iter().zip(&mut figures.series) {
            progress(&format!(
                "round {round} of {}: {}",
                plan.rounds, subject.name
            ));
            for (token, series) in tokens.iter().zip(series) {
                let requests = (plan.requests / subject.share).max(CONNECTIONS * 8);
                series.push(warm_and_measure(subject, TARGET, token, requests).await?);
            }
        }
    }
    Ok(figures)
}

/// The run's configuration with these keys and room for so many tokens.
fn filter_configuration(issuer: &Issuer, keys: &Value, tokens: u32) -> Value {
    let mut configuration = e2e::plugin::configuration(issuer);
    configuration["providers"][0]["jwks"] = json!({ "inline": keys });
    configuration["limits"]["cached_tokens"] = json!(tokens);
    configuration["audit"] = json!({});
    configuration
}

/// A token that outlives the run.
fn token(issuer: &Issuer, key: &SigningKey) -> Result<String, HarnessError> {
    let end = json!(unix_now() + 24 * 3600);
    issuer.draft(ALICE).with("exp", end).signed(key)
}

/// CPU microseconds for each of so many requests, after an eighth of them that does not count.
async fn warm_and_measure(
    subject: &Subject,
    target: Target,
    token: &str,
    requests: u32,
) -> Result<f64, HarnessError> {
    load(subject, target, token, requests / 8).await?;
    let start = time_of(&subject.gateway.process);
    load(subject, target, token, requests).await?;
    let spent = time_of(&subject.gateway.process) - start;
    Ok(spent.as_secs_f64() * 1e6 / f64::from(requests))
}

impl Figures {
    /// What `subject` adds to the plain route, as a multiple of what `peer` adds.
    fn ratio(&self, algorithm: usize, subject: usize, peer: usize) -> Series {
        let of = |number: usize| &self.series[number][algorithm];
        let plain = of(PLAIN);
        of(subject).above(plain).against(&of(peer).above(plain))
    }

    fn plot(&self, path: &Path) -> Result<(), HarnessError> {
        let above = |subject: &[Series; 2]| {
            let plain = &self.series[PLAIN];
            let pairs = subject.iter().zip(plain);
            pairs.map(|(of, plain)| of.above(plain).median()).collect()
        };
        let subjects = self.names.iter().zip(&self.series).skip(PLAIN + 1);
        let rows: Vec<Row> = subjects
            .map(|(name, series)| Row {
                name: (*name).to_owned(),
                values: above(series),
            })
            .collect();
        plot::bars(
            "What a request costs above the plain route",
            "CPU µs per request (logarithmic)",
            &ALGORITHMS,
            &rows,
            path,
        )
    }
}

const PLAIN: usize = 0;
const NATIVE: usize = 1;
const NATIVE_CACHED: usize = 2;
/// Each of the filter's subjects: its name in the object, its number and its peer's.
const RATIOS: [(&str, usize, usize); 3] = [
    ("warm", 3, NATIVE_CACHED),
    ("cold_host", 4, NATIVE),
    ("cold_wasm", 5, NATIVE),
];

#[expect(clippy::print_stdout, reason = "the object is what was asked for")]
fn print_object(figures: &Figures, scale: &scale::Figures, module_bytes: usize, vm_bytes: u64) {
    let mut ratios: serde_json::Map<String, Value> = RATIOS
        .iter()
        .map(|(name, subject, peer)| {
            let ratio = figures.ratio(0, *subject, *peer).median();
            ((*name).to_owned(), json!(rounded(ratio)))
        })
        .collect();
    scale.add_ratios(&mut ratios);
    let object = json!({ "ratios": ratios, "module_bytes": module_bytes, "vm_bytes": vm_bytes });
    println!("{object}");
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}

fn print_tables(plan: &Plan, figures: &Figures, module_bytes: usize, vm_bytes: u64) {
    let of = |number: usize, algorithm: usize| &figures.series[number][algorithm];
    for (algorithm, name) in ALGORITHMS.iter().enumerate() {
        let mut rows = vec![
            [
                "",
                "CPU µs per request",
                "above the plain route",
                "beside jwt_authn + rbac",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for (number, subject) in figures.names.iter().enumerate() {
            let above = of(number, algorithm).above(of(PLAIN, algorithm));
            let peer = RATIOS.iter().find(|(_, ours, _)| *ours == number);
            let ratio = peer.map(|(_, _, peer)| figures.ratio(algorithm, number, *peer).shown());
            rows.push(vec![
                (*subject).to_owned(),
                of(number, algorithm).shown(),
                above.shown(),
                ratio.unwrap_or_default(),
            ]);
        }
        print(
            &format!(
                "{name}: medians of {} rounds (smallest to largest)",
                plan.rounds
            ),
            &rows,
        );
    }
    let size = |name: &str, bytes: u64| vec![name.to_owned(), format!("{bytes} bytes")];
    let rows = [
        size("the module", module_bytes as u64),
        size(
            "memory of a VM with ten providers and a full cache",
            vm_bytes,
        ),
    ];
    print("sizes", &rows);
}

/// A copy of the module that asks the host for a function which it does not have. The self-test fails, so the module
/// checks signatures itself, as in a gateway that is too old.
fn without_the_hosts_check(folder: &RunFolder) -> Result<PathBuf, HarnessError> {
    const NAME: &[u8] = b"verify_signature";
    let mut module = read(&tools::filter()?)?;
    let places: Vec<usize> = module
        .windows(NAME.len())
        .enumerate()
        .filter_map(|(place, window)| (window == NAME).then_some(place))
        .collect();
    for place in places {
        module[place..place + NAME.len()].make_ascii_uppercase();
    }
    let path = folder.file("without-the-hosts-check.wasm");
    match fs::write(&path, module) {
        Ok(()) => Ok(path),
        Err(source) => Err(HarnessError::File {
            verb: "write",
            path,
            source,
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, HarnessError> {
    fs::read(path).map_err(|source| HarnessError::File {
        verb: "read",
        path: path.to_owned(),
        source,
    })
}

async fn load(
    subject: &Subject,
    target: Target,
    token: &str,
    requests: u32,
) -> Result<(), HarnessError> {
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut exchange = Exchange::open_clear(subject.gateway.address).await?;
        let (token, name) = (token.to_owned(), subject.name);
        tasks.spawn(async move {
            for _ in 0..requests / CONNECTIONS {
                let reply = exchange
                    .send(Ask::get(target.host, target.path).bearer(&token))
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

/// Starts an Envoy with these filters before the route.
pub(crate) async fn start(
    number: usize,
    name: &'static str,
    share: u32,
    filters: Vec<Value>,
    folder: &RunFolder,
) -> Result<Subject, HarnessError> {
    let plan = plain_gateway::Plan {
        filters,
        ..plain_gateway::Plan::default()
    };
    let file = format!("bench-envoy-{number}");
    Ok(Subject {
        name,
        share,
        gateway: PlainGateway::start(&file, plan, start_on_first, folder).await?,
    })
}
