//! The rules of RequestAuthentication as providers: one for each issuer.

use serde_json::{Value, json};

use super::Mesh;
use super::level::{self, Picks};
use super::loss::Losses;
use super::output::Entry;
use super::pattern::Lean;
use super::resource::{Kind, Resource, list};
use super::target::Target;

mod keys;

/// An issuer, and the resources that accept its tokens.
pub(crate) struct Provider<'a> {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) entry: Entry,
    /// Claims whose text is a list of words.
    pub(crate) words: Vec<String>,
    rule: &'a Value,
    places: Vec<(&'a Resource, usize)>,
    /// Resources that accept its tokens by another rule.
    others: Vec<&'a Resource>,
}

impl Provider<'_> {
    /// Whether the target accepts its tokens where resources of these levels are in force: certainly, to be
    /// narrow, or perhaps.
    pub(crate) fn is_for(
        &self,
        target: &Target,
        levels: &[level::Level],
        lean: Lean,
        resources: &[Resource],
        mesh: &Mesh<'_>,
    ) -> bool {
        let is_for = |resource: &Resource| {
            let picks = level::picks(resource, target, resources, mesh);
            levels.contains(&level::of(resource, resources, mesh))
                && (picks == Picks::Yes || (lean == Lean::Wide && picks == Picks::Unknown))
        };
        self.places.iter().any(|(resource, _)| is_for(resource))
            || (lean == Lean::Wide && self.others.iter().any(|resource| is_for(resource)))
    }
}

pub(crate) fn build<'a>(resources: &'a [Resource], losses: &mut Losses) -> Vec<Provider<'a>> {
    let mut found: Vec<Provider<'a>> = Vec::new();
    for resource in resources
        .iter()
        .filter(|one| one.kind == Kind::RequestAuthentication)
    {
        for (index, rule) in resource.list("/spec/jwtRules").iter().enumerate() {
            let at = format!("spec.jwtRules[{index}]");
            let issuer = rule["issuer"].as_str().unwrap_or_default();
            if let Some(known) = found.iter_mut().find(|known| known.issuer == issuer) {
                if known.rule == rule {
                    known.places.push((resource, index));
                } else {
                    known.others.push(resource);
                    losses.add(resource, &at,
                        format!("{issuer:?} is also the issuer of another rule ({}), which says something else", known.places[0].0.title()),
                        "left out: an issuer is one provider; rules for callers of it let in nobody here");
                }
                continue;
            }
            let mut draft = Draft {
                resource,
                at,
                losses,
                others: &found,
            };
            if let Some(entry) = draft.entry(rule, issuer) {
                let words = list(rule.get("spaceDelimitedClaims")).iter();
                let mut words: Vec<_> = words.filter_map(Value::as_str).map(String::from).collect();
                words.extend(["scope".into(), "permission".into()]);
                found.push(Provider {
                    name: entry.name.clone(),
                    issuer: issuer.into(),
                    entry,
                    words,
                    rule,
                    places: vec![(resource, index)],
                    others: Vec::new(),
                });
            }
        }
    }
    found
}

/// Whether tokens go on to workloads: one answer for all providers.
pub(crate) fn forwards(providers: &[Provider<'_>], losses: &mut Losses) -> bool {
    let asks = |provider: &&Provider<'_>| provider.rule["forwardOriginalToken"] == true;
    let asking: Vec<_> = providers.iter().filter(asks).collect();
    if !asking.is_empty() && asking.len() < providers.len() {
        for (resource, index) in asking.iter().flat_map(|provider| &provider.places) {
            losses.add(
                resource,
                &format!("spec.jwtRules[{index}].forwardOriginalToken"),
                "tokens of all providers go on, or none does, and other issuers' do not",
                "no token goes on; set `headers.forward_token: true` to send all of them on",
            );
        }
        return false;
    }
    !asking.is_empty()
}

/// A rule on its way to a provider.
struct Draft<'a, 'b> {
    resource: &'a Resource,
    at: String,
    losses: &'b mut Losses,
    others: &'b [Provider<'a>],
}

impl Draft<'_, '_> {
    fn lose(&mut self, field: &str, why: &str, instead: &str) {
        let at = format!("{}.{field}", self.at);
        self.losses
            .add(self.resource, at.trim_end_matches('.'), why, instead);
    }

    fn entry(&mut self, rule: &Value, issuer: &str) -> Option<Entry> {
        let is_byte =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b',' | b'"' | b'%');
        if !(1..=512).contains(&issuer.len()) || !issuer.bytes().all(is_byte) {
            self.lose(
                "issuer",
                "an issuer has 1 to 512 visible characters without `#`, `,`, `%` and quotes",
                LEFT_OUT,
            );
            return None;
        }
        let name = self.name(issuer);
        let mut entry = Entry::new(&name);
        entry.remark(format!(
            "{}:{} {}",
            self.resource.file(),
            self.resource.line(&self.at).unwrap_or(1),
            self.resource.title()
        ));
        entry.set("issuer", issuer.into());
        let audiences = self.audiences(rule);
        entry.set("audiences", audiences);
        let (jwks, algorithms) = self.keys(rule, issuer)?;
        entry.set("algorithms", algorithms);
        entry.set("jwks", jwks);
        if let Some(tokens) = self.tokens(rule)? {
            entry.set("tokens", tokens);
        }
        let claims = list(rule.get("outputClaimToHeaders"));
        for (index, claim) in claims.iter().enumerate() {
            let (header, claim) = (
                claim["header"].as_str().unwrap_or_default(),
                claim["claim"].as_str().unwrap_or_default(),
            );
            self.lose(
                &format!("outputClaimToHeaders[{index}]"),
                &format!("claim {claim:?} is not written into header {header:?}"),
                "`headers.set` can write it under a name that begins with x-identity-",
            );
        }
        let known = [
            "issuer",
            "audiences",
            "jwks",
            "jwksUri",
            "jwks_uri",
            "fromHeaders",
            "fromParams",
            "fromCookies",
            "forwardOriginalToken",
            "outputClaimToHeaders",
            "timeout",
            "spaceDelimitedClaims",
        ];
        for field in rule
            .as_object()
            .into_iter()
            .flatten()
            .map(|(field, _)| field)
        {
            if field == "outputPayloadToHeader" {
                self.lose(field, "a token's payload is not written into a header: claims are for the filter to judge",
                    "the workload reads who is calling in x-identity-subject and x-identity-roles");
            } else if !known.contains(&field.as_str()) {
                self.lose(field, "nothing is known of this field", "not carried over");
            }
        }
        Some(entry)
    }

    /// From the issuer's host, and unique.
    fn name(&self, issuer: &str) -> String {
        let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let plain: String = host
            .chars()
            .filter(|letter| is_allowed(*letter))
            .take(56)
            .collect();
        let plain = if plain.is_empty() {
            "issuer".into()
        } else {
            plain
        };
        let is_taken = |name: &str| self.others.iter().any(|other| other.name == name);
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        std::iter::once(plain.clone())
            .chain(numbered)
            .find(|name| !is_taken(name))
            .unwrap_or(plain)
    }

    fn audiences(&mut self, rule: &Value) -> Value {
        let written: Vec<_> = list(rule.get("audiences"))
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| !one.is_empty())
            .collect();
        if written.is_empty() {
            self.lose(
                "",
                "no audience is named, so tokens for everybody else would be believed",
                "write the audience of your tokens: until then none is believed",
            );
            return json!([NO_AUDIENCE]);
        }
        json!(written)
    }

    /// Whether another provider reads this header with another scheme.
    fn is_read_otherwise(&self, token: &Value) -> bool {
        let bearer = json!([{"header": "authorization", "scheme": "Bearer"}]);
        self.others.iter().any(|other| {
            let tokens = list(Some(other.entry.get("tokens").unwrap_or(&bearer)));
            tokens
                .iter()
                .any(|one| one["header"] == token["header"] && one != token)
        })
    }

    /// Where tokens are looked for; `None` within stands for `authorization`, as there.
    fn tokens(&mut self, rule: &Value) -> Option<Option<Value>> {
        let mut tokens = Vec::new();
        let has_places = ["fromHeaders", "fromParams", "fromCookies"]
            .iter()
            .any(|field| !list(rule.get(*field)).is_empty());
        for (index, header) in list(rule.get("fromHeaders")).iter().enumerate() {
            let name = header["name"]
                .as_str()
                .unwrap_or_default()
                .to_ascii_lowercase();
            let prefix = header["prefix"].as_str().unwrap_or_default();
            let scheme = prefix.strip_suffix(' ').unwrap_or(prefix);
            let is_scheme = scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !prefix.is_empty() && (!prefix.ends_with(' ') || !is_scheme || scheme.is_empty()) {
                self.lose(
                    &format!("fromHeaders[{index}].prefix"),
                    "only a word and one space can stand before a token",
                    "tokens in this header are not looked at",
                );
                continue;
            }
            let token = if prefix.is_empty() {
                json!({"header": name})
            } else {
                json!({"header": name, "scheme": scheme})
            };
            if self.is_read_otherwise(&token) {
                self.lose(&format!("fromHeaders[{index}]"), "another issuer's tokens have another prefix in this header, and a header is read in one way", "tokens in this header are not looked at");
                continue;
            }
            tokens.push(token);
        }
        for (index, name) in list(rule.get("fromCookies")).iter().enumerate() {
            match name.as_str() {
                Some(name) => tokens.push(json!({"cookie": name})),
                None => self.lose(
                    &format!("fromCookies[{index}]"),
                    "is no name",
                    "not carried over",
                ),
            }
        }
        for (index, name) in list(rule.get("fromParams")).iter().enumerate() {
            self.lose(&format!("fromParams[{index}]"),
                &format!("a token in the query ({name}) ends in logs and histories, and is not looked for"),
                "send it in a header");
        }
        if !has_places
            && self.is_read_otherwise(&json!({"header": "authorization", "scheme": "Bearer"}))
        {
            self.lose("", "another issuer's tokens stand in `authorization` with another prefix, and a header is read in one way", LEFT_OUT);
            return None;
        }
        match (has_places, tokens.is_empty()) {
            (false, _) => Some(None),
            (true, false) => Some(Some(Value::Array(tokens))),
            (true, true) => {
                self.lose(
                    "",
                    "none of the places of its tokens can be carried over",
                    LEFT_OUT,
                );
                None
            }
        }
    }
}

/// No token is for it (RFC 2606 section 2).
const NO_AUDIENCE: &str = "https://write-your-audience.invalid";
const LEFT_OUT: &str = "left out: no token of this issuer is believed";
