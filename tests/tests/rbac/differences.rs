//! Where the two doors differ, and why: each difference has a row in docs/authorization.md. A disagreement that
//! none explains fails the test.

use crate::{doors::Judged, request::Trait};

/// Who lets the request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Filter,
    Native,
}

/// A named difference.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) allows: Side,
    /// What is special about the requests; one of these.
    of: &'static [Trait],
    /// What the filter says, where it is the one that refuses.
    reasons: &'static [&'static str],
    /// What stands in the documentation.
    pub(crate) why: &'static str,
}

impl Difference {
    pub(crate) fn explains(&self, allows: Side, case: &Judged) -> bool {
        let says = case.filter.reason.as_str();
        self.allows == allows
            && self.of.iter().any(|one| case.request.traits.contains(one))
            && (allows == Side::Filter || self.reasons.contains(&says))
    }
}

pub(crate) const ALL: &[Difference] = &[];
