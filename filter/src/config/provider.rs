//! Checks the `providers` of the document.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::condition::{Place, build_conditions};
use super::preset::{Expanded, Preset};
use super::{
    AudienceClaim, ConfigError, KeySource, Problem, Provider, RemoteKeys, TokenSource,
    confirmation, schedule, wire,
};
use crate::algorithm::{Algorithm, KeyKind};
use crate::cookie;
use crate::headers::{self, IdentityHeaders};
use crate::host::Host;
use crate::token_type::TokenTypes;

pub(super) fn build(
    written: Vec<wire::Provider>,
    headers: &IdentityHeaders,
) -> Result<Vec<Provider>, ConfigError> {
    let mut providers: Vec<Provider> = Vec::new();
    for (index, provider) in written.into_iter().enumerate() {
        let at = format!("providers[{index}]");
        let provider = build_one(&at, provider, headers)?;
        for (other, earlier) in providers.iter().enumerate() {
            check_differ(&at, &provider, &format!("providers[{other}]"), earlier)?;
        }
        providers.push(provider);
    }
    Ok(providers)
}

fn build_one(
    at: &str,
    written: wire::Provider,
    headers: &IdentityHeaders,
) -> Result<Provider, ConfigError> {
    check_name(at, &written.name)?;
    let confirmations = confirmation::build(at, &written)?;
    let missing = |field| Err(ConfigError::fields(at, field));
    let expanded = match Preset::of(at, &written)? {
        Some(preset) => preset.expand(at, &written)?,
        None => Expanded {
            issuer: match written.issuer {
                Some(issuer) => issuer,
                None => return missing("missing field `issuer`"),
            },
            algorithms: match written.algorithms {
                Some(algorithms) => algorithms,
                None => return missing("missing field `algorithms`"),
            },
            max_lifetime_seconds: written.max_lifetime_seconds,
            ..Expanded::default()
        },
    };
    let has_audiences = expanded.audience_claim != AudienceClaim::Signer;
    let audiences = match written.audiences {
        Some(audiences) if has_audiences => audiences,
        None if !has_audiences => Vec::new(),
        None => return missing("missing field `audiences`"),
        Some(_) => {
            return Err(ConfigError::fields(
                format!("{at}.audiences"),
                "tokens of this preset name no audience: `signer` says that they are for what stands behind it",
            ));
        }
    };
    let issuer = expanded.issuer;
    let is_issuer_byte =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b',' | b'"' | b'%');
    if !(1..=512).contains(&issuer.len()) || !issuer.bytes().all(is_issuer_byte) {
        return Err(ConfigError::value(format!("{at}.issuer"), &issuer, ISSUERS));
    }
    if (has_audiences && audiences.is_empty()) || audiences.iter().any(String::is_empty) {
        return Err(ConfigError::fields(
            format!("{at}.audiences"),
            "at least one audience must be there, and none may be empty: a token must be meant for us",
        ));
    }
    if expanded.algorithms.is_empty() {
        return Err(ConfigError::fields(
            format!("{at}.algorithms"),
            "at least one must be there, such as RS256 or ES256",
        ));
    }
    if written.clock_skew_seconds > 60 {
        return Err(ConfigError::range(
            format!("{at}.clock_skew_seconds"),
            written.clock_skew_seconds,
            0,
            60,
        ));
    }
    if let Some(seconds) = expanded.max_lifetime_seconds
        && !(1..=LIFETIME_LIMIT).contains(&seconds)
    {
        return Err(ConfigError::range(
            format!("{at}.max_lifetime_seconds"),
            seconds,
            1,
            LIFETIME_LIMIT,
        ));
    }
    let types = match &written.types {
        None => expanded.types.unwrap_or_default(),
        Some(names) => TokenTypes::exactly(names).ok_or_else(|| {
            ConfigError::fields(
                format!("{at}.types"),
                "at least one type of tokens must be there, such as at+jwt, each of 1 to 64 letters, digits \
                 and `+-._/`; leave the field out for JWT, at+jwt and tokens without a type",
            )
        })?,
    };
    let written_tokens = written.tokens.unwrap_or_else(|| match expanded.header {
        Some(header) => [wire::Token::alone_in(header)].into(),
        None => [wire::Token::bearer()].into(),
    });
    if written_tokens.is_empty() {
        return Err(ConfigError::fields(
            format!("{at}.tokens"),
            "at least one source must be there; leave the field out for bearer tokens in authorization",
        ));
    }
    let mut tokens = Vec::new();
    for (index, token) in written_tokens.into_iter().enumerate() {
        tokens.push(token_source(
            &format!("{at}.tokens[{index}]"),
            token,
            headers,
        )?);
    }
    let mut required_claims = expanded.required_claims;
    required_claims.extend(build_conditions(
        &format!("{at}.required_claims"),
        &written.required_claims,
        Place::Claims,
    )?);
    let mut jwks = written.jwks;
    if jwks.cluster.is_some() && jwks.uri.is_none() && jwks.key_uri.is_none() {
        jwks.uri = expanded.keys;
        jwks.key_uri = expanded.key_uri;
    }
    Ok(Provider {
        keys: key_source(&format!("{at}.jwks"), jwks, &expanded.algorithms)?,
        name: written.name,
        issuer,
        audiences,
        audience_claim: expanded.audience_claim,
        signer: expanded.signer,
        accepts_padding: expanded.accepts_padding,
        algorithms: expanded.algorithms,
        tokens,
        clock_skew: Duration::from_secs(written.clock_skew_seconds.into()),
        max_lifetime: expanded
            .max_lifetime_seconds
            .map(|seconds| Duration::from_secs(seconds.into())),
        types,
        required_claims,
        confirmations,
        refuses_groups_overage: expanded.may_omit_groups,
        opaque_issuer: expanded.opaque_issuer,
        weak_claims: expanded.weak_claims,
        identities: Vec::new(),
        claim_headers: Vec::new(),
    })
}

fn check_differ(
    at: &str,
    provider: &Provider,
    other_at: &str,
    other: &Provider,
) -> Result<(), ConfigError> {
    let duplicate = |field: &str, value: &str, why: &'static str| {
        let other = format!("{other_at}.{field}");
        let problem = Problem::Duplicate {
            value: value.into(),
            other,
            why,
        };
        Err(ConfigError::new(format!("{at}.{field}"), problem))
    };
    if provider.name == other.name {
        return duplicate("name", &provider.name, "names must differ");
    }
    if provider.issuer == other.issuer && provider.signer == other.signer {
        return duplicate(
            "issuer",
            &provider.issuer,
            "the issuer, and the signer where there is one, decide which provider a token is of",
        );
    }
    // One header value must not be two different tokens, depending on who reads it.
    for source in &provider.tokens {
        let TokenSource::Header { name, .. } = source else {
            continue;
        };
        let differs = |earlier: &TokenSource| {
            matches!(earlier, TokenSource::Header { name: other, .. } if other == name)
                && earlier != source
        };
        if other.tokens.iter().any(differs) {
            return duplicate(
                "tokens",
                name,
                "with another scheme: a header is read in one way",
            );
        }
    }
    Ok(())
}

fn token_source(
    at: &str,
    written: wire::Token,
    headers: &IdentityHeaders,
) -> Result<TokenSource, ConfigError> {
    let written_header = match (written.header, written.cookie) {
        (Some(header), None) => header,
        (None, Some(name)) if written.scheme.is_none() => {
            return if cookie::is_cookie_name(&name) {
                Ok(TokenSource::Cookie { name })
            } else {
                Err(ConfigError::value(
                    format!("{at}.cookie"),
                    &name,
                    "the name of a cookie: 1 to 64 letters, digits and !#$%&'*+-.^_`|~",
                ))
            };
        }
        _ => {
            return Err(ConfigError::fields(
                at,
                "either `header` (with or without `scheme`) or `cookie` must be there",
            ));
        }
    };
    let header = written_header.to_ascii_lowercase();
    let is_usable = headers::is_header_name(&header)
        && !headers.is_identity(&header)
        && !matches!(
            header.as_str(),
            "host" | "cookie" | "connection" | "content-length"
        );
    if !is_usable {
        return Err(ConfigError::value(
            format!("{at}.header"),
            &written_header,
            "the name of a request header, and not one that the filter sets or that HTTP itself needs; \
             for a cookie use `cookie: NAME`",
        ));
    }
    if let Some(scheme) = &written.scheme {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if scheme.is_empty() || !scheme.bytes().all(is_token) {
            return Err(ConfigError::value(
                format!("{at}.scheme"),
                scheme,
                "a scheme such as Bearer",
            ));
        }
    }
    Ok(TokenSource::Header {
        name: header,
        scheme: written.scheme,
    })
}

fn key_source(
    at: &str,
    written: wire::Jwks,
    algorithms: &[Algorithm],
) -> Result<KeySource, ConfigError> {
    let is_timed = schedule::is_written(&written);
    let schedule = schedule::build(at, &written)?;
    match (
        written.inline,
        written.cluster,
        written.uri,
        written.key_uri,
    ) {
        (Some(document), None, None, None) if !is_timed => KeySource::inline(&document)
            .map_err(|error| ConfigError::new(format!("{at}.inline"), Problem::KeySet(error))),
        (None, Some(cluster), uri, key_uri) if uri.is_some() != key_uri.is_some() => {
            if cluster.is_empty() || !cluster.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(ConfigError::value(
                    format!("{at}.cluster"),
                    &cluster,
                    "the name of a cluster of the gateway, such as outbound|443||id.example.com",
                ));
            }
            let remote = |(scheme, authority, path)| RemoteKeys {
                cluster,
                scheme,
                authority,
                path,
                schedule,
            };
            if let Some(uri) = key_uri {
                let at = format!("{at}.key_uri");
                let is_on_curve =
                    |algorithm: &Algorithm| matches!(algorithm.key_kind(), KeyKind::Ec(_));
                if !algorithms.iter().all(is_on_curve) {
                    return Err(ConfigError::fields(
                        at,
                        "is for ES256, ES384 and ES512 alone, and the provider lists another algorithm",
                    ));
                }
                let front = uri.strip_suffix("/{kid}").filter(|front| {
                    // Anywhere else, a `kid` could change what is asked for.
                    !front.contains(['{', '}', '?'])
                });
                let parts = front.and_then(|front| split_uri(&format!("{front}/")));
                return parts.map(remote).map(KeySource::OneByOne).ok_or_else(|| {
                    ConfigError::value(
                        at,
                        &uri,
                        "https://host[:port]/path/{kid} or http://host[:port]/path/{kid}, with {kid} as the \
                         whole last segment and no query",
                    )
                });
            }
            let uri = uri.unwrap_or_default();
            let parts = split_uri(&uri).ok_or_else(|| {
                ConfigError::value(
                    format!("{at}.uri"),
                    &uri,
                    "https://host[:port]/path or http://host[:port]/path, without user, fragment or spaces",
                )
            })?;
            Ok(KeySource::Remote(remote(parts)))
        }
        _ => Err(ConfigError::fields(
            at,
            "either `inline`, or `cluster` and one of `uri` and `key_uri` (with times, where they are wanted) must \
             be there",
        )),
    }
}

fn split_uri(uri: &str) -> Option<(&'static str, String, String)> {
    let (scheme, rest) = match uri.strip_prefix("https://") {
        Some(rest) => ("https", rest),
        None => ("http", uri.strip_prefix("http://")?),
    };
    let (authority, path) = rest.split_once('/')?;
    Host::parse(authority.as_bytes())?;
    let is_path = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_path.then(|| (scheme, authority.to_string(), format!("/{path}")))
}

/// Names go into headers, logs and lists.
pub(super) fn check_name(at: &str, name: &str) -> Result<(), ConfigError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) {
        Ok(())
    } else {
        Err(ConfigError::value(
            format!("{at}.name"),
            name,
            "1 to 64 letters, digits, `-`, `_` and `.`",
        ))
    }
}

/// A year: a token that lives longer is a password.
const LIFETIME_LIMIT: u32 = 365 * 86_400;
const ISSUERS: &str = "1 to 512 visible ASCII characters without `#`, `,`, `%` and quotes; it is \
    compared byte for byte with iss";
