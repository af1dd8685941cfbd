//! Checks `headers.set` of the document and gives each provider its headers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::access::unknown_provider;
use super::condition::{Place, build_conditions};
use super::grant::{CLAIMS, text_means};
use super::reliance::check_reliance;
use super::{ConfigError, Problem, Provider, wire};
use crate::claim_header::{ClaimHeader, Content, HeaderTemplate};
use crate::claims::ClaimPath;
use crate::headers::IdentityHeaders;

pub(super) fn add_claim_headers(
    written: Vec<wire::ClaimHeader>,
    providers: &mut [Provider],
    headers: &IdentityHeaders,
) -> Result<(), ConfigError> {
    let mut seen: Vec<(String, String)> = Vec::new();
    for (index, header) in written.into_iter().enumerate() {
        let at = format!("headers.set[{index}]");
        if !headers.is_free(&header.name) {
            return Err(ConfigError::value(
                format!("{at}.name"),
                &header.name,
                NAMES,
            ));
        }
        let when = build_conditions(&format!("{at}.when"), &header.when, Place::Grant)?;
        let content = build_content(&at, &header)?;
        let provider = choose(&at, header.provider.as_deref(), providers)?;
        let key = (header.name.clone(), provider.name.clone());
        if let Some(other) = seen.iter().position(|other| *other == key) {
            let problem = Problem::Duplicate {
                value: header.name,
                other: format!("headers.set[{other}].name"),
                why: "the callers of a provider have one header of a name",
            };
            return Err(ConfigError::new(format!("{at}.name"), problem));
        }
        seen.push(key);
        if provider.claim_headers.len() == COUNT_LIMIT {
            return Err(ConfigError::fields(
                at,
                "at most 32 headers may be set for the callers of one provider",
            ));
        }
        let header = ClaimHeader {
            name: header.name.into(),
            when,
            content,
        };
        check_reliance(&at, provider, &header.when, header.claims(), false)?;
        provider.claim_headers.push(header);
    }
    Ok(())
}

/// The provider whose claims are meant: the one that is named, or the only one.
fn choose<'a>(
    at: &str,
    name: Option<&str>,
    providers: &'a mut [Provider],
) -> Result<&'a mut Provider, ConfigError> {
    let known: Vec<_> = providers
        .iter()
        .map(|provider| provider.name.clone())
        .collect();
    let chosen = match (name, providers) {
        (Some(name), providers) => providers
            .iter_mut()
            .find(|provider| provider.name == name)
            .ok_or_else(|| unknown_provider(at, name, &known))?,
        (None, [only]) => only,
        (None, _) => {
            return Err(ConfigError::fields(
                at,
                "must name its `provider`, unless there is exactly one: a claim of one provider says nothing \
                 about the callers of another",
            ));
        }
    };
    Ok(chosen)
}

fn build_content(at: &str, written: &wire::ClaimHeader) -> Result<Content, ConfigError> {
    match (&written.value, &written.list) {
        (Some(text), None) if written.words.is_none() => HeaderTemplate::parse(text)
            .map(Content::Text)
            .ok_or_else(|| ConfigError::value(format!("{at}.value"), text, TEMPLATES)),
        (None, Some(claim)) => {
            let claim = ClaimPath::parse(claim)
                .ok_or_else(|| ConfigError::value(format!("{at}.list"), claim, CLAIMS))?;
            Ok(Content::List {
                text_means: text_means(&claim, written.words),
                claim,
            })
        }
        _ => Err(ConfigError::fields(
            at,
            "exactly one of `value` and `list` must be there; `words` goes with `list`",
        )),
    }
}

/// Headers for the callers of one provider: with the filter's own they are far from the hundred that the gateway takes.
const COUNT_LIMIT: usize = 32;
const NAMES: &str = "a name that begins with the prefix and goes on with lower-case letters, digits and dashes, at most \
    64 long, and none of decision, namespace, provider, roles, subject and workload after it";
const TEMPLATES: &str = "1 to 1024 visible ASCII characters with at least one {claim:PATH}, a comma between two of them, \
    and no percent sign or brace besides";
