//! What of a rule does not hold, one by one, where the decision asks only whether all of it does.

use alloc::vec::Vec;

use super::{Request, Rule, fits};

/// A part of a rule: what stands under one name in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `paths`.
    Paths,
    /// `hosts`.
    Hosts,
    /// `methods`.
    Methods,
    /// `authenticated`, which a rule that names callers asks for too.
    Authenticated,
    /// `providers`.
    Providers,
    /// `identities`.
    Identities,
    /// `roles`.
    Roles,
    /// `certificates`.
    Certificates,
    /// `sources`.
    Sources,
    /// The condition of this number in `when`.
    When(usize),
}

impl Rule {
    /// The parts that do not hold; none when the rule is about the request.
    #[must_use]
    pub fn unmet(&self, request: &Request<'_>, is_deny: bool) -> Vec<Part> {
        let (scope, callers) = (&self.scope, &self.callers);
        let (operation, facts) = (request.operation, &request.facts);
        let has_method = scope.has_method(operation) && (is_deny || scope.may_allow(operation));
        let parts = [
            (Part::Paths, scope.has_path(operation)),
            (Part::Hosts, scope.has_host(operation)),
            (Part::Methods, has_method),
            (Part::Authenticated, callers.has_credential(request)),
            (Part::Providers, callers.has_provider(facts)),
            (Part::Identities, fits(&callers.identities, facts.workload)),
            (Part::Roles, callers.has_role(request)),
            (
                Part::Certificates,
                fits(&callers.certificates, facts.certificate),
            ),
            (Part::Sources, callers.has_source(request, is_deny)),
        ];
        let conditions = callers.when.iter().enumerate();
        let conditions =
            conditions.map(|(index, condition)| (Part::When(index), condition.holds(facts)));
        let parts = parts.into_iter().chain(conditions);
        parts
            .filter_map(|(part, holds)| (!holds).then_some(part))
            .collect()
    }
}
