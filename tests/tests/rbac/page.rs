//! The differences as docs/authorization.md has them: in tables, by who lets the request in.

use std::fs;

use e2e::tools;

use crate::differences::{self, Side};

fn table(side: Side) -> String {
    let rows = differences::ALL
        .iter()
        .filter(|difference| difference.allows == side)
        .map(|difference| format!("| {} | {} |\n", difference.name, difference.why));
    let rows: String = rows.collect();
    format!("| difference | why |\n| --- | --- |\n{rows}")
}

#[test]
fn the_page_has_every_difference_and_no_other() {
    let page = fs::read_to_string(tools::in_repository("docs/authorization.md")).unwrap();
    for (side, heading) in [
        (Side::Filter, "## Let in by the filter alone"),
        (Side::Native, "## Let in by rbac alone"),
    ] {
        let section = page.split(heading).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows = section.lines().filter(|line| line.starts_with('|'));
        let rows: String = rows.map(|line| format!("{line}\n")).collect();
        let table = table(side);
        assert_eq!(
            rows, table,
            "under {heading:?} stands another table than\n{table}"
        );
    }
}
