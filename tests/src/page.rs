//! Pages of `docs/` with tables that a test holds equal to what it found.

use std::fs;

use crate::tools;

/// One page.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// Reads `docs/NAME`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(name: &str) -> std::io::Result<Self> {
        let path = tools::in_repository("docs").join(name);
        fs::read_to_string(path).map(Self)
    }

    /// All rows of tables under a heading of the second level, without those under the next one.
    #[must_use]
    pub fn rows_under(&self, heading: &str) -> String {
        let section = self.0.split(heading).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.starts_with('|'));
        rows.map(|line| format!("{line}\n")).collect()
    }
}

/// A table of differences as it stands on such pages: each with its name and why it is there.
#[must_use]
pub fn differences<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rows: String = rows
        .map(|(name, why)| format!("| {name} | {why} |\n"))
        .collect();
    format!("| difference | why |\n| --- | --- |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_with_the_section() {
        let page = Page("## A\n\n| a | b |\ntext\n| c |\n## B\n| d |\n".into());
        assert_eq!(page.rows_under("## A"), "| a | b |\n| c |\n");
        assert_eq!(page.rows_under("## C"), "");
    }
}
