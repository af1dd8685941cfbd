//! What a run comes to: tables or one object, and whether everything held.

use serde_json::{Value, json};

use super::{
    classes::Class,
    watch::{Findings, Sample},
};
use crate::{
    growth::{self, Bound},
    tally::Tally,
};

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Report {
    requests: u64,
    tallies: Vec<Tally>,
    findings: Findings,
    problems: Vec<String>,
}

impl Report {
    /// Judges what was seen.
    pub(crate) fn new(requests: u64, tallies: Vec<Tally>, findings: Findings) -> Self {
        let mut problems = Vec::new();
        for ((_, name, _), tally) in Class::ALL.iter().zip(&tallies) {
            problems.extend(tally.problem(name));
        }
        let sent: u64 = tallies.iter().map(|tally| tally.sent).sum();
        if sent != requests {
            problems.push(format!("only {sent} of {requests} requests were sent"));
        }
        if findings.vms_before != findings.vms_after {
            let (before, after) = (findings.vms_before, findings.vms_after);
            problems.push(format!(
                "the VMs are not those of the beginning: {before:?}, then {after:?}"
            ));
        }
        for line in findings.log.iter().take(5) {
            problems.push(format!("in the gateway's log: {line}"));
        }
        problems.extend(growth(requests, &findings.samples));
        Self {
            requests,
            tallies,
            findings,
            problems,
        }
    }

    /// Whether everything held.
    pub(crate) fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// Prints it to standard output.
    #[expect(clippy::print_stdout, reason = "the report is what the program is for")]
    pub(crate) fn show(&self, as_json: bool) {
        if as_json {
            println!("{}", self.object());
            return;
        }
        println!("\n{:>9}  {:>9}  {:>6}  requests", "sent", "passed", "wrong");
        for ((_, name, _), tally) in Class::ALL.iter().zip(&self.tallies) {
            println!(
                "{:>9}  {:>9}  {:>6}  {name}",
                tally.sent, tally.passed, tally.wrong
            );
        }
        println!(
            "\n{:>9}  {:>7}  {:>12}  {:>9}  descriptors",
            "requests", "seconds", "resident KiB", "wasm KiB"
        );
        for sample in &self.findings.samples {
            println!(
                "{:>9}  {:>7.0}  {:>12}  {:>9}  {}",
                sample.requests,
                sample.seconds,
                sample.resident_kib,
                sample.wasm_bytes / 1024,
                sample.descriptors
            );
        }
        let vms = self.findings.vms_after;
        println!("\nVMs: {} active, {} ever created", vms.active, vms.created);
        for problem in &self.problems {
            println!("problem: {problem}");
        }
        if self.is_good() {
            println!(
                "passed: every answer was right, no VM died, memory was flat after the warm-up"
            );
        }
    }

    fn object(&self) -> Value {
        let classes: serde_json::Map<String, Value> = Class::ALL
            .iter()
            .zip(&self.tallies)
            .map(|((_, name, _), tally)| {
                let counts =
                    json!({ "sent": tally.sent, "passed": tally.passed, "wrong": tally.wrong });
                ((*name).to_owned(), counts)
            })
            .collect();
        let samples: Vec<Value> = self
            .findings
            .samples
            .iter()
            .map(|sample| {
                json!({
                    "requests": sample.requests,
                    "seconds": sample.seconds.round(),
                    "resident_kib": sample.resident_kib,
                    "wasm_bytes": sample.wasm_bytes,
                    "descriptors": sample.descriptors,
                })
            })
            .collect();
        let vms = self.findings.vms_after;
        json!({
            "requests": self.requests,
            "classes": classes,
            "samples": samples,
            "vms": { "active": vms.active, "created": vms.created },
            "problems": self.problems,
            "passed": self.is_good(),
        })
    }
}

/// What has grown since the warm-up, beyond what is allowed.
fn growth(requests: u64, samples: &[Sample]) -> Vec<String> {
    let is_warm = |sample: &&Sample| sample.requests * 100 >= requests * growth::WARM_UP;
    growth::problems(samples.iter().filter(is_warm), &BOUNDS)
}

const BOUNDS: [Bound<Sample>; 3] = [
    // Buffers of connections, and what an allocator keeps for later.
    Bound {
        name: "resident KiB",
        figure: |sample| sample.resident_kib.into(),
        more: 4 * 1024,
    },
    // Pages of 64 KiB: none.
    Bound {
        name: "bytes of the VM",
        figure: |sample| sample.wasm_bytes,
        more: 0,
    },
    // Connections that were just opened.
    Bound {
        name: "file descriptors",
        figure: |sample| sample.descriptors as u64,
        more: 16,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests: u64, resident_kib: u32, wasm_bytes: u64, descriptors: usize) -> Sample {
        Sample {
            requests,
            seconds: 0.0,
            resident_kib,
            wasm_bytes,
            descriptors,
        }
    }

    #[test]
    fn only_what_grows_after_the_warm_up_counts() {
        let warm = sample(20, 120_000, 65_536, 40);
        let later = |resident_kib, wasm_bytes, descriptors| {
            let cold = sample(10, 1000, 1, 1);
            let last = sample(100, resident_kib, wasm_bytes, descriptors);
            growth(100, &[cold, warm.clone(), last]).len()
        };
        assert_eq!(later(124_096, 65_536, 56), 0);
        assert_eq!(later(100_000, 65_536, 20), 0);
        assert_eq!(later(124_097, 65_536, 56), 1, "resident memory");
        assert_eq!(later(124_096, 131_072, 56), 1, "memory of the VM");
        assert_eq!(later(124_096, 65_536, 57), 1, "file descriptors");
    }

    #[test]
    fn a_process_that_is_gone_is_not_flat() {
        assert_eq!(
            growth(100, &[sample(20, 0, 0, 0), sample(100, 0, 0, 0)]).len(),
            3
        );
        assert_eq!(growth(100, &[sample(10, 1, 1, 1)]).len(), 1);
    }
}
