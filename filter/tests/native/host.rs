//! The gateway's `verify_signature` without the gateway: AWS-LC reads the same request and gives the
//! same answer as Envoy's BoringSSL, of which it is a sibling.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use identity_filter::signature::{Engine, PublicKey, host};
use identity_filter::token::{Algorithm, Jws};

#[derive(Debug)]
pub(crate) struct HostStandIn;

impl Engine for HostStandIn {
    fn is_valid(&self, key: &PublicKey, jws: &Jws<'_>) -> bool {
        host::request(key, jws)
            .is_some_and(|request| host::says_valid(&answer(&request, key.algorithm())))
    }

    fn name(&self) -> &'static str {
        "stand-in"
    }
}

fn answer(request: &[u8], algorithm: Algorithm) -> Vec<u8> {
    let [hash, key, signature, text] = fields(request);
    assert_eq!(hash, b"sha256");
    // Envoy takes the algorithm from the key; which kinds of key there are is tested elsewhere.
    let algorithm: &dyn VerificationAlgorithm = match algorithm {
        Algorithm::Es256 => &ECDSA_P256_SHA256_ASN1,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
    };
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
