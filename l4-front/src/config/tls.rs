//! Checks of a listener's `tls`: certificates, what is negotiated, who must show a certificate.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::checks::{bounded, once};
use super::document::{self, ClientAuthMode, TlsVersion};
use super::{ConfigError, files};
use crate::route::Routes;
use crate::tls::downstream::{self, Offer};
use crate::tls::session::iana_name;

/// All that are accepted by default; of these, the client's first choice counts. The hybrid one
/// keeps what is recorded today from being read by a quantum computer later.
const GROUPS: [&dyn SupportedKxGroup; 4] = [
    kx_group::X25519MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

/// Checks one listener's `tls`; `at` is its path in the document.
pub(super) fn validate(
    at: &str,
    tls: document::ListenerTls,
    routes: &Arc<Routes>,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, ConfigError> {
    if tls.certificates.is_empty() {
        return Err(ConfigError::Empty {
            at: format!("{at}.certificates"),
        });
    }
    let versions = validate_versions(&format!("{at}.versions"), &tls.versions)?;
    let provider = Arc::new(CryptoProvider {
        cipher_suites: chosen(
            &format!("{at}.ciphers"),
            tls.ciphers.as_deref(),
            ALL_CIPHER_SUITES,
            |suite| iana_name(suite.suite().as_str()),
            CIPHERS,
        )?,
        kx_groups: chosen(
            &format!("{at}.groups"),
            tls.groups.as_deref(),
            &GROUPS,
            |group| iana_name(group.name().as_str()),
            GROUP_NAMES,
        )?,
        ..CryptoProvider::clone(provider)
    });
    let mut certificates = Vec::new();
    for (index, files) in tls.certificates.iter().enumerate() {
        let at = format!("{at}.certificates[{index}]");
        certificates.push(files::load_pair(&at, files, &provider)?.certificate);
    }
    let offer = Offer {
        versions,
        alpn: validate_alpn(&format!("{at}.alpn"), &tls.alpn)?,
        tickets: bounded(&format!("{at}.session_tickets"), tls.session_tickets, 0..=8)?,
    };
    let verifier = validate_client_auth(at, tls.client_auth, &provider)?;
    downstream::server_config(provider, certificates, Arc::clone(routes), verifier, offer).map_err(
        |source| ConfigError::Tls {
            at: at.to_owned(),
            path: PathBuf::new(),
            source,
        },
    )
}

/// Checks a list of protocol names.
pub(super) fn validate_alpn(at: &str, alpn: &[String]) -> Result<Vec<Vec<u8>>, ConfigError> {
    let mut seen = HashSet::new();
    for protocol in alpn {
        once(&mut seen, at, protocol)?;
        if !(1..=255).contains(&protocol.len()) {
            return Err(ConfigError::Value {
                at: at.to_owned(),
                value: protocol.clone(),
                allowed: "a protocol name of 1 to 255 bytes (RFC 7301)",
            });
        }
    }
    Ok(alpn.iter().map(|name| name.clone().into_bytes()).collect())
}

const CIPHERS: &str = "one of TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, \
                       TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
                       TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, \
                       TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
                       TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, \
                       TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, \
                       TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
const GROUP_NAMES: &str = "one of X25519MLKEM768, X25519, secp256r1, secp384r1";

/// What is written; all of them if nothing is.
fn chosen<T: Copy>(
    at: &str,
    written: Option<&[String]>,
    all: &[T],
    name_of: impl Fn(&T) -> String,
    allowed: &'static str,
) -> Result<Vec<T>, ConfigError> {
    let Some(written) = written else {
        return Ok(all.to_vec());
    };
    if written.is_empty() {
        return Err(ConfigError::Empty { at: at.to_owned() });
    }
    let mut seen = HashSet::new();
    let choose = |name: &String| {
        once(&mut seen, at, name)?;
        let found = all.iter().find(|each| name_of(each) == *name);
        found.copied().ok_or_else(|| ConfigError::Value {
            at: at.to_owned(),
            value: name.clone(),
            allowed,
        })
    };
    written.iter().map(choose).collect()
}

fn validate_versions(
    at: &str,
    written: &[TlsVersion],
) -> Result<Vec<&'static SupportedProtocolVersion>, ConfigError> {
    if written.is_empty() {
        return Err(ConfigError::Empty { at: at.to_owned() });
    }
    let mut seen = HashSet::new();
    let version = |version: &TlsVersion| {
        let (name, version) = match version {
            TlsVersion::Tls12 => ("1.2", &rustls::version::TLS12),
            TlsVersion::Tls13 => ("1.3", &rustls::version::TLS13),
        };
        once(&mut seen, at, name).map(|()| version)
    };
    written.iter().map(version).collect()
}

fn validate_client_auth(
    at: &str,
    client_auth: Option<document::ClientAuth>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ConfigError> {
    let at_crl = format!("{at}.client_auth.crl");
    let at = format!("{at}.client_auth.ca");
    let Some(auth) = client_auth.filter(|auth| auth.mode != ClientAuthMode::None) else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let path = auth.ca.ok_or_else(|| ConfigError::Missing {
        at: at.clone(),
        needed: "the authority that client certificates must chain to",
    })?;
    let roots = files::load_roots(&at, &path)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    if let Some(path) = &auth.crl {
        // A list that is out of date, or of another issuer, says nothing about a certificate.
        builder = builder
            .with_crls(files::load_crls(&at_crl, path)?)
            .enforce_revocation_expiration();
    }
    let builder = match auth.mode {
        ClientAuthMode::Optional => builder.allow_unauthenticated(),
        ClientAuthMode::Required | ClientAuthMode::None => builder,
    };
    builder.build().map_err(|error| ConfigError::Tls {
        at: if auth.crl.is_some() { at_crl } else { at },
        path: auth.crl.unwrap_or(path),
        source: rustls::Error::General(error.to_string()),
    })
}
