//! Which engine may be trusted with which algorithm: each proves itself on a known vector first.
//!
//! The vectors are those of RFC 7515 appendix A.2 and A.3. An engine must take the good signature and
//! refuse the same one over a changed text; a host function that answers yes to everything, or that
//! does not know the algorithm, is found out before it sees a request.

use alloc::string::String;

use super::{Engine, PublicKey};
use crate::base64url;
use crate::token::{Algorithm, Jws};

/// True when `engine` answers rightly for `algorithm`.
#[must_use]
pub fn passes(engine: &dyn Engine, algorithm: Algorithm) -> bool {
    let Some((key, token)) = vector(algorithm) else {
        return false;
    };
    let is_valid =
        |text: &str| Jws::parse(text, text.len()).is_ok_and(|jws| engine.is_valid(&key, &jws));
    is_valid(token) && !is_valid(&changed(token))
}

/// The token with one letter of its payload exchanged, which the signature must not survive.
fn changed(token: &str) -> String {
    token.replacen(".eyJpc3MiOiJqb2Ui", ".eyJpc3MiOiJqb2Yi", 1)
}

fn vector(algorithm: Algorithm) -> Option<(PublicKey, &'static str)> {
    let number = |text: &str| base64url::decode(text.as_bytes());
    match algorithm {
        Algorithm::Es256 => Some((
            PublicKey::p256(&number(ES256_X)?, &number(ES256_Y)?).ok()?,
            ES256_TOKEN,
        )),
        Algorithm::Rs256 => Some((
            PublicKey::rsa(&number(RS256_N)?, &[1, 0, 1]).ok()?,
            RS256_TOKEN,
        )),
    }
}

const ES256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const ES256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ES256_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL\
    mNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA\
    pmWQxfKTUJqPP3-Kg6NU1Q";
const RS256_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B\
    m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5\
    z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7\
    aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RS256_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlL\
    mNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7\
    AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWz\
    O75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZES\
    c6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlU\
    PQGe77Rw";

#[cfg(test)]
mod tests {
    use super::super::Software;
    use super::*;

    #[derive(Debug)]
    struct Always(bool);

    impl Engine for Always {
        fn is_valid(&self, _key: &PublicKey, _jws: &Jws<'_>) -> bool {
            self.0
        }

        fn name(&self) -> &'static str {
            "constant"
        }
    }

    #[test]
    fn a_right_engine_passes_and_a_constant_one_does_not() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            assert!(passes(&Software, algorithm), "{}", algorithm.name());
            assert!(!passes(&Always(true), algorithm), "{}", algorithm.name());
            assert!(!passes(&Always(false), algorithm), "{}", algorithm.name());
        }
    }
}
