//! TLS towards the gateway: TLS 1.3 only, our certificate always, theirs verified always.
//!
//! There is no switch that turns verification off.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, PeerMisbehaved,
    RootCertStore, SignatureScheme,
};

use crate::tls::certificate::Names;

/// Builds what all connections to one cluster share.
///
/// With `spiffe_id` the gateway is known by exactly that URI, whatever name is asked for; without
/// it the gateway's certificate must be for the server name.
///
/// # Errors
/// If the certificate does not fit its key.
pub(crate) fn client_config(
    provider: &Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    spiffe_id: Option<String>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match spiffe_id {
        None => builder.with_root_certificates(roots),
        Some(spiffe_id) => {
            let provider = Arc::clone(provider);
            let verifier = SpiffeVerifier {
                roots,
                spiffe_id,
                provider,
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    builder.with_client_auth_cert(chain, key)
}

/// A certificate that chains to the right authority and is somebody else's.
#[derive(Debug, thiserror::Error)]
#[error("it holds {shown}, expected is {expected}")]
struct WrongIdentity {
    shown: String,
    expected: String,
}

impl WrongIdentity {
    fn new(names: &Names, expected: &str) -> Self {
        let shown = match names.uris.as_slice() {
            [] => "no URI name".to_owned(),
            // What an authority signed may still hold what a terminal obeys.
            uris => uris.join(" and ").escape_debug().to_string(),
        };
        Self {
            shown,
            expected: expected.to_owned(),
        }
    }
}

/// Accepts a chain to one of `roots` whose leaf holds exactly `spiffe_id` (SPIFFE X509-SVID
/// section 5). The DNS name plays no part: a gateway serves many names with one identity.
#[derive(Debug)]
struct SpiffeVerifier {
    roots: Arc<RootCertStore>,
    spiffe_id: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SpiffeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        let names = Names::parse(end_entity)
            .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.spiffe_id() == Some(self.spiffe_id.as_str()) {
            Ok(ServerCertVerified::assertion())
        } else {
            let reason = WrongIdentity::new(&names, &self.spiffe_id);
            let reason = CertificateError::Other(OtherError(Arc::new(reason)));
            Err(Error::InvalidCertificate(reason))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.2 is never offered to a gateway.
        Err(Error::PeerMisbehaved(
            PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
