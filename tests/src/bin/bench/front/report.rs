//! What was measured, as a table, an object or a picture.

use std::path::Path;

use e2e::error::HarnessError;
use serde_json::{Map, Value, json};

use super::subject::Kind;
use crate::{
    figures::{Series, print},
    plot::{self, Row},
};

/// What is measured of each subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Full,
    Resumed,
    FullHybrid,
    ResumedHybrid,
    Small,
    Busy,
    P50,
    P99,
    Up,
    Down,
    Bulk,
    PassedUp,
    PassedDown,
    Passed,
    Idle,
    LeftOpen,
    Truncated,
    UpstreamResumed,
}

impl Quantity {
    const ALL: [Self; 18] = [
        Self::Full,
        Self::Resumed,
        Self::FullHybrid,
        Self::ResumedHybrid,
        Self::Small,
        Self::Busy,
        Self::P50,
        Self::P99,
        Self::Up,
        Self::Down,
        Self::Bulk,
        Self::PassedUp,
        Self::PassedDown,
        Self::Passed,
        Self::Idle,
        Self::LeftOpen,
        Self::Truncated,
        Self::UpstreamResumed,
    ];

    /// Its name in the object, and in words.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => ("handshake_full", "full handshake, CPU µs"),
            Self::Resumed => ("handshake_resumed", "resumed handshake, CPU µs"),
            Self::FullHybrid => ("handshake_full_hybrid", "full, X25519MLKEM768, CPU µs"),
            Self::ResumedHybrid => (
                "handshake_resumed_hybrid",
                "resumed, X25519MLKEM768, CPU µs",
            ),
            Self::Small => ("small_request", "small request at the rate, CPU µs"),
            Self::Busy => ("small_request_busy", "one after the other, CPU µs"),
            Self::P50 => ("p50", "latency at the rate, p50, µs"),
            Self::P99 => ("p99", "latency at the rate, p99, µs"),
            Self::Up => ("bulk_up", "re-encrypted up, CPU s per GiB"),
            Self::Down => ("bulk_down", "re-encrypted down, CPU s per GiB"),
            Self::Bulk => ("bulk", "re-encrypted, both ways, CPU s per GiB"),
            Self::PassedUp => ("pass_through_up", "passed through up, CPU s per GiB"),
            Self::PassedDown => ("pass_through_down", "passed through down, CPU s per GiB"),
            Self::Passed => ("pass_through", "passed through, both ways, CPU s per GiB"),
            Self::Idle => ("idle_memory", "resident KiB per idle connection"),
            Self::LeftOpen => ("left_open", "connections not ended in 1 s"),
            Self::Truncated => ("truncated", "connections ended without close_notify"),
            Self::UpstreamResumed => (
                "upstream_resumed_percent",
                "% of handshakes with the gateway resumed",
            ),
        }
    }

    /// Whether it is a cost: less is better, and more than none.
    const fn is_compared(self) -> bool {
        !matches!(
            self,
            Self::LeftOpen | Self::Truncated | Self::UpstreamResumed
        )
    }

    /// Whether it is a row of its own in the picture.
    const fn is_drawn(self) -> bool {
        matches!(
            self,
            Self::Full
                | Self::Resumed
                | Self::Small
                | Self::P99
                | Self::Bulk
                | Self::Passed
                | Self::Idle
        )
    }
}

const SUBJECTS: usize = Kind::ALL.len();
const QUANTITIES: usize = Quantity::ALL.len();

/// The figures of a run, by quantity and subject.
#[derive(Default)]
pub(crate) struct Figures([[Series; SUBJECTS]; QUANTITIES]);

impl Figures {
    /// Adds one round's figure.
    pub(crate) fn push(&mut self, kind: Kind, quantity: Quantity, figure: f64) {
        self.0[quantity as usize][kind as usize].push(figure);
    }

    fn of(&self, quantity: Quantity, kind: Kind) -> &Series {
        &self.0[quantity as usize][kind as usize]
    }

    /// The peer with the smallest median.
    fn best_peer(&self, quantity: Quantity) -> Option<Kind> {
        let median = |kind: &Kind| self.of(quantity, *kind).median();
        Kind::ALL
            .into_iter()
            .filter(|kind| *kind != Kind::L4Front && median(kind).is_finite())
            .min_by(|a, b| median(a).total_cmp(&median(b)))
    }

    /// l4-front's figures as multiples of the best peer's, round by round.
    fn ratio(&self, quantity: Quantity) -> Option<Series> {
        let peer = self.best_peer(quantity)?;
        let ours = self.of(quantity, Kind::L4Front);
        Some(ours.against(self.of(quantity, peer)))
    }

    /// Writes what each subject costs in hundredths of what the best peer costs.
    pub(crate) fn plot(&self, path: &Path) -> Result<(), HarnessError> {
        let drawn = Quantity::ALL
            .into_iter()
            .filter(|quantity| quantity.is_drawn());
        let rows: Vec<Row> = drawn
            .filter_map(|quantity| {
                let best = self.of(quantity, self.best_peer(quantity)?).median();
                let share = |kind| self.of(quantity, kind).median() / best * 100.0;
                Some(Row {
                    name: quantity.names().1.to_owned(),
                    values: Kind::ALL.map(share).to_vec(),
                })
            })
            .collect();
        plot::bars(
            "l4-front and its peers",
            "% of what the best peer needs (logarithmic)",
            &Kind::ALL.map(Kind::name),
            &rows,
            path,
        )
    }

    #[expect(clippy::print_stdout, reason = "the object is what was asked for")]
    pub(crate) fn print_object(&self) {
        let (mut ratios, mut medians) = (Map::new(), Map::new());
        for quantity in Quantity::ALL {
            let (name, _words) = quantity.names();
            let of = |kind: Kind| {
                let median = rounded(self.of(quantity, kind).median());
                (kind.name().to_owned(), median)
            };
            let subjects: Map<String, Value> = Kind::ALL.into_iter().map(of).collect();
            medians.insert(name.to_owned(), subjects.into());
            if quantity.is_compared()
                && let Some(ratio) = self.ratio(quantity)
            {
                ratios.insert(name.to_owned(), rounded(ratio.median()));
            }
        }
        let object = json!({ "ratios": ratios, "medians": medians });
        println!("{object}");
    }

    pub(crate) fn print_table(&self, rounds: u32) {
        let mut rows = vec![vec![String::new()]];
        rows[0].extend(Kind::ALL.map(|kind| kind.name().to_owned()));
        rows[0].push("ratio".to_owned());
        for quantity in Quantity::ALL {
            let mut row = vec![quantity.names().1.to_owned()];
            row.extend(Kind::ALL.map(|kind| self.of(quantity, kind).shown()));
            if quantity.is_compared() {
                row.extend(self.ratio(quantity).map(|ratio| ratio.shown()));
            }
            rows.push(row);
        }
        print(
            &format!(
                "medians of {rounds} rounds (smallest to largest); ratio: l4-front / the best peer of the row"
            ),
            &rows,
        );
    }
}

/// To three places; nothing where nothing was measured.
fn rounded(figure: f64) -> Value {
    json!((figure * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_its_own_best_peer_and_what_none_measured_has_none() {
        let mut figures = Figures::default();
        for (full, idle) in [(10.0, 4.0), (12.0, 6.0)] {
            figures.push(Kind::L4Front, Quantity::Full, full / 2.0);
            figures.push(Kind::L4Front, Quantity::Idle, idle * 2.0);
            figures.push(Kind::HaProxy, Quantity::Full, full);
            figures.push(Kind::HaProxy, Quantity::Idle, idle * 3.0);
            figures.push(Kind::Envoy, Quantity::Full, full * 3.0);
            figures.push(Kind::Envoy, Quantity::Idle, idle);
        }
        let shown = |quantity| figures.ratio(quantity).map(|ratio| ratio.median());
        assert_eq!(shown(Quantity::Full), Some(0.5));
        assert_eq!(shown(Quantity::Idle), Some(2.0));
        assert_eq!(shown(Quantity::P99), None);
    }

    #[test]
    fn quantities_and_subjects_stand_at_their_numbers() {
        for (number, quantity) in Quantity::ALL.into_iter().enumerate() {
            assert_eq!(quantity as usize, number);
        }
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
        }
    }
}
