//! An authenticated caller as one namespace sees it: who it is there, and which roles it has.
//!
//! All of it follows from the verified claims, the configuration and, where that asks for it, the client
//! certificate, so it is remembered with the token.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::condition::Facts;
use crate::config::Provider;
use crate::grant::{self, Role};
use crate::headers::Names;
use crate::identity::TooLarge;
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
    /// The headers that the configuration makes of claims: names and values.
    pub claim_headers: Vec<(Rc<str>, String)>,
}

impl Caller {
    /// Who the caller with these claims is, and which roles that means in this namespace. `certificate`: the
    /// SPIFFE id of the client certificate, where identities, grants or headers ask for it.
    ///
    /// # Errors
    /// Something of it is greater than may be.
    pub fn new(
        provider: &Provider,
        namespace: &Namespace,
        verified: &Verified,
        certificate: Option<String>,
    ) -> Result<Self, TooLarge> {
        let facts = Facts {
            certificate: certificate.as_deref(),
            claims: Some(verified.claims()),
            provider: Some(&provider.name),
            ..Facts::default()
        };
        let identity = identity::identify(&provider.identities, &facts)?;
        let workload = identity.as_ref().map(|identity| identity.workload.as_str());
        let facts = Facts { workload, ..facts };
        let granted = grant::granted(&namespace.grants, &facts);
        if granted.roles.len() > ROLE_COUNT_LIMIT {
            return Err(TooLarge);
        }
        let mut claim_headers = Vec::new();
        for header in &provider.claim_headers {
            if let Some(value) = header.value(&facts)? {
                claim_headers.push((Rc::clone(&header.name), value));
            }
        }
        let subject = headers::escaped(verified.subject());
        Ok(Self {
            provider: provider.name.clone(),
            subject: [&provider.issuer, "#", &subject].concat(),
            roles: granted.roles.into_iter().cloned().collect(),
            certificate_bound: verified.is_bound(),
            namespace: namespace.name.clone(),
            identity: identity.as_ref().map(|identity| identity.rule.into()),
            grants: granted.grants.iter().map(ToString::to_string).collect(),
            workload: identity.map(|identity| identity.workload),
            certificate,
            claim_headers,
        })
    }

    /// Hands every header that tells a workload of this caller to `visit`: its name and its value.
    pub fn for_each_header(&self, names: &Names, visit: &mut dyn FnMut(&str, &str)) {
        visit(&names.provider, &self.provider);
        visit(&names.subject, &self.subject);
        if let Some(workload) = &self.workload {
            visit(&names.workload, workload);
        }
        if !self.roles.is_empty() {
            visit(
                &names.roles,
                &self.role_names().collect::<Vec<_>>().join(","),
            );
        }
        for (name, value) in &self.claim_headers {
            visit(name, value);
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
            .chain(self.claim_headers.iter().map(|(_name, value)| value))
            .map(String::as_str)
            .chain(self.role_names());
        let texts = texts.map(|text| text.len() + size_of::<String>() + ALLOCATION_BYTES);
        let names = self.claim_headers.len() * size_of::<Rc<str>>();
        size_of::<Self>() + 3 * ALLOCATION_BYTES + names + texts.sum::<usize>()
    }
}

/// Roles of one caller in one namespace.
const ROLE_COUNT_LIMIT: usize = 512;
/// What the allocator adds to each piece.
const ALLOCATION_BYTES: usize = 16;
