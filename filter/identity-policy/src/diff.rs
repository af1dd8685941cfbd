//! `diff`: the cases about which two configurations decide differently.

use std::io::{self, Write};

use serde::Serialize;

use crate::args;
use crate::cases;
use crate::document::Source;
use crate::error::Error;
use crate::paint::{Paint, Tone, reason};
use crate::policy::Policy;
use crate::report::{NearMiss, Report};

/// What the new configuration changes. The members are those of `--json`.
#[derive(Serialize)]
struct Changes {
    cases: usize,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    name: String,
    place: String,
    old: &'static str,
    new: &'static str,
    fields: Vec<Field>,
    /// Why the new configuration asks no rule, where it keeps out what was let in.
    refusal: Option<String>,
    /// The rules of the new configuration that nearly let it in, where it keeps out what was let in.
    near_misses: Vec<NearMiss>,
}

#[derive(Serialize)]
struct Field {
    field: &'static str,
    old: String,
    new: String,
}

pub(crate) fn run(args: &args::Diff, output: &mut dyn Write) -> Result<u8, Error> {
    let (old, new) = (Source::read(&args.old)?, Source::read(&args.new)?);
    let file = Source::read(&args.cases)?;
    let (old, new) = (Policy::of(&old)?, Policy::of(&new)?);
    let cases = cases::read(&file)?;
    let mut result = Changes {
        cases: cases.len(),
        changes: Vec::new(),
    };
    for case in cases {
        let (old, new) = (case.ask(&old)?, case.ask(&new)?);
        let fields = fields(&old, &new);
        if !fields.is_empty() {
            let is_lost = old.decision == "allow" && new.decision == "deny";
            result.changes.push(Change {
                name: case.name,
                place: case.place,
                old: old.decision,
                new: new.decision,
                fields,
                refusal: new.refusal().filter(|_| is_lost),
                near_misses: if is_lost { new.near_misses } else { Vec::new() },
            });
        }
    }
    // Stable: within a kind the cases keep their order.
    result.changes.sort_by_key(kind);
    if args.json {
        let text = serde_json::to_string_pretty(&result).map_err(io::Error::other)?;
        writeln!(output, "{text}")?;
    } else {
        print(&result, Paint::of_output(), output)?;
    }
    Ok(u8::from(!result.changes.is_empty()))
}

fn fields(old: &Report, new: &Report) -> Vec<Field> {
    let both = |field, of: fn(&Report) -> Option<String>| {
        let text = |report| {
            of(report)
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "none".into())
        };
        let (old, new) = (text(old), text(new));
        (old != new).then_some(Field { field, old, new })
    };
    let fields = [
        both("decision", |report| Some(report.decision.into())),
        both("reason", |report| Some(reason(report.reason))),
        both("rule", |report| report.rule.clone()),
        both("namespace", |report| report.namespace.clone()),
        both("workload", |report| report.workload.clone()),
        both("roles", |report| {
            report.roles.as_ref().map(|roles| roles.join(", "))
        }),
        both("shadow", |report| {
            let shadow = report.shadow.as_ref()?;
            let rule = shadow
                .rule
                .as_ref()
                .map_or_else(String::new, |rule| format!(" by {rule}"));
            Some(format!("{}{rule}", shadow.decision))
        }),
    ];
    fields.into_iter().flatten().collect()
}

/// What matters most comes first.
fn kind(change: &Change) -> usize {
    match (change.old, change.new) {
        ("allow", "deny") => 0,
        ("deny", "allow") => 1,
        _ => 2,
    }
}

fn print(result: &Changes, paint: Paint, output: &mut dyn Write) -> io::Result<()> {
    for change in &result.changes {
        let (head, tone) = match kind(change) {
            0 => ("allow -> deny", Tone::Bad),
            1 => ("deny -> allow", Tone::Good),
            _ => ("otherwise", Tone::Strong),
        };
        writeln!(
            output,
            "{}  {}",
            paint.dye(tone, &format!("{head:13}")),
            change.name
        )?;
        let fields = change
            .fields
            .iter()
            .filter(|field| field.field != "decision");
        for Field { field, old, new } in fields {
            writeln!(output, "    {field:9}  {old} -> {new}")?;
        }
        if let Some(refusal) = &change.refusal {
            writeln!(output, "    refused for {refusal}")?;
        }
        for miss in &change.near_misses {
            let place = miss.place.as_deref().unwrap_or_default();
            writeln!(output, "    near: {}: {}", miss.rule, miss.lacks.join("; "))?;
            writeln!(output, "          {}", paint.dye(Tone::Faint, place))?;
        }
    }
    let count = |wanted| {
        result
            .changes
            .iter()
            .filter(|change| kind(change) == wanted)
            .count()
    };
    writeln!(
        output,
        "{} of {} cases change: {} allow -> deny, {} deny -> allow, {} otherwise",
        result.changes.len(),
        result.cases,
        count(0),
        count(1),
        count(2)
    )
}
