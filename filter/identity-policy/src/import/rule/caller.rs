//! What a rule asks of callers and of headers: principals, claims, and values of headers.

use identity_filter::config::OVERRIDES;
use serde_json::json;

use super::{Asked, Context};
use crate::import::condition::{self, Meaning};
use crate::import::pattern::Lean;
use crate::import::provider::Provider;
use crate::import::resource::list;

impl<'a> Context<'a, '_> {
    pub(super) fn principals(
        &mut self,
        asked: &mut Asked,
        at: &str,
        values: &[&str],
        must_hold: bool,
    ) {
        let providers = self.providers(must_hold);
        let mut meaning =
            condition::principals(values, &providers, providers.len() == self.all.len());
        // An allow rule names its providers anyway.
        if !self.is_deny && must_hold && meaning == condition::of_providers(&providers) {
            meaning = Meaning::Everybody;
        }
        self.about_token(asked, at, meaning, must_hold);
    }

    pub(super) fn claim(
        &mut self,
        asked: &mut Asked,
        at: &str,
        path: &str,
        values: &[&str],
        must_hold: bool,
    ) {
        let providers = self.providers(must_hold);
        // Words are split where the issuer says so, and two of the names are known to each side alone.
        let lean = self.lean(must_hold);
        let is_split = |provider: &&Provider<'_>| provider.words.iter().any(|word| word == path);
        let splits = match lean {
            Lean::Narrow => providers.iter().all(is_split),
            Lean::Wide => providers.iter().any(is_split),
        };
        let words = match (path, splits) {
            ("scope", _) => None,
            ("scp", false) => Some(false),
            (_, true) => Some(true),
            _ => None,
        };
        if values.iter().any(|value| value.contains('*')) {
            let instead = match lean {
                Lean::Narrow => "only a claim that is a text counts",
                Lean::Wide => "any value of the claim counts",
            };
            self.losses.add(
                self.policy,
                at,
                "of a claim that is a list, whole elements can be asked for",
                instead,
            );
        }
        let mut meaning = condition::claim(path, words, values, lean);
        // An allow rule names its providers anyway.
        let names_providers = must_hold && !self.is_deny;
        if providers.len() < self.all.len()
            && !names_providers
            && let Meaning::When(condition) = meaning
        {
            meaning = match condition::of_providers(&providers) {
                Meaning::When(one) => Meaning::When(json!({"all": [one, condition]})),
                nobody => nobody,
            };
        }
        self.about_token(asked, at, meaning, must_hold);
    }

    fn about_token(&mut self, asked: &mut Asked, at: &str, meaning: Meaning, must_hold: bool) {
        asked.reads_token = Some(at.into());
        if must_hold {
            asked.needs_token = true;
            if !self.is_deny && self.own.is_empty() {
                return self.cannot(asked, at, "no RequestAuthentication that can be carried over is for these workloads, so nobody has a token");
            }
        }
        self.add(asked, at, meaning, must_hold);
    }

    fn add(&mut self, asked: &mut Asked, at: &str, meaning: Meaning, must_hold: bool) {
        match (meaning, must_hold) {
            (Meaning::Cannot(why), _) => self.cannot(asked, at, why),
            (Meaning::When(condition), true) => asked.when.push(condition),
            (Meaning::When(condition), false) => asked.when.push(json!({"not": condition})),
            (Meaning::Everybody, true) | (Meaning::Nobody, false) => {}
            (Meaning::Everybody, false) | (Meaning::Nobody, true) => {
                asked.is_void = true;
                self.losses.add(
                    self.policy,
                    at,
                    "matches no caller of the issuers that are known here",
                    "the rule is left out",
                );
            }
        }
    }

    pub(super) fn header(
        &mut self,
        asked: &mut Asked,
        at: &str,
        name: &str,
        values: &[&str],
        must_hold: bool,
    ) {
        let is_readable = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !matches!(name, "authorization" | "cookie" | "host" | "connection")
            && !name.starts_with("x-identity-")
            && !self.all.iter().any(|provider| {
                list(provider.entry.get("tokens"))
                    .iter()
                    .any(|token| token["header"] == name)
            });
        if !is_readable {
            return self.cannot(
                asked,
                at,
                "this header cannot be asked for: it holds a host, a credential or an identity",
            );
        }
        if !self.is_deny && OVERRIDES.contains(&name) {
            return self.cannot(
                asked,
                at,
                "no allow rule can ask for a header that names another method or target",
            );
        }
        self.add(asked, at, condition::header(name, values), must_hold);
    }

    /// Those whose callers may be meant, leaning as the rule does.
    fn providers(&self, must_hold: bool) -> Vec<&'a Provider<'a>> {
        match self.lean(must_hold) {
            Lean::Narrow => self.own.clone(),
            Lean::Wide => self.may.clone(),
        }
    }
}
