//! The ways in which a request is changed. Each says whether what comes of it must still be let in, by
//! the RFCs and the filter's documentation, not by what either filter does.

use crate::draft::Draft;

pub(crate) mod claims;
pub(crate) mod form;
pub(crate) mod header;
pub(crate) mod transport;

/// One change.
#[derive(Debug)]
pub(crate) struct Mutation {
    pub(crate) name: &'static str,
    is_good: bool,
    apply: fn(&mut Draft<'_>),
}

impl Mutation {
    pub(crate) fn apply(&self, draft: &mut Draft<'_>) {
        draft.is_good &= self.is_good;
        (self.apply)(draft);
    }

    pub(crate) const fn is_good(&self) -> bool {
        self.is_good
    }
}

/// A request has at most one change in each of these places, so that none takes another back.
pub(crate) const PLACES: [&[Mutation]; 4] = [header::ALL, claims::ALL, form::ALL, transport::ALL];

/// The request is as good as before.
const fn good(name: &'static str, apply: fn(&mut Draft<'_>)) -> Mutation {
    Mutation {
        name,
        is_good: true,
        apply,
    }
}

/// The request must be refused.
const fn bad(name: &'static str, apply: fn(&mut Draft<'_>)) -> Mutation {
    Mutation {
        name,
        is_good: false,
        apply,
    }
}
