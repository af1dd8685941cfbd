//! The gateway's `verify_signature` without the gateway: AWS-LC reads the same request and gives the
//! same answer as Envoy's BoringSSL, of which it is a sibling.

use std::cell::Cell;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use identity_filter::algorithm::Algorithm;
use identity_filter::signature::choice::Engines;
use identity_filter::signature::{Engine, PublicKey, host};

#[derive(Debug)]
pub(crate) struct HostStandIn;

impl HostStandIn {
    /// What the gateway chooses: the host for what it can, the software for the rest.
    pub(crate) fn engines() -> Engines {
        Engines::choose(Box::new(Self))
    }
}

impl Engine for HostStandIn {
    fn checks(&self, algorithm: Algorithm) -> bool {
        host::hash(algorithm).is_some()
    }

    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        host::request(algorithm, key, text, signature)
            .is_some_and(|request| host::says_valid(&answer(&request, algorithm)))
    }
}

/// Counts the signatures that are checked.
#[derive(Debug, Default)]
pub(crate) struct Counting(Cell<u32>);

impl Engine for Counting {
    fn checks(&self, algorithm: Algorithm) -> bool {
        HostStandIn.checks(algorithm)
    }

    fn is_valid(
        &self,
        algorithm: Algorithm,
        key: &PublicKey,
        text: &[u8],
        signature: &[u8],
    ) -> bool {
        self.0.set(self.0.get() + 1);
        HostStandIn.is_valid(algorithm, key, text, signature)
    }
}

impl Counting {
    pub(crate) const fn checked(&self) -> u32 {
        self.0.get()
    }
}

fn answer(request: &[u8], algorithm: Algorithm) -> Vec<u8> {
    let [hash, key, signature, text] = fields(request);
    // Envoy takes the scheme from the key; which kinds of key there are is tested elsewhere.
    let (want, algorithm): (_, &dyn VerificationAlgorithm) = match algorithm {
        Algorithm::Es256 => ("sha256", &ECDSA_P256_SHA256_ASN1),
        Algorithm::Es384 => ("sha384", &ECDSA_P384_SHA384_ASN1),
        Algorithm::Es512 => ("sha512", &ECDSA_P521_SHA512_ASN1),
        Algorithm::Rs256 => ("sha256", &RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => ("sha384", &RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => ("sha512", &RSA_PKCS1_2048_8192_SHA512),
        other => unreachable!("the host is asked about {}", other.name()),
    };
    assert_eq!(hash, want.as_bytes());
    match UnparsedPublicKey::new(algorithm, key).verify(&text, &signature) {
        Ok(()) => vec![8, 1],
        Err(_invalid) => b"\x12\x03bad".to_vec(),
    }
}

/// The contents of fields 1 to 4, which must be there in this order and alone.
fn fields(mut message: &[u8]) -> [Vec<u8>; 4] {
    let contents = [1, 2, 3, 4].map(|number| {
        assert_eq!(message[0], number << 3 | 2);
        let (mut length, mut shift, mut at) = (0, 0, 1);
        loop {
            length |= usize::from(message[at] & 0x7f) << shift;
            at += 1;
            shift += 7;
            if message[at - 1] < 0x80 {
                break;
            }
        }
        let content = message[at..at + length].to_vec();
        message = &message[at + length..];
        content
    });
    assert!(message.is_empty());
    contents
}
