//! l4-front beside HAProxy.

use std::{io, sync::Arc};

use clap::Args;
use e2e::{
    error::HarnessError,
    pki::{self, Pki},
    run_folder::RunFolder,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::{
    cpu::time_of,
    figures::{Series, print, progress},
    load::{Loader, NAME},
    peer::{Subject, haproxy, l4_front},
    sink,
};

/// How much is done.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// How often the subjects take turns.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Connections a round, each with two full handshakes or with the gateway's resumed, as the subject does it.
    #[arg(long, default_value_t = 1500)]
    connections: u32,
    /// MiB a round in each direction.
    #[arg(long, default_value_t = 512)]
    mib: u32,
    /// Connections that are open and idle when memory is read.
    #[arg(long, default_value_t = 500)]
    idle: u32,
}

#[derive(Default)]
struct Figures {
    connection: Series,
    up: Series,
    down: Series,
    idle: Series,
    left_open: Series,
}

/// Runs the plan and prints the table.
pub(crate) async fn run(plan: &Plan) -> Result<(), HarnessError> {
    let folder = RunFolder::create()?;
    let pki = Pki::create(&folder)?;
    let io_failed = |what: &str, source: io::Error| HarnessError::Spawn {
        process: what.to_owned(),
        source,
    };
    // HAProxy checks the name, l4-front the SPIFFE id: the certificate holds both.
    let gateway = pki
        .mesh
        .issue("bench-gateway", &[pki::GATEWAY, NAME], &folder)?;
    let sink = sink::start(&pki, &gateway, one_suite())
        .await
        .map_err(|source| io_failed("the gateway", source))?;
    let subjects = [
        l4_front(sink, &pki, &folder).await?,
        haproxy(sink, &pki, &folder).await?,
    ];
    let mut figures = [Figures::default(), Figures::default()];
    for round in 1..=plan.rounds {
        for (subject, figures) in subjects.iter().zip(&mut figures) {
            progress(&format!(
                "round {round} of {}: {}",
                plan.rounds, subject.name
            ));
            let loader = Loader::new(subject.address, pki.edge.root(), one_suite())
                .map_err(|source| io_failed("the load", source))?;
            measure(plan, subject, &loader, figures)
                .await
                .map_err(|source| io_failed(subject.name, source))?;
        }
    }
    report(plan, &figures);
    Ok(())
}

async fn measure(
    plan: &Plan,
    subject: &Subject,
    loader: &Loader,
    figures: &mut Figures,
) -> io::Result<()> {
    // Warm up: pools, session caches, the kernel's memory.
    loader.connections(50).await?;
    let start = time_of(&subject.process);
    loader.connections(plan.connections as usize).await?;
    let spent = time_of(&subject.process) - start;
    figures
        .connection
        .push(spent.as_secs_f64() * 1e6 / f64::from(plan.connections));

    let gib = f64::from(plan.mib) / 1024.0;
    let start = time_of(&subject.process);
    loader.up(plan.mib.into()).await?;
    figures
        .up
        .push((time_of(&subject.process) - start).as_secs_f64() / gib);
    let start = time_of(&subject.process);
    loader.down(plan.mib.into()).await?;
    figures
        .down
        .push((time_of(&subject.process) - start).as_secs_f64() / gib);

    // Later rounds find the memory of the first one still there, free but resident.
    if figures.idle.is_empty() {
        let resident = || subject.process.resident_kib().map_or(f64::NAN, f64::from);
        let before = resident();
        let open = loader.idle(plan.idle as usize).await?;
        let grown = resident() - before;
        figures.idle.push(grown / f64::from(plan.idle));
        drop(open);
    }
    figures.left_open.push(f64::from(loader.left_open()));
    Ok(())
}

fn report(plan: &Plan, [ours, theirs]: &[Figures; 2]) {
    let row = |what: &str, ours: &Series, theirs: &Series| {
        vec![
            what.to_owned(),
            ours.shown(),
            theirs.shown(),
            ours.against(theirs).shown(),
        ]
    };
    let head = ["", "l4-front", "haproxy", "ratio"]
        .map(str::to_owned)
        .to_vec();
    print(
        &format!(
            "medians of {} rounds (smallest to largest); ratio: l4-front / haproxy",
            plan.rounds
        ),
        &[
            head,
            row(
                "CPU µs per connection",
                &ours.connection,
                &theirs.connection,
            ),
            row("CPU s per GiB up", &ours.up, &theirs.up),
            row("CPU s per GiB down", &ours.down, &theirs.down),
            row(
                "KiB more resident per idle connection",
                &ours.idle,
                &theirs.idle,
            ),
            vec![
                "connections not ended 1 s after both sides had".to_owned(),
                ours.left_open.shown(),
                theirs.left_open.shown(),
            ],
        ],
    );
}

/// TLS_AES_128_GCM_SHA256 and X25519 on every leg, whatever the subjects would prefer.
fn one_suite() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    Arc::new(provider)
}
