//! TLS towards the downstream: which certificate for which name, who must show one.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};

use crate::route::{Mode, Routes};
use crate::tls::certificate::Names;
use crate::tls::session::Hello;

/// A certificate chain with its key, and the names it is good for.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) names: Names,
    pub(crate) key: Arc<CertifiedKey>,
}

impl Certificate {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.key.algorithm()
    }
}

/// What is offered to every client of one listener.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) alpn: Vec<Vec<u8>>,
    /// Session tickets for each handshake; 0: no session is resumed.
    pub(crate) tickets: usize,
}

/// Builds what all connections of one listener share.
///
/// # Errors
/// If the ciphers and groups do not fit the versions, or there is no randomness for ticket keys.
pub(crate) fn server_config(
    provider: Arc<CryptoProvider>,
    certificates: Vec<Certificate>,
    routes: Arc<Routes>,
    verifier: Arc<dyn ClientCertVerifier>,
    offer: Offer,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&offer.versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Resolver {
            certificates,
            routes,
        }));
    config.alpn_protocols = offer.alpn;
    // All of a session is in its ticket: nothing is kept here that clients could fill up.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = offer.tickets;
    if offer.tickets > 0 {
        // New keys every 6 hours; a ticket is good for 12 hours at most.
        config.ticketer = Ticketer::new()?;
    }
    Ok(config)
}

/// Picks the certificate. A name without a route that ends here gets none, and so no handshake.
#[derive(Debug)]
struct Resolver {
    /// The first one is the default.
    certificates: Vec<Certificate>,
    routes: Arc<Routes>,
}

impl Resolver {
    /// Among those whose key the client can verify: one for exactly its name, one whose wildcard
    /// covers it, or the first.
    ///
    /// rustls leaves out the schemes that go with no cipher suite of both sides. Where that are all,
    /// the certificate is not what is missing, and rustls says what is.
    fn pick(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Certificate> {
        let usable = |certificate: &&Certificate| {
            schemes.is_empty() || certificate.key.key.choose_scheme(schemes).is_some()
        };
        let candidates = || self.certificates.iter().filter(usable);
        let named = name.and_then(|name| {
            let exact = candidates().find(|certificate| certificate.names.are_exactly(name));
            exact.or_else(|| candidates().find(|certificate| certificate.names.cover(name)))
        });
        named.or_else(|| candidates().next())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let offered: Vec<_> = hello.alpn().into_iter().flatten().collect();
        let target = self.routes.pick(name, &offered);
        // What is to pass through must not come here: the reader of ClientHellos that saw it first
        // read something else than rustls.
        let routed = target.is_some_and(|target| target.mode == Mode::Terminate);
        let schemes = hello.signature_schemes();
        let certificate = self.pick(name, schemes).filter(|_| routed);
        HelloSlot::put(Hello {
            server_name: name.map(str::to_owned),
            target,
            no_certificate: (routed && certificate.is_none()).then(|| NoCertificate {
                schemes: schemes.to_vec(),
                keys: self
                    .certificates
                    .iter()
                    .map(Certificate::algorithm)
                    .collect(),
            }),
        });
        certificate.map(|certificate| Arc::clone(&certificate.key))
    }
}

/// No certificate of the listener has a key that the client can verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the client verifies signatures by {schemes:?} alone, and the listener's certificates have \
     keys for {keys:?}: add a certificate with another kind of key"
)]
pub(crate) struct NoCertificate {
    schemes: Vec<SignatureScheme>,
    keys: Vec<SignatureAlgorithm>,
}

thread_local! {
    static HELLO: RefCell<Option<Hello>> = const { RefCell::new(None) };
}

/// What the ClientHello asks for that rustls is reading on this thread.
///
/// The unbuffered API does not tell it, so the resolver, which rustls calls in the middle of
/// `process_tls_records`, leaves it here and the caller of that function takes it right after.
/// A parser of our own could disagree with rustls about what the name is.
pub(crate) struct HelloSlot(());

impl HelloSlot {
    /// Empties the slot before rustls runs.
    pub(crate) fn open() -> Self {
        HELLO.set(None);
        Self(())
    }

    fn put(hello: Hello) {
        HELLO.set(Some(hello));
    }

    /// `None` if rustls read no ClientHello meanwhile.
    pub(crate) fn take(self) -> Option<Hello> {
        let Self(()) = self;
        HELLO.take()
    }
}

#[cfg(test)]
mod tests;
