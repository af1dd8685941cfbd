//! TLS towards the downstream: which certificate for which name, who must show one.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};

use crate::route::{Mode, Routes, Target};
use crate::tls::certificate::Names;
use crate::tls::session::Hello;

/// A certificate chain with its key, and the names it is good for.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) names: Names,
    pub(crate) key: Arc<CertifiedKey>,
}

/// Builds what all connections of one listener share.
///
/// # Errors
/// If the provider cannot do TLS 1.2 and 1.3, which would be a build without its ciphers.
pub(crate) fn server_config(
    provider: Arc<CryptoProvider>,
    certificates: Vec<Certificate>,
    routes: Arc<Routes>,
    verifier: Arc<dyn ClientCertVerifier>,
    alpn: Vec<Vec<u8>>,
) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Resolver {
            certificates,
            routes,
        }));
    config.alpn_protocols = alpn;
    Ok(config)
}

/// Picks the certificate. A name without a route that ends here gets none, and so no handshake.
#[derive(Debug)]
struct Resolver {
    /// The first one is the default.
    certificates: Vec<Certificate>,
    routes: Arc<Routes>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let offered: Vec<_> = hello.alpn().into_iter().flatten().collect();
        let target = self.routes.pick(name, &offered);
        HelloSlot::put(name, target);
        // What is to pass through must not come here: the reader of ClientHellos that saw it first
        // read something else than rustls.
        target.filter(|target| target.mode == Mode::Terminate)?;
        let schemes = hello.signature_schemes();
        let usable =
            |certificate: &&Certificate| certificate.key.key.choose_scheme(schemes).is_some();
        let named =
            |certificate: &&Certificate| name.is_some_and(|name| certificate.names.covers(name));
        let mut candidates = self.certificates.iter().filter(usable);
        let by_name = candidates.clone().find(named);
        by_name
            .or_else(|| candidates.next())
            .map(|certificate| Arc::clone(&certificate.key))
    }
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

    fn put(name: Option<&str>, target: Option<Target>) {
        HELLO.set(Some(Hello {
            server_name: name.map(str::to_owned),
            target,
        }));
    }

    /// `None` if rustls read no ClientHello meanwhile.
    pub(crate) fn take(self) -> Option<Hello> {
        let Self(()) = self;
        HELLO.take()
    }
}
