//! Medians over rounds, and ratios formed within a round.

/// One subject's figures for one thing that was measured, a figure a round.
#[derive(Debug, Default, Clone)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds the figure of the next round.
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// This series minus another, round by round.
    pub(crate) fn above(&self, base: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&base.0)
                .map(|(figure, base)| figure - base)
                .collect(),
        )
    }

    /// This series divided by another, round by round.
    pub(crate) fn against(&self, peer: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&peer.0)
                .map(|(figure, peer)| figure / peer)
                .collect(),
        )
    }

    /// The median; not a number without figures.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.get(middle) {
            Some(upper) if sorted.len() % 2 == 1 => *upper,
            Some(upper) => f64::midpoint(sorted[middle - 1], *upper),
            None => f64::NAN,
        }
    }

    /// The median with the smallest and the largest figure.
    pub(crate) fn shown(&self) -> String {
        let sorted = self.sorted();
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
            return "-".to_owned();
        };
        format!("{:.2} ({least:.2} to {most:.2})", self.median())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// Prints a table to standard output, first row as its head.
#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
pub(crate) fn print(title: &str, rows: &[Vec<String>]) {
    println!("\n{title}");
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or_default())
        .collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("  {}", cells.join("  ").trim_end());
    }
}

/// Prints one line of progress to standard error.
pub(crate) fn progress(line: &str) {
    eprintln!("  {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_are_formed_within_rounds() {
        let (mut ours, mut theirs) = (Series::default(), Series::default());
        for (a, b) in [(1.0, 2.0), (9.0, 3.0), (4.0, 8.0)] {
            ours.push(a);
            theirs.push(b);
        }
        assert_eq!(ours.shown(), "4.00 (1.00 to 9.00)");
        assert_eq!(ours.against(&theirs).shown(), "0.50 (0.50 to 3.00)");
        assert_eq!(ours.above(&theirs).shown(), "-1.00 (-4.00 to 6.00)");
    }
}
