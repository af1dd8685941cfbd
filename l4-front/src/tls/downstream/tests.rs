//! Which certificate is shown to whom.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm as KeyKind};

use super::*;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const ED25519: &[SignatureScheme] = &[SignatureScheme::ED25519];
const BOTH: &[SignatureScheme] = &[
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
];

fn certificate(name: &str, kind: &'static KeyKind) -> Certificate {
    let key = rcgen::KeyPair::generate_for(kind).unwrap();
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let der = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let chain = vec![certificate.der().clone()];
    Certificate {
        names: Names::parse(&chain[0]).unwrap(),
        key: Arc::new(CertifiedKey::new(
            chain,
            provider.key_provider.load_private_key(der).unwrap(),
        )),
    }
}

fn resolver(certificates: &[(&str, &'static KeyKind)]) -> Resolver {
    Resolver {
        certificates: certificates
            .iter()
            .map(|(name, kind)| certificate(name, kind))
            .collect(),
        routes: Arc::default(),
    }
}

#[test]
fn the_exact_name_goes_before_the_wildcard_and_that_before_the_first() {
    let ec = &PKCS_ECDSA_P256_SHA256;
    let resolver = resolver(&[
        ("default.example.org", ec),
        ("*.example.com", ec),
        ("pay.example.com", ec),
    ]);
    for (name, want) in [
        (Some("pay.example.com"), "pay.example.com"),
        (Some("api.example.com"), "*.example.com"),
        (Some("a.b.example.com"), "default.example.org"),
        (Some("example.com"), "default.example.org"),
        (None, "default.example.org"),
    ] {
        let picked = resolver.pick(name, ECDSA).unwrap();
        assert_eq!(picked.names.dns, [want], "{name:?}");
    }
}

/// As RSA and ECDSA side by side: what counts is what the client can verify.
#[test]
fn of_two_kinds_of_keys_for_a_name_the_client_gets_what_it_can_verify() {
    let name = "pay.example.com";
    let resolver = resolver(&[(name, &PKCS_ECDSA_P256_SHA256), (name, &PKCS_ED25519)]);
    let kind = |schemes| {
        resolver
            .pick(Some(name), schemes)
            .map(Certificate::algorithm)
    };
    assert_eq!(kind(ECDSA), Some(SignatureAlgorithm::ECDSA));
    assert_eq!(kind(ED25519), Some(SignatureAlgorithm::ED25519));
    assert_eq!(
        kind(BOTH),
        Some(SignatureAlgorithm::ECDSA),
        "the first in the file"
    );
    assert_eq!(kind(&[SignatureScheme::RSA_PSS_SHA256]), None);
}

/// So that rustls gets as far as the suites, and refuses for want of one.
#[test]
fn a_client_without_a_cipher_suite_in_common_is_not_refused_for_its_signatures() {
    let resolver = resolver(&[("pay.example.com", &PKCS_ECDSA_P256_SHA256)]);
    assert!(resolver.pick(Some("pay.example.com"), &[]).is_some());
}

#[test]
fn what_is_missing_is_named() {
    let error = NoCertificate {
        schemes: vec![SignatureScheme::RSA_PSS_SHA256],
        keys: vec![SignatureAlgorithm::ECDSA],
    };
    assert_eq!(
        error.to_string(),
        "the client verifies signatures by [RSA_PSS_SHA256] alone, and the listener's \
         certificates have keys for [ECDSA]: add a certificate with another kind of key"
    );
}
