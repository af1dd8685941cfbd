//! The one credential of a request, or a refusal to guess (RFC 6750 section 2).
//!
//! A second credential is never ignored: whoever reads the other one would see another caller.

use alloc::rc::Rc;

use crate::config::{Provider, TokenSource};
use crate::cookie;
use crate::decision::Denial;
use crate::headers::Headers;

/// A token and where it stood.
#[derive(Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The text after the scheme.
    pub token: &'a str,
    /// Where it stood.
    pub source: &'a TokenSource,
}

/// Finds the credential among the sources of all providers. `None`: there is none.
///
/// # Errors
/// When there is more than one, or one that cannot be read.
pub fn find<'a>(
    headers: &'a Headers,
    providers: &'a [Rc<Provider>],
) -> Result<Option<Credential<'a>>, Denial> {
    let mut found: Option<Credential<'a>> = None;
    let sources = providers.iter().flat_map(|provider| &provider.tokens);
    for (index, source) in sources.clone().enumerate() {
        if sources.clone().take(index).any(|earlier| earlier == source) {
            continue;
        }
        let read = match source {
            TokenSource::Cookie { name } => in_cookie(headers, name),
            TokenSource::Header { name, scheme } => in_header(headers, name, scheme.as_deref()),
        };
        let Some(token) = read? else {
            continue;
        };
        if found.replace(Credential { token, source }).is_some() {
            return Err(Denial::TokenAmbiguous);
        }
    }
    Ok(found)
}

/// The token in a cookie.
fn in_cookie<'a>(headers: &'a Headers, name: &'a str) -> Result<Option<&'a str>, Denial> {
    let all = || headers.all("cookie");
    let mut values = all().flat_map(|header| cookie::values(header, name));
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() || all().any(|header| cookie::is_ambiguous(header, name)) {
        return Err(Denial::TokenAmbiguous);
    }
    text(value).map(Some)
}

/// The token in a header; nothing when its value is of another scheme.
fn in_header<'a>(
    headers: &'a Headers,
    name: &'a str,
    scheme: Option<&str>,
) -> Result<Option<&'a str>, Denial> {
    let mut values = headers.all(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Even when only one of them is a token: servers differ in which one they take.
    if values.next().is_some() {
        return Err(Denial::TokenAmbiguous);
    }
    let token = match scheme {
        None => value,
        Some(scheme) => {
            let (front, rest) = value.split_at(scheme.len().min(value.len()));
            if !front.eq_ignore_ascii_case(scheme.as_bytes()) {
                return Ok(None);
            }
            match rest.split_first() {
                Some((b' ', token)) => token,
                None | Some((b'\t', _)) => return Err(Denial::TokenMalformed),
                // A longer word is another scheme.
                Some(_) => return Ok(None),
            }
        }
    };
    text(token).map(Some)
}

fn text(token: &[u8]) -> Result<&str, Denial> {
    if token.contains(&b',') {
        return Err(Denial::TokenAmbiguous);
    }
    let is_token =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    match core::str::from_utf8(token) {
        Ok(text) if !text.is_empty() && token.iter().all(is_token) => Ok(text),
        _ => Err(Denial::TokenMalformed),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::config::Config;

    fn check(headers: &[(&str, &[u8])]) -> Result<Option<String>, Denial> {
        let config = Config::parse(
            br#"{"providers":[
                {"name":"a","issuer":"https://a","audiences":["x"],"algorithms":["ES256"],
                 "jwks":{"cluster":"c","uri":"https://a/k"}},
                {"name":"b","issuer":"https://b","audiences":["x"],"algorithms":["ES256"],
                 "jwks":{"cluster":"c","uri":"https://b/k"},
                 "tokens":[{"header":"Authorization","scheme":"Bearer"},{"header":"X-Token"},{"cookie":"session"}]}],
                "namespaces":[],"policy":{"rules":[]}}"#,
        )
        .unwrap();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (String::from(*name), value.to_vec()))
            .collect();
        let headers = Headers::new(headers);
        find(&headers, &config.providers).map(|found| found.map(|found| found.token.into()))
    }

    #[test]
    fn there_is_one_credential_or_a_refusal() {
        type Case<'a> = (
            &'a str,
            &'a [(&'a str, &'a [u8])],
            Result<Option<&'a str>, Denial>,
        );
        let ambiguous = Err(Denial::TokenAmbiguous);
        let malformed = Err(Denial::TokenMalformed);
        let cases: &[Case<'_>] = &[
            ("none", &[("accept", b"*/*")], Ok(None)),
            (
                "bearer",
                &[("authorization", b"Bearer a.b.c")],
                Ok(Some("a.b.c")),
            ),
            (
                "any case",
                &[("Authorization", b"bEARER a.b.c")],
                Ok(Some("a.b.c")),
            ),
            ("other header", &[("x-token", b"a.b.c")], Ok(Some("a.b.c"))),
            (
                "other scheme",
                &[("authorization", b"Basic YTpi")],
                Ok(None),
            ),
            (
                "longer scheme",
                &[("authorization", b"BearerX a.b.c")],
                Ok(None),
            ),
            ("empty value", &[("authorization", b"")], Ok(None)),
            (
                "two headers",
                &[
                    ("authorization", b"Bearer a.b.c"),
                    ("authorization", b"Bearer a.b.c"),
                ],
                ambiguous,
            ),
            (
                "second of another scheme",
                &[
                    ("authorization", b"Basic x"),
                    ("authorization", b"Bearer a"),
                ],
                ambiguous,
            ),
            (
                "list",
                &[("authorization", b"Bearer a.b.c, Bearer d.e.f")],
                ambiguous,
            ),
            (
                "two sources",
                &[("authorization", b"Bearer a.b.c"), ("x-token", b"a.b.c")],
                ambiguous,
            ),
            ("scheme alone", &[("authorization", b"Bearer")], malformed),
            ("no token", &[("authorization", b"Bearer ")], malformed),
            (
                "two spaces",
                &[("authorization", b"Bearer  a.b.c")],
                malformed,
            ),
            ("tab", &[("authorization", b"Bearer\ta.b.c")], malformed),
            (
                "space after",
                &[("authorization", b"Bearer a.b.c ")],
                malformed,
            ),
            (
                "not utf-8",
                &[("authorization", b"Bearer \xff\xfe")],
                malformed,
            ),
            (
                "parameters",
                &[("authorization", b"Bearer token=\"a\"")],
                malformed,
            ),
            ("empty header of its own", &[("x-token", b"")], malformed),
            (
                "cookie",
                &[("cookie", b"a=1; session=a.b.c; d=e")],
                Ok(Some("a.b.c")),
            ),
            (
                "cookies in several fields",
                &[("cookie", b"a=1"), ("cookie", b"session=a.b.c")],
                Ok(Some("a.b.c")),
            ),
            (
                "no cookie of the name",
                &[("cookie", b"Session=a.b.c; sessions=a.b.c")],
                Ok(None),
            ),
            (
                "same cookie twice",
                &[("cookie", b"session=a.b.c; session=a.b.c")],
                ambiguous,
            ),
            (
                "same cookie in two fields",
                &[("cookie", b"session=a.b.c"), ("cookie", b"session=")],
                ambiguous,
            ),
            (
                "cookie and header",
                &[("cookie", b"session=a.b.c"), ("authorization", b"Bearer a")],
                ambiguous,
            ),
            (
                "cookie within quotes",
                &[("cookie", b"a=\"; session=a.b.c; b=\"")],
                ambiguous,
            ),
            (
                "second cookie behind a comma",
                &[("cookie", b"session=a.b.c; b=1, session=d.e.f")],
                ambiguous,
            ),
            ("empty cookie", &[("cookie", b"session=")], malformed),
            (
                "cookie without a value",
                &[("cookie", b"session")],
                malformed,
            ),
            (
                "quoted cookie",
                &[("cookie", b"session=\"a.b.c\"")],
                malformed,
            ),
            (
                "space in a cookie",
                &[("cookie", b"session= a.b.c")],
                malformed,
            ),
            (
                "cookie that is not utf-8",
                &[("cookie", b"session=\xff")],
                malformed,
            ),
        ];
        for (name, headers, want) in cases {
            assert_eq!(
                check(headers),
                want.map(|found| found.map(String::from)),
                "{name}"
            );
        }
    }
}
