//! Presets: what the tokens of a well-known issuer look like, as data.
//!
//! A preset expands into the fields that a provider has anyway. It narrows what may be written there
//! and adds conditions that every token must meet; it never takes a check away. One page per preset
//! stands in `docs/presets/`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{AudienceClaim, ConfigError, Problem, wire};
use crate::algorithm::Algorithm;
use crate::claims::ClaimPath;
use crate::condition::{self, Condition, Fact, Test};
use crate::token_type::TokenTypes;

/// One preset.
#[derive(Debug)]
pub(super) struct Preset {
    name: &'static str,
    /// The first is the default, unless it has a `*`. `{}` stands for the parameter.
    issuers: &'static [Issuer],
    /// The issuers in words.
    issuer_form: &'static str,
    /// All that the issuer uses; those that the filter does not know are passed over.
    algorithms: &'static [&'static str],
    /// The header in which a token stands alone; otherwise it is a bearer token.
    header: Option<&'static str>,
    /// Whether its tokens have padding.
    accepts_padding: bool,
    /// Headers that say who is calling and that nobody signs.
    unsigned: &'static [&'static str],
    /// What may be in `typ`, or nothing may; none: what is usual.
    types: &'static [&'static str],
    audience_claim: AudienceClaim,
    /// From the signer, where a key is of which the `kid` is known; nothing where that is not documented.
    key_uri: fn(&str) -> Option<String>,
    /// What every audience begins with.
    audience_prefix: &'static str,
    /// Audiences of tokens that many callers have for other reasons, as patterns.
    refused_audiences: &'static [&'static str],
    /// Whether tokens for the issuer itself are also such.
    refuses_issuer_as_audience: bool,
    max_lifetime_seconds: Option<u32>,
    parameter: Option<Parameter>,
    required: &'static [Required],
    /// Claims that the caller, or whoever fills in a profile, chooses freely.
    weak_claims: &'static [&'static str],
    /// Whether a token may say that it has no room for the caller's groups.
    may_omit_groups: bool,
    /// What of the issuer, before this, is an issuer of tokens that only itself can read.
    opaque_before: Option<&'static str>,
}

/// A form of an issuer, where its keys are, and what its tokens say besides.
#[derive(Debug)]
struct Issuer {
    pattern: &'static str,
    /// A whole URI, or what follows the issuer; empty: nowhere in particular.
    keys: &'static str,
    required: &'static [Required],
}

/// A claim and what it must be.
type Required = (&'static str, Wanted);

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Is(&'static str),
    Prefix(&'static str),
    Present,
}

/// A field that only this preset has: values that a claim must have one of.
#[derive(Debug)]
struct Parameter {
    field: &'static str,
    claim: &'static str,
    need: Need,
    fits: fn(&str) -> bool,
    form: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
enum Need {
    Default(&'static str),
    /// This field, or conditions of the operator's own.
    OrRequiredClaims,
    Required,
}

/// What a preset makes of the fields that were written.
#[derive(Default)]
pub(super) struct Expanded {
    pub(super) issuer: String,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) header: Option<&'static str>,
    pub(super) keys: Option<String>,
    pub(super) key_uri: Option<String>,
    pub(super) signer: Option<String>,
    pub(super) accepts_padding: bool,
    pub(super) types: Option<TokenTypes>,
    pub(super) max_lifetime_seconds: Option<u32>,
    pub(super) required_claims: Vec<Condition>,
    pub(super) audience_claim: AudienceClaim,
    pub(super) weak_claims: Vec<ClaimPath>,
    pub(super) may_omit_groups: bool,
    pub(super) opaque_issuer: Option<String>,
}

impl Preset {
    /// The preset that a provider names; nothing when it names none.
    pub(super) fn of(
        at: &str,
        written: &wire::Provider,
    ) -> Result<Option<&'static Self>, ConfigError> {
        let Some(name) = written.preset.as_deref() else {
            return match parameters(written).into_iter().flatten().next() {
                Some((field, _)) => Err(ConfigError::fields(
                    format!("{at}.{field}"),
                    "is a field of a preset, and this provider names none",
                )),
                None => Ok(None),
            };
        };
        let preset = PRESETS.iter().find(|preset| preset.name == name);
        preset.map(Some).ok_or_else(|| {
            let known = PRESETS.iter().map(|preset| preset.name);
            ConfigError::unknown(format!("{at}.preset"), "preset", name, known)
        })
    }

    pub(super) fn expand(
        &self,
        at: &str,
        written: &wire::Provider,
    ) -> Result<Expanded, ConfigError> {
        let values = self.parameter_values(at, written)?;
        let first = values.first().map_or("", String::as_str);
        let (issuer, form) = self.issuer(at, written.issuer.as_deref(), first)?;
        self.check_audiences(at, written, &issuer)?;
        let algorithms = match &written.algorithms {
            Some(chosen) => {
                for (index, algorithm) in chosen.iter().enumerate() {
                    if !self.algorithms.contains(&algorithm.name()) {
                        let known = self.algorithms.iter().copied();
                        let at = format!("{at}.algorithms[{index}]");
                        let kind = "algorithm of this preset";
                        return Err(ConfigError::unknown(at, kind, algorithm.name(), known));
                    }
                }
                chosen.clone()
            }
            None => {
                let names = self.algorithms.iter();
                names
                    .filter_map(|name| Algorithm::from_name(name))
                    .collect()
            }
        };
        let max_lifetime_seconds = match (written.max_lifetime_seconds, self.max_lifetime_seconds) {
            (Some(got), Some(max)) if got > max => {
                let at = format!("{at}.max_lifetime_seconds");
                return Err(ConfigError::range(at, got, 1, max));
            }
            (got, max) => got.or(max),
        };
        let is_signer = self
            .parameter
            .as_ref()
            .is_some_and(|parameter| parameter.field == SIGNER);
        if is_signer && max_lifetime_seconds.is_some() {
            return Err(ConfigError::fields(
                format!("{at}.max_lifetime_seconds"),
                "tokens of this preset do not say when they were made",
            ));
        }
        let mut required_claims: Vec<_> = form
            .required
            .iter()
            .chain(self.required)
            .filter_map(|(claim, wanted)| {
                let test = match wanted {
                    Wanted::Is(text) => Test::Equals(Value::from(*text)),
                    Wanted::Prefix(text) => Test::Prefix((*text).into()),
                    Wanted::Present => Test::Present(true),
                };
                condition(claim, test)
            })
            .collect();
        let mut audience_claim = self.audience_claim;
        if let Some(parameter) = &self.parameter
            && !values.is_empty()
            && !is_signer
        {
            let test = if parameter.field == "trust_domain" {
                Test::InTrustDomain(first.into())
            } else {
                Test::OneOf(values.iter().map(|value| value.as_str().into()).collect())
            };
            required_claims.extend(condition(parameter.claim, test));
            // Cognito's access tokens are for no audience; they name the client that they were made for.
            if (parameter.field, first) == ("token_use", "access") {
                audience_claim = AudienceClaim::ClientId;
            }
        }
        let opaque = self.opaque_before.and_then(|tail| issuer.split_once(tail));
        Ok(Expanded {
            opaque_issuer: opaque.map(|(front, _)| front.into()),
            key_uri: is_signer.then(|| (self.key_uri)(first)).flatten(),
            signer: is_signer.then(|| first.into()),
            accepts_padding: self.accepts_padding,
            types: (!self.types.is_empty()).then(|| TokenTypes::or_absent(self.types)),
            keys: (!form.keys.is_empty()).then(|| {
                if form.keys.starts_with("https://") {
                    form.keys.replace("{}", first)
                } else {
                    format!("{issuer}{}", form.keys)
                }
            }),
            issuer,
            algorithms,
            header: self.header,
            max_lifetime_seconds,
            required_claims,
            audience_claim,
            weak_claims: self
                .weak_claims
                .iter()
                .filter_map(|path| ClaimPath::parse(path))
                .collect(),
            may_omit_groups: self.may_omit_groups,
        })
    }

    fn issuer(
        &self,
        at: &str,
        written: Option<&str>,
        parameter: &str,
    ) -> Result<(String, &'static Issuer), ConfigError> {
        let pattern = |issuer: &Issuer| issuer.pattern.replace("{}", parameter);
        let Some(written) = written else {
            return match self.issuers.first() {
                Some(issuer) if !issuer.pattern.contains('*') => Ok((pattern(issuer), issuer)),
                _ => Err(ConfigError::fields(at, "missing field `issuer`")),
            };
        };
        let fits = |issuer: &&Issuer| {
            condition::fits(pattern(issuer).as_bytes(), written.as_bytes())
                // A slash at the end is a usual slip, and no token would ever match.
                && written.ends_with('/') == issuer.pattern.ends_with('/')
        };
        match self.issuers.iter().find(fits) {
            Some(issuer) => Ok((written.into(), issuer)),
            None => Err(ConfigError::value(
                format!("{at}.issuer"),
                written,
                self.issuer_form,
            )),
        }
    }

    fn parameter_values(
        &self,
        at: &str,
        written: &wire::Provider,
    ) -> Result<Vec<String>, ConfigError> {
        let mut values = None;
        for (field, written) in parameters(written).into_iter().flatten() {
            match &self.parameter {
                Some(parameter) if parameter.field == field => values = Some(written),
                _ => {
                    return Err(ConfigError::fields(
                        format!("{at}.{field}"),
                        "is a field of another preset",
                    ));
                }
            }
        }
        let Some(parameter) = &self.parameter else {
            return Ok(Vec::new());
        };
        let Some(values) = values else {
            return match parameter.need {
                Need::Default(value) => Ok([value.into()].into()),
                Need::OrRequiredClaims if !written.required_claims.is_empty() => Ok(Vec::new()),
                _ => Err(ConfigError::new(
                    at,
                    Problem::Field {
                        detail: format!("missing field `{}`: {}", parameter.field, parameter.form),
                    },
                )),
            };
        };
        let wrong = values.iter().find(|value| !(parameter.fits)(value));
        match (wrong, values.first()) {
            (Some(value), _) => Err(ConfigError::value(
                format!("{at}.{}", parameter.field),
                value,
                parameter.form,
            )),
            (None, None) => Err(ConfigError::fields(
                format!("{at}.{}", parameter.field),
                "at least one value must be there",
            )),
            (None, Some(_)) => Ok(values),
        }
    }

    fn check_audiences(
        &self,
        at: &str,
        written: &wire::Provider,
        issuer: &str,
    ) -> Result<(), ConfigError> {
        for (index, audience) in written.audiences.iter().flatten().enumerate() {
            let is_refused = self
                .refused_audiences
                .iter()
                .any(|pattern| condition::fits(pattern.as_bytes(), audience.as_bytes()))
                || (self.refuses_issuer_as_audience && audience == issuer);
            if is_refused {
                return Err(ConfigError::value(
                    format!("{at}.audiences[{index}]"),
                    audience,
                    "an audience of your own: callers have tokens for this one for other reasons, and each of them \
                     would be let in",
                ));
            }
            if !audience.starts_with(self.audience_prefix) {
                return Err(ConfigError::value(
                    format!("{at}.audiences[{index}]"),
                    audience,
                    "/projects/NUMBER/global/backendServices/ID or /projects/NUMBER/apps/ID",
                ));
            }
        }
        Ok(())
    }
}

/// Their names.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The fields that only presets have, as far as they were written.
fn parameters(written: &wire::Provider) -> [Option<(&'static str, Vec<String>)>; 7] {
    let list = |field, values: &Option<Vec<String>>| values.clone().map(|values| (field, values));
    let one = |field, value: &Option<String>| value.clone().map(|value| (field, [value].into()));
    [
        list("accounts", &written.accounts),
        list("hosted_domains", &written.hosted_domains),
        list("repository_owner_ids", &written.repository_owner_ids),
        one(SIGNER, &written.signer),
        one("tenant", &written.tenant),
        one("token_use", &written.token_use),
        one("trust_domain", &written.trust_domain),
    ]
}

fn condition(claim: &str, test: Test) -> Option<Condition> {
    let fact = Fact::Claim(ClaimPath::parse(claim)?);
    Some(Condition::Is { fact, test })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && is_number(text)
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_domain(text: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The headers that the presets of these providers distrust.
pub(super) fn unsigned(written: &[wire::Provider]) -> impl Iterator<Item = &'static str> {
    let of = |provider: &wire::Provider| {
        let name = provider.preset.as_deref();
        let preset = PRESETS.iter().find(|preset| Some(preset.name) == name);
        preset.map_or(&[][..], |preset| preset.unsigned)
    };
    written.iter().flat_map(of).copied()
}

fn is_token_use(text: &str) -> bool {
    matches!(text, "access" | "id")
}

mod signer;
mod table;
use signer::SIGNER;
use table::PRESETS;

#[cfg(test)]
mod tests;
