//! `test`: what is decided about each case, beside what was expected.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;

use crate::args;
use crate::cases::{self, Expect};
use crate::document::Source;
use crate::error::Error;
use crate::paint::{Paint, Tone, reason};
use crate::policy::Policy;
use crate::report::{NearMiss, Report};

/// What the cases came to. The members are those of `--json`.
#[derive(Serialize)]
struct Results {
    passed: usize,
    failed: usize,
    cases: Vec<CaseResult>,
    not_exercised: Coverage,
}

#[derive(Serialize)]
struct CaseResult {
    name: String,
    place: String,
    passed: bool,
    differences: Vec<Difference>,
    decision: &'static str,
    rule: Option<String>,
    rule_place: Option<String>,
    /// Why no rule was asked.
    refusal: Option<String>,
    near_misses: Vec<NearMiss>,
}

#[derive(Serialize)]
struct Difference {
    field: &'static str,
    expected: String,
    got: String,
}

/// What no case has made use of.
#[derive(Serialize)]
struct Coverage {
    rules: Vec<String>,
    identities: Vec<String>,
    grants: Vec<String>,
}

pub(crate) fn run(args: &args::Test, output: &mut dyn Write) -> Result<u8, Error> {
    let (source, file) = (Source::read(&args.file)?, Source::read(&args.cases)?);
    let policy = Policy::of(&source)?;
    let mut used = Used::default();
    let mut results = Vec::new();
    for case in cases::read(&file)? {
        let Some(expect) = &case.expect else {
            return Err(case.error("there is no `expect`".into()));
        };
        let report = case.ask(&policy)?;
        used.note(&report);
        let differences = differences(expect, &report);
        results.push(CaseResult {
            name: case.name,
            place: case.place,
            passed: differences.is_empty(),
            differences,
            decision: report.decision,
            refusal: report.refusal(),
            rule: report.rule,
            rule_place: report.rule_place,
            near_misses: report.near_misses,
        });
    }
    let passed = results.iter().filter(|result| result.passed).count();
    let results = Results {
        passed,
        failed: results.len() - passed,
        cases: results,
        not_exercised: used.rest(&policy),
    };
    if args.json {
        let text = serde_json::to_string_pretty(&results).map_err(io::Error::other)?;
        writeln!(output, "{text}")?;
    } else {
        print(&results, Paint::of_output(), output)?;
    }
    Ok(u8::from(results.failed > 0))
}

fn differences(expect: &Expect, report: &Report) -> Vec<Difference> {
    let none = || "none".to_owned();
    let name = |name: Option<&String>| name.map_or_else(none, Clone::clone);
    let roles = |roles: &BTreeSet<String>| match roles.len() {
        0 => none(),
        _ => roles
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let text = |text: String| if text.is_empty() { none() } else { text };
    let got_roles: BTreeSet<_> = report.roles.iter().flatten().cloned().collect();
    // Where nothing else would be decided, it is what is decided.
    let got_shadow = report
        .shadow
        .as_ref()
        .map_or(report.decision, |shadow| shadow.decision);
    let status = |status: Option<u16>| status.map_or_else(none, |status| status.to_string());
    let compared = [
        (
            "decision",
            Some(expect.decision.name().to_owned()),
            report.decision.to_owned(),
        ),
        (
            "status",
            expect.status.map(|code| status(Some(code))),
            status(report.status),
        ),
        (
            "reason",
            expect.reason.map(|denial| reason(Some(denial))),
            text(reason(report.reason)),
        ),
        (
            "rule",
            expect.rule.as_ref().map(|rule| name(rule.as_ref())),
            name(report.rule.as_ref()),
        ),
        (
            "namespace",
            expect.namespace.clone(),
            name(report.namespace.as_ref()),
        ),
        (
            "workload",
            expect
                .workload
                .as_ref()
                .map(|workload| name(workload.as_ref())),
            name(report.workload.as_ref()),
        ),
        ("roles", expect.roles.as_ref().map(roles), roles(&got_roles)),
        (
            "shadow",
            expect.shadow.map(|shadow| shadow.name().to_owned()),
            got_shadow.to_owned(),
        ),
    ];
    compared
        .into_iter()
        .filter_map(|(field, expected, got)| {
            let expected = expected.filter(|expected| *expected != got)?;
            Some(Difference {
                field,
                expected,
                got,
            })
        })
        .collect()
}

/// The entries that decided or gave something.
#[derive(Default)]
struct Used {
    rules: BTreeSet<String>,
    identities: BTreeSet<String>,
    grants: BTreeSet<String>,
}

impl Used {
    fn note(&mut self, report: &Report) {
        let shadow = report
            .shadow
            .as_ref()
            .and_then(|shadow| shadow.rule.clone());
        self.rules.extend(report.rule.iter().cloned().chain(shadow));
        self.identities.extend(report.identity.iter().cloned());
        self.grants.extend(report.grants.iter().flatten().cloned());
    }

    fn rest(&self, policy: &Policy<'_>) -> Coverage {
        let rest = |list: &str, used: &BTreeSet<String>| {
            let names = policy.names(list).filter(|name| !used.contains(*name));
            names.map(String::from).collect()
        };
        Coverage {
            rules: rest("policy.rules", &self.rules),
            identities: rest("identities", &self.identities),
            grants: rest("grants", &self.grants),
        }
    }
}

fn print(results: &Results, paint: Paint, output: &mut dyn Write) -> io::Result<()> {
    for case in &results.cases {
        if case.passed {
            writeln!(output, "{}    {}", paint.dye(Tone::Good, "ok"), case.name)?;
            continue;
        }
        writeln!(output, "{}  {}", paint.dye(Tone::Bad, "FAIL"), case.name)?;
        writeln!(output, "        {}", paint.dye(Tone::Faint, &case.place))?;
        let width = case
            .differences
            .iter()
            .map(|one| one.field.len())
            .max()
            .unwrap_or_default();
        for Difference {
            field,
            expected,
            got,
        } in &case.differences
        {
            writeln!(
                output,
                "        {field:width$}  expected {expected}, got {got}"
            )?;
        }
        if let (Some(rule), Some(place)) = (&case.rule, &case.rule_place) {
            writeln!(
                output,
                "        decided by {rule}, {}",
                paint.dye(Tone::Faint, place)
            )?;
        }
        if let Some(refusal) = &case.refusal {
            writeln!(output, "        refused for {refusal}")?;
        }
        for miss in &case.near_misses {
            let place = miss.place.as_deref().unwrap_or_default();
            writeln!(
                output,
                "        near: {}: {}",
                miss.rule,
                miss.lacks.join("; ")
            )?;
            writeln!(output, "              {}", paint.dye(Tone::Faint, place))?;
        }
    }
    let coverage = &results.not_exercised;
    let lists = [
        ("rules", &coverage.rules),
        ("identities", &coverage.identities),
        ("grants", &coverage.grants),
    ];
    let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
    let lists: Vec<_> = lists
        .map(|(list, names)| format!("{list} {}", names.join(", ")))
        .collect();
    if !lists.is_empty() {
        writeln!(output, "not exercised: {}", lists.join("; "))?;
    }
    let tone = if results.failed == 0 {
        Tone::Good
    } else {
        Tone::Bad
    };
    let end = format!("{} passed, {} failed", results.passed, results.failed);
    writeln!(output, "{}", paint.dye(tone, &end))
}
