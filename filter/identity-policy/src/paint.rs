//! Reports for people: aligned, and coloured only on a terminal.

use std::io::{self, IsTerminal as _, Write};

use identity_filter::decision::Denial;

use crate::record::{Difference, Replay};
use crate::report::{Finding, Report, Verdict};
use crate::words::quoted;

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Colours,
    Plain,
}

/// What a text is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tone {
    Bad,
    Faint,
    Good,
    Strong,
}

impl Paint {
    /// Colours on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn of_output() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if !is_unwanted && io::stdout().is_terminal() {
            Self::Colours
        } else {
            Self::Plain
        }
    }

    pub(crate) fn dye(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Strong => "1",
        };
        match self {
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.into(),
        }
    }

    pub(crate) fn report(self, report: &Report, output: &mut dyn Write) -> io::Result<()> {
        let now = match &report.replay {
            None => "",
            Some(replay) => {
                self.replay(replay, output)?;
                "now: "
            }
        };
        let verdict = match (report.status, report.reason) {
            (Some(status), Some(_)) => self.dye(
                Tone::Bad,
                &format!("deny {status} {}", reason(report.reason)),
            ),
            _ => self.dye(Tone::Good, "allow"),
        };
        writeln!(output, "{now}{verdict}: {}", report.summary)?;
        if let Some(place) = &report.rule_place {
            writeln!(output, "  {}", self.dye(Tone::Faint, place))?;
        }
        for note in &report.notes {
            writeln!(output, "note: {note}")?;
        }
        if !report.near_misses.is_empty() {
            writeln!(output, "\n{}", self.dye(Tone::Strong, "nearest rules"))?;
        }
        for miss in &report.near_misses {
            let place = miss.place.as_deref().unwrap_or_default();
            writeln!(output, "  {}: {}", miss.rule, miss.lacks.join("; "))?;
            writeln!(output, "      {}", self.dye(Tone::Faint, place))?;
        }
        for step in &report.steps {
            writeln!(output, "\n{}", self.dye(Tone::Strong, step.step))?;
            self.findings(&step.findings, output)?;
        }
        Ok(())
    }

    fn replay(self, replay: &Replay, output: &mut dyn Write) -> io::Result<()> {
        let recorded = &replay.recorded;
        let part = |before: &str, text: &Option<String>| {
            let text = text.as_deref().map(quoted);
            text.map_or_else(String::new, |text| format!("{before}{text}"))
        };
        let status = recorded.status.map(|status| status.to_string());
        writeln!(
            output,
            "recorded: {}{}{}{} (decision {}{})",
            quoted(&recorded.decision),
            part(" ", &status),
            part(" ", &recorded.reason),
            part(" by rule ", &recorded.rule),
            quoted(&recorded.decision_id),
            part(", ", &recorded.time)
        )?;
        if replay.differences.is_empty() {
            writeln!(output, "  this configuration decides the same")?;
        }
        let width = replay
            .differences
            .iter()
            .map(|one| one.field.len())
            .max()
            .unwrap_or_default();
        for Difference {
            field,
            recorded,
            now,
        } in &replay.differences
        {
            let recorded = recorded.escape_debug();
            let line = format!("{field:width$}  was {recorded}, is {now} now");
            writeln!(output, "  {}", self.dye(Tone::Bad, &line))?;
        }
        for unknown in &replay.not_replayed {
            writeln!(output, "not replayed: {unknown}")?;
        }
        Ok(())
    }

    fn findings(self, findings: &[Finding], output: &mut dyn Write) -> io::Result<()> {
        let width = findings
            .iter()
            .map(|finding| finding.name.chars().count())
            .max();
        let width = width.unwrap_or_default();
        let marks = findings
            .iter()
            .map(|finding| mark(finding.verdict).0.len())
            .max();
        let marks = marks.unwrap_or_default();
        // Of hundreds of rules, those that are about something else say little.
        let mut room = MOST;
        let mut left_out = 0;
        for finding in findings {
            if finding.verdict == Verdict::No {
                if room == 0 {
                    left_out += 1;
                    continue;
                }
                room -= 1;
            }
            let (mark, tone) = mark(finding.verdict);
            let mark = self.dye(tone, &format!("{mark:marks$}"));
            let gap = if marks == 0 { "" } else { "  " };
            let mut details = finding.details.iter();
            let first = details.next().map_or("", String::as_str);
            writeln!(output, "  {mark}{gap}{:width$}  {first}", finding.name)?;
            let indent = 2 + marks + gap.len() + width + 2;
            for detail in details {
                writeln!(output, "{:indent$}{detail}", "")?;
            }
            if let Some(place) = &finding.place {
                writeln!(output, "{:indent$}{}", "", self.dye(Tone::Faint, place))?;
            }
        }
        if left_out > 0 {
            writeln!(output, "  and {left_out} more of these; --json has all")?;
        }
        Ok(())
    }
}

/// The reason in the words of the audit record.
pub(crate) fn reason(denial: Option<Denial>) -> String {
    let reason = serde_json::to_value(denial).unwrap_or_default();
    reason.as_str().unwrap_or_default().to_owned()
}

const fn mark(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Decides => ("this", Tone::Good),
        Verdict::Is => ("", Tone::Faint),
        Verdict::No => ("no", Tone::Faint),
        Verdict::NotTried => ("-", Tone::Faint),
        Verdict::Unchecked => ("?", Tone::Bad),
        Verdict::Yes => ("yes", Tone::Good),
    }
}

/// Entries of a list that are not about a request.
const MOST: usize = 20;
