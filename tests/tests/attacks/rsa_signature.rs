//! RSA signatures that lax verifiers have taken for good ones. The key is fetched, and the gateway's own
//! engine checks PKCS #1 v1.5, the module's PSS.

use aws_lc_rs::digest;
use e2e::conversation::{Mismatch, expect};

use crate::{
    Attack,
    forge::Draft,
    range::{RAW_RSA, Range},
    rsa_forge::{PS256, Pss, digest_info, left_padded, pkcs1},
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: 11,
        name: "pkcs1_padding_is_exact",
        run: |range| Box::pin(pkcs1_padding(range)),
    },
    Attack {
        row: 12,
        name: "pss_salt_and_mask_are_those_of_the_algorithm",
        run: |range| Box::pin(pss_encoding(range)),
    },
];

fn draft(range: &Range, algorithm: &str) -> Draft {
    range
        .draft(&range.keys.rsa)
        .head("kid", RAW_RSA)
        .head("alg", algorithm)
}

/// The encoded message for a text.
type Encoding<'text> = dyn Fn(&[u8]) -> Vec<u8> + 'text;

async fn pkcs1_padding(range: &Range) -> Result<(), Mismatch> {
    let checked = "wasmcustom.identity_filter.host_checked_algorithms";
    expect(checked, range.stand.metric(checked).await?, 6)?;
    let raw = &range.keys.raw_rsa;
    let size = raw.size();
    let sign = |encode: &Encoding<'_>| {
        let draft = draft(range, "RS256");
        let text = draft.signing_input();
        draft.with_signature(raw.power(&encode(text.as_bytes())))
    };
    let good = |text: &[u8]| pkcs1(size, &digest_info(text));
    range
        .passes("the encoding of RFC 8017", &sign(&good))
        .await?;
    let sha256 = |text: &[u8]| digest::digest(&digest::SHA256, text).as_ref().to_vec();
    let with = |head: &[u8], hash: &[u8]| pkcs1(size, &[head, hash].concat());
    let changed = |text: &[u8], place: usize, byte: u8| {
        let mut encoded = good(text);
        encoded[place] = byte;
        encoded
    };
    let cases: [(&str, &Encoding<'_>); 12] = [
        ("garbage behind the hash (Bleichenbacher 2006)", &|text| {
            let head = [&[0, 1][..], &[0xff; 8], &[0], &digest_info(text)].concat();
            let garbage = vec![0x5a; size - head.len()];
            [head, garbage].concat()
        }),
        ("garbage in the parameters", &|text| {
            let hash = sha256(text);
            with(
                &[
                    0x30, 0x33, 0x30, 0x0f, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                    0x02, 0x01, 0x04, 0x02, 0xaa, 0xbb, 0x04, 0x20,
                ],
                &hash,
            )
        }),
        ("no NULL in the parameters", &|text| {
            with(
                &[
                    0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                    0x02, 0x01, 0x04, 0x20,
                ],
                &sha256(text),
            )
        }),
        ("a length in two bytes (BER)", &|text| {
            with(
                &[
                    0x30, 0x81, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
                    0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
                ],
                &sha256(text),
            )
        }),
        ("SHA-1", &|text| {
            let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text);
            with(
                &[
                    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00,
                    0x04, 0x14,
                ],
                hash.as_ref(),
            )
        }),
        ("SHA-512", &|text| {
            let hash = digest::digest(&digest::SHA512, text);
            with(
                &[
                    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
                    0x02, 0x03, 0x05, 0x00, 0x04, 0x40,
                ],
                hash.as_ref(),
            )
        }),
        ("the hash alone", &|text| pkcs1(size, &sha256(text))),
        ("block type 2", &|text| changed(text, 1, 2)),
        ("block type 0", &|text| changed(text, 1, 0)),
        ("a first byte that is not 0", &|text| changed(text, 0, 1)),
        ("a hole in the padding", &|text| changed(text, 40, 0)),
        ("padding that is not ff", &|text| changed(text, 40, 0xfe)),
    ];
    for (case, encode) in cases {
        range
            .refused(case, &sign(encode), "signature_invalid")
            .await?;
    }
    let draft = draft(range, "RS256");
    let signature = raw.power(&good(draft.signing_input().as_bytes()));
    let modulus = raw.modulus();
    let mut nearly = modulus.clone();
    *nearly.last_mut().unwrap_or(&mut 0) -= 1;
    let others = [
        ("no signature", Vec::new()),
        ("a zero before it", left_padded(&signature, size + 1)),
        ("a byte after it", [&signature[..], &[0]].concat()),
        ("its last byte missing", signature[..size - 1].to_vec()),
        ("zero", vec![0; size]),
        ("one", left_padded(&[1], size)),
        ("the modulus", modulus),
        ("the modulus less one", nearly),
        ("twice", [&signature[..], &signature].concat()),
    ];
    for (case, signature) in others {
        range
            .refused(case, &draft.with_signature(signature), "signature_invalid")
            .await?;
    }
    range
        .passes(
            "the same with its own signature",
            &draft.with_signature(signature),
        )
        .await?;
    Ok(())
}

async fn pss_encoding(range: &Range) -> Result<(), Mismatch> {
    let raw = &range.keys.raw_rsa;
    let size = raw.size();
    let sign = |pss: &Pss| {
        let draft = draft(range, "PS256");
        let text = draft.signing_input();
        draft.with_signature(raw.power(&pss.encode(size, text.as_bytes())))
    };
    range
        .passes("as RFC 7518 section 3.5 says", &sign(&PS256))
        .await?;
    let cases = [
        ("no salt", Pss { salt: 0, ..PS256 }),
        ("a salt of 20 bytes", Pss { salt: 20, ..PS256 }),
        ("a salt of 31 bytes", Pss { salt: 31, ..PS256 }),
        ("a salt of 33 bytes", Pss { salt: 33, ..PS256 }),
        (
            "the longest salt",
            Pss {
                salt: size - 34,
                ..PS256
            },
        ),
        (
            "a mask by SHA-1",
            Pss {
                mask_hash: &digest::SHA1_FOR_LEGACY_USE_ONLY,
                ..PS256
            },
        ),
        (
            "a mask by SHA-512",
            Pss {
                mask_hash: &digest::SHA512,
                ..PS256
            },
        ),
        (
            "the hash of PS384",
            Pss {
                hash: &digest::SHA384,
                mask_hash: &digest::SHA384,
                salt: 48,
                ..PS256
            },
        ),
        (
            "another trailer",
            Pss {
                trailer: 0xcc,
                ..PS256
            },
        ),
    ];
    for (case, pss) in cases {
        range
            .refused(case, &sign(&pss), "signature_invalid")
            .await?;
    }
    let draft = draft(range, "PS256");
    let text = draft.signing_input();
    let signature = raw.power(&PS256.encode(size, text.as_bytes()));
    let pkcs1 = raw.power(&pkcs1(size, &digest_info(text.as_bytes())));
    let others = [
        ("PKCS #1 v1.5", pkcs1),
        ("no signature", Vec::new()),
        ("a zero before it", left_padded(&signature, size + 1)),
        ("its last byte missing", signature[..size - 1].to_vec()),
        ("zero", vec![0; size]),
    ];
    for (case, signature) in others {
        range
            .refused(case, &draft.with_signature(signature), "signature_invalid")
            .await?;
    }
    Ok(())
}
