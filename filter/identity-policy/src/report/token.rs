//! The credential, and what was checked of it, in the order of the core.

use identity_filter::claims::Claims;
use identity_filter::config::{Provider, TokenSource};
use identity_filter::decision::Denial;
use identity_filter::gate::explanation::Token;
use identity_filter::time::UnixTime;
use identity_filter::verify::Check;
use serde_json::Value;

use super::caller::needs;
use super::{Finding, Step, Verdict, meaning};
use crate::caller::Signature;
use crate::question::{Answer, Question};
use crate::words::{list, quoted, value};

pub(super) fn steps(question: &Question, answer: &Answer<'_>) -> Vec<Step> {
    let explanation = &answer.explanation;
    let finding = match explanation.credential {
        _ if explanation.routes.is_empty() => return Vec::new(),
        Err(denial) => Finding::new("refused", Verdict::No, meaning(denial)),
        Ok(None) => Finding::new("none", Verdict::Is, "the caller is anonymous"),
        Ok(Some(source)) => Finding::new("token", Verdict::Yes, stood(source)),
    };
    let mut steps = vec![Step {
        step: "credential",
        findings: vec![finding],
    }];
    if let Some(token) = &explanation.token {
        let findings = Checks {
            token,
            question,
            signature: answer.signature,
        }
        .findings();
        steps.push(Step {
            step: "token",
            findings,
        });
    }
    steps
}

/// What became of the signature, of which nobody asks where a token is refused before.
pub(super) fn reached(answer: &Answer<'_>) -> Signature {
    let token = answer.explanation.token.as_ref();
    let is_before = token.is_some_and(|token| {
        token
            .refused
            .is_some_and(|denial| denial != Denial::SignatureInvalid)
            && !token.passed.contains(&Check::Signature)
    });
    match answer.signature {
        Signature::Claimed => Signature::Claimed,
        _ if is_before => Signature::NotReached,
        signature => signature,
    }
}

fn stood(source: &TokenSource) -> String {
    match source {
        TokenSource::Cookie { name } => format!("in cookie {}", quoted(name)),
        TokenSource::Header { name, scheme: None } => format!("in header {}", quoted(name)),
        TokenSource::Header {
            name,
            scheme: Some(scheme),
        } => {
            format!("in header {}, scheme {}", quoted(name), quoted(scheme))
        }
    }
}

struct Checks<'a> {
    token: &'a Token<'a>,
    question: &'a Question,
    signature: Signature,
}

impl Checks<'_> {
    fn findings(&self) -> Vec<Finding> {
        let token = self.token;
        let issuer = token
            .issuer
            .as_deref()
            .map_or_else(|| "none".into(), quoted);
        let mut findings = Vec::new();
        let Some(provider) = token.provider else {
            let why = token.refused.map_or("", meaning);
            findings.push(Finding::new("form", Verdict::No, why));
            if token.refused == Some(Denial::IssuerUnknown) {
                findings = vec![Finding::new(
                    "issuer",
                    Verdict::No,
                    format!("{issuer}: {why}"),
                )];
            }
            return findings;
        };
        let detail = format!("{issuer}, of provider {}", provider.name);
        findings.push(Finding::new("issuer", Verdict::Yes, detail));
        for check in &token.passed {
            if self.matters(*check, provider) {
                findings.push(self.passed(*check, provider));
            }
        }
        if let Some(denial) = token.refused {
            // The checks are passed in the order of their declaration.
            let next = match token.passed.last() {
                None => Check::Algorithm,
                Some(last) => ORDER
                    .into_iter()
                    .find(|check| check > last)
                    .unwrap_or(Check::Connection),
            };
            let detail = self.refused(next, denial, provider);
            findings.push(Finding::new(name(next), Verdict::No, detail));
        }
        findings
    }

    /// Whether a check is one of those that most tokens never meet.
    fn matters(&self, check: Check, provider: &Provider) -> bool {
        let is_bound = self.claim("cnf").is_some() || provider.confirmations.certificate_required;
        match check {
            Check::Signer => provider.signer.is_some(),
            Check::Groups => provider.refuses_groups_overage,
            Check::RequiredClaims => !provider.required_claims.is_empty(),
            Check::Confirmation | Check::Connection => is_bound,
            _ => true,
        }
    }

    fn claim(&self, name: &str) -> Option<&Value> {
        self.token
            .claims
            .as_ref()
            .and_then(|claims: &Claims| claims.top(name))
    }

    fn passed(&self, check: Check, provider: &Provider) -> Finding {
        let mut verdict = Verdict::Yes;
        let detail = match check {
            Check::Key
                if !self.signature.is_checked()
                    && self.signature != Signature::AlgorithmNotHere =>
            {
                verdict = Verdict::Unchecked;
                "not looked for".into()
            }
            Check::Signature if !self.signature.is_checked() => {
                verdict = Verdict::Unchecked;
                match self.signature {
                    Signature::Claimed => "none: claims were given".into(),
                    _ => "NOT CHECKED".into(),
                }
            }
            Check::Signature => "made with that key".into(),
            Check::RequiredClaims => {
                let required = provider.required_claims.iter();
                let required: Vec<_> = required.map(ToString::to_string).collect();
                required.join(", ")
            }
            Check::Groups => "all of them are in the token".into(),
            Check::Confirmation => "something that can be checked, or nothing".into(),
            Check::Connection => "the client has shown the certificate that it asks for".into(),
            check => self.says(check, provider),
        };
        Finding::new(name(check), verdict, detail)
    }

    /// What the token says about the subject of a check.
    fn says(&self, check: Check, provider: &Provider) -> String {
        let header = self.token.header.as_ref();
        let text = |text: Option<&String>| text.map_or_else(|| "none".into(), |text| quoted(text));
        match check {
            Check::Algorithm => text(header.map(|header| &header.algorithm)),
            Check::Type => text(header.and_then(|header| header.kind.as_ref())),
            Check::Key => text(header.and_then(|header| header.key_id.as_ref())),
            Check::Signer => {
                let origin = header.and_then(|header| header.origin.as_ref());
                text(origin.map(|origin| &origin.signer))
            }
            Check::Audience => {
                use identity_filter::config::AudienceClaim;
                let claim = match provider.audience_claim {
                    AudienceClaim::Aud => self.claim("aud"),
                    AudienceClaim::ClientId => self.claim("client_id"),
                    AudienceClaim::HeaderClient | AudienceClaim::Signer => None,
                };
                claim.map_or_else(|| "as the load balancer says".into(), value)
            }
            Check::Times => {
                let times: Vec<_> = ["iat", "nbf", "exp"]
                    .into_iter()
                    .filter_map(|name| Some(format!("{name} {}", instant(self.claim(name)?))))
                    .collect();
                let now = self.question.now.rfc3339();
                format!("{}; now {now}", times.join(", "))
            }
            Check::Subject => self.claim("sub").map_or_else(|| "none".into(), value),
            Check::Confirmation => self.claim("cnf").map_or_else(|| "none".into(), value),
            Check::Connection => {
                let shown = self.question.request.certificate.sha256.as_ref();
                format!("the client has shown {}", text(shown))
            }
            Check::Groups | Check::RequiredClaims | Check::Signature => String::new(),
        }
    }

    fn refused(&self, check: Check, denial: Denial, provider: &Provider) -> String {
        let why = meaning(denial);
        let of = |texts: &[String]| list(texts.iter().map(|text| quoted(text)));
        let says = self.says(check, provider);
        match (check, &self.token.unmet) {
            (Check::Algorithm, _) => {
                let known = provider
                    .algorithms
                    .iter()
                    .map(|known| known.name().to_owned());
                format!("{says}: {why}, {}", list(known))
            }
            (Check::Audience, _) => format!(
                "{says}: {why}; the provider takes {}",
                of(&provider.audiences)
            ),
            (Check::RequiredClaims, Some(unmet)) => needs(unmet),
            (Check::Times, _) => {
                let skew = provider.clock_skew.as_secs();
                format!("{says}: {why} (leeway {skew} s)")
            }
            _ if says.is_empty() => why.into(),
            _ => format!("{says}: {why}"),
        }
    }
}

const fn name(check: Check) -> &'static str {
    match check {
        Check::Algorithm => "algorithm",
        Check::Audience => "audience",
        Check::Confirmation => "bound to",
        Check::Connection => "certificate",
        Check::Groups => "groups",
        Check::Key => "key",
        Check::RequiredClaims => "claims",
        Check::Signature => "signature",
        Check::Signer => "signer",
        Check::Subject => "subject",
        Check::Times => "times",
        Check::Type => "type",
    }
}

/// A time in a claim.
fn instant(claim: &Value) -> String {
    let millis = claim.as_u64().and_then(|seconds| seconds.checked_mul(1000));
    // Beyond the year 9999 the text has no form.
    match millis.filter(|millis| *millis < 253_402_300_800_000) {
        Some(millis) => {
            let text = UnixTime::from_millis(millis).rfc3339();
            text.replace(".000Z", "Z")
        }
        None => value(claim),
    }
}

/// In the order in which they are made.
const ORDER: [Check; 12] = [
    Check::Algorithm,
    Check::Type,
    Check::Signer,
    Check::Key,
    Check::Signature,
    Check::Audience,
    Check::Times,
    Check::Groups,
    Check::RequiredClaims,
    Check::Confirmation,
    Check::Subject,
    Check::Connection,
];
