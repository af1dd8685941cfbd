//! An authenticated caller as one namespace sees it: who it is there, and which roles it has.
//!
//! All of it follows from the verified claims, the configuration and, where that asks for it, the client
//! certificate, so it is remembered with the token.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::condition::Facts;
use crate::config::Provider;
use crate::grant::{self, Role};
use crate::namespace::Namespace;
use crate::verify::Verified;
use crate::{headers, identity};

/// A caller in a namespace. What is in it is what the headers and the records say.
#[derive(Debug)]
pub struct Caller {
    /// The name of the provider that has signed for it.
    pub provider: String,
    /// Issuer and `sub`.
    pub subject: String,
    /// The SPIFFE id, when an identity matched.
    pub workload: Option<String>,
    /// Sorted, each once.
    pub roles: Vec<Role>,
    /// Whether the token was bound to the client certificate of the connection.
    pub certificate_bound: bool,
    /// The SPIFFE id of the client certificate that this rests on, where the configuration asks for it.
    pub certificate: Option<String>,
    /// Where the roles count.
    pub namespace: String,
    /// The name of the mapping rule that gave the workload identity.
    pub identity: Option<String>,
    /// The names of the grants that gave the roles.
    pub grants: Vec<String>,
}

impl Caller {
    /// Who the caller with these claims is, and which roles that means in this namespace. `certificate`: the
    /// SPIFFE id of the client certificate, where identities or grants ask for it.
    #[must_use]
    pub fn new(
        provider: &Provider,
        namespace: &Namespace,
        verified: &Verified,
        certificate: Option<String>,
    ) -> Self {
        let facts = Facts {
            certificate: certificate.as_deref(),
            claims: Some(verified.claims()),
            provider: Some(&provider.name),
            ..Facts::default()
        };
        let identity = identity::identify(&provider.identities, &facts);
        let workload = identity.as_ref().map(|identity| identity.workload.as_str());
        let granted = grant::granted(&namespace.grants, &Facts { workload, ..facts });
        let subject = headers::escaped(verified.subject());
        Self {
            provider: provider.name.clone(),
            subject: [&provider.issuer, "#", &subject].concat(),
            roles: granted.roles.into_iter().cloned().collect(),
            certificate_bound: verified.is_bound(),
            namespace: namespace.name.clone(),
            identity: identity.as_ref().map(|identity| identity.rule.into()),
            grants: granted.grants.iter().map(ToString::to_string).collect(),
            workload: identity.map(|identity| identity.workload),
            certificate,
        }
    }

    /// The names of its roles.
    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(Role::as_str)
    }

    /// About how many bytes of memory this takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [&self.provider, &self.subject, &self.namespace]
            .into_iter()
            .chain(&self.workload)
            .chain(&self.identity)
            .chain(&self.certificate)
            .chain(&self.grants)
            .map(String::as_str)
            .chain(self.role_names());
        let texts = texts.map(|text| text.len() + size_of::<String>() + ALLOCATION_BYTES);
        size_of::<Self>() + 2 * ALLOCATION_BYTES + texts.sum::<usize>()
    }
}

/// What the allocator adds to each piece.
const ALLOCATION_BYTES: usize = 16;
