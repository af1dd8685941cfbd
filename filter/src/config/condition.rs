//! Checks the conditions of the document.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::grant::{build_claim, text_means};
use super::{ConfigError, Provider, TokenSource, wire};
use crate::claims::Text;
use crate::condition::{Condition, Fact, Test};
use crate::headers::{self, IdentityHeaders};
use crate::spiffe::SpiffePattern;

/// Where a condition stands: what is known there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// In `required_claims`: what a token says, and nothing about a request.
    Claims,
    /// In `grants` and `headers.set`.
    Grant,
    /// In `identities`.
    Identity,
    /// In a rule.
    Rule {
        headers: &'a IdentityHeaders,
        providers: &'a [Provider],
        is_deny: bool,
    },
}

pub(super) fn build_conditions(
    at: &str,
    written: &[wire::Condition],
    place: Place<'_>,
) -> Result<Vec<Condition>, ConfigError> {
    let mut budget = COUNT_LIMIT;
    build_list(at, written, place, DEPTH_LIMIT, &mut budget)
}

/// `depth`: how many joins deeper a list may go.
fn build_list(
    at: &str,
    written: &[wire::Condition],
    place: Place<'_>,
    depth: usize,
    budget: &mut usize,
) -> Result<Vec<Condition>, ConfigError> {
    let build = |(index, condition): (usize, &wire::Condition)| {
        build(&format!("{at}[{index}]"), condition, place, depth, budget)
    };
    written.iter().enumerate().map(build).collect()
}

fn build(
    at: &str,
    written: &wire::Condition,
    place: Place<'_>,
    depth: usize,
    budget: &mut usize,
) -> Result<Condition, ConfigError> {
    *budget = budget.checked_sub(1).ok_or_else(|| {
        ConfigError::fields(
            at,
            "at most 64 conditions may be in one list, joined ones counted",
        )
    })?;
    let joins = [("all", &written.all), ("any", &written.any)];
    let has_join = written.not.is_some() || joins.iter().any(|(_, list)| list.is_some());
    if !has_join {
        let (fact, test) = build_one(at, written, place)?;
        return Ok(Condition::Is { fact, test });
    }
    let joined = joins.iter().filter(|(_, list)| list.is_some()).count();
    let is_alone = joined + usize::from(written.not.is_some()) == 1 && !written.has_test();
    if !is_alone {
        return Err(ConfigError::fields(
            at,
            "one of `all`, `any` and `not` stands alone, without a fact, a test or another of them",
        ));
    }
    let depth = depth.checked_sub(1).ok_or_else(|| {
        ConfigError::fields(at, "`all`, `any` and `not` may be joined at most four deep")
    })?;
    if let Some(condition) = &written.not {
        let condition = build(&format!("{at}.not"), condition, place, depth, budget)?;
        return Ok(Condition::Not(Box::new(condition)));
    }
    for (name, list) in joins {
        let Some(list) = list else {
            continue;
        };
        let at = format!("{at}.{name}");
        if list.is_empty() {
            return Err(ConfigError::fields(
                at,
                "at least one condition must be there",
            ));
        }
        let list = build_list(&at, list, place, depth, budget)?;
        return Ok(if name == "all" {
            Condition::All(list)
        } else {
            Condition::Any(list)
        });
    }
    Err(ConfigError::fields(at, "is no condition"))
}

fn build_one(
    at: &str,
    written: &wire::Condition,
    place: Place<'_>,
) -> Result<(Fact, Test), ConfigError> {
    let fact = build_fact(at, written, place)?;
    for value in written.equals.iter().chain(written.one_of.iter().flatten()) {
        if !(value.is_string() || value.is_boolean() || value.is_i64() || value.is_u64()) {
            let value = format!("{value}");
            return Err(ConfigError::value(
                at,
                &value,
                "a text, an integer or a boolean",
            ));
        }
    }
    if written.one_of.as_ref().is_some_and(Vec::is_empty) {
        return Err(ConfigError::fields(
            format!("{at}.one_of"),
            "at least one value must be there",
        ));
    }
    if written.words.is_some() && (written.contains.is_none() || written.claim.is_none()) {
        return Err(ConfigError::fields(
            format!("{at}.words"),
            "says how `contains` reads the text of a claim; no other test reads a list",
        ));
    }
    let means = match &fact {
        Fact::Claim(path) => text_means(path, written.words),
        _ => Text::Element,
    };
    let contains = |element: &String| Test::Contains {
        element: element.clone(),
        text_means: means,
    };
    let spiffe = match &written.spiffe {
        Some(pattern) => Some(Test::Spiffe(build_pattern(
            format!("{at}.spiffe"),
            pattern,
        )?)),
        None => None,
    };
    let tests: [Option<Test>; 7] = [
        written.contains.as_ref().map(contains),
        written
            .equals
            .clone()
            .filter(|value| *value != Value::Null)
            .map(Test::Equals),
        written.glob.clone().map(Test::Glob),
        written.one_of.clone().map(Test::OneOf),
        written.prefix.clone().map(Test::Prefix),
        written.present.map(Test::Present),
        spiffe,
    ];
    let mut tests = tests.into_iter().flatten();
    match (tests.next(), tests.next()) {
        (Some(test), None) => Ok((fact, test)),
        _ => Err(ConfigError::fields(
            at,
            "exactly one of `contains`, `equals`, `glob`, `one_of`, `prefix`, `present` and `spiffe` must be there",
        )),
    }
}

fn build_fact(at: &str, written: &wire::Condition, place: Place<'_>) -> Result<Fact, ConfigError> {
    let attribute = |known: bool, fact: Fact, what: &'static str| {
        if known {
            Ok(fact)
        } else {
            Err(ConfigError::fields(format!("{at}.attribute"), what))
        }
    };
    let is_later = matches!(place, Place::Grant | Place::Rule { .. });
    let only_claims = if matches!(place, Place::Identity) {
        "only claims are known here, and `certificate`: use `claim`; the provider is a field of its own"
    } else {
        "only claims are known here: use `claim`; the provider is a field of its own"
    };
    match (&written.claim, written.attribute, &written.header) {
        (Some(path), None, None) => build_claim(at, path).map(Fact::Claim),
        (None, Some(wire::Attribute::Certificate), None) => attribute(
            !matches!(place, Place::Claims),
            Fact::Certificate,
            only_claims,
        ),
        (None, Some(wire::Attribute::Provider), None) => {
            attribute(is_later, Fact::Provider, only_claims)
        }
        (None, Some(wire::Attribute::Workload), None) => {
            attribute(is_later, Fact::Workload, only_claims)
        }
        (None, None, Some(name)) => build_header(at, name, place),
        _ => Err(ConfigError::fields(
            at,
            "exactly one of `claim` and `attribute` must be there, or `header` in a rule",
        )),
    }
}

/// Clients write headers, so none of them says who somebody is.
fn build_header(at: &str, name: &str, place: Place<'_>) -> Result<Fact, ConfigError> {
    let at = format!("{at}.header");
    let Place::Rule {
        headers,
        providers,
        is_deny,
    } = place
    else {
        return Err(ConfigError::fields(
            at,
            "headers are written by clients and say nothing about who they are; rules alone may ask for them",
        ));
    };
    let mut sources = providers.iter().flat_map(|provider| &provider.tokens);
    let holds_credentials = sources
        .any(|source| matches!(source, TokenSource::Header { name: other, .. } if other == name));
    let is_readable = headers::is_header_name(name)
        && !name.contains('_')
        && !headers.is_identity(name)
        && !holds_credentials
        && !matches!(name, "authorization" | "cookie" | "host" | "connection");
    if !is_readable {
        return Err(ConfigError::value(
            at,
            name,
            "the name of a header in lower case without `_`, and not one that holds a host, a credential or an identity",
        ));
    }
    if !is_deny && OVERRIDES.contains(&name) {
        return Err(ConfigError::value(
            at,
            name,
            "a header that names no other method and no other target; deny rules alone may ask for such",
        ));
    }
    Ok(Fact::Header(name.into()))
}

pub(super) fn build_pattern(at: String, written: &str) -> Result<SpiffePattern, ConfigError> {
    SpiffePattern::parse(written).ok_or_else(|| ConfigError::value(at, written, PATTERNS))
}

impl wire::Condition {
    /// Whether anything but a join is there.
    fn has_test(&self) -> bool {
        let texts = [
            &self.claim,
            &self.header,
            &self.contains,
            &self.glob,
            &self.prefix,
            &self.spiffe,
        ];
        texts.iter().any(|text| text.is_some())
            || self.attribute.is_some()
            || self.equals.is_some()
            || self.one_of.is_some()
            || self.present.is_some()
            || self.words.is_some()
    }
}

/// By these a client asks some servers for another method or another target than the one that was judged.
pub const OVERRIDES: [&str; 8] = [
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];
/// Joins within joins.
const DEPTH_LIMIT: usize = 4;
/// Conditions in one list, those that are joined among them.
const COUNT_LIMIT: usize = 64;
const PATTERNS: &str = "a SPIFFE id such as spiffe://cluster.local/ns/*/sa/batch, where `*` is one whole segment and one \
    `**` is any number of segments";
