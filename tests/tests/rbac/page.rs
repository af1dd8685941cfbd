//! The differences as docs/authorization.md has them: in tables, by who lets the request in.

use e2e::page::{self, Page};

use crate::differences::{self, Side};

fn table(side: Side) -> String {
    let differences = differences::ALL.iter();
    let these = differences.filter(|difference| difference.allows == side);
    page::differences(these.map(|difference| (difference.name, difference.why)))
}

#[test]
fn the_page_has_every_difference_and_no_other() {
    let page = Page::read("authorization.md").unwrap();
    for (side, heading) in [
        (Side::Filter, "## Let in by the filter alone"),
        (Side::Native, "## Let in by rbac alone"),
    ] {
        let table = table(side);
        assert_eq!(
            page.rows_under(heading),
            table,
            "under {heading:?} stands another table than\n{table}"
        );
    }
}
