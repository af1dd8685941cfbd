//! l4-front beside HAProxy, nginx stream and Envoy's tcp_proxy.

use std::{io, net::SocketAddr, path::PathBuf};

use clap::Args;
use e2e::{
    error::HarnessError,
    pki::{self, Pki},
    run_folder::RunFolder,
};

use self::{
    gateway::Gateway,
    load::{Loader, NAME, Sessions},
    report::Figures,
    subject::{Gateways, Kind, Material},
    suite::Suite,
};
use crate::{cpu, figures::progress};

mod gateway;
mod load;
mod measure;
mod pace;
mod proof;
mod report;
mod subject;
mod suite;

/// How much is done.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// How often the subjects take turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Connections a round with full handshakes, and as many with resumed ones; half as many with X25519MLKEM768.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    connections: u32,
    /// Small requests a round, each as soon as its connection has the answer to the one before, and as many at the rate.
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Small requests a second where latency is measured, whether or not the ones before are answered.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// MiB a round in each direction, re-encrypted, and as many passed through.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(4..))]
    mib: u32,
    /// Connections that are open and idle when memory is read, once for each subject.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    idle: u32,
    /// One JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Writes the figures as bars, too.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// What all subjects meet: the gateways, and the downstreams' trust.
pub(crate) struct Bench {
    root: rustls::pki_types::CertificateDer<'static>,
    classic: Gateway,
    hybrid: Gateway,
    passed: Gateway,
    untrusted: Gateway,
    misnamed: Gateway,
}

/// Runs the plan and prints what it has found.
pub(crate) async fn run(plan: &Plan) -> Result<(), HarnessError> {
    cpu::allow_descriptors(u64::from(plan.idle) * 2 + 1000)?;
    let folder = RunFolder::create()?;
    let pki = Pki::create(&folder)?;
    let bench = Bench::start(&pki, &folder).await?;
    let material = Material {
        pki: &pki,
        folder: &folder,
    };
    let mut figures = Figures::default();
    for kind in Kind::ALL {
        progress(&format!("{}: checks, idle connections", kind.name()));
        let subject = kind.start(&bench.gateways(), &material).await?;
        proof::check(&subject, &bench).await?;
        measure::idle(plan, &subject, &bench, &mut figures).await?;
    }
    // Other processes than those whose memory has grown.
    let mut subjects = Vec::new();
    for kind in Kind::ALL {
        subjects.push(kind.start(&bench.gateways(), &material).await?);
    }
    for round in 1..=plan.rounds {
        let first = (round - 1) as usize % subjects.len();
        let (last, rest) = subjects.split_at(first);
        for subject in rest.iter().chain(last) {
            let name = subject.kind.name();
            progress(&format!("round {round} of {}: {name}", plan.rounds));
            measure::round(plan, subject, &bench, &mut figures).await?;
        }
    }
    if let Some(path) = &plan.plot {
        figures.plot(path)?;
    }
    if plan.json {
        figures.print_object();
    } else {
        figures.print_table(plan.rounds);
    }
    Ok(())
}

impl Bench {
    async fn start(pki: &Pki, folder: &RunFolder) -> Result<Self, HarnessError> {
        // l4-front knows the gateway by its SPIFFE id, the peers by its name: the certificate holds both.
        let names = [pki::GATEWAY, NAME];
        let gateway = pki.mesh.issue("bench-gateway", &names, folder)?;
        let untrusted = pki.edge.issue("bench-untrusted", &names, folder)?;
        let other = [pki::STRANGER, "other.example.com"];
        let misnamed = pki.mesh.issue("bench-misnamed", &other, folder)?;
        let failed = |source| HarnessError::Spawn {
            process: "a gateway".to_owned(),
            source,
        };
        let mesh = Some(&pki.mesh);
        let start = async |identity, clients, suite| {
            gateway::start(identity, clients, suite)
                .await
                .map_err(failed)
        };
        Ok(Self {
            root: pki.edge.root(),
            classic: start(&gateway, mesh, Suite::Classic).await?,
            hybrid: start(&gateway, mesh, Suite::Hybrid).await?,
            passed: start(&pki.public, None, Suite::Classic).await?,
            untrusted: start(&untrusted, mesh, Suite::Classic).await?,
            misnamed: start(&misnamed, mesh, Suite::Classic).await?,
        })
    }

    const fn gateways(&self) -> Gateways {
        Gateways {
            classic: self.classic.address,
            hybrid: self.hybrid.address,
            passed: self.passed.address,
            untrusted: self.untrusted.address,
            misnamed: self.misnamed.address,
        }
    }

    fn loader(
        &self,
        place: SocketAddr,
        suite: Suite,
        sessions: Sessions,
    ) -> Result<Loader, HarnessError> {
        Loader::new(place, self.root.clone(), suite, sessions).map_err(broken(place))
    }
}

/// An error of a connection to a subject.
fn broken(peer: SocketAddr) -> impl Fn(io::Error) -> HarnessError {
    move |source| HarnessError::Connection { peer, source }
}
