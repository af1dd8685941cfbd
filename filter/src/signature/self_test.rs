//! Which engine may be trusted with which algorithm: each proves itself on a known signature first.
//!
//! The keys and signatures were made by OpenSSL for this purpose. An engine must take the good
//! signature and refuse the same one over another text; a host function that answers yes to everything,
//! or that does not know the algorithm, is found out before it sees a request.

use alloc::vec::Vec;

use super::{Engine, PublicKey};
use crate::algorithm::{Algorithm, KeyKind};
use crate::base64url;

/// True when `engine` answers rightly for `algorithm`.
#[must_use]
pub fn passes(engine: &dyn Engine, algorithm: Algorithm) -> bool {
    let Some((key, signature)) = vector(algorithm) else {
        return false;
    };
    let is_valid = |text: &str| engine.is_valid(algorithm, &key, text.as_bytes(), &signature);
    is_valid(TEXT) && !is_valid(OTHER_TEXT)
}

/// A key that nobody signs tokens with: for whoever asks what would become of a token whose key is not at hand.
#[must_use]
pub fn key(algorithm: Algorithm) -> Option<PublicKey> {
    vector(algorithm).map(|(key, _)| key)
}

fn vector(algorithm: Algorithm) -> Option<(PublicKey, Vec<u8>)> {
    let number = |text: &str| base64url::decode(text.as_bytes());
    let (signature, x, y) = match algorithm {
        Algorithm::EdDsa => (EDDSA, ED25519_X, ""),
        Algorithm::Es256 => (ES256, P256_X, P256_Y),
        Algorithm::Es384 => (ES384, P384_X, P384_Y),
        Algorithm::Es512 => (ES512, P521_X, P521_Y),
        Algorithm::Ps256 => (PS256, RSA_N, ""),
        Algorithm::Ps384 => (PS384, RSA_N, ""),
        Algorithm::Ps512 => (PS512, RSA_N, ""),
        Algorithm::Rs256 => (RS256, RSA_N, ""),
        Algorithm::Rs384 => (RS384, RSA_N, ""),
        Algorithm::Rs512 => (RS512, RSA_N, ""),
    };
    let key = match algorithm.key_kind() {
        KeyKind::Ec(curve) => PublicKey::ec(curve, &number(x)?, &number(y)?),
        KeyKind::Ed25519 => PublicKey::ed25519(&number(x)?),
        KeyKind::Rsa => PublicKey::rsa(&number(x)?, &[1, 0, 1]),
    };
    Some((key.ok()?, number(signature)?))
}

const TEXT: &str = "An engine proves itself before it is trusted.";
const OTHER_TEXT: &str = "An engine proves itself before it is trusteD.";
const RSA_N: &str = "ujBD_TLwL6fu66LiJ8uajVtv2ILz_xF55AB-5NHsOQqIj1Xw4itimcLR3NrMFXOXN-V2LY7WqVWKMR97NOfG56o_AH\
    PmPuWGXoN5GeKr104fjiYRlIdS58WqrLlKO27ozKHcrkm7nDNWGahF95sGuAgPD3sT0Uw-WoeJ7lsQd1JHgbs2bwYd\
    OHI3CCcncWOn7CTTaZEbZUUSgmoz43vtC9xXgEK21mxsvKW41dcsIiir3DqwMCUOTXCfKpYZ3-OD9rBrIelw-M_eVT\
    HTUxxR2-M40V8T2AL7WF2hMsrzK8p1ng30LwCA-rj_tyf53UtebM16x_ZkgkjOyj8zutG5dQ";
const RS256: &str = "rzEnVT5BV-VaUbGj1pzAphila4BrxWuNqYI19M4gzNLU-YDKnvelddJEiecT-MysnCtJD-LdgHC6k1q0aHKLA--D3m\
    5XGb1Sx5cVemLOR-J7SJySInLaa9gkiWuQioNLo0fpIRK7ArAl2tq8FtDhiRQV676OIIdI9ciQggsMtkuIHXNhZVlA\
    mGYwCXR3s4RC43-cZk0ndaJcDViqa0HomauLSwenf8SmrnvLdeLvQHqPPmE_p839XXyVdeESbt49-z_b3WjoM9dEcE\
    Uo94N9ZIl4pjTRKSkYJrBqTTyDQIXIwzZwANcEz7UQmTWv8vIK1ErDnh9-DTF0rGmL1A-BPA";
const RS384: &str = "ZxtO1MM1Ow1M9TjPHs72rC-cpN9vz_rYBiODtc8yNdPVM-OWTH87ktp13sGWGnGoSLDl9o1hI1NN1MbP7QUTzz7_Ta\
    okHju87UtYNvwGXH0V1rj6nPgWPju5tFct9L0cEWclsD24QDlYe3jFqN08gF5Ej10lCCw9iA1czi9ljJ5za89JJNMe\
    Q-GQpRZZvxZeME7bDL7UXy6euZWu0M-Bpv9CgaMXA63jt52y8egHPvRi0w4ewi5C9Qc4rzzlcEUY6nPjn1KHo8eqBZ\
    yn8-0DMaPy9ArqVhbanF4Qm6S6rzfKlvN3Xyfrs4QH-qvaZc8Pnwg4I_wNo3dD-MUg61zUpg";
const RS512: &str = "NclwsE7gNS32Z8sbaWXuRMmknX9HNZMcFCpFuo5RTEWTHTuA3q-HreUHPQY1pEY8luipofeKu2i_RCk7uLv-kDruq9\
    jJHa8mK35qatp2sr352176SLJVw7smPqm5CuGy6EnzYjrose3wC7enekp5S0Vz1m7qNyPpKVegm3gEknxMOGSThQnu\
    HTxf6z0bgLpwfOYmziQ93Y6l_d99IpaoTY-oqSdCcB2l6T3Pj1YrDxmKZ8_prXazwhtqn3NNCWV6N17wqykWbionyE\
    ZBdkDB8s0-SwnXBlECbP4e3r1Sr18NqfpuMz_TvjtG16mE9S1rVrZ4ul8a9whhvZxSD0N6pQ";
const PS256: &str = "bQzeaYGIangDTy0mYL0wKFIgXHzKR7mdsevMNVjH8ZctF6MA62Ja3LW8WYzVbMe1W6JSsRrBXin0zcIuydlzH_Adfl\
    8NJqXMkEGnO-JLbtp5X6ZX-dfuIc9Svn-ACgrFtPWJvZ6vY4RXD86uayWMyW_bjps96W2uuQxCH9sBcnHHPdIehEnA\
    QmWqUrxu3LIy49qnb-9CMM6vqFyDmk0JQTNN5nFQ2f14-dkIOmzHfX_ikZo2K_EPu2a9F6wmi2KscPEAnMtES0nF5S\
    J-qUwGlKE4zzfarKDHyeReT61lsYmLzLnP9YqHHt2QenccFiumMw3dU1UKUQ0nlhgKOeSYkg";
const PS384: &str = "k63HIWFP_q_EXk1loVrhMMcU0-LjZjP-N6zWjthAmnDIBEsZhlZOU_QOUCWO4sQ-TH7cWy3r9bzJpGrB-llIjTW1-X\
    4aEJDpRk5ejUFs0ezeSFEPm3osi48iZuR9mP5anblEiq2PqUmFOyIerRsMqjLEygGwLVxvqt5lprRJSmiup8UEbn3b\
    CYGn6gcv4YQim5QvfkdRxG-ipV_kPwLFFDO8ge1cBVuAKZLQLYH57yjsALzKpZuM1TZfg6pA60gPYuQrpMQWsh4Y4W\
    Dj8QdR2RMRqQzn-8q6ZDsWsc9-dcPJlbAXVmI96j-HDVPrVbHBmUoLJh8IJA-pfXRUh5GmIw";
const PS512: &str = "XbOdL3rn0LQDc8Yx1ZsxisKrmMWABCk2kgO0juyk0k_yjPLjnb4mDEEvPBkBqd8mTcAMbgq8ydzOcVCU9nfP5XLMKq\
    Sr3J8fuC2CXDMKr_eC_Fwci5aJiP8Y9ZVIYFRzncAY6vcqN7yIT67YglFjEJ2I5WO4zrAtKVF-9JJwd85inbr_Ly5B\
    p29S7QDJy2pXEgNhLkOsiSut4iwwrAbQ6wjWf6O6yEiamV8iBQYz8lR3UcdO76oTeDzd_zmNvs2LT0zYatiBSt-t63\
    _G1OzIQCiIZNhzWxN5Cvor9aoRgEsAHXE_eVCR_qnm_7XyY2vcqIDFchq-LToQ7vANw-pWLA";
const P256_X: &str = "0lIUzGifBRcv_aDRSxuN3wDQrTrZOHa_vCMF_yP2G8I";
const P256_Y: &str = "J3vjijjI162dMpKipGW-c5rNbFSelwhfCpp1nVGN57g";
const ES256: &str =
    "5DntnUuVHa66fXjZiXNlrl2qgHNDBnRmbS4Nbc3j8sk3aFJhLg-vzy4ymK5C_4i5RHFux6zyG9C7kbcHOCzNXg";
const P384_X: &str = "zfIIHp-keJRNVgvGznOhYoV2p20OU9vFxLr0YfF9kLzwFd-Fn84pmqmI0QWKtNNU";
const P384_Y: &str = "i4xbDQ-8tCG34F5P14DBzlEyV08E3gPlRhvXTtd0ivpOMRC3f5MMBiT625LChFFW";
const ES384: &str = "4mjY68B2kD3G14LHjXLk_OdvGEq2FT7a4sVjF5sC4UvuKRCf9X1xnQUM6-I8y6iKXey4rgeVpzwDxdeFfMTdwDOmUD\
    1Go15Noe8ux7IHwzMdD9k-aFu8A9x31L5ufRHR";
const P521_X: &str =
    "APFfREq-h7aIV_qLat7A7JP121bGgN73ChWs0qt7E_3diVhqzCXrapJmYcw2v-SLW4ZRBHG-y_hg6jeovqqYgv8F";
const P521_Y: &str =
    "AAEkskqNJ_iFbx9NmBazRfTBRTjIGOjycpHbRM_3jRXUheOCvGSrZhtAS1ISzjISTa1Y01X0icSYaF7YOper56Y4";
const ES512: &str = "AOQXNAgT6ITdPhf0KLlohD8Wu4RXBerSq8gGcYb3UxmdTx4-vR_RR4Q8fXU-9S9IbSvQww4PD_AU6xEzYMcMpkSpAB\
    ZxjKqoKMrxHBwtI9IqcsL932SwJNemNBlfxknObjFm-Pz4N_0wc1fHofJhEwiKip1fSqan_jJ-pBq0nixoXB_r";
const ED25519_X: &str = "qkyuBlP62ndzf7qjXL5XwATuQHb1esE5KpezsP5YjXU";
const EDDSA: &str =
    "aeW_9Z5Mw9dpEN2aPwZUy2SIuXvkA6cgNAMHIeA1En6dbgiZAngSyMlEwe0IKNywmGN742Jc91cG5paf-dDACQ";

#[cfg(test)]
mod tests {
    use super::super::software::Software;
    use super::*;

    #[test]
    fn the_software_passes_for_all_that_it_checks_and_for_nothing_else() {
        for algorithm in Algorithm::ALL {
            assert_eq!(
                passes(&Software, algorithm),
                Software.checks(algorithm),
                "{}",
                algorithm.name()
            );
        }
    }
}
