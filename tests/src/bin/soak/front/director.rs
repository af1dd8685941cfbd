//! What happens around the senders in the course of a run, and the looks at memory.

use std::time::Duration;

use e2e::error::HarnessError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::client::TlsStream;

use super::stage::{FRAGILE, Stage};

/// One look at the front that serves.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) percent: u64,
    pub(crate) seconds: f64,
    pub(crate) resident_kib: u32,
    pub(crate) descriptors: usize,
}

/// All that happened and was seen.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) samples: Vec<Sample>,
    pub(crate) reloads: u64,
    pub(crate) losses: u64,
    /// Connections that were open to the endpoint when it went, and were told.
    pub(crate) cut: u64,
    pub(crate) problems: Vec<String>,
}

/// Lets everything happen at its percent of the time.
pub(crate) async fn run(stage: &mut Stage, length: Duration) -> Result<Course, HarnessError> {
    let (start, mut course) = (Instant::now(), Course::default());
    for percent in 0..=100 {
        sleep_until(start + length * percent / 100).await;
        match percent {
            // Before the end of the warm-up: from then on it is one process that is looked at.
            10 => stage.upgrade().await?,
            _ if percent % 10 == 4 => lose_the_endpoint(stage, &mut course).await?,
            _ if percent % 10 == 8 => stage.regain_the_endpoint().await?,
            _ if percent % 3 == 0 && percent > 0 => {
                stage.reload().await?;
                course.reloads += 1;
            }
            _ => {}
        }
        if percent % 5 == 0 {
            look(stage, percent.into(), start, &mut course);
        }
    }
    Ok(course)
}

fn look(stage: &mut Stage, percent: u64, start: Instant, course: &mut Course) {
    let process = stage.front.process();
    let sample = Sample {
        percent,
        seconds: start.elapsed().as_secs_f64(),
        resident_kib: process.resident_kib().unwrap_or_default(),
        descriptors: process.descriptors().unwrap_or_default(),
    };
    eprintln!(
        "  {percent:3} %  {:5.0} s  resident {:6} KiB  {} descriptors",
        sample.seconds, sample.resident_kib, sample.descriptors
    );
    course.samples.push(sample);
}

/// Connections to it are cut, and not as if all had been said; those to the other one go on.
async fn lose_the_endpoint(stage: &mut Stage, course: &mut Course) -> Result<(), HarnessError> {
    let mut held = Vec::new();
    for _connection in 0..HELD {
        let dialer = stage.town.dialer(stage.town.public, FRAGILE);
        let mut tls = dialer.connect_tls().await?;
        match timeout(LIMIT, tls.read_u16()).await {
            Ok(Ok(port)) => held.push((port, tls)),
            other => course
                .problems
                .push(format!("no greeting of an endpoint: {other:?}")),
        }
    }
    stage.lose_the_endpoint().await?;
    course.losses += 1;
    for (port, mut tls) in held {
        if port == stage.fragile_port() {
            match timeout(LIMIT, tls.read(&mut [0])).await {
                Ok(Err(_cut)) => course.cut += 1,
                other => course
                    .problems
                    .push(format!("the endpoint is gone, and then {other:?}")),
            }
        } else if !echoes(&mut tls).await {
            course
                .problems
                .push("a connection to the other endpoint ended".to_owned());
        }
    }
    Ok(())
}

async fn echoes(tls: &mut TlsStream<TcpStream>) -> bool {
    let mut heard = [0; 3];
    let talk = async {
        tls.write_all(b"and").await?;
        tls.flush().await?;
        tls.read_exact(&mut heard).await?;
        tls.shutdown().await
    };
    matches!(timeout(LIMIT, talk).await, Ok(Ok(()))) && heard == *b"and"
}

/// Enough for some on each of two endpoints.
const HELD: usize = 6;
const LIMIT: Duration = Duration::from_secs(30);
