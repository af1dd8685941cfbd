//! The rules as docs/differential.md has them: in tables, by who lets the request in.

use std::{collections::BTreeSet, fs};

use e2e::tools;

use crate::{
    mutation::PLACES,
    rules::{self, Side},
};

fn table(side: Side) -> String {
    let rows = rules::ALL
        .iter()
        .filter(|rule| rule.allows == side)
        .map(|rule| format!("| {} | {} |\n", rule.name, rule.why));
    let rows: String = rows.collect();
    format!("| difference | why |\n| --- | --- |\n{rows}")
}

#[test]
fn the_page_has_every_rule_and_no_other() {
    let page = fs::read_to_string(tools::in_repository("docs/differential.md")).unwrap();
    for (side, heading) in [
        (Side::Filter, "## Let in by the filter alone"),
        (Side::Native, "## Let in by jwt_authn alone"),
        (Side::Both, "## Let in by both, as another caller"),
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

#[test]
fn a_rule_is_about_changes_that_are_made() {
    let names: Vec<_> = PLACES.into_iter().flatten().map(|one| one.name).collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "two changes have one name");
    for rule in rules::ALL {
        for name in rule.changes() {
            assert!(names.contains(&name), "{}: no change {name:?}", rule.name);
        }
    }
}
