//! A list of headers: one credential or a refusal, and nothing left of it where it is not to go on.

use identity_filter::cookie;
use identity_filter::credential;
use identity_filter::headers::Headers;

use crate::gateway::with_config;

/// Each line is a header: its name, a colon, its value.
pub(crate) fn check(data: &[u8]) {
    let mut headers = headers(data);
    with_config(|config| {
        let _any = config.headers.strip(&mut headers);
        assert!(
            !headers
                .iter()
                .any(|(name, _)| config.headers.is_identity(name))
        );
        assert!(!config.headers.strip(&mut headers), "once is enough");
        if let Ok(Some(found)) = credential::find(&headers, &config.providers) {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
            assert!(!found.token.is_empty() && found.token.bytes().all(is_token));
            let places = [
                headers
                    .all("authorization")
                    .filter(|value| is_bearer(value))
                    .count(),
                headers.all("x-token").count(),
                sessions(&headers),
            ];
            assert_eq!(places.iter().sum::<usize>(), 1, "there is one credential");
        }
        let others = |headers: &Headers| {
            let values = headers.all("cookie");
            values
                .map(|value| cookie::values(value, "other").count())
                .sum::<usize>()
        };
        let before = others(&headers);
        config.headers.remove_credentials(&mut headers);
        assert_eq!(credential::find(&headers, &config.providers), Ok(None));
        assert_eq!((sessions(&headers), others(&headers)), (0, before));
    });
}

fn headers(data: &[u8]) -> Headers {
    let lines = data.split(|byte| *byte == b'\n').take(100);
    let header = |line: &[u8]| {
        let end = line
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(line.len());
        let (name, value) = line.split_at(end);
        let value = value.strip_prefix(b":").unwrap_or(value);
        (String::from_utf8_lossy(name).into_owned(), value.to_vec())
    };
    Headers::new(lines.map(header).collect())
}

fn is_bearer(value: &[u8]) -> bool {
    value
        .get(..7)
        .is_some_and(|front| front.eq_ignore_ascii_case(b"bearer "))
}

fn sessions(headers: &Headers) -> usize {
    headers
        .all("cookie")
        .map(|value| cookie::values(value, "session").count())
        .sum()
}
