//! Changes of how the token is encoded and signed.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE},
};

use super::{Mutation, bad};
use crate::draft::encoded;

pub(crate) const ALL: &[Mutation] = &[
    bad("signed by a stranger", |draft| draft.key = draft.stranger),
    bad("signed by another key of the issuer", |draft| {
        let own = draft.key.key_id();
        let keys = &draft.issuer.keys;
        draft.key = keys
            .iter()
            .find(|key| key.key_id() != own)
            .unwrap_or(draft.stranger);
    }),
    bad("signed by the other issuer", |draft| {
        draft.key = &draft.other_issuer.keys[0];
    }),
    bad("signature: a bit changed", |draft| {
        draft.signature = Some(|draft, text| {
            let mut signature = draft.key.signature(text);
            let place = draft.chance % (signature.len() * 8);
            signature[place / 8] ^= 1 << (place % 8);
            signature
        });
    }),
    bad("signature: zeros", |draft| {
        draft.signature = Some(|draft, text| vec![0; draft.key.signature(text).len()]);
    }),
    bad("signature: a byte less", |draft| {
        draft.signature = Some(|draft, text| {
            let mut signature = draft.key.signature(text);
            signature.pop();
            signature
        });
    }),
    bad("signature: a byte more", |draft| {
        draft.signature = Some(|draft, text| {
            let mut signature = draft.key.signature(text);
            signature.push(0);
            signature
        });
    }),
    bad("signature: a zero in front", |draft| {
        draft.signature = Some(|draft, text| [vec![0], draft.key.signature(text)].concat());
    }),
    bad("signature: empty", |draft| {
        draft.signature = Some(|_draft, _text| Vec::new());
    }),
    bad("signature: as DER", |draft| {
        draft.signature = Some(|draft, text| as_der(&draft.key.signature(text)));
    }),
    bad("signature: of another text", |draft| {
        draft.signature = Some(|draft, _text| draft.key.signature(b"another text"));
    }),
    bad("signature: padded", |draft| {
        draft.form = |_draft, token| format!("{token}==");
    }),
    bad("signature: in the alphabet of base64", |draft| {
        draft.form = |_draft, token| {
            let (input, signature) = token.rsplit_once('.').unwrap_or_default();
            // One character at least is of the other alphabet.
            let other = signature.replace('-', "+").replace('_', "/");
            format!("{input}.{other}+")
        };
    }),
    bad("signature: stray bits at its end", |draft| {
        draft.form = |_draft, mut token| {
            let last = token.pop().unwrap_or_default();
            let place = ALPHABET.find(last).unwrap_or_default();
            // Where the last character has no bits to spare, the signature changes.
            token.push(char::from(ALPHABET.as_bytes()[place ^ 1]));
            token
        };
    }),
    bad("header padded", |draft| {
        draft.header.add("pad", "1");
        draft.encode_header = padded;
    }),
    bad("claims padded", |draft| draft.encode_claims = padded),
    bad("claims in the alphabet of base64", |draft| {
        // One character at least is of the other alphabet.
        draft.encode_claims = |bytes| format!("{}+", STANDARD_NO_PAD.encode(bytes));
    }),
    bad("claims with stray bits at their end", |draft| {
        draft.encode_claims = |bytes| {
            let mut bytes = bytes.to_vec();
            // White space is added until there are bits to spare.
            while bytes.len().is_multiple_of(3) {
                bytes.push(b' ');
            }
            let mut text = encoded(&bytes);
            let last = text.pop().unwrap_or_default();
            let place = ALPHABET.find(last).unwrap_or_default();
            text.push(char::from(ALPHABET.as_bytes()[place | 1]));
            text
        };
    }),
    bad("claims not encoded", |draft| {
        draft.encode_claims = |bytes| String::from_utf8_lossy(bytes).into_owned();
    }),
    bad("header not encoded", |draft| {
        draft.encode_header = |bytes| String::from_utf8_lossy(bytes).into_owned();
    }),
    bad("character of the header changed", |draft| {
        draft.form = |draft, token| changed(&token, draft.chance % dot(&token, 0).max(1));
    }),
    bad("character of the claims changed", |draft| {
        draft.form = |draft, token| {
            let (first, second) = (dot(&token, 0), dot(&token, 1));
            changed(
                &token,
                first + 1 + draft.chance % (second - first - 1).max(1),
            )
        };
    }),
    bad("space within", |draft| {
        draft.form = |draft, mut token| {
            token.insert(1 + draft.chance % (token.len() - 1), ' ');
            token
        };
    }),
    bad("two parts", |draft| {
        draft.form = |_draft, token| {
            let (input, _signature) = token.rsplit_once('.').unwrap_or_default();
            input.to_owned()
        };
    }),
    bad("one part", |draft| {
        draft.form = |_draft, token| token.replace('.', "");
    }),
    bad("four parts", |draft| {
        draft.form = |_draft, token| format!("{token}.AA")
    }),
    bad("five parts", |draft| {
        draft.form = |_draft, token| format!("{token}.AA.AA")
    }),
    bad("a dot in front", |draft| {
        draft.form = |_draft, token| format!(".{token}")
    }),
    bad("a dot behind", |draft| {
        draft.form = |_draft, token| format!("{token}.")
    }),
    bad("the dots alone", |draft| {
        draft.form = |_draft, _token| "..".to_owned()
    }),
    bad("no header", |draft| {
        draft.form = |_draft, token| token[dot(&token, 0)..].to_owned();
    }),
    bad("no claims", |draft| {
        draft.form =
            |_draft, token| format!("{}.{}", &token[..dot(&token, 0)], &token[dot(&token, 1)..]);
    }),
    bad("no token at all", |draft| {
        draft.form = |_draft, _token| String::new()
    }),
    bad("an opaque token", |draft| {
        draft.form = |_draft, _token| "ya29.a0AfH6SMBx".to_owned();
    }),
    bad("as JSON", |draft| {
        draft.form = |_draft, token| {
            let parts: Vec<_> = token.split('.').collect();
            let part = |number: usize| parts.get(number).copied().unwrap_or_default();
            format!(
                r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#,
                part(0),
                part(1),
                part(2)
            )
        };
    }),
];

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With at least one character of padding: white space is added where none would be needed.
fn padded(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    while bytes.len().is_multiple_of(3) {
        bytes.push(b' ');
    }
    URL_SAFE.encode(bytes)
}

/// Where a dot is, by its number; the end where there are fewer.
fn dot(token: &str, number: usize) -> usize {
    let mut dots = token.match_indices('.');
    dots.nth(number).map_or(token.len(), |(place, _)| place)
}

fn changed(token: &str, place: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    if let Some(byte) = bytes.get_mut(place) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The two halves as a DER sequence of integers, as X.509 has ECDSA signatures; lengths that need more
/// than a byte are cut, which no verifier takes either.
fn as_der(signature: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut content = vec![0];
        content.extend(number);
        [vec![2, byte(content.len())], content].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let content = [integer(r), integer(s)].concat();
    [vec![0x30, byte(content.len())], content].concat()
}

fn byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}
