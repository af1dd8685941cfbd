//! The table in docs/attacks.md against the tests: neither can change alone.

use std::fs;

use e2e::tools;
use libtest_mimic::Failed;

use crate::attacks;

/// Every row names its tests, and every test stands in its row.
pub(crate) fn agrees() -> Result<(), Failed> {
    let page = fs::read_to_string(tools::in_repository("docs/attacks.md"))?;
    let mut written: Vec<(u8, String)> = page.lines().flat_map(tests_in).collect();
    written.sort();
    let mut here: Vec<(u8, String)> = attacks()
        .map(|(row, name)| (row, name.to_owned()))
        .collect();
    here.sort();
    let missing = |these: &[(u8, String)], those: &[(u8, String)]| {
        let missing = these.iter().filter(|test| !those.contains(test));
        missing.cloned().collect::<Vec<_>>()
    };
    let (untold, untested) = (missing(&here, &written), missing(&written, &here));
    if untold.is_empty() && untested.is_empty() && !here.is_empty() {
        return Ok(());
    }
    Err(format!("not in docs/attacks.md: {untold:?}; not among the tests: {untested:?}").into())
}

/// The tests that a line of the table names: `| 1 | attack | behaviour | `a_test`, `another` |`.
fn tests_in(line: &str) -> Vec<(u8, String)> {
    let cells: Vec<&str> = line.split(" | ").collect();
    let row = cells.first().and_then(|cell| cell.strip_prefix("| "));
    let (Some(row), Some(tests)) = (row.and_then(|row| row.trim().parse().ok()), cells.last())
    else {
        return Vec::new();
    };
    let names = tests.split('`').skip(1).step_by(2);
    names.map(|name| (row, name.to_owned())).collect()
}
