//! The rules as docs/differential.md has them: in tables, by who lets the request in.

use std::collections::BTreeSet;

use e2e::page::{self, Page};

use crate::{
    mutation::PLACES,
    rules::{self, Side},
};

fn table(side: Side) -> String {
    let these = rules::ALL.iter().filter(|rule| rule.allows == side);
    page::differences(these.map(|rule| (rule.name, rule.why)))
}

#[test]
fn the_page_has_every_rule_and_no_other() {
    let page = Page::read("differential.md").unwrap();
    for (side, heading) in [
        (Side::Filter, "## Let in by the filter alone"),
        (Side::Native, "## Let in by jwt_authn alone"),
        (Side::Both, "## Let in by both, as another caller"),
    ] {
        let table = table(side);
        assert_eq!(
            page.rows_under(heading),
            table,
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
