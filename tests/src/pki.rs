//! The certificates of a run. Four authorities that know nothing of each other, as in the field:
//! the public one that downstreams trust, the mesh's own, the OpenID provider's, and the one for
//! downstreams that bring a certificate.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{error::HarnessError, run_folder::RunFolder};

/// The front's own SPIFFE id; the gateway accepts no other.
pub const FRONT: &str = "spiffe://cluster.local/ns/edge/sa/l4-front";
/// The gateway's SPIFFE id; the front accepts no other.
pub const GATEWAY: &str = "spiffe://cluster.local/ns/istio-ingress/sa/gateway";
/// A member of the mesh that is neither.
pub const STRANGER: &str = "spiffe://cluster.local/ns/orders/sa/stranger";
/// A downstream that brings a certificate.
pub const PARTNER: &str = "spiffe://partners.example/ns/shop/sa/till";
/// Another one; its certificate holds a host name and no SPIFFE id.
pub const RIVAL: &str = "till.rivals.example";

/// A certificate with its key, as files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM, the certificate alone: every authority here is a root.
    pub certificate: PathBuf,
    /// PEM, PKCS#8, readable by this user only.
    pub private_key: PathBuf,
    /// Of this process: no two of its certificates have the same.
    pub serial: u64,
}

impl Identity {
    /// The certificate as rustls takes it.
    ///
    /// # Panics
    /// If the file that the harness wrote itself is gone.
    #[must_use]
    #[expect(
        clippy::unwrap_used,
        reason = "the harness wrote the file itself a moment ago"
    )]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_file(&self.certificate).unwrap()]
    }

    /// The certificate's SHA-256 digest as tokens write it (RFC 8705 section 3.1).
    ///
    /// # Panics
    /// If the file that the harness wrote itself is gone.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.chain()[0]))
    }

    /// The private key as rustls takes it.
    ///
    /// # Panics
    /// If the file that the harness wrote itself is gone.
    #[must_use]
    #[expect(
        clippy::unwrap_used,
        reason = "the harness wrote the file itself a moment ago"
    )]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.private_key).unwrap()
    }
}

/// Signs certificates; its own stands in a file for those who trust it.
#[derive(Debug)]
pub struct Authority {
    name: &'static str,
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: PathBuf,
}

impl Authority {
    /// A new root.
    ///
    /// # Errors
    /// [`HarnessError::Certificate`] or [`HarnessError::File`].
    pub fn create(name: &'static str, folder: &RunFolder) -> Result<Self, HarnessError> {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = KeyPair::generate()
            .and_then(|key| CertifiedIssuer::self_signed(params, key))
            .map_err(|source| HarnessError::Certificate {
                name: name.to_owned(),
                source,
            })?;
        let certificate = folder.write(&format!("{name}-ca.crt"), &issuer.pem())?;
        Ok(Self {
            name,
            issuer,
            certificate,
        })
    }

    /// PEM of the root, for those who trust it.
    #[must_use]
    pub fn certificate(&self) -> &PathBuf {
        &self.certificate
    }

    /// The root as rustls takes it.
    #[must_use]
    pub fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for these names; one that holds `://` is a URI SAN, every other a DNS name or
    /// an IP address.
    ///
    /// # Errors
    /// [`HarnessError::Certificate`] or [`HarnessError::File`].
    pub fn issue(
        &self,
        file: &str,
        names: &[&str],
        folder: &RunFolder,
    ) -> Result<Identity, HarnessError> {
        self.issue_until(LAST_YEAR, file, names, folder)
    }

    /// The same, good until the beginning of this year.
    ///
    /// # Errors
    /// [`HarnessError::Certificate`] or [`HarnessError::File`].
    pub fn issue_until(
        &self,
        year: i32,
        file: &str,
        names: &[&str],
        folder: &RunFolder,
    ) -> Result<Identity, HarnessError> {
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let (certificate, private_key) =
            self.sign(serial, year, names)
                .map_err(|source| HarnessError::Certificate {
                    name: format!("{file} by {}", self.name),
                    source,
                })?;
        Ok(Identity {
            certificate: folder.write(&format!("{file}.crt"), &certificate)?,
            private_key: folder.write_secret(&format!("{file}.key"), &private_key)?,
            serial,
        })
    }

    /// A list of what this authority has revoked: exactly this certificate, or nothing. It is good
    /// until this year.
    ///
    /// # Errors
    /// [`HarnessError::Certificate`] or [`HarnessError::File`].
    pub fn revoke(
        &self,
        file: &str,
        revoked: Option<&Identity>,
        until: i32,
        folder: &RunFolder,
    ) -> Result<PathBuf, HarnessError> {
        let revoked = revoked.map(|identity| RevokedCertParams {
            serial_number: identity.serial.into(),
            revocation_time: date_time_ymd(2024, 2, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 2, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params
            .signed_by(&self.issuer)
            .and_then(|list| list.pem())
            .map_err(|source| HarnessError::Certificate {
                name: format!("{file} by {}", self.name),
                source,
            })?;
        folder.write(file, &list)
    }

    fn sign(
        &self,
        serial: u64,
        year: i32,
        names: &[&str],
    ) -> Result<(String, String), rcgen::Error> {
        let (uris, hosts): (Vec<&str>, Vec<&str>) =
            names.iter().copied().partition(|name| name.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        let mut params = named(names.first().copied().unwrap_or_default());
        params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        for uri in uris {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        params.serial_number = Some(serial.into());
        params.not_after = date_time_ymd(year, 1, 1);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// Every authority and certificate of a run.
#[derive(Debug)]
pub struct Pki {
    /// Signs what downstreams see.
    pub edge: Authority,
    /// Signs what the front and the gateways show each other.
    pub mesh: Authority,
    /// Signs the OpenID provider's certificate.
    pub provider: Authority,
    /// Signs the certificates that downstreams may bring.
    pub partners: Authority,
    /// The front, to downstreams.
    pub public: Identity,
    /// The front, to the gateway.
    pub front: Identity,
    /// The gateway, to the front.
    pub gateway: Identity,
    /// A mesh member that may not speak to the gateway.
    pub stranger: Identity,
    /// The OpenID provider's server.
    pub issuer: Identity,
    /// A downstream with a certificate.
    pub partner: Identity,
    /// A downstream with another one, as good at the front.
    pub rival: Identity,
}

impl Pki {
    /// Makes all of them and writes them into the folder.
    ///
    /// # Errors
    /// [`HarnessError::Certificate`] or [`HarnessError::File`].
    pub fn create(folder: &RunFolder) -> Result<Self, HarnessError> {
        let edge = Authority::create("edge", folder)?;
        let mesh = Authority::create("mesh", folder)?;
        let provider = Authority::create("provider", folder)?;
        let partners = Authority::create("partners", folder)?;
        Ok(Self {
            public: edge.issue(
                "public",
                &["*.example.com", "example.com", "*.orders.example.com"],
                folder,
            )?,
            front: mesh.issue("front", &[FRONT], folder)?,
            gateway: mesh.issue("gateway", &[GATEWAY], folder)?,
            stranger: mesh.issue("stranger", &[STRANGER], folder)?,
            issuer: provider.issue(
                "issuer",
                &["localhost", "127.0.0.1", "issuer.example.com"],
                folder,
            )?,
            partner: partners.issue("partner", &[PARTNER], folder)?,
            rival: partners.issue("rival", &[RIVAL], folder)?,
            edge,
            mesh,
            provider,
            partners,
        })
    }
}

/// PEM text of a file that the harness wrote.
///
/// # Errors
/// [`HarnessError::File`].
pub fn read_pem(path: &PathBuf) -> Result<String, HarnessError> {
    fs::read_to_string(path).map_err(|source| HarnessError::File {
        verb: "read",
        path: path.clone(),
        source,
    })
}

/// Certificates are good until its beginning.
const LAST_YEAR: i32 = 2044;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(LAST_YEAR, 1, 1);
    params
}
