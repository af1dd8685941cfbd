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

pub(crate) const ALL: &[Difference] = &[
    Difference {
        name: "A slash at the end",
        allows: Side::Filter,
        of: &[Trait::SlashAtEnd],
        reasons: &[],
        why: "a rule for `/a` is a rule for `/a/`, and most servers see it so; to `rbac` they are two paths",
    },
    Difference {
        name: "Nothing under the stars",
        allows: Side::Filter,
        of: &[Trait::NothingUnderStars],
        reasons: &[],
        why: "`/a/**` means `/a` as well, and `/a/**/b` means `/a/b`; `/a/*`, `/a/{**}` and `/a/{**}/b` of Istio do not. Who wants only what is below writes `/a/*/**`",
    },
    Difference {
        name: "Slashes in a row",
        allows: Side::Filter,
        of: &[Trait::TwoSlashes],
        reasons: &[],
        why: "they are one slash, for the rule and for the server that gets the request; Istio leaves them in the path unless `MERGE_SLASHES` is set",
    },
    Difference {
        name: "A port behind a host with a star",
        allows: Side::Filter,
        of: &[Trait::Port],
        reasons: &[],
        why: "the port is cut off before the host is compared. `rbac` compares the whole `:authority`: `*.test` is a suffix, which `api.test:8080` has not",
    },
    Difference {
        name: "A dot behind the host",
        allows: Side::Filter,
        of: &[Trait::DotBehindHost],
        reasons: &[],
        why: "`api.test.` is `api.test` (RFC 1034 section 3.1), and goes on to the server as that; to `rbac` it is another host",
    },
    Difference {
        name: "A slash at the end",
        allows: Side::Native,
        of: &[Trait::SlashAtEnd],
        reasons: &["rule_denied"],
        why: "the same where a rule denies `/a`: `/a/` gets around it",
    },
    Difference {
        name: "Nothing under the stars",
        allows: Side::Native,
        of: &[Trait::NothingUnderStars],
        reasons: &["rule_denied"],
        why: "the same where a rule denies `/a/*`: `/a` itself is not denied",
    },
    Difference {
        name: "Slashes in a row",
        allows: Side::Native,
        of: &[Trait::TwoSlashes],
        reasons: &["rule_denied"],
        why: "the same where a rule denies `/a/b`: `/a//b` gets around it, and servers that merge slashes serve it as `/a/b`",
    },
    Difference {
        name: "A port behind a host with a star",
        allows: Side::Native,
        of: &[Trait::Port],
        reasons: &["rule_denied"],
        why: "the same where a rule denies `*.test`: a port gets around it",
    },
    Difference {
        name: "A dot behind the host",
        allows: Side::Native,
        of: &[Trait::DotBehindHost],
        reasons: &["rule_denied"],
        why: "the same where a rule denies a host: a dot gets around it",
    },
    Difference {
        name: "Escapes with two readings",
        allows: Side::Native,
        of: &[
            Trait::BrokenEscape,
            Trait::EncodedBackslash,
            Trait::EncodedPercent,
            Trait::EncodedSlash,
        ],
        reasons: &["path_ambiguous"],
        why: "`%2f`, `%5c`, `%25` and what is no escape are refused: one server decodes them and another does not. Istio hands them on as they are; its `DECODE_AND_MERGE_SLASHES` decodes the first two",
    },
    Difference {
        name: "A parameter in the path",
        allows: Side::Native,
        of: &[Trait::Parameter],
        reasons: &["path_ambiguous"],
        why: "a raw `;` is refused: some servers cut off what follows before they look for a path, others do not",
    },
    Difference {
        name: "A header twice",
        allows: Side::Native,
        of: &[Trait::HeaderTwice],
        reasons: &["header_invalid"],
        why: "where a rule asks for a header, there must be one of it; `rbac` joins all with commas and compares that, and the server may read the first or the last",
    },
    Difference {
        name: "A header with `_` for `-`",
        allows: Side::Native,
        of: &[Trait::HeaderWithUnderscore],
        reasons: &["header_invalid"],
        why: "where a rule asks for `x-tier`, `x_tier` is refused: to many applications it is the same header, and `rbac` does not see it",
    },
];
