//! One subject's turn: what it is made to do, and what that costs.

use std::io;

use e2e::{error::HarnessError, process::Process};

use super::{
    Bench, Plan, broken,
    load::{Loader, Sessions, Stream},
    pace::{closed_loop, open_loop},
    report::{Figures, Quantity},
    subject::Subject,
    suite::Suite,
};
use crate::cpu::time_of;

/// Connections before anything is counted: pools, session caches, the kernel's memory.
const WARM_UP: u32 = 40;

/// Connections that small requests share.
const KEPT: u32 = 32;

/// Memory that idle connections take; to be called on a fresh process, for what was freed may stay resident.
pub(crate) async fn idle(
    plan: &Plan,
    subject: &Subject,
    bench: &Bench,
    figures: &mut Figures,
) -> Result<(), HarnessError> {
    let place = subject.places.classic;
    let loader = bench.loader(place, Suite::Classic, Sessions::Fresh)?;
    loader.connections(WARM_UP).await.map_err(broken(place))?;
    let resident = |process: &Process| process.resident_kib().map_or(f64::NAN, f64::from);
    let before = resident(&subject.process);
    let open = loader.waiting(plan.idle).await.map_err(broken(place))?;
    let grown = resident(&subject.process) - before;
    figures.push(subject.kind, Quantity::Idle, grown / f64::from(plan.idle));
    drop(open);
    Ok(())
}

/// Everything else, once.
pub(crate) async fn round(
    plan: &Plan,
    subject: &Subject,
    bench: &Bench,
    figures: &mut Figures,
) -> Result<(), HarnessError> {
    use Quantity::{
        Full, FullHybrid, LeftOpen, Resumed, ResumedHybrid, Truncated, UpstreamResumed,
    };
    let (places, kind) = (&subject.places, subject.kind);
    let (mut left_open, mut truncated) = (0, 0);
    let mut note_ends = |loader: &Loader| {
        left_open += loader.left_open();
        truncated += loader.truncated();
    };
    let classic = (
        Suite::Classic,
        places.classic,
        &bench.classic,
        plan.connections,
    );
    let hybrid = (
        Suite::Hybrid,
        places.hybrid,
        &bench.hybrid,
        plan.connections / 2,
    );
    for ((suite, place, gateway, count), sessions, quantity) in [
        (classic, Sessions::Fresh, Full),
        (classic, Sessions::Resumed, Resumed),
        (hybrid, Sessions::Fresh, FullHybrid),
        (hybrid, Sessions::Resumed, ResumedHybrid),
    ] {
        if suite == Suite::Hybrid && !kind.is_hybrid() {
            continue;
        }
        let loader = bench.loader(place, suite, sessions)?;
        let before = gateway.ledger.handshakes();
        let spent = handshakes(subject, &loader, sessions, count).await;
        let spent = spent.map_err(broken(place))?;
        let upstream = resumed_share(before, gateway.ledger.handshakes());
        if upstream < RESUMED_UPSTREAM {
            let text = format!("only {upstream} of the handshakes with the gateway were resumed");
            return Err(broken(place)(io::Error::other(text)));
        }
        if quantity == Full {
            figures.push(kind, UpstreamResumed, upstream * 100.0);
        }
        figures.push(kind, quantity, spent * 1e6 / f64::from(count));
        note_ends(&loader);
    }
    let loader = bench.loader(places.classic, Suite::Classic, Sessions::Fresh)?;
    small_requests(plan, subject, &loader, figures)
        .await
        .map_err(broken(places.classic))?;
    bulk(
        plan,
        subject,
        &loader,
        [Quantity::Up, Quantity::Down, Quantity::Bulk],
        figures,
    )
    .await
    .map_err(broken(places.classic))?;
    note_ends(&loader);
    let loader = bench.loader(places.passed, Suite::Classic, Sessions::Fresh)?;
    let passed = [Quantity::PassedUp, Quantity::PassedDown, Quantity::Passed];
    bulk(plan, subject, &loader, passed, figures)
        .await
        .map_err(broken(places.passed))?;
    note_ends(&loader);
    figures.push(kind, LeftOpen, f64::from(left_open));
    figures.push(kind, Truncated, f64::from(truncated));
    Ok(())
}

/// Seconds of CPU time for so many connections; an error if they were not what they were to be.
async fn handshakes(
    subject: &Subject,
    loader: &Loader,
    sessions: Sessions,
    count: u32,
) -> io::Result<f64> {
    loader.connections(WARM_UP).await?;
    let before = loader.handshakes();
    let start = time_of(&subject.process);
    loader.connections(count).await?;
    let spent = time_of(&subject.process) - start;
    let resumed = resumed_share(before, loader.handshakes());
    let right = match sessions {
        Sessions::Fresh => resumed == 0.0,
        Sessions::Resumed => resumed >= RESUMED,
    };
    if right {
        Ok(spent.as_secs_f64())
    } else {
        let text = format!("{sessions:?}, and {resumed} of the handshakes were resumed");
        Err(io::Error::other(text))
    }
}

fn resumed_share(before: (u32, u32), after: (u32, u32)) -> f64 {
    let (full, resumed) = (after.0 - before.0, after.1 - before.1);
    f64::from(resumed) / f64::from(full + resumed)
}

/// A ticket may come too late for the next connection.
const RESUMED: f64 = 0.95;

/// nginx does not always resume with the gateway. How often each does is reported.
const RESUMED_UPSTREAM: f64 = 0.5;

async fn small_requests(
    plan: &Plan,
    subject: &Subject,
    loader: &Loader,
    figures: &mut Figures,
) -> io::Result<()> {
    let kind = subject.kind;
    let streams = loader.waiting(KEPT).await?;
    let each = plan.requests.div_ceil(KEPT);
    let streams = closed_loop(streams, each / 10).await?;
    let start = time_of(&subject.process);
    let streams = closed_loop(streams, each).await?;
    let spent = (time_of(&subject.process) - start).as_secs_f64() * 1e6;
    figures.push(kind, Quantity::Busy, spent / f64::from(each * KEPT));

    let (streams, _warm_up) = open_loop(streams, plan.requests / 10, plan.rate).await?;
    let start = time_of(&subject.process);
    let (streams, latencies) = open_loop(streams, plan.requests, plan.rate).await?;
    let spent = (time_of(&subject.process) - start).as_secs_f64() * 1e6;
    figures.push(kind, Quantity::Small, spent / f64::from(plan.requests));
    figures.push(kind, Quantity::P50, latencies.per_mille(500));
    figures.push(kind, Quantity::P99, latencies.per_mille(990));
    close(loader, streams).await
}

async fn close(loader: &Loader, streams: Vec<Stream>) -> io::Result<()> {
    for stream in streams {
        loader.close(stream).await?;
    }
    Ok(())
}

/// Seconds of CPU time per GiB up, down, and on average.
async fn bulk(
    plan: &Plan,
    subject: &Subject,
    loader: &Loader,
    [up, down, both]: [Quantity; 3],
    figures: &mut Figures,
) -> io::Result<()> {
    let gib = f64::from(plan.mib) / 1024.0;
    let start = time_of(&subject.process);
    loader.up(plan.mib).await?;
    let middle = time_of(&subject.process);
    loader.down(plan.mib).await?;
    let end = time_of(&subject.process);
    let [for_up, for_down] = [middle - start, end - middle].map(|spent| spent.as_secs_f64() / gib);
    figures.push(subject.kind, up, for_up);
    figures.push(subject.kind, down, for_down);
    figures.push(subject.kind, both, f64::midpoint(for_up, for_down));
    Ok(())
}
