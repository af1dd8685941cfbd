//! What the gateway looks like from outside in the course of a run: memory, file descriptors, VMs, and its log.

use std::fs;

use e2e::{
    error::HarnessError,
    http::{Ask, Exchange},
    plain_gateway::PlainGateway,
};
use tokio::time::Instant;

/// One look.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Requests so far.
    pub(crate) requests: u64,
    /// Seconds since the first look.
    pub(crate) seconds: f64,
    /// Resident memory of Envoy.
    pub(crate) resident_kib: u32,
    /// Linear memory of the worker's VM.
    pub(crate) wasm_bytes: u64,
    /// Open file descriptors of Envoy.
    pub(crate) descriptors: usize,
}

/// Looks at one gateway.
#[derive(Debug)]
pub(crate) struct Watch<'run> {
    gateway: &'run PlainGateway,
    start: Instant,
    total: u64,
    vms: Vms,
    samples: Vec<Sample>,
}

/// Wasm VMs, as Envoy counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vms {
    /// That there are.
    pub(crate) active: u64,
    /// That were ever made.
    pub(crate) created: u64,
}

/// All that was seen.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) samples: Vec<Sample>,
    pub(crate) vms_before: Vms,
    pub(crate) vms_after: Vms,
    /// Lines of the log of level error or above.
    pub(crate) log: Vec<String>,
}

impl<'run> Watch<'run> {
    /// Takes the first look, before any request of the run.
    pub(crate) async fn begin(
        gateway: &'run PlainGateway,
        total: u64,
    ) -> Result<Self, HarnessError> {
        let mut watch = Self {
            gateway,
            start: Instant::now(),
            total,
            vms: Vms::of(gateway).await?,
            samples: Vec::new(),
        };
        watch.sample(0).await?;
        Ok(watch)
    }

    /// Looks, and says so.
    pub(crate) async fn sample(&mut self, requests: u64) -> Result<(), HarnessError> {
        let process = &self.gateway.process;
        let sample = Sample {
            requests,
            seconds: self.start.elapsed().as_secs_f64(),
            resident_kib: process.resident_kib().unwrap_or_default(),
            wasm_bytes: stat(self.gateway, "identity_filter.memory_bytes").await?,
            descriptors: process.descriptors().unwrap_or_default(),
        };
        eprintln!(
            "  {:3} %  {:9} requests  {:5.0} s  resident {:6} KiB  wasm {:5} KiB  {} descriptors",
            requests * 100 / self.total,
            sample.requests,
            sample.seconds,
            sample.resident_kib,
            sample.wasm_bytes / 1024,
            sample.descriptors
        );
        self.samples.push(sample);
        Ok(())
    }

    /// The last look at what must not have changed.
    pub(crate) async fn end(self) -> Result<Findings, HarnessError> {
        let log = fs::read(self.gateway.process.log()).unwrap_or_default();
        let is_bad = |line: &&str| {
            ["[error]", "[critical]", "panicked"]
                .iter()
                .any(|word| line.contains(word))
        };
        Ok(Findings {
            vms_before: self.vms,
            vms_after: Vms::of(self.gateway).await?,
            log: String::from_utf8_lossy(&log)
                .lines()
                .filter(is_bad)
                .map(str::to_owned)
                .collect(),
            samples: self.samples,
        })
    }
}

impl Vms {
    async fn of(gateway: &PlainGateway) -> Result<Self, HarnessError> {
        Ok(Self {
            active: stat(gateway, "wasm.envoy.wasm.runtime.v8.active").await?,
            created: stat(gateway, "wasm.envoy.wasm.runtime.v8.created").await?,
        })
    }
}

/// A counter or gauge of Envoy, by the end of its name.
async fn stat(gateway: &PlainGateway, name: &str) -> Result<u64, HarnessError> {
    let ask = Ask::get(&gateway.admin.to_string(), "/stats?filter=wasm");
    let text = Exchange::open_clear(gateway.admin)
        .await?
        .send(ask)
        .await?
        .text();
    let value = text.lines().find_map(|line| {
        let (_, value) = line.split_once(&format!("{name}: "))?;
        value.trim().parse().ok()
    });
    value.ok_or_else(|| HarnessError::Answer {
        peer: "the gateway's admin port".to_owned(),
        got: text,
        expected: "the figures of its Wasm VMs",
    })
}
