//! Certificates, keys and authorities from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::document::CertificateFiles;
use super::error::ConfigError;
use super::trace;
use crate::tls::certificate::Names;
use crate::tls::downstream::Certificate;

/// A chain and its key, checked against each other.
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) certificate: Certificate,
}

/// Loads a certificate chain and its private key; `at` is the path of the object that names both.
pub(super) fn load_pair(
    at: &str,
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Pair, ConfigError> {
    let (certificate_at, key_at) = (format!("{at}.certificate"), format!("{at}.private_key"));
    let chain = load_chain(&certificate_at, &files.certificate)?;
    let key = load_key(&key_at, &files.private_key)?;
    let refused = |at: &str, path: &Path, source| ConfigError::Tls {
        at: at.to_owned(),
        path: path.to_owned(),
        source,
    };
    let signing = provider
        .key_provider
        .load_private_key(key.clone_key())
        .map_err(|source| refused(&key_at, &files.private_key, source))?;
    let certified = CertifiedKey::new(chain.clone(), signing);
    match certified.keys_match() {
        // A key that cannot tell its public half cannot be compared; aws-lc-rs' keys all can.
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(ConfigError::KeyMismatch {
                at: key_at,
                certificate: files.certificate.clone(),
                private_key: files.private_key.clone(),
            });
        }
        Err(source) => return Err(refused(&certificate_at, &files.certificate, source)),
    }
    let names = chain
        .first()
        .and_then(Names::parse)
        .ok_or_else(|| ConfigError::NoPem {
            at: certificate_at,
            path: files.certificate.clone(),
            needed: "X.509 certificate",
        })?;
    let certificate = Certificate {
        names,
        key: Arc::new(certified),
    };
    Ok(Pair {
        chain,
        key,
        certificate,
    })
}

/// Loads the authorities that a peer's certificate may chain to.
pub(super) fn load_roots(at: &str, path: &Path) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in load_chain(at, path)? {
        roots.add(certificate).map_err(|source| ConfigError::Tls {
            at: at.to_owned(),
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(Arc::new(roots))
}

/// Loads the lists of certificates that an authority has revoked.
pub(super) fn load_crls(
    at: &str,
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, ConfigError> {
    let crls: Result<Vec<_>, pem::Error> =
        CertificateRevocationListDer::pem_slice_iter(&read(at, path)?).collect();
    match crls {
        Ok(crls) if !crls.is_empty() => Ok(crls),
        _ => Err(ConfigError::NoPem {
            at: at.to_owned(),
            path: path.to_owned(),
            needed: "certificate revocation list",
        }),
    }
}

/// Reads a whole file. Every file that the configuration names is read here.
pub(super) fn read(at: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    trace::read(path).map_err(|source| ConfigError::Read {
        at: at.to_owned(),
        path: path.to_owned(),
        source,
    })
}

fn load_chain(at: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let no_pem = || ConfigError::NoPem {
        at: at.to_owned(),
        path: path.to_owned(),
        needed: "certificate",
    };
    let chain: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(&read(at, path)?).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(no_pem()),
    }
}

fn load_key(at: &str, path: &Path) -> Result<PrivateKeyDer<'static>, ConfigError> {
    PrivateKeyDer::from_pem_slice(&read(at, path)?).map_err(|_not_pem| ConfigError::NoPem {
        at: at.to_owned(),
        path: path.to_owned(),
        needed: "private key",
    })
}
