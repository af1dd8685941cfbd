//! What a run comes to: tables or one object, and whether everything held.

use serde_json::{Value, json};

use super::{
    director::{Course, Sample},
    quiet::Quiet,
    senders::KINDS,
};
use crate::{
    growth::{self, Bound},
    tally::Tally,
};

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Report {
    tallies: Vec<Tally>,
    course: Course,
    quiet: Quiet,
    problems: Vec<String>,
}

impl Report {
    /// Judges what was seen.
    pub(crate) fn new(tallies: Vec<Tally>, course: Course, quiet: Quiet) -> Self {
        let mut problems = Vec::new();
        for (kind, tally) in KINDS.iter().zip(&tallies) {
            problems.extend(tally.problem(kind.name));
            if tally.passed == 0 {
                problems.push(format!("{}: nobody came to an end", kind.name));
            }
        }
        if course.cut == 0 {
            problems.push("no connection was open to the endpoint when it went".to_owned());
        }
        problems.extend(course.problems.iter().chain(&quiet.problems).cloned());
        problems.extend(quiet.log.iter().take(5).cloned());
        for (end, count) in &quiet.ends {
            if !EXPLAINED.contains(&end.as_str()) {
                problems.push(format!(
                    "{count} connections ended with {end}, which nobody here caused"
                ));
            }
        }
        if quiet.lost_lines > 0 {
            problems.push(format!(
                "{} lines of the access log were lost",
                quiet.lost_lines
            ));
        }
        let is_warm = |sample: &&Sample| sample.percent >= growth::WARM_UP;
        problems.extend(growth::problems(
            course.samples.iter().filter(is_warm),
            &BOUNDS,
        ));
        Self {
            tallies,
            course,
            quiet,
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
        println!("\n{:>9}  {:>6}  exchanges", "as should", "wrong");
        for (kind, tally) in KINDS.iter().zip(&self.tallies) {
            println!("{:>9}  {:>6}  {}", tally.passed, tally.wrong, kind.name);
        }
        println!("\n{:>7}  {:>12}  descriptors", "seconds", "resident KiB");
        for sample in &self.course.samples {
            println!(
                "{:>7.0}  {:>12}  {}",
                sample.seconds, sample.resident_kib, sample.descriptors
            );
        }
        println!("\n{:>9}  connections ended so", "");
        for (end, count) in &self.quiet.ends {
            println!("{count:>9}  {end}");
        }
        let Course {
            reloads,
            losses,
            cut,
            ..
        } = &self.course;
        let Quiet {
            files_before,
            files_after,
            ..
        } = &self.quiet;
        println!(
            "\n{reloads} reloads, 1 upgrade, an endpoint went {losses} times and cut {cut} connections"
        );
        println!("files at rest: {files_before} before, {files_after} after");
        for problem in &self.problems {
            println!("problem: {problem}");
        }
        if self.is_good() {
            println!(
                "passed: every answer was right, memory and descriptors were flat after the warm-up"
            );
        }
    }

    fn object(&self) -> Value {
        let exchanges: serde_json::Map<String, Value> = KINDS
            .iter()
            .zip(&self.tallies)
            .map(|(kind, tally)| {
                let counts = json!({ "as_should": tally.passed, "wrong": tally.wrong });
                (kind.name.to_owned(), counts)
            })
            .collect();
        let sample = |sample: &Sample| {
            json!({
                "seconds": sample.seconds.round(),
                "resident_kib": sample.resident_kib,
                "descriptors": sample.descriptors,
            })
        };
        let samples: Vec<Value> = self.course.samples.iter().map(sample).collect();
        json!({
            "exchanges": exchanges,
            "samples": samples,
            "ends": self.quiet.ends.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "reloads": self.course.reloads,
            "endpoint_losses": self.course.losses,
            "connections_cut": self.course.cut,
            "files_at_rest": { "before": self.quiet.files_before, "after": self.quiet.files_after },
            "problems": self.problems,
            "passed": self.is_good(),
        })
    }
}

const BOUNDS: [Bound<Sample>; 2] = [
    // Buffers of connections, and what an allocator keeps for later.
    Bound {
        name: "resident KiB",
        figure: |sample| sample.resident_kib.into(),
        more: 4 * 1024,
    },
    // Which connections are open at a look is chance: two or four descriptors each, of the 30 that there are at most.
    Bound {
        name: "file descriptors",
        figure: |sample| sample.descriptors as u64,
        more: 64,
    },
];

/// How connections may end here, in the words of the access log, and who causes that.
const EXPLAINED: [&str; 9] = [
    // Those that drip.
    "client_hello_timeout",
    "closed",
    // Resets; one that comes before the front has read the end of the handshake is a failed handshake.
    "downstream_reset",
    // Senders of HTTP, who go without a goodbye.
    "downstream_truncated",
    // Garbage too.
    "handshake_failed",
    "no_route",
    "proxy_header_invalid",
    // An endpoint that went.
    "upstream_reset",
    "upstream_truncated",
];
