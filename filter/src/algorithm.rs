//! The signature algorithms that the filter knows, as one table (RFC 7518 section 3.1, RFC 8037
//! section 3.1): what each is called, how it signs, and the one kind of key that it goes with.
//!
//! What is not here cannot be configured and no token can ask for it: no `none`, and no algorithm with
//! a shared secret, because everybody who can check such a signature can also make one.

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519. RFC 9864 calls it `Ed25519`, and no other curve is meant by `EdDSA` here.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256, MGF1 with the same and a salt of the same length.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// FIPS 186-5 section 6, the two numbers of a signature one after the other.
    Ecdsa(Hash),
    /// RFC 8032 section 5.1; it hashes by a rule of its own.
    EdDsa,
    /// RFC 8017 section 8.2.
    Pkcs1(Hash),
    /// RFC 8017 section 8.1.
    Pss(Hash),
}

/// What is signed in the place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A kind of public key: `kty`, and `crv` where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `EC` (RFC 7518 section 6.2).
    Ec(Curve),
    /// `OKP` with `Ed25519` (RFC 8037 section 2).
    Ed25519,
    /// `RSA` (RFC 7518 section 6.3).
    Rsa,
}

/// A curve of NIST's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Algorithm {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::EdDsa,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// What tokens and the configuration call them.
    pub const NAMES: [(&str, Self); 11] = [
        // The fully specified name of RFC 9864.
        ("Ed25519", Self::EdDsa),
        ("EdDSA", Self::EdDsa),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("ES512", Self::Es512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
    ];

    /// The table.
    const fn row(self) -> (&'static str, Scheme, KeyKind) {
        use Hash::{Sha256, Sha384, Sha512};
        use Scheme::{Ecdsa, EdDsa, Pkcs1, Pss};
        match self {
            Self::EdDsa => ("EdDSA", EdDsa, KeyKind::Ed25519),
            Self::Es256 => ("ES256", Ecdsa(Sha256), KeyKind::Ec(Curve::P256)),
            Self::Es384 => ("ES384", Ecdsa(Sha384), KeyKind::Ec(Curve::P384)),
            Self::Es512 => ("ES512", Ecdsa(Sha512), KeyKind::Ec(Curve::P521)),
            Self::Ps256 => ("PS256", Pss(Sha256), KeyKind::Rsa),
            Self::Ps384 => ("PS384", Pss(Sha384), KeyKind::Rsa),
            Self::Ps512 => ("PS512", Pss(Sha512), KeyKind::Rsa),
            Self::Rs256 => ("RS256", Pkcs1(Sha256), KeyKind::Rsa),
            Self::Rs384 => ("RS384", Pkcs1(Sha384), KeyKind::Rsa),
            Self::Rs512 => ("RS512", Pkcs1(Sha512), KeyKind::Rsa),
        }
    }

    /// The algorithm of exactly this name: `alg` is case-sensitive (RFC 7515 section 4.1.1).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, algorithm)| algorithm)
    }

    /// Its name in `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// How it signs.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        self.row().1
    }

    /// The only kind of key that it goes with.
    #[must_use]
    pub const fn key_kind(self) -> KeyKind {
        self.row().2
    }
}

impl Curve {
    /// Bytes of one coordinate, and of each number of a signature.
    #[must_use]
    pub const fn number_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_known_by_its_names() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    }

    #[test]
    fn other_names_are_no_algorithm() {
        for name in [
            "",
            "none",
            "None",
            "nOnE",
            "HS256",
            "HS384",
            "HS512",
            "rs256",
            "RS256 ",
            "RS1",
            "ES256K",
            "ESB256",
            "EDDSA",
            "eddsa",
            "ed25519",
            "Ed448",
            "RSA-OAEP",
            "dir",
            "ML-DSA-44",
        ] {
            assert_eq!(Algorithm::from_name(name), None, "{name:?}");
        }
    }
}
