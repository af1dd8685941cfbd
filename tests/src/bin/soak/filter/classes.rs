//! The kinds of requests: how often each is sent, how it is made, and the answer that it must get.

use e2e::{http::Ask, random::Random, token};
use hyper::StatusCode;

use super::material::{Good, Material};

/// Which RSA key the provider signs with, as far as the gateway can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// Before the change.
    Old,
    /// The old key and the new one are published.
    Both,
    /// The old one has been withdrawn, and may be remembered for a while.
    Withdrawn,
    /// The old one must be forgotten.
    New,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Known,
    ManyCallers,
    SpoofedHeaders,
    OddHeaders,
    Public,
    PublicSpoofed,
    OldKey,
    NoToken,
    SpoiltToken,
    MutatedToken,
    Garbage,
    NotText,
    HugeToken,
    HugeHeaders,
    TwoCredentials,
    UnknownKey,
    NoRole,
    NoRule,
    NoNamespace,
    AmbiguousPath,
    BadHost,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Passes, and the workload learns this subject, or none.
    Pass(Option<String>),
    /// Is answered with this status.
    Denied(StatusCode),
    /// One or the other: when the gateway hears of the change is its own affair.
    PassOrDenied(String, StatusCode),
}

impl Class {
    /// All of them, and how often each is sent beside the others.
    pub(crate) const ALL: [(Self, &'static str, usize); 21] = [
        (Self::Known, "valid, of a few callers", 200),
        (Self::ManyCallers, "valid, of thousands of callers", 200),
        (
            Self::SpoofedHeaders,
            "valid, with spoofed identity headers",
            50,
        ),
        (
            Self::OddHeaders,
            "valid, with headers that are not UTF-8",
            30,
        ),
        (Self::Public, "public page", 40),
        (
            Self::PublicSpoofed,
            "public page, with spoofed identity headers",
            20,
        ),
        (
            Self::OldKey,
            "valid until the provider withdraws its key",
            40,
        ),
        (Self::NoToken, "no token", 50),
        (
            Self::SpoiltToken,
            "expired, forged, for somebody else and so on",
            100,
        ),
        (Self::MutatedToken, "valid but for one character", 60),
        (Self::Garbage, "no token at all in its place", 40),
        (Self::NotText, "bytes that are not UTF-8 in its place", 30),
        (Self::HugeToken, "token of 20 KiB", 10),
        (Self::HugeHeaders, "headers of 70 KiB", 1),
        (Self::TwoCredentials, "two credentials", 30),
        (Self::UnknownKey, "key that nobody has", 1),
        (Self::NoRole, "caller without a role", 30),
        (Self::NoRule, "path without a rule", 30),
        (Self::NoNamespace, "host without a namespace", 20),
        (Self::AmbiguousPath, "path with two meanings", 30),
        (Self::BadHost, "host that is none", 5),
    ];

    /// One of them, as often as its weight says.
    pub(crate) fn pick(random: &mut Random) -> usize {
        let mut left = random.below(Self::ALL.iter().map(|(_, _, weight)| weight).sum());
        let mut index = 0;
        for (_, _, weight) in Self::ALL {
            if left < weight {
                break;
            }
            left -= weight;
            index += 1;
        }
        index
    }

    /// A request of this kind, and its answer.
    pub(crate) fn ask(self, random: &mut Random, era: Era, material: &Material) -> (Ask, Expected) {
        let caller = caller(random, era, material);
        let allowed = || Expected::Pass(Some(caller.subject.clone()));
        let page = || Ask::get("pay.example.com", "/payments/1");
        let unauthorized = || Expected::Denied(StatusCode::UNAUTHORIZED);
        match self {
            Self::Known => {
                let few = pool(random, era, material)
                    .iter()
                    .take(8)
                    .collect::<Vec<_>>();
                let caller = random.one_of(&few);
                let subject = caller.subject.clone();
                (page().bearer(&caller.token), Expected::Pass(Some(subject)))
            }
            Self::ManyCallers => (page().bearer(&caller.token), allowed()),
            Self::SpoofedHeaders => (spoofed(page()).bearer(&caller.token), allowed()),
            Self::OddHeaders => {
                let odd = page().header("x-note", not_utf8(random));
                (odd.bearer(&caller.token), allowed())
            }
            Self::Public => (public(), Expected::Pass(None)),
            Self::PublicSpoofed => (spoofed(public()), Expected::Pass(None)),
            Self::OldKey => {
                let caller = random.one_of(&material.old);
                let subject = caller.subject.clone();
                let expected = match era {
                    Era::Old | Era::Both => Expected::Pass(Some(subject)),
                    Era::Withdrawn => Expected::PassOrDenied(subject, StatusCode::UNAUTHORIZED),
                    Era::New => unauthorized(),
                };
                (page().bearer(&caller.token), expected)
            }
            Self::NoToken => (spoofed(page()), unauthorized()),
            Self::SpoiltToken => {
                let token = if random.below(4) == 0 {
                    token::with_broken_signature(&caller.token)
                } else {
                    random.one_of(&material.spoilt).clone()
                };
                (page().bearer(&token), unauthorized())
            }
            Self::MutatedToken => (
                page().bearer(&mutated(random, &caller.token)),
                unauthorized(),
            ),
            Self::Garbage => {
                let length = 1 + random.below(2000);
                let letters = b"abcXYZ019-_.=+/, \t\"{}";
                let text = (0..length)
                    .map(|_| *random.one_of(letters))
                    .collect::<Vec<_>>();
                // Of another scheme it is no credential, and then none is there; either way it is 401.
                (
                    page().header("authorization", [b"Bearer ", &text[..], b"!"].concat()),
                    unauthorized(),
                )
            }
            Self::NotText => {
                let value = [b"Bearer ", &not_utf8(random)[..]].concat();
                (page().header("authorization", value), unauthorized())
            }
            Self::HugeToken => (page().bearer(&material.huge), unauthorized()),
            Self::HugeHeaders => {
                let ask = page().header("x-large", vec![b'x'; 70 * 1024]);
                (
                    ask,
                    Expected::Denied(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
                )
            }
            Self::TwoCredentials => {
                let one = page().bearer(&caller.token);
                let two = if random.below(2) == 0 {
                    one.bearer(&caller.token)
                } else {
                    let list = format!("Bearer {}, Bearer {}", caller.token, caller.token);
                    page().header("authorization", list)
                };
                (two, unauthorized())
            }
            Self::UnknownKey => (page().bearer(&material.unknown_key), unauthorized()),
            Self::NoRole => forbidden(page().bearer(&material.without_role)),
            Self::NoRule => {
                let path = format!(
                    "/{:x}/./{:x}?{:x}",
                    random.next(),
                    random.next(),
                    random.next()
                );
                forbidden(Ask::get("pay.example.com", &path).bearer(&caller.token))
            }
            Self::NoNamespace => {
                let host = format!("{:x}.example.net", random.next());
                forbidden(Ask::get(&host, "/payments/1").bearer(&caller.token))
            }
            Self::AmbiguousPath => {
                let part = *random.one_of(&[
                    "%2f",
                    "%5C",
                    "%00",
                    "..;",
                    "%2e%2e/%2e%2e/..",
                    "%c0%af",
                    "%",
                ]);
                let path = format!("/payments/{part}/{:x}", random.next());
                let ask = Ask::get("pay.example.com", &path).bearer(&caller.token);
                (ask, Expected::Denied(StatusCode::BAD_REQUEST))
            }
            Self::BadHost => {
                let host = *random.one_of(&[
                    "pay.example.com:1:2",
                    "pay..example.com",
                    "pay.example.com:123456",
                    "pay.example.com:x",
                ]);
                let ask = Ask::get(host, "/payments/1").bearer(&caller.token);
                (ask, Expected::Denied(StatusCode::BAD_REQUEST))
            }
        }
    }
}

fn public() -> Ask {
    Ask::get("shop.orders.example.com", "/healthz")
}

fn forbidden(ask: Ask) -> (Ask, Expected) {
    (ask, Expected::Denied(StatusCode::FORBIDDEN))
}

fn spoofed(ask: Ask) -> Ask {
    ask.header("x-identity-subject", "root")
        .header("x-identity-roles", "admin")
        .header("x_identity_roles", "admin")
        .header("x-connection-id", "forged")
}

/// Whose tokens are valid now.
fn pool<'a>(random: &mut Random, era: Era, material: &'a Material) -> &'a [Good] {
    let is_lasting = random.below(2) == 0;
    match era {
        _ if is_lasting => &material.lasting,
        Era::Old => &material.old,
        Era::Both | Era::Withdrawn | Era::New => &material.new,
    }
}

fn caller<'a>(random: &mut Random, era: Era, material: &'a Material) -> &'a Good {
    let pool = pool(random, era, material);
    random.one_of(pool)
}

/// Bytes above ASCII that begin no character.
fn not_utf8(random: &mut Random) -> Vec<u8> {
    let length = 1 + random.below(200);
    let mut bytes = random.bytes(length);
    for byte in &mut bytes {
        *byte |= 0x80;
    }
    bytes.push(0xff);
    bytes
}

/// One character of the claims or of the signature is another: the header would change which key is looked for.
fn mutated(random: &mut Random, token: &str) -> String {
    let start = token.find('.').map_or(0, |dot| dot + 1);
    let mut bytes = token.as_bytes().to_vec();
    let at = start + random.below(bytes.len() - start);
    let other = if bytes[at] == b'A' { b'B' } else { b'A' };
    bytes[at] = other;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutated_token_differs_behind_its_header() {
        let mut random = Random::new(7);
        for _ in 0..1000 {
            let token = mutated(&mut random, "aaa.bbAb.cc");
            assert_ne!(token, "aaa.bbAb.cc");
            assert!(token.starts_with("aaa.") && token.len() == 11, "{token}");
        }
    }

    #[test]
    fn every_class_is_sent() {
        let mut random = Random::new(7);
        let mut sent = [0; Class::ALL.len()];
        for _ in 0..100_000 {
            sent[Class::pick(&mut random)] += 1;
        }
        assert!(sent.iter().all(|count| *count > 0), "{sent:?}");
    }
}
