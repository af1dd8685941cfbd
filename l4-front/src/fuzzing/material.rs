//! The certificates and keys that configurations name, made anew by each process and never on a disk.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

/// `text` with the names of the files of the end-to-end tests made into those of files that are there.
pub(super) fn in_place(text: &[u8]) -> Vec<u8> {
    static FILES: OnceLock<Vec<(&str, File)>> = OnceLock::new();
    let mut text = text.to_vec();
    for (name, file) in FILES.get_or_init(files) {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut from = 0;
        while let Some(at) = find(&text[from..], name.as_bytes()) {
            text.splice(from + at..from + at + name.len(), path.bytes());
            from += at + path.len();
        }
    }
    text
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

/// As `tests/src/pki.rs` names them: an edge's, a mesh's, one of partners.
fn files() -> Vec<(&'static str, File)> {
    let mesh = authority();
    let partners = authority();
    let revoked = CertificateRevocationListParams {
        this_update: date_time_ymd(2000, 1, 1),
        next_update: date_time_ymd(4000, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let (public, public_key) = leaf(
        &mesh,
        SanType::DnsName("edge.example.com".try_into().unwrap()),
    );
    let id = "spiffe://cluster.local/ns/edge/sa/l4-front";
    let (front, front_key) = leaf(&mesh, SanType::URI(id.try_into().unwrap()));
    let crl = revoked.signed_by(&partners).unwrap().pem().unwrap();
    [
        ("public.crt", public),
        ("public.key", public_key),
        ("front.crt", front),
        ("front.key", front_key),
        ("mesh-ca.crt", mesh.pem()),
        ("partners-ca.crt", partners.pem()),
        ("partners.crl", crl),
    ]
    .map(|(name, pem)| (name, in_memory(name, &pem)))
    .into()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key.
fn leaf(authority: &CertifiedIssuer<'static, KeyPair>, name: SanType) -> (String, String) {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn in_memory(name: &str, text: &str) -> File {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    file
}
