//! One rule of an AuthorizationPolicy as rules of the configuration.
//!
//! A rule of Istio's is a list of sources times a list of operations, each of which is a rule here. What cannot be
//! said makes an allow rule go, and a deny rule deny without that condition.

use ipnet::IpNet;
use serde_json::{Value, json};

use super::condition;
use super::level::Level;
use super::loss::Losses;
use super::output::Entry;
use super::pattern::Lean;
use super::provider::Provider;
use super::resource::{Resource, list};
use super::target::Target;
use super::{address, operation};

mod caller;

/// What a rule is translated for.
pub(crate) struct Context<'a, 'b> {
    pub(crate) policy: &'a Resource,
    pub(crate) target: &'a Target,
    pub(crate) level: Level,
    pub(crate) is_deny: bool,
    /// Providers whose tokens the target accepts.
    pub(crate) own: Vec<&'a Provider<'a>>,
    /// Those whose tokens it may accept.
    pub(crate) may: Vec<&'a Provider<'a>>,
    /// All providers.
    pub(crate) all: Vec<&'a Provider<'a>>,
    pub(crate) losses: &'b mut Losses,
}

/// What a rule asks for, so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Asked {
    /// Nothing that can be said: an allow rule goes.
    pub(crate) is_void: bool,
    /// Whether it is about callers with a token alone.
    needs_token: bool,
    /// The field by which it asks something of a token, whether or not there must be one.
    reads_token: Option<String>,
    sources: Option<Vec<IpNet>>,
    when: Vec<Value>,
    pub(crate) methods: Option<Vec<String>>,
    pub(crate) hosts: Option<Vec<String>>,
    pub(crate) paths: Option<Vec<String>>,
}

impl<'a> Context<'a, '_> {
    /// The rules for the policy's rule of this number.
    pub(crate) fn rules(&mut self, index: usize, rule: &Value) -> Vec<Entry> {
        let at = format!("spec.rules[{index}]");
        let mut common = Asked::default();
        if !rule.is_object() {
            self.cannot(&mut common, &at, "is no rule");
        }
        for field in rule
            .as_object()
            .into_iter()
            .flatten()
            .map(|(field, _)| field)
        {
            if !matches!(field.as_str(), "from" | "to" | "when") {
                self.cannot(
                    &mut common,
                    &format!("{at}.{field}"),
                    "nothing is known of this field",
                );
            }
        }
        for (number, when) in list(rule.get("when")).iter().enumerate() {
            self.when(&mut common, &format!("{at}.when[{number}]"), when);
        }
        let (from, to) = (list(rule.get("from")), list(rule.get("to")));
        let mut found = Vec::new();
        for source in 0..from.len().max(1) {
            for operation in 0..to.len().max(1) {
                let mut asked = common.clone();
                if let Some(value) = from.get(source) {
                    self.source(
                        &mut asked,
                        &format!("{at}.from[{source}].source"),
                        value.get("source"),
                    );
                }
                if let Some(value) = to.get(operation) {
                    operation::ask(
                        self,
                        &mut asked,
                        &format!("{at}.to[{operation}].operation"),
                        value.get("operation"),
                    );
                }
                found.extend(self.finish(&at, asked));
            }
        }
        found
    }

    /// Lists a condition that cannot be said.
    pub(crate) fn cannot(&mut self, asked: &mut Asked, field: &str, why: &str) {
        asked.is_void |= !self.is_deny;
        self.losses.add(
            self.policy,
            field,
            why,
            if self.is_deny {
                "the rule denies without this condition"
            } else {
                "the rule is left out"
            },
        );
    }

    /// The side to which a condition may err that must hold, or that must not.
    pub(crate) const fn lean(&self, must_hold: bool) -> Lean {
        match (self.is_deny, must_hold) {
            (false, true) | (true, false) => Lean::Narrow,
            (false, false) | (true, true) => Lean::Wide,
        }
    }

    fn source(&mut self, asked: &mut Asked, at: &str, source: Option<&Value>) {
        let Some(source) = source
            .and_then(Value::as_object)
            .filter(|source| !source.is_empty())
        else {
            return self.cannot(asked, at, "is empty");
        };
        for (field, values) in source {
            let at = format!("{at}.{field}");
            let Some(values) = texts(values) else {
                self.cannot(asked, &at, NO_TEXTS);
                continue;
            };
            match field.as_str() {
                "requestPrincipals" => self.principals(asked, &at, &values, true),
                "notRequestPrincipals" => self.principals(asked, &at, &values, false),
                "remoteIpBlocks" => self.networks(asked, &at, &values, true),
                "notRemoteIpBlocks" => self.networks(asked, &at, &values, false),
                "ipBlocks" if self.level == Level::Gateway => {
                    self.networks(asked, &at, &values, true)
                }
                "notIpBlocks" if self.level == Level::Gateway => {
                    self.networks(asked, &at, &values, false)
                }
                _ => self.cannot(asked, &at, peer(field)),
            }
        }
    }

    fn when(&mut self, asked: &mut Asked, at: &str, when: &Value) {
        let key = when["key"].as_str().unwrap_or_default();
        let mut is_empty = true;
        for (field, must_hold) in [("values", true), ("notValues", false)] {
            let Some(values) = when.get(field) else {
                continue;
            };
            is_empty = false;
            let at = format!("{at}.{field}");
            let Some(values) = texts(values) else {
                self.cannot(asked, &at, NO_TEXTS);
                continue;
            };
            match key {
                "request.auth.principal" => self.principals(asked, &at, &values, must_hold),
                "remote.ip" => self.networks(asked, &at, &values, must_hold),
                "source.ip" if self.level == Level::Gateway => {
                    self.networks(asked, &at, &values, must_hold)
                }
                "request.auth.audiences" => self.claim(asked, &at, "aud", &values, must_hold),
                "request.auth.presenter" => self.claim(asked, &at, "azp", &values, must_hold),
                _ if key.starts_with("request.auth.claims") => match condition::claim_path(key) {
                    Some(path) => self.claim(asked, &at, &path, &values, must_hold),
                    None => self.cannot(asked, &at, "names no claim"),
                },
                _ => match key
                    .strip_prefix("request.headers[")
                    .and_then(|rest| rest.strip_suffix(']'))
                {
                    Some(name) => {
                        self.header(asked, &at, &name.to_ascii_lowercase(), &values, must_hold)
                    }
                    None => self.cannot(asked, &at, key_reason(key)),
                },
            }
        }
        if is_empty {
            self.cannot(asked, at, "has no values");
        }
    }

    fn networks(&mut self, asked: &mut Asked, at: &str, values: &[&str], must_hold: bool) {
        let networks: Option<Vec<_>> = values.iter().map(|text| address::read(text)).collect();
        let Some(mut networks) = networks else {
            return self.cannot(asked, at, "is no list of networks and addresses");
        };
        if !must_hold {
            networks = address::outside(&networks);
        }
        if let Some(others) = &asked.sources {
            networks = address::common(others, &networks);
        }
        // Nowhere: no client is in none of all networks.
        asked.is_void |= networks.is_empty();
        asked.sources = Some(networks);
    }

    fn finish(&mut self, at: &str, mut asked: Asked) -> Option<Entry> {
        if let Some(field) = asked.reads_token.clone()
            && !self.is_deny
            && !asked.needs_token
        {
            self.cannot(
                &mut asked,
                &field,
                "it lets in callers without a token by what a token does not say",
            );
        }
        if asked.is_void {
            return None;
        }
        let name = super::target::safe(&format!(
            "{}.{}",
            self.policy.name,
            at.trim_start_matches("spec.rules")
        ));
        let mut entry = Entry::new(&name.replace("..", "."));
        entry.remark(format!(
            "{}:{} {}",
            self.policy.file(),
            self.policy.line(at).unwrap_or(1),
            self.policy.title()
        ));
        if self.is_deny {
            entry.set("action", "deny".into());
        } else if asked.needs_token {
            let names: Vec<_> = self
                .own
                .iter()
                .map(|provider| provider.name.as_str())
                .collect();
            entry.set("providers", json!(names));
        } else {
            entry.set("anonymous", true.into());
        }
        if let Some(sources) = &asked.sources {
            let sources: Vec<_> = sources.iter().map(address::write).collect();
            entry.set("sources", json!(sources));
        }
        for (field, values) in [
            ("methods", asked.methods),
            ("hosts", asked.hosts),
            ("paths", asked.paths),
        ] {
            if let Some(values) = values {
                entry.set(field, json!(values));
            }
        }
        // A deny rule about principals names them by itself; one about all tokens says so.
        if !asked.when.is_empty() {
            entry.set("when", Value::Array(asked.when));
        }
        Some(entry)
    }
}

/// The texts of a list; nothing where it is empty or holds anything else, which Istio refuses or passes over.
pub(crate) fn texts(values: &Value) -> Option<Vec<&str>> {
    let texts: Option<Vec<_>> = list(Some(values)).iter().map(Value::as_str).collect();
    texts.filter(|texts| !texts.is_empty())
}

fn peer(field: &str) -> &'static str {
    match field {
        "ipBlocks" | "notIpBlocks" => {
            "at a workload this is the address of the gateway, not of the client"
        }
        "principals" | "notPrincipals" | "namespaces" | "notNamespaces" | "serviceAccounts"
        | "notServiceAccounts" => {
            "this is who speaks to the workload within the mesh; the filter sees clients of the gateway"
        }
        _ => "nothing is known of this field",
    }
}

fn key_reason(key: &str) -> &'static str {
    match key {
        "source.ip" => peer("ipBlocks"),
        "source.principal" | "source.namespace" | "source.serviceAccount" => peer("principals"),
        "destination.ip" | "destination.port" | "connection.sni" => {
            "addresses, ports and names of connections are for Gateway, VirtualService and the front to choose by"
        }
        _ => "nothing is known of this key",
    }
}

pub(crate) const NO_TEXTS: &str = "is no list of texts";
