//! Where the two doors differ, and why: each rule has a row in docs/differential.md. A disagreement that
//! no rule explains fails the test.

use crate::mutation::Mutation;

/// Who lets the request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Both, and as another caller.
    Both,
    Filter,
    Native,
}

/// A named difference.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) allows: Side,
    /// Which changes of a request bring it about.
    of: &'static [&'static str],
    /// What the other door says: the filter's reason, or the beginning of jwt_authn's text.
    denials: &'static [&'static str],
    /// What stands in the documentation.
    pub(crate) why: &'static str,
}

impl Rule {
    pub(crate) fn explains(&self, allows: Side, changes: &[&Mutation], denial: &str) -> bool {
        self.allows == allows
            && changes.iter().any(|change| self.of.contains(&change.name))
            && self.denials.iter().any(|known| denial.starts_with(known))
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = &'static str> {
        self.of.iter().copied()
    }
}

pub(crate) const ALL: &[Rule] = &[
    Rule {
        name: "The name `Ed25519`",
        allows: Side::Filter,
        of: &["alg: by the name of RFC 9864"],
        denials: &["Jwt header [alg] is not supported"],
        why: "RFC 9864 gives `EdDSA` on this curve a name of its own, and issuers begin to write it; `jwt_authn` knows only the old one",
    },
    Rule {
        name: "The scheme in another case",
        allows: Side::Filter,
        of: &["scheme in lower case", "scheme in upper case"],
        denials: &["Jwt is missing"],
        why: "the name of a scheme has no case (RFC 9110 section 11.1): `bearer` is what some clients send; `jwt_authn` searches for `Bearer ` as it is written. What follows is checked the same",
    },
    Rule {
        name: "The algorithm of an ECDSA token",
        allows: Side::Native,
        of: &["alg: HS512, signed", "alg: of another kind of key"],
        denials: &["algorithm_refused", "key_unknown"],
        why: "`jwt_authn` takes the hash from the key and does not look at `alg`: a token that says HS512 or EdDSA over a true ECDSA signature is let in. Here the algorithm is bound to its key (RFC 8725 section 3.1)",
    },
    Rule {
        name: "Bytes behind a signature",
        allows: Side::Native,
        of: &["signature: a byte more"],
        denials: &["signature_invalid"],
        why: "a signature of ECDSA or Ed25519 with a byte too many is let in; here its length is that of RFC 7518 section 3.4 and RFC 8032, so that one token has one spelling",
    },
    Rule {
        name: "Base64url that is not canonical",
        allows: Side::Native,
        of: &[
            "claims padded",
            "claims with stray bits at their end",
            "header padded",
            "signature: padded",
            "signature: stray bits at its end",
        ],
        denials: &["token_malformed"],
        why: "padding and stray bits give one token many spellings (RFC 7515 section 2 has none of them); caches, logs and revocation lists compare spellings",
    },
    Rule {
        name: "Text around the token",
        allows: Side::Native,
        of: &[
            "a dot behind",
            "a dot in front",
            "space within",
            "two spaces",
            "word behind",
        ],
        denials: &["token_malformed"],
        why: "`jwt_authn` cuts the first run of letters that could be a token out of the header's value; here the whole value is the credential (RFC 6750 section 2.1)",
    },
    Rule {
        name: "A scheme somewhere in the value",
        allows: Side::Native,
        of: &[
            "another scheme in front",
            "longer scheme",
            "two fields, another scheme first",
        ],
        denials: &["token_missing"],
        why: "`jwt_authn` searches for `Bearer ` anywhere in the joined `Authorization` fields; here the value begins with its scheme, and of two credentials none is taken",
    },
    Rule {
        name: "Headers that change the rules",
        allows: Side::Native,
        of: &[
            "b64: false",
            "b64: true",
            "crit: a claim",
            "crit: an extension that nobody knows",
            "crit: empty",
            "enc",
            "jku",
            "jwk: the issuer's",
            "x5c",
            "x5u",
            "zip",
        ],
        denials: &["token_malformed"],
        why: "`jwt_authn` ignores `crit`, `b64`, `enc`, `zip`, `jku`, `jwk`, `x5c` and `x5u`. RFC 7515 section 4.1.11 says to refuse a `crit` that is not understood; none of the others has a place in a bearer token, and a reader behind the gateway may obey them",
    },
    Rule {
        name: "The type of the token",
        allows: Side::Native,
        of: &[
            "typ: a number",
            "typ: dpop+jwt",
            "typ: empty",
            "typ: logout+jwt",
            "typ: secevent+jwt",
        ],
        denials: &["token_malformed", "token_type_refused"],
        why: "an issuer signs other things with the same keys; `jwt_authn` takes a logout token or a DPoP proof for a credential (RFC 8725 section 3.11)",
    },
    Rule {
        name: "The key's name",
        allows: Side::Native,
        of: &["kid: empty", "kid: missing"],
        denials: &["key_unknown", "signature_invalid"],
        why: "an empty `kid` is the name of no key. Without `kid`, `jwt_authn` tries every key; here only a key without a rival for the algorithm will do",
    },
    Rule {
        name: "JSON that is none",
        allows: Side::Native,
        of: &[
            "claims: a comma at their end",
            "claims: single quotes",
            "control character in a text",
            "header: a comma at its end",
            "header: names without quotes",
            "header: single quotes",
        ],
        denials: &["token_malformed"],
        why: "Envoy's reader takes more than RFC 8259 allows; two readers of one token must not see different claims",
    },
    Rule {
        name: "Deep nesting",
        allows: Side::Native,
        of: &["header: nested 20 deep", "nested 17 deep", "nested 90 deep"],
        denials: &["token_malformed"],
        why: "at most 16 levels are read; a document from the network decides how deep its reader goes",
    },
    Rule {
        name: "Times that are no whole numbers",
        allows: Side::Native,
        of: &[
            "exp: 2^53 + 1",
            "exp: 2^63",
            "exp: a fraction",
            "exp: with a point",
            "exp: with an exponent",
            "iat: a fraction",
            "nbf: a fraction",
        ],
        denials: &["token_malformed"],
        why: "fractions, exponents and numbers above 2^53 are where readers of JSON round differently; no known provider writes them",
    },
    Rule {
        name: "Made in the future",
        allows: Side::Native,
        of: &["iat: to come"],
        denials: &["token_not_yet_valid"],
        why: "`jwt_authn` does not look at `iat`; a token that says to be made later than now is of a broken or a lying issuer",
    },
    Rule {
        name: "The subject",
        allows: Side::Native,
        of: &["sub: 256 bytes", "sub: empty", "sub: missing"],
        denials: &["token_malformed"],
        why: "a caller without a subject has no identity, and OpenID Connect Core section 2 bounds it to 255 characters; `jwt_authn` needs none",
    },
    Rule {
        name: "The audience, byte for byte",
        allows: Side::Native,
        of: &["aud: with a scheme", "aud: with a slash at its end"],
        denials: &["audience_mismatch"],
        why: "`jwt_authn` takes `https://` from the front and a slash from the end before it compares; two audiences that differ are two audiences",
    },
    Rule {
        name: "Tokens that are bound to a key",
        allows: Side::Native,
        of: &["cnf: of a certificate", "cnf: of a key"],
        denials: &["certificate_missing", "confirmation_unsupported"],
        why: "`jwt_authn` does not look at `cnf`: a stolen token that is worth nothing without its key or certificate (RFC 7800, RFC 8705) passes as a bearer token",
    },
    Rule {
        name: "Size",
        allows: Side::Native,
        of: &["claims of 16 KiB", "header: 5 KiB"],
        denials: &["token_too_large"],
        why: "a token has at most `limits.token_bytes` (16 KiB unless configured), its header 4 KiB",
    },
    Rule {
        name: "A line break or NUL in the subject",
        allows: Side::Both,
        of: &["sub: a NUL", "sub: a line break"],
        denials: &[""],
        why: "`claim_to_headers` writes the claim into a header as it is: a line break in `sub` begins a new header, and a NUL makes the message unreadable. The filter writes them as `%0D%0A` and `%00`",
    },
];
